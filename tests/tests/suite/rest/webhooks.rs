//! Who is told of events.

use nebula_tests::{Caller, Database, http::id, onboard};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

fn hook(url: &str) -> Value {
    json!({ "url": url, "events": ["user.created", "*", "user.created"], "description": "CRM" })
}

/// Hexadecimal and base64, as a dump would show them.
fn spellings(secret: &str) -> Vec<String> {
    let base64 = secret.strip_prefix("whsec_").unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap();
    assert_eq!(bytes.len(), 32);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    vec![base64.to_owned(), hex(&bytes), hex(base64.as_bytes()), hex(secret.as_bytes())]
}

#[test]
fn a_webhook_is_made_shown_listed_changed_suspended_and_removed() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let made = acme.admin.post("/v1/webhooks", &hook("https://hooks.acme.com/a?b=c")).data(201);
    assert_eq!(made["events"], json!(["*", "user.created"]));
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    let path = format!("/v1/webhooks/{}", id(&made));
    assert_eq!(acme.admin.get(&path).data(200), shown);
    assert_eq!(acme.admin.get("/v1/webhooks?q=CRM").data(200), json!([shown]));
    assert_eq!(acme.admin.get("/v1/webhooks?status=suspenso").data(200), json!([]));
    let changed =
        acme.admin.patch(&path, &json!({ "events": ["group.created"], "status": "suspenso", "suspendedReason": "pausa" })).data(200);
    assert_eq!(
        (&changed["events"], &changed["status"], &changed["suspendedReason"]),
        (&json!(["group.created"]), &json!("suspenso"), &json!("pausa"))
    );
    let changed = acme.admin.patch(&path, &json!({ "description": "" })).data(200);
    assert_eq!(
        (&changed["status"], &changed["suspendedReason"], &changed["description"]),
        (&json!("suspenso"), &json!("pausa"), &json!(""))
    );
    assert_eq!(acme.admin.patch(&path, &json!({ "status": "ativo" })).data(200)["suspendedReason"], Value::Null);
    for (body, field, rule) in [
        (json!({}), "", "nothing_to_change"),
        (json!({ "suspendedReason": "x" }), "suspendedReason", "only_when_suspending"),
        (json!({ "status": "ativo", "suspendedReason": "x" }), "suspendedReason", "only_when_suspending"),
        (json!({ "events": [] }), "events", "length"),
        (json!({ "secret": "whsec_x" }), "secret", "unknown"),
        (json!({ "url": "https://10.0.0.1/" }), "url", "public_address"),
    ] {
        acme.admin.patch(&path, &body).invalid(field, rule);
    }
    // Another tenant's is like one that never was.
    for id in [id(&made), Uuid::now_v7()] {
        let path = format!("/v1/webhooks/{id}");
        zeta.admin.get(&path).refused(404, "NOT_FOUND");
        zeta.admin.patch(&path, &json!({ "status": "suspenso" })).refused(404, "NOT_FOUND");
        zeta.admin.delete(&path).refused(404, "NOT_FOUND");
        zeta.admin.post(&format!("{path}/rotate-secret"), &json!({})).refused(404, "NOT_FOUND");
        zeta.admin.post(&format!("{path}/test"), &json!({})).refused(404, "NOT_FOUND");
        zeta.admin.get(&format!("{path}/deliveries")).refused(404, "NOT_FOUND");
    }
    assert_eq!(zeta.admin.get("/v1/webhooks").data(200), json!([]));
    acme.admin.delete(&path).empty();
    acme.admin.delete(&path).refused(404, "NOT_FOUND");
    let audited = database.texts("select distinct action from nebula.audit_log where entity_type = 'webhook_subscription' order by 1", &[]);
    assert_eq!(audited, ["webhooks.create", "webhooks.delete", "webhooks.update"]);
    let (viewer, ..) = acme.member(&edge, "viewer", &["webhooks.list"]);
    viewer.get("/v1/webhooks").data(200);
    viewer.post("/v1/webhooks", &hook("https://a.example.com/")).forbidden("webhooks.create", "granted");
}

