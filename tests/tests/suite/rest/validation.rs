//! What is refused before anything happens, field by field.

use nebula_tests::{Caller, Database, handle::request, onboard, onboard_by_sql};
use serde_json::{Value, json};
use uuid::Uuid;

/// A body of `users.create`, and the field and rule that it breaks.
fn bad_users() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!({}), "email", "required"),
        (json!({ "email": "x@y.example" }), "name", "required"),
        (json!({ "email": null, "name": "X" }), "email", "type"),
        (json!({ "email": 7, "name": "X" }), "email", "type"),
        (json!({ "email": ["x@y.example"], "name": "X" }), "email", "type"),
        (json!({ "email": { "a": 1 }, "name": "X" }), "email", "type"),
        (json!({ "email": true, "name": "X" }), "email", "type"),
        (json!({ "email": "", "name": "X" }), "email", "empty"),
        (json!({ "email": "   ", "name": "X" }), "email", "empty"),
        (json!({ "email": "x", "name": "X" }), "email", "email"),
        (json!({ "email": "x@", "name": "X" }), "email", "email"),
        (json!({ "email": "@y.example", "name": "X" }), "email", "email"),
        (json!({ "email": "x@y", "name": "X" }), "email", "email"),
        (json!({ "email": "x y@z.example", "name": "X" }), "email", "email"),
        (json!({ "email": "x@-y.example", "name": "X" }), "email", "email"),
        (json!({ "email": "x@y..example", "name": "X" }), "email", "email"),
        (json!({ "email": "é@y.example", "name": "X" }), "email", "email"),
        (json!({ "email": "x@y.example\nBcc: z@y.example", "name": "X" }), "email", "email"),
        (json!({ "email": format!("{}@y.example", "x".repeat(65)), "name": "X" }), "email", "email"),
        (json!({ "email": format!("x@{}.example", "y".repeat(250)), "name": "X" }), "email", "too_long"),
        (json!({ "email": "x@y.example", "name": "" }), "name", "empty"),
        (json!({ "email": "x@y.example", "name": " \u{3000} " }), "name", "empty"),
        (json!({ "email": "x@y.example", "name": "x".repeat(201) }), "name", "too_long"),
        (json!({ "email": "x@y.example", "name": "a\nb" }), "name", "control_character"),
        (json!({ "email": "x@y.example", "name": "a\u{7f}b" }), "name", "control_character"),
        (json!({ "email": "x@y.example", "name": "a\u{202e}b" }), "name", "control_character"),
        (json!({ "email": "x@y.example", "name": 1 }), "name", "type"),
        (json!({ "email": "x@y.example", "name": "X", "id": Uuid::now_v7() }), "id", "unknown"),
        (json!({ "email": "x@y.example", "name": "X", "tenantId": Uuid::now_v7() }), "tenantId", "unknown"),
        (json!({ "email": "x@y.example", "name": "X", "status": "ativo" }), "status", "unknown"),
        (json!({ "email": "x@y.example", "name": "X", "Email": "z@y.example" }), "Email", "unknown"),
        (json!({ "email": "x@y.example", "name": "X", "__proto__": {} }), "__proto__", "unknown"),
    ]
}

#[test]
fn a_wrong_field_is_named_with_the_rule_that_it_breaks_over_http() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for (body, field, rule) in bad_users() {
        let answer = acme.admin.post("/v1/users", &body);
        assert_eq!(answer.status, 400, "{body}");
        answer.invalid(field, rule);
        for value in ["y.example", "Bcc", "xxxx"] {
            assert!(!answer.text.contains(value), "the answer repeats what was sent: {}", answer.text);
        }
    }
    acme.admin.post("/v1/users", &json!({ "email": "x@y.example", "name": "x".repeat(200) })).data(201);
}

#[test]
fn the_database_refuses_the_same_when_the_edge_does_not() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let before = database.digests();
    for (body, field, rule) in bad_users() {
        let details = handle.call(acme.id, &acme.admin, "users.create", &body).refused(400, "VALIDATION_ERROR");
        assert_eq!(details, json!([{ "field": field, "rule": rule }]), "{body}");
    }
    for body in [json!([]), json!("x"), json!(1), json!(true)] {
        let mut bad = request("users.create", Some(&acme.admin), &body);
        bad["body"] = body;
        handle.send(acme.id, &bad).refused(400, "VALIDATION_ERROR");
    }
    for name in ["email\u{0}", "a\u{0}b"] {
        let answer =
            handle.try_send(acme.id, &request("users.create", Some(&acme.admin), &json!({ "email": "x@y.example", "name": name })));
        match answer {
            Ok(answer) => drop(answer.refused(400, "VALIDATION_ERROR")),
            Err(error) => assert!(["22P05", "22021"].contains(&error.code().unwrap().code()), "{error:?}"),
        }
    }
    handle.send(acme.id, &request("no.such", Some(&acme.admin), &json!({}))).refused(404, "NOT_FOUND");
    for malformed in [
        json!({}),
        json!([]),
        json!({ "operation": 1 }),
        json!({ "operation": "users.list", "more": 1 }),
        json!({ "operation": "users.list", "credential": 1 }),
    ] {
        handle.send(acme.id, &malformed).refused(400, "VALIDATION_ERROR");
    }
    assert_eq!(database.digests(), before);
}

