//! Changing a password, and getting another when it is forgotten.

use nebula_tests::{
    Answer, Caller, Database, Edge,
    http::id,
    onboard,
    story::{PASSWORD, log_in},
};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const NEW: &str = "another good password";

fn change(caller: &impl Caller, current: &str, new: &str) -> Answer {
    caller.put("/v1/me/password", &json!({ "currentPassword": current, "newPassword": new }))
}

fn login(edge: &Edge, slug: &str, email: &str, password: &str) -> Answer {
    edge.anonymous().post("/v1/auth/login", &json!({ "tenant": slug, "email": email, "password": password }))
}

fn ask(edge: &Edge, slug: &str, email: &str) -> Answer {
    edge.anonymous().post("/v1/auth/password/reset", &json!({ "tenant": slug, "email": email }))
}

fn set(edge: &Edge, token: &str, password: &str) -> Answer {
    edge.anonymous().post("/v1/auth/password", &json!({ "token": token, "password": password }))
}

/// The newest reset event: tenant and payload.
fn event(database: &Database) -> Option<(Uuid, Value)> {
    let sql = "select tenant_id, payload from nebula.outbox where type = 'user.password.reset' order by created_at desc, id desc limit 1";
    database.superuser().query_opt(sql, &[]).unwrap().map(|row| (row.get(0), row.get(1)))
}

fn reveal(worker: &mut Client, tenant: Uuid, invite: &Value) -> Option<String> {
    let invite = invite.as_str().unwrap().parse::<Uuid>().unwrap();
    worker.query_one("select nebula.reset_token($1, $2)", &[&tenant, &invite]).unwrap().get(0)
}

/// The token that a worker would deliver for the newest event.
fn delivered(database: &Database) -> String {
    let (tenant, payload) = event(database).unwrap();
    reveal(&mut database.connect("nebula_worker"), tenant, &payload["data"]["inviteId"]).unwrap()
}

#[test]
fn who_changes_their_password_goes_on_and_every_other_session_ends() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (here, here_refresh) = log_in(&edge, "acme", &acme.admin_email);
    let spare = acme.admin.post(&format!("/v1/users/{}/invite", acme.admin_id), &json!({})).data(201);
    for (current, new, field, rule) in [
        (PASSWORD, "seven77", "newPassword", "too_short"),
        (PASSWORD, &*"é".repeat(257), "newPassword", "too_long"),
        ("", NEW, "currentPassword", "too_short"),
        (&*"x".repeat(257), NEW, "currentPassword", "too_long"),
    ] {
        change(&here, current, new).invalid(field, rule);
    }
    for body in [json!({ "currentPassword": PASSWORD }), json!({}), json!({ "currentPassword": PASSWORD, "newPassword": null })] {
        here.put("/v1/me/password", &body).refused(400, "VALIDATION_ERROR");
    }
    here.put("/v1/me/password", &json!({ "currentPassword": PASSWORD, "newPassword": NEW, "userId": acme.admin_id }))
        .invalid("userId", "unknown");
    let before = database.digests();
    change(&here, "not the password", NEW).refused(401, "INVALID_CREDENTIALS");
    let changed =
        database.digests().into_iter().filter(|(table, digest)| before[table] != *digest).map(|(table, _)| table).collect::<Vec<_>>();
    assert_eq!(changed, ["nebula.audit_log"]);
    here.get("/v1/me").data(200);

    change(&here, PASSWORD, NEW).empty();
    here.get("/v1/me").data(200);
    edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": here_refresh })).data(200);
    acme.admin.get("/v1/me").refused(401, "INVALID_TOKEN");
    edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": acme.refresh_token })).refused(401, "INVALID_TOKEN");
    set(&edge, spare["token"].as_str().unwrap(), NEW).refused(401, "INVALID_TOKEN");
    login(&edge, "acme", &acme.admin_email, PASSWORD).refused(401, "INVALID_CREDENTIALS");
    login(&edge, "acme", &acme.admin_email, NEW).data(200);
    let outcomes = database.texts(
        "select distinct metadata ->> 'outcome' from nebula.audit_log where action = 'me.password' and metadata ? 'outcome' order by 1",
        &[],
    );
    assert_eq!(outcomes, ["INVALID_CREDENTIALS", "password_changed"]);
}