#[test]
fn only_addresses_of_the_public_network_and_proper_events_are_taken() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let before = database.digests();
    for url in [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://172.31.255.255/",
        "https://192.168.1.1:8443/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/",
        "https://0.0.0.0/",
        "https://255.255.255.255/",
        "https://224.0.0.1/",
        "https://198.18.0.1/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[fd00:ec2::254]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[ff02::1]/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://db.localhost/",
        "https://intranet/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://①②⑦.0.0.1/",
    ] {
        let details = acme.admin.post("/v1/webhooks", &hook(url)).refused(400, "VALIDATION_ERROR");
        assert_eq!(details[0]["field"], "url", "{url}");
    }
    for url in [
        "http://hooks.acme.com/",
        "ftp://acme.com/",
        "https://u@acme.com/",
        "https://u:p@acme.com/",
        "https://acme.com/#x",
        "//acme.com",
        "acme.com",
        "",
        "https://acme.com/\n",
        "file:///etc/passwd",
    ] {
        let details = acme.admin.post("/v1/webhooks", &hook(url)).refused(400, "VALIDATION_ERROR");
        assert_eq!(details[0]["field"], "url", "{url}");
    }
    let too_many = (0..101).map(|_| "user.created").collect::<Vec<_>>();
    for (events, field) in [
        (json!([]), "events"),
        (json!(too_many), "events"),
        (json!("*"), "events"),
        (json!(["User.Created"]), "events[0]"),
        (json!(["user.created", "user.*"]), "events[1]"),
        (json!(["*", null]), "events[1]"),
        (json!([""]), "events[0]"),
    ] {
        let details = acme
            .admin
            .post("/v1/webhooks", &json!({ "url": "https://hooks.acme.com/", "events": events }))
            .refused(400, "VALIDATION_ERROR");
        assert_eq!(details[0]["field"], field, "{events}");
    }
    for secret in [json!("whsec_AAAA"), json!(null), json!({ "row": Uuid::now_v7(), "sealed": "AAAA", "keyVersion": 1, "plain": "x" })] {
        let mut body = hook("https://hooks.acme.com/");
        body["secret"] = secret;
        acme.admin.post("/v1/webhooks", &body).invalid("secret", "unknown");
    }
    let mut body = hook("https://hooks.acme.com/");
    body["id"] = json!(Uuid::now_v7());
    acme.admin.post("/v1/webhooks", &body).invalid("id", "unknown");
    assert_eq!(database.digests(), before);
}

#[test]
fn a_secret_is_shown_once_and_stands_in_no_dump_and_in_no_log() {
    let database = Database::new();
    database.execute(&format!("alter database {} set log_statement = 'all'", database.name));
    let edge = database.serve_with(&[("NEBULA_LOG_LEVEL", "debug")]);
    let acme = onboard(&edge, "acme");
    let create = || acme.admin.request("POST", "/v1/webhooks").key("k").json(&hook("https://hooks.acme.com/")).send();
    let first = create();
    let made = first.data(201);
    assert_eq!((&create().text, create().header("idempotency-replayed")), (&first.text, Some("true")));
    assert_eq!(database.number("select count(*) from nebula.webhook_subscription", &[]), 1);
    let path = format!("/v1/webhooks/{}", id(&made));
    let rotate = |body: Value| acme.admin.post(&format!("{path}/rotate-secret"), &body).data(200);
    let rotated = rotate(json!({}));
    assert_eq!(id(&rotated), id(&made));
    let third = rotate(json!({ "gracePeriodSeconds": 0 }));
    let secrets = [&made, &rotated, &third].map(|hook| hook["secret"].as_str().unwrap().to_owned());
    assert_eq!(secrets.iter().collect::<BTreeSet<_>>().len(), 3);
    for answer in [
        acme.admin.get(&path),
        acme.admin.get("/v1/webhooks"),
        acme.admin.patch(&path, &json!({ "description": "x" })),
        acme.admin.get("/v1/audit-logs?limit=200"),
        acme.admin.get("/v1/jobs"),
    ] {
        assert!(answer.status == 200 && !answer.text.contains("whsec_"), "{answer:?}");
    }
    let (dump, server, log) = (database.dump(), database.installation.cluster.log(), edge.log());
    assert!(dump.contains("hooks.acme.com") && server.contains("nebula.handle"));
    for spelling in secrets.iter().flat_map(|secret| spellings(secret)) {
        assert!(!dump.contains(&spelling), "a secret stands in the dump");
        assert!(!server.contains(&spelling) && !log.contains(&spelling), "a secret stands in a log");
    }
    // Sealed with the edge's key: nonce, ciphertext of the text, tag.
    assert_eq!(database.number("select octet_length(secret_sealed)::bigint from nebula.webhook_subscription", &[]), 12 + 50 + 16);
}

