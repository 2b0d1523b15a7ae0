//! Invariant 8: secrets stand in no log, not in the server's and not in the edge's.

use nebula_tests::{Caller, Database, onboard, story::PASSWORD};
use serde_json::json;
use sha2::{Digest, Sha256};

#[test]
fn no_credential_reaches_the_servers_or_the_edges_log_however_much_is_logged() {
    let database = Database::new();
    database.execute(&format!(
        "alter database {0} set log_statement = 'all'; alter database {0} set log_min_duration_statement = 0; \
         alter database {0} set log_duration = on; alter database {0} set log_min_messages = 'debug1'; \
         alter database {0} set log_min_error_statement = 'debug1'",
        database.name
    ));
    let edge = database.serve_with(&[("NEBULA_LOG_LEVEL", "debug,tokio_postgres=debug,hyper=debug")]);
    let acme = onboard(&edge, "acme");
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    key.post("/v1/users", &json!({ "email": "canarinho.person@acme.example", "name": "Canarinho Person" })).data(201);
    key.post("/v1/users", &json!({ "email": "canarinho.person@acme.example", "name": "Canarinho Person" }))
        .refused(409, "DUPLICATE_RESOURCE");
    key.get("/v1/users?q=canarinho.person").data(200);
    let refreshed = edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": acme.refresh_token })).data(200);
    // Also where a statement fails.
    database.execute(
        "create function public.fail() returns trigger language plpgsql as $$begin raise exception 'failed on purpose'; end$$; \
                      create trigger fail before insert on nebula.outbox for each row execute function public.fail()",
    );
    let failed = key.post("/v1/users", &json!({ "email": "canarinho.failed@acme.example", "name": "Canarinho Failed" }));
    failed.refused(500, "DATABASE_ERROR");
    edge.anonymous()
        .post("/v1/auth/login", &json!({ "tenant": "acme", "email": "canarinho.nobody@acme.example", "password": "canary password" }))
        .refused(401, "INVALID_CREDENTIALS");
    edge.anonymous()
        .post("/v1/auth/login", &json!({ "tenant": "acme", "email": 7, "password": "canary password" }))
        .refused(400, "VALIDATION_ERROR");

    // What the edge derived of the password: read back by deriving it again.
    let row = database.superuser().query_one("select salt, key_hash from nebula.user_secret where tenant_id = $1", &[&acme.id]).unwrap();
    let mut derived = [0_u8; 32];
    let cost = argon2::Params::new(19_456, 2, 1, Some(32)).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cost);
    argon2.hash_password_into(PASSWORD.as_bytes(), row.get("salt"), &mut derived).unwrap();
    assert_eq!(Sha256::digest(derived).as_slice(), row.get::<_, &[u8]>("key_hash"), "this test derives another key than the edge");
    let derived_base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, derived);
    let derived_hex = derived.iter().map(|byte| format!("{byte:02x}")).collect::<String>();

    let (server, edge_log) = (database.installation.cluster.log(), edge.log());
    assert!(server.contains("nebula.handle(") && edge_log.contains("/v1/users"), "nothing was logged");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    for (what, canary) in [
        ("the password", PASSWORD.to_owned()),
        ("a wrong password", "canary password".to_owned()),
        ("the derived key", derived_base64),
        ("the derived key", derived_hex),
        ("an access token", acme.admin.token.clone()),
        ("an access token", text(&refreshed["accessToken"])),
        ("a token's signature", acme.admin.token.rsplit('.').next().unwrap().to_owned()),
        ("a refresh token", acme.refresh_token[68..132].to_owned()),
        ("a refresh token", text(&refreshed["refreshToken"])[68..132].to_owned()),
        ("an invite", acme.invite[68..132].to_owned()),
        ("an API key", key.secret[68..132].to_owned()),
        ("a person", "anarinho.".to_owned()),
        ("a person's name", "Canarinho ".to_owned()),
    ] {
        assert!(!edge_log.contains(&canary), "{what} stands in the edge's log");
        assert!(!server.contains(&canary), "{what} stands in the server's log");
    }
    assert!(!failed.text.contains("on purpose") && !edge_log.contains("on purpose"));
}