#[test]
fn a_repeated_change_is_replayed_and_another_new_password_under_its_key_is_another_request() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let send = |current: &str, new: &str| {
        let request = acme.admin.request("PUT", "/v1/me/password").key("change-1");
        request.json(&json!({ "currentPassword": current, "newPassword": new })).send()
    };
    send(PASSWORD, NEW).empty();
    let hash = "select encode(key_hash, 'hex') from nebula.user_secret where tenant_id = $1";
    let stored = database.text(hash, &[&acme.id]);
    // The client that heard nothing repeats it word for word; the old password is no longer right, and need not be.
    let replay = send(PASSWORD, NEW);
    replay.empty();
    assert_eq!(replay.header("idempotency-replayed"), Some("true"));
    send(PASSWORD, "a third good password").refused(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(database.text(hash, &[&acme.id]), stored);
    assert_eq!(database.number("select count(*) from nebula.login_failure", &[]), 0, "a replay is no guess");
    login(&edge, "acme", &acme.admin_email, NEW).data(200);
}

#[test]
fn a_key_has_no_password_to_change() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    let answer = change(&key, PASSWORD, NEW);
    assert_eq!(answer.refused(403, "FORBIDDEN_ACTION")["toolAction"], "me.password");
    change(&edge.anonymous(), PASSWORD, NEW).refused(401, "UNAUTHORIZED");
    login(&edge, "acme", &acme.admin_email, PASSWORD).data(200);
}

#[test]
fn a_forgotten_password_is_replaced_with_a_token_that_only_a_worker_can_read() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    ask(&edge, "acme", "ADMIN@acme.example ").empty();
    let (tenant, payload) = event(&database).unwrap();
    assert_eq!(tenant, acme.id);
    let data = &payload["data"];
    assert_eq!(
        data.as_object().unwrap().keys().collect::<BTreeSet<_>>(),
        ["expiresAt", "inviteId", "userId"].iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>().iter().collect()
    );
    assert_eq!(data["userId"], acme.admin_id.to_string());
    // No text of the token stands in a table.
    let mut worker = database.connect("nebula_worker");
    let token = reveal(&mut worker, acme.id, &data["inviteId"]).unwrap();
    assert_eq!(reveal(&mut worker, acme.id, &data["inviteId"]).unwrap(), token, "a second delivery says the same");
    for table in database.tables() {
        let rows = database.texts(&format!("select t::text from {table} t"), &[]).join("\n");
        assert!(!rows.contains(&token[68..132]), "{table} holds the token");
    }
    // Nobody else may ask for it, and not by another tenant.
    let invite = data["inviteId"].as_str().unwrap().parse::<Uuid>().unwrap();
    for role in ["nebula_edge", "authenticator"] {
        database.connect(role).query_one("select nebula.reset_token($1, $2)", &[&acme.id, &invite]).unwrap_err();
    }
    let zeta = onboard(&edge, "zeta");
    assert_eq!(reveal(&mut worker, zeta.id, &data["inviteId"]), None);
    assert_eq!(reveal(&mut worker, acme.id, &json!(Uuid::now_v7())), None);
    // An invite is not revealed: its secret is random.
    let other = id(&acme.admin.post("/v1/users", &json!({ "email": "bia@acme.example", "name": "Bia" })).data(201));
    acme.admin.post(&format!("/v1/users/{other}/invite"), &json!({})).data(201);
    let invited = database.text("select id::text from nebula.invite where user_id = $1", &[&other]);
    assert_eq!(reveal(&mut worker, acme.id, &json!(invited)), None);

    set(&edge, &token, "seven77").invalid("password", "too_short");
    set(&edge, &token, NEW).empty();
    acme.admin.get("/v1/me").refused(401, "INVALID_TOKEN");
    login(&edge, "acme", &acme.admin_email, PASSWORD).refused(401, "INVALID_CREDENTIALS");
    login(&edge, "acme", &acme.admin_email, NEW).data(200);
    // Once; and used up, it is revealed no more.
    set(&edge, &token, "a third good password").refused(401, "INVALID_TOKEN");
    assert_eq!(reveal(&mut worker, acme.id, &data["inviteId"]), None);
}

