//! Logging in, staying in, leaving.

use nebula_tests::{
    Caller, Database, Edge,
    http::id,
    onboard,
    story::{PASSWORD, accept, log_in},
    token::claims_of,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, thread};

fn refresh(edge: &Edge, token: &str) -> nebula_tests::Answer {
    edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": token }))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Moves every rotation out of the retry window.
fn let_the_window_pass(database: &Database) {
    database.execute("update nebula.refresh_token set revoked_at = revoked_at - interval '11 seconds' where revoked_at is not null");
}

#[test]
fn a_login_answers_with_an_rs256_token_of_fifteen_minutes_and_a_refresh_token() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let session = edge
        .anonymous()
        .post("/v1/auth/login", &json!({ "tenant": "acme", "email": "ADMIN@Acme.example", "password": PASSWORD }))
        .data(200);
    let names = session.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names, ["accessToken", "expiresIn", "refreshExpiresIn", "refreshToken", "tokenType"]);
    let claims = claims_of(session["accessToken"].as_str().unwrap());
    assert_eq!((&claims["sub"], &claims["tenantId"], &claims["type"]), (&json!(acme.admin_id), &json!(acme.id), &json!("user")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert_eq!(claims["groups"], json!(["ADM_CLIENTE"]));
    assert!(session["refreshToken"].as_str().unwrap().starts_with("nbr_"));
    assert_eq!(session["refreshExpiresIn"], 30 * 86_400);
    let jwks = edge.anonymous().get("/.well-known/jwks.json").json();
    let key = &jwks["keys"][0];
    assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!("RSA"), &json!("RS256"), &json!("sig")));
    assert_eq!(key["kid"], database.installation.signer.kid.as_str());
    assert!(key.get("d").is_none() && key.get("p").is_none());
}

#[test]
fn an_unknown_tenant_an_unknown_person_and_a_wrong_password_are_answered_alike() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    acme.person("novo");
    let attempt = |tenant: &str, email: &str, password: &str| {
        let body = json!({ "tenant": tenant, "email": email, "password": password });
        let answer = edge.anonymous().request("POST", "/v1/auth/login").header("X-Request-Id", "same-request-id").json(&body).send();
        answer.refused(401, "INVALID_CREDENTIALS");
        answer.text
    };
    let wrong = attempt("acme", &acme.admin_email, "not the password");
    assert_eq!(attempt("acme", "nobody@acme.example", PASSWORD), wrong);
    assert_eq!(attempt("nowhere", &acme.admin_email, PASSWORD), wrong);
    assert_eq!(attempt("acme", "novo@acme.example", PASSWORD), wrong);
    let failed = "select count(*) from nebula.audit_log where tenant_id = $1 and metadata ->> 'outcome' = 'INVALID_CREDENTIALS'";
    assert!(database.number(failed, &[&acme.id]) >= 1, "failed logins are audited");
    log_in(&edge, "acme", &acme.admin_email).0.get("/v1/me").data(200);
}

#[test]
fn passwords_have_bounds() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let invite = acme.admin.post(&format!("/v1/users/{}/invite", acme.person("bia")), &json!({})).data(201);
    let set = |password: Value| edge.anonymous().post("/v1/auth/password", &json!({ "token": invite["token"], "password": password }));
    set(json!("seven77")).invalid("password", "too_short");
    set(json!("")).invalid("password", "too_short");
    set(json!("é".repeat(257))).invalid("password", "too_long");
    set(json!(12_345_678)).invalid("password", "type");
    set(json!({ "key": "x" })).invalid("password", "type");
    set(json!(null)).refused(400, "VALIDATION_ERROR");
    edge.anonymous().post("/v1/auth/password", &json!({ "token": invite["token"] })).invalid("password", "required");
    set(json!("é".repeat(256))).empty();
}

