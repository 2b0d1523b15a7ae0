//! Taking a person out for good.

use nebula_tests::{
    Caller, Database,
    http::id,
    onboard, parallel,
    story::{PASSWORD, accept},
};
use serde_json::json;
use uuid::Uuid;

#[test]
fn nothing_leads_back_to_a_person_who_was_anonymised_and_history_keeps_the_id() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let send = |method: &str, path: &str, key: &str, body: &serde_json::Value| acme.admin.request(method, path).key(key).json(body).send();
    // Traces of every kind: stored answers, events, sessions, invites, resets, two addresses and two names.
    let made =
        send("POST", "/v1/users", "k1", &json!({ "email": "First.Canary@acme.example", "name": "Zebu \"Canário\" d'Ávila" })).data(201);
    let bia = id(&made);
    let path = format!("/v1/users/{bia}");
    send("PATCH", &path, "k2", &json!({ "email": "second.canary@acme.example" })).data(200);
    let group = acme.group("G", &["users.list", "me.update"]);
    send("POST", &format!("/v1/groups/{group}/users/{bia}"), "k3", &json!({})).data(201);
    let invite = send("POST", &format!("{path}/invite"), "k4", &json!({})).data(201);
    let (session, refresh_token) = accept(&edge, "acme", "second.canary@acme.example", invite["token"].as_str().unwrap());
    let login = json!({ "tenant": "acme", "email": "second.canary@acme.example", "password": PASSWORD });
    edge.anonymous().request("POST", "/v1/auth/login").header("user-agent", "Browser/1").key("k5").json(&login).send().data(200);
    session.request("PATCH", "/v1/me").key("k6").json(&json!({ "name": "Zebu Renomeado" })).send().data(200);
    edge.anonymous()
        .request("POST", "/v1/auth/password/reset")
        .key("k7")
        .json(&json!({ "tenant": "acme", "email": "second.canary@acme.example" }))
        .send()
        .empty();
    send("PATCH", &format!("{path}/status"), "k8", &json!({ "status": "suspenso", "suspendedReason": "Zebu pediu" })).data(200);
    send("PATCH", &format!("{path}/status"), "k9", &json!({ "status": "ativo" })).data(200);
    send("PATCH", &format!("{path}/status"), "k10", &json!({ "status": "suspenso", "suspendedReason": "Zebu saiu" })).data(200);
    let lower = database.dump().to_lowercase();
    assert!(lower.contains("canary") && lower.contains("zebu"));

    let deleted = || acme.admin.request("DELETE", &path).key("k11").send();
    deleted().empty();
    let dump = database.dump().to_lowercase();
    for trace in ["canary", "canário", "zebu", "renomeado"] {
        let at = dump.lines().filter(|line| line.contains(trace)).collect::<Vec<_>>();
        assert!(at.is_empty(), "{trace} still stands in\n{}", at.join("\n"));
    }
    // Not even as who logged in from where.
    assert_eq!(
        database.number("select count(*) from nebula.session where user_id = $1 and (ip is not null or user_agent is not null)", &[&bia]),
        0
    );
    // Gone for everyone; nothing that was theirs opens anything.
    acme.admin.get(&path).refused(404, "NOT_FOUND");
    assert_eq!(acme.admin.get("/v1/users").data(200).as_array().unwrap().len(), 1);
    assert_eq!(acme.admin.get(&format!("/v1/groups/{group}/users")).data(200), json!([]));
    session.get("/v1/me").refused(401, "INVALID_TOKEN");
    edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": refresh_token })).refused(401, "INVALID_TOKEN");
    for email in ["second.canary@acme.example".to_owned(), format!("{bia}@anonymized.invalid")] {
        edge.anonymous()
            .post("/v1/auth/login", &json!({ "tenant": "acme", "email": email, "password": PASSWORD }))
            .refused(401, "INVALID_CREDENTIALS");
    }
    for (method, path, body) in [
        ("PATCH", path.clone(), json!({ "name": "X" })),
        ("PATCH", format!("{path}/status"), json!({ "status": "ativo" })),
        ("POST", format!("{path}/invite"), json!({})),
        ("POST", format!("/v1/groups/{group}/users/{bia}"), json!({})),
    ] {
        let answer = acme.admin.request(method, &path).json(&body).send();
        assert!([400, 404].contains(&answer.status), "{method} {path}: {answer:?}");
    }
    // Twice is not found; repeated under its key it is the same answer.
    acme.admin.delete(&path).refused(404, "NOT_FOUND");
    let replay = deleted();
    replay.empty();
    assert_eq!(replay.header("idempotency-replayed"), Some("true"));
    // History stays, with the id, and consumers are told.
    assert!(database.number("select count(*) from nebula.audit_log where actor_user_id = $1 or entity_id = $1", &[&bia]) > 3);
    let event = database.text(
        "select payload ->> 'data' from nebula.outbox where tenant_id = $1 and payload -> 'data' ->> 'anonymized' = 'true'",
        &[&acme.id],
    );
    assert!(event.contains(&bia.to_string()));
    // The address is free again, for somebody else.
    let other = acme.admin.post("/v1/users", &json!({ "email": "second.canary@acme.example", "name": "Outra" })).data(201);
    assert_ne!(id(&other), bia);
}