#[test]
fn who_asks_for_somebody_who_is_not_there_is_answered_alike_and_nothing_happens() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let suspended = acme.person("sam");
    acme.admin.patch(&format!("/v1/users/{suspended}/status"), &json!({ "status": "suspenso" })).data(200);
    acme.person("extern");
    database.execute("update nebula.user set auth_provider = 'https://issuer.example', external_id = 'e' where name = 'extern'");
    let zeta = onboard(&edge, "zeta");
    edge.operator().patch(&format!("/v1/tenants/{}/status", zeta.id), &json!({ "status": "suspenso" })).data(200);
    let told = |answer: &Answer| {
        let names = answer.headers.keys().map(|name| name.as_str().to_owned()).collect::<BTreeSet<_>>();
        (answer.status, answer.text.clone(), names, answer.header("ratelimit-policy").map(str::to_owned))
    };
    let before = database.digests();
    let mut answers = BTreeSet::new();
    for (slug, email) in [
        ("acme", "nobody@acme.example"),
        ("acme", "sam@acme.example"),
        ("acme", "extern@acme.example"),
        ("zeta", "admin@zeta.example"),
        ("nowhere", "admin@acme.example"),
    ] {
        answers.insert(told(&ask(&edge, slug, email)));
    }
    assert_eq!(database.digests(), before);
    answers.insert(told(&ask(&edge, "acme", "admin@acme.example")));
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(event(&database).is_some());
    for (body, field) in [
        (json!({ "tenant": "acme" }), "email"),
        (json!({ "email": "a@b.example" }), "tenant"),
        (json!({ "tenant": "A!", "email": "a@b.example" }), "tenant"),
        (json!({ "tenant": "acme", "email": "a" }), "email"),
        (json!({ "tenant": "acme", "email": "a@b.example", "password": PASSWORD }), "password"),
    ] {
        let details = edge.anonymous().post("/v1/auth/password/reset", &body).refused(400, "VALIDATION_ERROR");
        assert_eq!(details[0]["field"], field, "{body}");
    }
}

#[test]
fn a_reset_token_ends_with_its_hour_with_its_person_and_with_another_password() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    // Who asks again at once gets no second one; so these are asked for minutes apart.
    let token = || {
        database.execute("update nebula.invite set created_at = created_at - interval '3 minutes' where purpose = 'reset'");
        ask(&edge, "acme", "bia@acme.example").empty();
        let token = delivered(&database);
        let count = || database.number("select count(*) from nebula.invite where purpose = 'reset'", &[]);
        let before = count();
        ask(&edge, "acme", "bia@acme.example").empty();
        assert_eq!(count(), before);
        token
    };
    let expired = token();
    database.execute("update nebula.invite set expires_at = now() where purpose = 'reset'");
    set(&edge, &expired, NEW).refused(401, "TOKEN_EXPIRED");
    let (_, payload) = event(&database).unwrap();
    assert_eq!(reveal(&mut database.connect("nebula_worker"), acme.id, &payload["data"]["inviteId"]), None);
    // Of two that were asked for, the one that is used ends the other.
    let (first, second) = (token(), token());
    assert_ne!(first, second);
    set(&edge, &second, NEW).empty();
    set(&edge, &first, "a third good password").refused(401, "INVALID_TOKEN");
    // A suspended person gets none, and can't use what was sent before.
    let kept = token();
    let status = |status: &str| acme.admin.patch(&format!("/v1/users/{bia}/status"), &json!({ "status": status })).data(200);
    status("suspenso");
    set(&edge, &kept, "a third good password").refused(403, "USER_SUSPENDED");
    status("ativo");
    login(&edge, "acme", "bia@acme.example", NEW).data(200);
    // A changed one is of nobody.
    let usable = token();
    for place in [10, 40, 80, 131] {
        let mut bytes = usable.clone().into_bytes();
        bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
        set(&edge, &String::from_utf8(bytes).unwrap(), "a third good password").refused(401, "INVALID_TOKEN");
    }
    // Changing the password by oneself ends it, too.
    let session = login(&edge, "acme", "bia@acme.example", NEW).data(200);
    change(&edge.user(session["accessToken"].as_str().unwrap()), NEW, PASSWORD).empty();
    set(&edge, &usable, "a third good password").refused(401, "INVALID_TOKEN");
}

#[test]
fn sessions_last_as_many_days_as_the_installation_says() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for days in [7, 30, 11] {
        database.execute(&format!("update nebula.installation set refresh_days = {days}"));
        let session = login(&edge, "acme", &acme.admin_email, PASSWORD).data(200);
        assert_eq!(session["refreshExpiresIn"], days * 86_400);
        let next = edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": session["refreshToken"] })).data(200);
        assert_eq!(next["refreshExpiresIn"], days * 86_400);
        let lasts = "select distinct round(extract(epoch from expires_at - created_at) / 86400)::bigint from nebula.refresh_token \
                     where created_at > now() - interval '1 hour' and tenant_id = $1 order by 1";
        assert!(database.superuser().query(lasts, &[&acme.id]).unwrap().iter().any(|row| row.get::<_, i64>(0) == days));
    }
    for days in [6, 31, 0, -1] {
        database.superuser().batch_execute(&format!("update nebula.installation set refresh_days = {days}")).unwrap_err();
    }
}