#[test]
fn an_invite_works_once_and_not_after_it_expired_and_ends_with_the_password_that_another_set() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    let invite = || text(&acme.admin.post(&format!("/v1/users/{bia}/invite"), &json!({})).data(201)["token"]);
    let set = |token: &str| edge.anonymous().post("/v1/auth/password", &json!({ "token": token, "password": PASSWORD }));
    let expired = invite();
    database.execute("update nebula.invite set expires_at = now() where used_at is null");
    set(&expired).refused(401, "TOKEN_EXPIRED");
    let (first, second) = (invite(), invite());
    set(&first).empty();
    set(&first).refused(401, "INVALID_TOKEN");
    set(&second).refused(401, "INVALID_TOKEN");
    // A new password ends every login that the old one began.
    let (session, refresh_token) = log_in(&edge, "acme", "bia@acme.example");
    set(&invite()).empty();
    session.get("/v1/me").refused(401, "INVALID_TOKEN");
    refresh(&edge, &refresh_token).refused(401, "INVALID_TOKEN");
    for junk in ["", "x", "nbi_00", &acme.refresh_token, &acme.admin.token] {
        assert_eq!(set(junk).status, 401, "{junk}");
    }
}

#[test]
fn a_refresh_token_is_rotated_and_a_retry_within_the_window_gets_the_same_successor() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let first = refresh(&edge, &acme.refresh_token).data(200);
    let retried = refresh(&edge, &acme.refresh_token).data(200);
    assert_eq!(retried["refreshToken"], first["refreshToken"]);
    assert_ne!(text(&first["refreshToken"]), acme.refresh_token);
    edge.user(&text(&retried["accessToken"])).get("/v1/me").data(200);
    let third = refresh(&edge, &text(&first["refreshToken"])).data(200);
    edge.user(&text(&third["accessToken"])).get("/v1/me").data(200);
    assert_eq!(database.number("select count(*) from nebula.refresh_token where tenant_id = $1", &[&acme.id]), 3);
    assert_eq!(database.number("select count(*) from nebula.session where tenant_id = $1", &[&acme.id]), 1);
}

#[test]
fn reuse_outside_the_window_ends_the_family_its_access_tokens_included_and_no_other() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (elsewhere, elsewhere_refresh) = log_in(&edge, "acme", &acme.admin_email);
    let next = refresh(&edge, &acme.refresh_token).data(200);
    let current = edge.user(&text(&next["accessToken"]));
    current.get("/v1/me").data(200);
    let_the_window_pass(&database);
    refresh(&edge, &acme.refresh_token).refused(401, "INVALID_TOKEN");
    current.get("/v1/me").refused(401, "INVALID_TOKEN");
    acme.admin.get("/v1/me").refused(401, "INVALID_TOKEN");
    refresh(&edge, &text(&next["refreshToken"])).refused(401, "INVALID_TOKEN");
    elsewhere.get("/v1/me").data(200);
    refresh(&edge, &elsewhere_refresh).data(200);
    let reason = database.text("select revoked_reason from nebula.session where revoked_at is not null", &[]);
    assert_eq!(reason, "reuse");
    assert_eq!(database.number("select count(*) from nebula.audit_log where metadata ->> 'outcome' = 'refresh_reuse'", &[]), 1);
}

#[test]
fn of_64_refreshes_at_once_with_one_token_one_makes_the_successor_and_all_get_it() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_POOL_WAIT_MS", "20000")]);
    let acme = onboard(&edge, "acme");
    let answers = thread::scope(|scope| {
        let attempts = (0..64).map(|_| scope.spawn(|| refresh(&edge, &acme.refresh_token))).collect::<Vec<_>>();
        attempts.into_iter().map(|attempt| attempt.join().unwrap()).collect::<Vec<_>>()
    });
    let tokens = answers.iter().map(|answer| text(&answer.data(200)["refreshToken"])).collect::<BTreeSet<_>>();
    assert_eq!(tokens.len(), 1);
    assert_eq!(database.number("select count(*) from nebula.refresh_token where tenant_id = $1", &[&acme.id]), 2);
    edge.user(&text(&answers[63].data(200)["accessToken"])).get("/v1/me").data(200);
    refresh(&edge, tokens.first().unwrap()).data(200);
}