#[test]
fn an_id_that_is_none_is_invalid_and_one_that_is_nobodys_is_not_found() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for bad in ["1", "null", "x", "00000000-0000-0000-0000-00000000000", "00000000-0000-0000-0000-0000000000000", "%27%20or%20true", "0%00"]
    {
        let answer = acme.admin.get(&format!("/v1/users/{bad}"));
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{bad}: {}", answer.text);
    }
    for nobody in [Uuid::nil(), Uuid::max(), Uuid::now_v7()] {
        acme.admin.get(&format!("/v1/users/{nobody}")).refused(404, "NOT_FOUND");
    }
    let group = acme.group("G", &[]);
    acme.admin.post(&format!("/v1/groups/{group}/users/x"), &json!({})).invalid("userId", "uuid");
    // One name comes from one place.
    acme.admin.patch(&format!("/v1/groups/{group}"), &json!({ "id": Uuid::now_v7(), "name": "H" })).invalid("id", "unknown");
}

#[test]
fn headers_are_held_to_their_form() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let create =
        |name: &str, value: &[u8]| acme.admin.request("POST", "/v1/groups").header(name, value).json(&json!({ "name": "G" })).send();
    create("Idempotency-Key", b"").invalid("Idempotency-Key", "empty");
    create("Idempotency-Key", b"a b").invalid("Idempotency-Key", "visible_ascii");
    create("Idempotency-Key", &[b'a'; 256]).invalid("Idempotency-Key", "too_long");
    create("Idempotency-Key", "é".as_bytes()).invalid("Idempotency-Key", "visible_ascii");
    create("Idempotency-Key", &[0xff]).invalid("Idempotency-Key", "visible_ascii");
    let twice = acme.admin.request("POST", "/v1/groups").key("a").key("a").json(&json!({ "name": "G" })).send();
    twice.invalid("Idempotency-Key", "repeated");
    for tenant in ["", "x", &Uuid::now_v7().to_string(), &format!("{},{}", acme.id, acme.id)] {
        let answer = create("X-Tenant-Id", tenant.as_bytes());
        assert_eq!(answer.status, 400, "{tenant}");
    }
    let twice =
        acme.admin.request("GET", "/v1/me").header("X-Tenant-Id", acme.id.to_string()).header("X-Tenant-Id", acme.id.to_string()).send();
    twice.refused(400, "TENANT_MISMATCH");
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name = 'G'", &[]), 0);
    create("X-Tenant-Id", acme.id.to_string().as_bytes()).data(201);
}

#[test]
fn an_instant_before_the_year_one_is_invalid_and_no_failure() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let group = acme.group("G", &[]);
    let before = database.row_counts();
    for instant in
        ["0000-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "-000001-01-01T00:00:00Z", "-009999-06-01T00:00:00Z", "0001-01-01T00:00:00+01:00"]
    {
        let query = instant.replace('+', "%2B");
        for path in ["audit-logs", "users", "groups", "api-keys"] {
            acme.admin.get(&format!("/v1/{path}?createdAtFrom={query}")).invalid("createdAtFrom", "date-time");
            acme.admin.get(&format!("/v1/{path}?createdAtTo={query}")).invalid("createdAtTo", "date-time");
        }
        acme.admin
            .post("/v1/api-keys", &json!({ "name": "k", "profile": "write", "expiresAt": instant }))
            .invalid("expiresAt", "date-time");
        let assign = edge.operator().post(&format!("/v1/tenants/{}/packages/base/assign", acme.id), &json!({ "expiresAt": instant }));
        assign.invalid("expiresAt", "date-time");
        for bound in ["validFrom", "validUntil"] {
            let permissions = json!({ "permissions": [{ "action": "users.list", "constraints": { bound: instant } }] });
            acme.admin.post(&format!("/v1/groups/{group}/permissions"), &permissions).refused(400, "VALIDATION_ERROR");
        }
    }
    assert_eq!(database.row_counts(), before);
    acme.admin.get("/v1/users?createdAtFrom=0001-01-01T00:00:00Z").data(200);
}

#[test]
fn a_body_that_is_null_is_a_body_and_no_object() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    let admin = edge.user(&acme.admin);
    // Each of these takes no body at all, or one without members.
    for (method, path) in [("POST", format!("/v1/users/{}/invite", acme.admin_id)), ("PUT", "/v1/branding".to_owned())] {
        admin.request(method, &path).body("application/json", "null").send().invalid("body", "type");
        assert!(admin.request(method, &path).send().status < 300, "{method} {path}");
    }
}

#[test]
fn a_whole_number_may_be_written_with_a_point() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    let admin = edge.user(&acme.admin);
    let key = admin.post("/v1/api-keys", &json!({ "name": "K", "profile": "read-only" })).data(201);
    let rotate = |body: &str| {
        let path = format!("/v1/api-keys/{}/rotate", key["id"].as_str().unwrap());
        admin.request("POST", &path).body("application/json", body).send()
    };
    for whole in ["60", "60.0", "6e1", "0.0", "-0.0"] {
        rotate(&format!(r#"{{"gracePeriodSeconds":{whole}}}"#)).data(200);
    }
    for (other, rule) in [("60.5", "type"), ("-1.0", "invalid"), ("6e300", "type"), ("604801.0", "range"), ("\"60\"", "type")] {
        rotate(&format!(r#"{{"gracePeriodSeconds":{other}}}"#)).invalid("gracePeriodSeconds", rule);
    }
}