#[test]
fn the_last_administrator_stays_and_the_first_leaves_no_trace_either() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let path = format!("/v1/users/{}", acme.admin_id);
    assert_eq!(acme.admin.delete(&path).refused(409, "CONFLICT"), json!({ "rule": "last_admin" }));
    acme.admin.get("/v1/me").data(200);
    let admins = acme.group_named("ADM_CLIENTE");
    let second = acme.person("second");
    acme.admin.post(&format!("/v1/groups/{admins}/users/{second}"), &json!({})).data(201);
    // Each removes the other, at once: one stays.
    let invite = acme.admin.post(&format!("/v1/users/{second}/invite"), &json!({})).data(201);
    let (other, _) = accept(&edge, "acme", "second@acme.example", invite["token"].as_str().unwrap());
    let answers =
        parallel(
            2,
            2,
            |number| {
                if number == 0 { acme.admin.delete(&format!("/v1/users/{second}")).status } else { other.delete(&path).status }
            },
        );
    let admin_count = "select count(*) from nebula.user_group ug join nebula.user u on u.tenant_id = ug.tenant_id and u.id = ug.user_id \
                       where ug.group_id = $1 and u.status = 'ativo' and u.deleted_at is null";
    assert_eq!(answers.iter().filter(|status| **status == 204).count(), 1, "{answers:?}");
    assert_eq!(database.number(admin_count, &[&admins]), 1);
    // The tenant's first administrator is in the event of its creation, too.
    if answers[1] != 204 {
        let third = acme.person("third");
        acme.admin.post(&format!("/v1/groups/{admins}/users/{third}"), &json!({})).data(201);
        acme.admin.delete(&path).empty();
    }
    let dump = database.dump();
    let traces = dump.lines().filter(|line| line.contains("admin@acme.example")).collect::<Vec<_>>();
    assert!(traces.is_empty(), "{}", traces.join("\n"));
}

#[test]
fn only_who_may_and_only_in_their_own_tenant() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let bia = acme.person("bia");
    let (clerk, ..) = acme.member(&edge, "clerk", &["users.update", "users.status", "users.list"]);
    let before = database.text("select md5(string_agg(u::text, '' order by id)) from nebula.user u", &[]);
    clerk.delete(&format!("/v1/users/{bia}")).forbidden("users.anonymize", "granted");
    zeta.admin.delete(&format!("/v1/users/{bia}")).refused(404, "NOT_FOUND");
    zeta.admin.delete(&format!("/v1/users/{}", Uuid::now_v7())).refused(404, "NOT_FOUND");
    acme.admin.delete("/v1/users/x").invalid("id", "uuid");
    edge.anonymous().delete(&format!("/v1/users/{bia}")).refused(401, "UNAUTHORIZED");
    assert_eq!(database.text("select md5(string_agg(u::text, '' order by id)) from nebula.user u", &[]), before);
    // A person whose rights exceed the caller's: whoever may anonymise may not take the administrators out.
    let (remover, ..) = acme.member(&edge, "remover", &["users.anonymize"]);
    remover.delete(&format!("/v1/users/{bia}")).empty();
    // The same address in another tenant is another person.
    let theirs = zeta.admin.post("/v1/users", &json!({ "email": "bia@acme.example", "name": "bia" })).data(201);
    assert_eq!(zeta.admin.get(&format!("/v1/users/{}", id(&theirs))).data(200)["email"], "bia@acme.example");
}