#[test]
fn an_expired_refresh_token_and_an_expired_session_are_refused() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    database.execute("update nebula.refresh_token set expires_at = now()");
    refresh(&edge, &acme.refresh_token).refused(401, "TOKEN_EXPIRED");
    database.execute("update nebula.refresh_token set expires_at = now() + interval '1 day'; update nebula.session set expires_at = now()");
    refresh(&edge, &acme.refresh_token).refused(401, "TOKEN_EXPIRED");
}

#[test]
fn logout_ends_the_session_at_once_for_good_and_repeats_quietly() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (elsewhere, _) = log_in(&edge, "acme", &acme.admin_email);
    let logout = |token: &str| edge.anonymous().post("/v1/auth/logout", &json!({ "refreshToken": token }));
    logout(&acme.refresh_token).empty();
    acme.admin.get("/v1/me").refused(401, "INVALID_TOKEN");
    refresh(&edge, &acme.refresh_token).refused(401, "INVALID_TOKEN");
    logout(&acme.refresh_token).empty();
    elsewhere.get("/v1/me").data(200);
    logout("nbr_junk").refused(401, "INVALID_TOKEN");
    let claims = claims_of(&acme.admin.token);
    let blacklisted = database.texts("select jti::text from nebula.revoked_token", &[]);
    assert_eq!(blacklisted, [claims["jti"].as_str().unwrap()]);
}

#[test]
fn a_suspended_person_can_neither_call_nor_refresh_nor_log_in() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    let invite = acme.admin.post(&format!("/v1/users/{bia}/invite"), &json!({})).data(201);
    let (session, refresh_token) = accept(&edge, "acme", "bia@acme.example", invite["token"].as_str().unwrap());
    session.get("/v1/me").data(200);
    acme.admin.patch(&format!("/v1/users/{bia}/status"), &json!({ "status": "suspenso" })).data(200);
    session.get("/v1/me").refused(403, "USER_SUSPENDED");
    // Her sessions have ended with the suspension.
    refresh(&edge, &refresh_token).refused(401, "INVALID_TOKEN");
    let login = json!({ "tenant": "acme", "email": "bia@acme.example", "password": PASSWORD });
    edge.anonymous().post("/v1/auth/login", &login).refused(403, "USER_SUSPENDED");
    // Whoever doesn't know the password isn't told.
    let guess = json!({ "tenant": "acme", "email": "bia@acme.example", "password": "not the password" });
    edge.anonymous().post("/v1/auth/login", &guess).refused(401, "INVALID_CREDENTIALS");
    let spare = acme.admin.post(&format!("/v1/users/{bia}/invite"), &json!({}));
    spare.refused(404, "NOT_FOUND");
    assert_eq!(id(&acme.admin.get(&format!("/v1/users/{bia}")).data(200)), bia);
}

#[test]
fn a_bad_credential_refuses_no_public_operation() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let request = edge.user("junk").request("POST", "/v1/auth/refresh").json(&json!({ "refreshToken": acme.refresh_token }));
    request.send().data(200);
}