#[test]
fn after_a_rotation_both_secrets_sign_for_as_long_as_was_asked() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let path = format!("/v1/webhooks/{}", id(&acme.admin.post("/v1/webhooks", &hook("https://hooks.acme.com/")).data(201)));
    let row = "select encode(secret_sealed, 'hex') || ' ' || coalesce(encode(previous_secret_sealed, 'hex'), '-') || ' ' || \
               coalesce(round(extract(epoch from previous_secret_expires_at - updated_at))::text, '-') from nebula.webhook_subscription";
    let state = || database.text(row, &[]).split(' ').map(str::to_owned).collect::<Vec<_>>();
    let rotate = |body: Value| acme.admin.post(&format!("{path}/rotate-secret"), &body);
    let first = state();
    assert_eq!(first[1..], ["-", "-"]);
    rotate(json!({})).data(200);
    let second = state();
    assert_eq!((&second[1], second[2].as_str()), (&first[0], "86400"));
    assert_ne!(second[0], first[0]);
    let shown = rotate(json!({ "gracePeriodSeconds": 604_800 })).data(200);
    let third = state();
    assert_eq!((&third[1], third[2].as_str()), (&second[0], "604800"));
    assert!(shown["previousSecretExpiresAt"].is_string());
    assert_eq!(rotate(json!({ "gracePeriodSeconds": 0 })).data(200)["previousSecretExpiresAt"], Value::Null);
    assert_eq!(state()[1..], ["-", "-"]);
    rotate(json!({ "gracePeriodSeconds": 604_801 })).invalid("gracePeriodSeconds", "range");
    for junk in [json!(-1), json!(1.5), json!("60"), json!(4_294_967_296_i64)] {
        let details = rotate(json!({ "gracePeriodSeconds": junk })).refused(400, "VALIDATION_ERROR");
        assert_eq!(details[0]["field"], "gracePeriodSeconds", "{junk}");
    }
    rotate(json!({ "secret": "whsec_x" })).invalid("secret", "unknown");
    acme.admin.post("/v1/webhooks/x/rotate-secret", &json!({})).invalid("id", "uuid");
    // Where the edge has no key, it says so and nothing happens.
    let before = database.digests();
    let keyless = database.serve_with(&[("NEBULA_KEYS_DIR", "/nonexistent")]);
    let admin = keyless.user(&acme.admin.token);
    admin.post(&format!("{path}/rotate-secret"), &json!({})).refused(503, "SERVICE_UNAVAILABLE");
    admin.post("/v1/webhooks", &hook("https://hooks.acme.com/")).refused(503, "SERVICE_UNAVAILABLE");
    assert_eq!(database.digests(), before);
}

#[test]
fn deliveries_are_listed_by_subscription_and_may_be_asked_for_again() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let hooks = [0, 1].map(|_| id(&acme.admin.post("/v1/webhooks", &hook("https://hooks.acme.com/")).data(201)));
    let mut superuser = database.superuser();
    for (number, event) in ["user.created", "user.created", "group.created"].iter().enumerate() {
        let sql = "insert into nebula.webhook_delivery (tenant_id, webhook_subscription_id, event_id, event_type, attempt, status_code, latency_ms, created_at) \
                   values ($1, $2, nebula.uuid_v7(), $3, 1, 500, 12, now() - make_interval(mins => $4))";
        superuser.execute(sql, &[&acme.id, &hooks[0], event, &i32::try_from(number).unwrap()]).unwrap();
    }
    let list = |query: &str| acme.admin.get(&format!("/v1/webhooks/{}/deliveries{query}", hooks[0]));
    let all = list("").data(200);
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(
        (&all[0]["eventType"], &all[0]["statusCode"], &all[0]["latencyMs"], &all[0]["attempt"]),
        (&json!("user.created"), &json!(500), &json!(12), &json!(1))
    );
    assert_eq!(list("?eventType=group.created").data(200).as_array().unwrap().len(), 1);
    let page = list("?limit=2&sort=created_at:asc").envelope(200);
    let next = page["meta"]["nextCursor"].as_str().unwrap();
    assert_eq!(list(&format!("?limit=2&sort=created_at:asc&cursor={next}")).data(200), json!([all[0]]));
    acme.admin.get(&format!("/v1/webhooks/{}/deliveries?limit=2&sort=created_at:asc&cursor={next}", hooks[1])).invalid("cursor", "cursor");
    assert_eq!(acme.admin.get(&format!("/v1/webhooks/{}/deliveries", hooks[1])).data(200), json!([]));
    list("?status=ativo").invalid("status", "unknown");
    let again = |caller: &dyn Caller, id: &str| caller.post(&format!("/v1/webhooks/deliveries/{id}/redeliver"), &json!({}));
    let delivery = all[0]["id"].as_str().unwrap();
    let job = again(&acme.admin, delivery).data(202)["jobId"].as_str().unwrap().parse::<Uuid>().unwrap();
    let queued = database.text("select type || ' ' || (payload #>> '{data,deliveryId}') || ' ' || (payload #>> '{data,webhookId}') from nebula.outbox where id = $1", &[&job]);
    assert_eq!(queued, format!("webhook.redelivery {delivery} {}", hooks[0]));
    again(&zeta.admin, delivery).refused(404, "NOT_FOUND");
    again(&acme.admin, &Uuid::now_v7().to_string()).refused(404, "NOT_FOUND");
    // What was delivered to an address that is gone is not delivered again.
    acme.admin.delete(&format!("/v1/webhooks/{}", hooks[0])).empty();
    again(&acme.admin, delivery).refused(404, "NOT_FOUND");
    let test = acme.admin.post(&format!("/v1/webhooks/{}/test", hooks[1]), &json!({})).data(202);
    assert_eq!(
        database.number(
            "select count(*) from nebula.outbox where id = $1 and type = 'webhook.test' and tenant_id = $2",
            &[&test["jobId"].as_str().unwrap().parse::<Uuid>().unwrap(), &acme.id]
        ),
        1
    );
}
