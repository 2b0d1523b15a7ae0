//! B14. The threat: whoever reads logs, or errors, or what an operator can ask (metrics, the sessions' statements). Canaries are sent through every surface that takes
//! any, in success and in refusal, with every log at its loudest, and then looked for in five encodings.

use nebula_tests::{Battery, Caller, Database, Receiver, eventually, onboard, traces::Haystack};
use serde_json::json;

#[test]
fn no_canary_stands_in_any_log_in_any_encoding() {
    let database = Database::new();
    for setting in [
        "log_statement = 'all'",
        "log_min_duration_statement = 0",
        "log_duration = on",
        "log_min_messages = 'debug2'",
        "log_min_error_statement = 'debug2'",
        "log_error_verbosity = 'verbose'",
        "log_parameter_max_length = -1",
        "log_parameter_max_length_on_error = -1",
        "log_executor_stats = off",
        "track_activities = on",
    ] {
        database.execute(&format!("alter database {} set {setting}", database.name));
    }
    let mut battery = Battery::begin("B14 logs", &database);
    let started = database.installation.cluster.log().len();
    database.allow_loopback_webhooks();
    let edge = database.serve_with(&[("NEBULA_LOG_LEVEL", "trace,tokio_postgres=trace,hyper=trace")]);
    let receiver = Receiver::start();
    let worker = database.work_with(&[
        ("NEBULA_LOG_LEVEL", "trace,tokio_postgres=trace,hyper=trace,reqwest=trace"),
        ("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true"),
    ]);
    let acme = onboard(&edge, "acme");
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    let canary = |what: &str| format!("kanarie-{what}-Ünïcode\"q");
    let plain = |what: &str| format!("kanarie.{what}@acme.example");
    let mut canaries = vec![
        ("e-mail", plain("mail")),
        ("second e-mail", plain("second")),
        ("name", canary("name")),
        ("second name", canary("other")),
        ("reason", canary("reason")),
        ("password", canary("password")),
        ("wrong password", canary("wrong")),
        ("credential", canary("credential")),
        ("changed credential", canary("changed")),
        ("search", canary("search")),
        ("forged token", canary("bearer").replace(['Ü', 'ï', '"'], "x")),
        ("idempotency key", "kanarie-idempotency-0123".to_owned()),
        ("group", canary("group")),
        ("description", canary("description")),
    ];
    let get = |canaries: &[(&str, String)], what: &str| canaries.iter().find(|(name, _)| *name == what).unwrap().1.clone();
    let c = |what: &str| get(&canaries, what);
    let made = key
        .request("POST", "/v1/users")
        .key(&c("idempotency key"))
        .json(&json!({ "email": c("e-mail"), "name": c("name") }))
        .send()
        .data(201);
    let person = made["id"].as_str().unwrap().to_owned();
    // In success, in refusal, and as what it is not.
    key.post("/v1/users", &json!({ "email": c("e-mail"), "name": c("name") })).refused(409, "DUPLICATE_RESOURCE");
    key.post("/v1/users", &json!({ "email": c("name"), "name": c("e-mail") })).refused(400, "VALIDATION_ERROR");
    key.patch(&format!("/v1/users/{person}"), &json!({ "email": c("second e-mail"), "name": c("second name") })).data(200);
    let invite = key.post(&format!("/v1/users/{person}/invite"), &json!({})).data(201)["token"].as_str().unwrap().to_owned();
    let anonymous = edge.anonymous();
    anonymous.post("/v1/auth/password", &json!({ "token": invite, "password": c("password") })).empty();
    let login =
        |password: &str| anonymous.post("/v1/auth/login", &json!({ "tenant": "acme", "email": c("second e-mail"), "password": password }));
    let session = login(&c("password")).data(200);
    login(&c("wrong password")).refused(401, "INVALID_CREDENTIALS");
    anonymous
        .post("/v1/auth/login", &json!({ "tenant": c("name"), "email": 7, "password": c("wrong password") }))
        .refused(400, "VALIDATION_ERROR");
    anonymous
        .post("/v1/auth/login", &json!({ "tenant": "acme", "email": c("second e-mail"), "password": { "x": c("wrong password") } }))
        .refused(400, "VALIDATION_ERROR");
    anonymous.post("/v1/auth/password/reset", &json!({ "tenant": "acme", "email": c("second e-mail") })).empty();
    let refreshed = anonymous.post("/v1/auth/refresh", &json!({ "refreshToken": session["refreshToken"] })).data(200);
    key.patch(&format!("/v1/users/{person}/status"), &json!({ "status": "suspenso", "suspendedReason": c("reason") })).data(200);
    let credential = key
        .post("/v1/integrations/credentials", &json!({ "provider": "stripe", "name": "conta", "data": { "k": c("credential") } }))
        .data(201);
    let path = format!("/v1/integrations/credentials/{}", credential["id"].as_str().unwrap());
    key.patch(&path, &json!({ "data": c("changed credential") })).data(200);
    key.post("/v1/integrations/credentials", &json!({ "provider": c("credential"), "name": "x", "data": c("credential") }))
        .refused(400, "VALIDATION_ERROR");
    key.get("/v1/users?q=kanarie-search").data(200);
    edge.user(&c("forged token")).get("/v1/me").refused(401, "INVALID_TOKEN");
    key.post("/v1/groups", &json!({ "name": c("group"), "description": c("description") })).data(201);
    key.post("/v1/groups", &json!({ "name": c("group"), "description": c("description") })).refused(409, "DUPLICATE_RESOURCE");
    let webhook = key.post("/v1/webhooks", &json!({ "url": receiver.url("/hook"), "events": ["*"] })).data(201);
    key.patch(&format!("/v1/users/{person}/status"), &json!({ "status": "ativo" })).data(200);
    eventually("the event is delivered", || !receiver.received().is_empty());
    // A failure inside, with the values in hand. Not at the outbox: its partition is what the worker locks first, and DDL last.
    database.execute(
        "create function public.fail() returns trigger language plpgsql as $$begin raise exception 'failed on purpose'; end$$; \
         create trigger fail before insert on nebula.user for each row execute function public.fail()",
    );
    key.post("/v1/users", &json!({ "email": plain("failed"), "name": canary("failed") })).refused(500, "DATABASE_ERROR");
    database.execute("drop trigger fail on nebula.user");
    for (what, secret) in [
        ("failed e-mail", plain("failed")),
        ("failed name", canary("failed")),
        ("API key", key.secret[68..132].to_owned()),
        ("invite", invite[68..132].to_owned()),
        ("access token", session["accessToken"].as_str().unwrap().rsplit('.').next().unwrap().to_owned()),
        ("refresh token", session["refreshToken"].as_str().unwrap()[68..132].to_owned()),
        ("next refresh token", refreshed["refreshToken"].as_str().unwrap()[68..132].to_owned()),
        ("webhook secret", webhook["secret"].as_str().unwrap().trim_start_matches("whsec_").to_owned()),
    ] {
        canaries.push((what, secret));
    }
    let server = database.installation.cluster.log().split_off(started);
    assert!(server.contains("nebula.handle") && edge.log().contains("/v1/users"), "nothing was logged");
    for (which, log) in [("server", server), ("edge", edge.log()), ("worker", worker.process.log())] {
        let hay = Haystack::new(log);
        for (what, value) in &canaries {
            for encoding in nebula_tests::traces::ENCODINGS {
                let found = hay.encodings_of(value);
                battery.case(!found.contains(&encoding), || {
                    format!("{what} in the log of {which}, {encoding}: {:?}", hay.lines_with(value).first())
                });
            }
        }
    }
    drop(worker);
    battery.end(300, &[]);
}