#[test]
fn an_invite_opens_no_more_than_its_maker_holds_when_it_is_used() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (manager, ..) = acme.member(&edge, "gil", &["users.invite"]);
    let (robot, _) = acme.key(&edge, &json!({ "name": "inviter", "actions": ["users.invite"] }));
    let (full_robot, _) = acme.key(&edge, &json!({ "name": "full", "profile": "admin" }));
    let bia = acme.person("bia");
    let path = format!("/v1/users/{bia}/invite");
    // All made while she is powerless.
    let kept = [text(&manager.post(&path, &json!({})).data(201)["token"]), text(&robot.post(&path, &json!({})).data(201)["token"])];
    let rightful =
        [text(&acme.admin.post(&path, &json!({})).data(201)["token"]), text(&full_robot.post(&path, &json!({})).data(201)["token"])];
    let admins = acme.group_named("ADM_CLIENTE");
    acme.admin.post(&format!("/v1/groups/{admins}/users/{bia}"), &json!({})).data(201);
    let set = |token: &str| edge.anonymous().post("/v1/auth/password", &json!({ "token": token, "password": PASSWORD }));
    for token in &kept {
        set(token).refused(401, "INVALID_TOKEN");
    }
    let login = json!({ "tenant": "acme", "email": "bia@acme.example", "password": PASSWORD });
    edge.anonymous().post("/v1/auth/login", &login).refused(401, "INVALID_CREDENTIALS");
    set(&rightful[0]).empty();
    log_in(&edge, "acme", "bia@acme.example").0.get("/v1/users").data(200);
    // Used up with the password that the other set.
    set(&rightful[1]).refused(401, "INVALID_TOKEN");
    set(&text(&full_robot.post(&path, &json!({})).data(201)["token"])).empty();
    // For whoever has stayed powerless, the manager's invite is good.
    let caio = acme.person("caio");
    set(&text(&manager.post(&format!("/v1/users/{caio}/invite"), &json!({})).data(201)["token"])).empty();
}

#[test]
fn an_invite_ends_with_the_power_of_its_maker() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (manager, manager_id, group) = acme.member(&edge, "gil", &["users.invite", "groups.list"]);
    let bia = acme.person("bia");
    acme.admin.post(&format!("/v1/groups/{}/users/{bia}", acme.group("Leitores", &["groups.list"])), &json!({})).data(201);
    let kept = text(&manager.post(&format!("/v1/users/{bia}/invite"), &json!({})).data(201)["token"]);
    acme.admin.delete(&format!("/v1/groups/{group}/users/{manager_id}")).empty();
    edge.anonymous().post("/v1/auth/password", &json!({ "token": kept, "password": PASSWORD })).refused(401, "INVALID_TOKEN");
}

#[test]
fn a_person_in_ten_groups_with_long_names_gets_a_token_that_works() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    let names = (0..10).map(|number| format!("{}{number}", "é".repeat(189))).collect::<BTreeSet<_>>();
    for name in &names {
        acme.admin.post(&format!("/v1/groups/{}/users/{bia}", acme.group(name, &["users.list"])), &json!({})).data(201);
    }
    let invite = acme.admin.post(&format!("/v1/users/{bia}/invite"), &json!({})).data(201);
    let (session, refresh_token) = accept(&edge, "acme", "bia@acme.example", invite["token"].as_str().unwrap());
    let me = session.get("/v1/me").data(200);
    assert_eq!(me["groups"].as_array().unwrap().iter().map(text).collect::<BTreeSet<_>>(), names);
    session.get("/v1/users").data(200);
    // What the token says is true, if not all of it.
    let told = claims_of(&session.token)["groups"].as_array().unwrap().iter().map(text).collect::<BTreeSet<_>>();
    assert!(told.is_subset(&names));
    edge.user(&text(&refresh(&edge, &refresh_token).data(200)["accessToken"])).get("/v1/users").data(200);
}

#[test]
fn a_refresh_extends_the_session() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    database.execute("update nebula.session set expires_at = now() + interval '1 hour'");
    let next = refresh(&edge, &acme.refresh_token).data(200);
    let extended = "select count(*) from nebula.session where expires_at between now() + interval '29 days' and now() + interval '30 days'";
    assert_eq!(database.number(extended, &[]), 1);
    // A retry gets the same successor and shortens nothing.
    refresh(&edge, &acme.refresh_token).data(200);
    assert_eq!(database.number(extended, &[]), 1);
    refresh(&edge, &text(&next["refreshToken"])).data(200);
}
