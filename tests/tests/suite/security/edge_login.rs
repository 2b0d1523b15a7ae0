//! Invariant 1: a stolen edge login is worth nothing.

use nebula_core::opaque_token::{Kind, OpaqueToken, Secret};
use nebula_tests::{
    Database, Handle, Signer,
    handle::request,
    onboard_by_sql,
    story::{derived_password, proof},
    token::{claims_of, tenant_of, with},
};
use postgres::error::SqlState;
use serde_json::{Value, json};
use uuid::Uuid;

#[track_caller]
fn refused(handle: &mut Handle, sql: &str) {
    let error = handle.client.batch_execute(sql).expect_err(sql);
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error:?}");
}

#[test]
fn no_table_can_be_read_or_written() {
    let database = Database::new();
    let mut handle = database.handle();
    let relations = database.texts(
        "select c.oid::regclass::text from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')",
        &[],
    );
    assert!(relations.len() > 30, "{relations:?}");
    let sequences = "select c.oid::regclass::text from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relkind = 'S'";
    for sequence in database.texts(sequences, &[]) {
        refused(&mut handle, &format!("select from {sequence}"));
        refused(&mut handle, &format!("select nextval('{sequence}')"));
        refused(&mut handle, &format!("select setval('{sequence}', 1)"));
    }
    for relation in relations {
        refused(&mut handle, &format!("select from {relation}"));
        refused(&mut handle, &format!("insert into {relation} default values"));
        refused(&mut handle, &format!("delete from {relation}"));
        refused(&mut handle, &format!("truncate {relation}"));
        refused(&mut handle, &format!("do $$ begin lock table {relation} in access share mode; end $$"));
        refused(&mut handle, &format!("alter table {relation} disable row level security"));
        let column =
            database.text("select quote_ident(attname) from pg_attribute where attrelid = $1::text::regclass and attnum = 1", &[&relation]);
        refused(&mut handle, &format!("update {relation} set {column} = {column}"));
        refused(&mut handle, &format!("copy {relation} to stdout"));
    }
}

#[test]
fn no_function_can_be_called_but_the_entry_functions() {
    let database = Database::new();
    let callable = database.texts(
        "select p.oid::regprocedure::text from pg_proc p \
         where p.pronamespace = 'nebula'::regnamespace and has_function_privilege('nebula_edge', p.oid, 'execute') order by 1",
        &[],
    );
    let entries = [
        "edge_state()",
        "flush()",
        "hand_over_usage()",
        "handle(uuid,json)",
        "login_challenge(text,text,text)",
        "openapi()",
        "password_challenge(uuid,text,text)",
        "readiness()",
    ];
    assert_eq!(callable, entries.map(|entry| format!("nebula.{entry}")));
    let mut handle = database.handle();
    for sql in [
        "select nebula.migrate()",
        "select nebula.migrate_next()",
        "select nebula.seed()",
        "select nebula.issue_operator_key('mine')",
        "select nebula.register_signing_key('mine', '\\x00')",
        "select nebula.bind_role('nebula_edge', gen_random_uuid(), 'x')",
        "select nebula.call('users.list')",
        "select * from nebula.dispatch('users.list', '{}', null)",
        "select nebula.current_tenant()",
        "select nebula.can('users.list')",
    ] {
        refused(&mut handle, sql);
    }
}

#[test]
fn it_becomes_no_other_role_and_makes_nothing_that_lasts() {
    let database = Database::new();
    let mut handle = database.handle();
    for sql in [
        "set role nebula_owner",
        "set role nebula_platform",
        "set role nebula_app",
        "set role postgres",
        "set session authorization nebula_owner",
        "set session_replication_role = replica",
        "create schema mine",
        "create table nebula.mine ()",
        "create function nebula.mine() returns integer language sql as 'select 1'",
        "create table public.mine ()",
        "create role mine",
        "grant nebula_owner to nebula_edge",
        "alter function nebula.handle(uuid, json) owner to nebula_edge",
        "create extension postgres_fdw",
    ] {
        refused(&mut handle, sql);
    }
    let roles = "select count(*) from pg_auth_members where member = 'nebula_edge'::regrole or roleid = 'nebula_edge'::regrole";
    assert_eq!(database.number(roles, &[]), 0);
}

/// Everything that a thief of the login might present for a tenant, without a credential of it.
fn worthless_credentials(database: &Database, token: &str, own_key: &str) -> Vec<(&'static str, Option<String>)> {
    let signer = &database.installation.signer;
    let claims = claims_of(token);
    let key = OpaqueToken::parse(own_key).unwrap();
    let forged_key = OpaqueToken { secret: Secret([7; 32]), ..key };
    let swapped = {
        let other = signer.sign(&with(&claims, &json!({ "tenantId": Uuid::now_v7() })));
        let parts = other.split('.').collect::<Vec<_>>();
        format!("{}.{}.{}", parts[0], parts[1], token.split('.').nth(2).unwrap())
    };
    vec![
        ("nothing", None),
        ("an empty text", Some(String::new())),
        ("junk", Some("junk".into())),
        ("an unregistered key's signature", Some(Signer::stranger("thief").sign(&claims))),
        ("an unregistered key under a registered name", Some(Signer::stranger(&signer.kid).sign(&claims))),
        ("a payload that was swapped", Some(swapped)),
        ("a key with the right ids and a made-up secret", Some(forged_key.reveal())),
        ("a key of nobody", Some(OpaqueToken { id: Uuid::now_v7(), ..forged_key }.reveal())),
        ("a refresh token as credential", Some(OpaqueToken { kind: Kind::Refresh, ..key }.reveal())),
        ("the same secret as an invite", Some(OpaqueToken { kind: Kind::Invite, ..key }.reveal())),
        ("the digest of a key instead of the key", Some(format!("nbk_{}", "0".repeat(136)))),
    ]
}

#[test]
fn without_a_credential_of_the_tenant_every_operation_is_refused_and_nothing_changes() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let mut handle = database.handle();
    let (_, zetas_key) = zeta.key(&mut handle, &json!({ "name": "k", "profile": "admin" }));
    let (_, acmes_key) = acme.key(&mut handle, &json!({ "name": "k", "profile": "admin" }));
    let operator = database.installation.operator_key.clone();
    let mut credentials = worthless_credentials(&database, &acme.admin, &acmes_key);
    // Good for their own tenant, worthless for this one.
    credentials.push(("another tenant's key", Some(zetas_key)));
    credentials.push(("another tenant's token", Some(zeta.admin.clone())));
    credentials.push(("the operator's key", Some(operator)));

    let operations: Value = serde_json::from_str(&database.text("select nebula.routes()::text", &[])).unwrap();
    let before = database.digests();
    let mut asked = 0;
    for operation in operations.as_array().unwrap().iter().filter(|operation| operation["scope"] != "public") {
        for (what, credential) in &credentials {
            let input = json!({ "id": acme.admin_id, "email": "thief@acme.example", "name": "Thief", "status": "suspenso" });
            let answer = handle.send(acme.id, &request(operation["operation"].as_str().unwrap(), credential.as_deref(), &input));
            assert_eq!(answer.status, 401, "{operation} with {what}: {answer:?}");
            assert!(answer.context.get("tenantId").is_none() && answer.context.get("claims").is_none(), "{answer:?}");
            asked += 1;
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(database.digests(), before);
}

#[test]
fn claims_that_the_edge_asserts_are_no_credential() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let before = database.digests();
    for name in ["claims", "context", "actor", "tenant", "tenantId", "role", "user", "session", "verified"] {
        let mut forged = request("users.list", None, &json!({}));
        forged[name] = claims_of(&acme.admin);
        let answer = handle.send(acme.id, &forged);
        assert!(answer.status == 400 && answer.body["error"]["code"] == "VALIDATION_ERROR", "{answer:?}");
    }
    for setting in ["request.jwt.claims", "nebula.tenant", "nebula.tenant_id", "app.tenant_id", "nebula.current_tenant"] {
        let sql = format!("set \"{}\" = '{}'", setting.replace('.', "\".\""), claims_of(&acme.admin));
        handle.client.batch_execute(&sql).unwrap();
        let answer = handle.send(acme.id, &request("users.list", None, &json!({})));
        answer.refused(401, "UNAUTHORIZED");
    }
    assert_eq!(database.digests(), before);
}

#[test]
fn public_operations_open_nothing_without_their_own_secret() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let zeta = onboard_by_sql(&database, "zeta");
    let mut handle = database.handle();
    acme.does(&mut handle, "users.create", &json!({ "email": "novo@acme.example", "name": "Novo" }), 201);
    let before = database.digests();
    let forged = |kind, id| OpaqueToken { kind, tenant: acme.id, id, secret: Secret([0; 32]) }.reveal();
    let sessions = database.texts("select id::text from nebula.refresh_token where tenant_id = $1", &[&acme.id]);
    let invites = database.texts("select id::text from nebula.invite where tenant_id = $1", &[&acme.id]);
    let refresh = forged(Kind::Refresh, sessions[0].parse().unwrap());
    let invite = forged(Kind::Invite, invites[0].parse().unwrap());
    for (operation, input) in [
        ("auth.refresh", json!({ "refreshToken": refresh })),
        ("auth.refresh", json!({ "refreshToken": zeta.refresh_token })),
        ("auth.refresh", json!({ "refreshToken": acme.invite })),
        ("auth.logout", json!({ "refreshToken": refresh })),
        ("auth.logout", json!({ "refreshToken": zeta.refresh_token })),
        ("auth.password", json!({ "token": invite, "password": derived_password() })),
        ("auth.password", json!({ "token": acme.invite, "password": derived_password() })),
        ("auth.password", json!({ "token": acme.refresh_token, "password": derived_password() })),
    ] {
        handle.public(acme.id, operation, &input).refused(401, "INVALID_TOKEN");
    }
    // A person without a password has none that could be guessed.
    let nobody = json!({ "tenant": "acme", "email": "novo@acme.example", "password": proof() });
    handle.public(acme.id, "auth.login", &nobody).refused(401, "INVALID_CREDENTIALS");
    // The right password, for the other tenant.
    let elsewhere = json!({ "tenant": "zeta", "email": acme.admin_email, "password": proof() });
    handle.public(zeta.id, "auth.login", &elsewhere).refused(401, "INVALID_CREDENTIALS");
    // The two failed logins are on record, and nothing else has changed.
    let mut after = database.digests();
    assert_eq!(database.number("select count(*) from nebula.audit_log where metadata ->> 'outcome' = 'INVALID_CREDENTIALS'", &[]), 2);
    after.insert("nebula.audit_log".into(), before["nebula.audit_log"].clone());
    assert_eq!(after, before);
}

#[test]
fn temporary_objects_and_a_hostile_search_path_change_no_decision() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    handle
        .client
        .batch_execute(
            "create temp table \"user\" (id uuid, tenant_id uuid, status text); \
             create temp table api_key (id uuid, tenant_id uuid, hash bytea, status text); \
             create temp table tenant (id uuid, status text); \
             create temp table signing_key (kid text, public_key bytea, status text); \
             create function pg_temp.now() returns timestamptz language sql as $$select '2000-01-01'::timestamptz$$; \
             create function pg_temp.current_tenant() returns uuid language sql as $$select gen_random_uuid()$$; \
             create function pg_temp.lower(text) returns text language sql as $$select 'x'$$; \
             set search_path = pg_temp, nebula, pg_catalog",
        )
        .unwrap();
    handle
        .send(acme.id, &request("users.list", Some(&Signer::stranger("thief").sign(&claims_of(&acme.admin))), &json!({})))
        .refused(401, "INVALID_TOKEN");
    let users = handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    assert_eq!(users[0]["email"], acme.admin_email.as_str());
    // Outside of the call nothing of it stays behind.
    let path: String = handle.client.query_one("show search_path", &[]).unwrap().get(0);
    assert_eq!(path, "pg_temp, nebula, pg_catalog");
}

#[test]
fn turning_row_security_off_turns_nothing_on() {
    let database = Database::new();
    let (acme, _zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let mut handle = database.handle();
    handle.client.batch_execute("set row_security = off").unwrap();
    if let Ok(answer) = handle.try_send(acme.id, &request("users.list", Some(&acme.admin), &json!({}))) {
        assert_eq!(answer.body["data"].as_array().map(Vec::len), Some(1), "{answer:?}");
    }
}

#[test]
fn what_the_edge_is_told_without_a_credential_holds_no_secret_and_names_nobody() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    // The routes are the same for every installation; one of them is called after a secret.
    let state: String = handle.client.query_one("select (nebula.edge_state()::jsonb - 'routes')::text", &[]).unwrap().get(0);
    for secret in [&acme.id.to_string(), "acme", "secret", "hash", "private"] {
        assert!(!state.contains(secret), "{secret}");
    }
    let mut challenge = |slug: &str, email: &str| -> Value {
        let text: String =
            handle.client.query_one("select nebula.login_challenge($1, $2, '203.0.113.7')::text", &[&slug, &email]).unwrap().get(0);
        serde_json::from_str(&text).unwrap()
    };
    // Known or not: the same members, and the same answer each time.
    let known = challenge("acme", &acme.admin_email);
    for (slug, email) in [("acme", "nobody@acme.example"), ("nowhere", "nobody@acme.example"), ("", ""), ("'", "\"")] {
        let unknown = challenge(slug, email);
        assert_eq!(unknown, challenge(slug, email));
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&unknown), names(&known));
        for cost in ["memoryKib", "iterations", "parallelism"] {
            assert_eq!(unknown[cost], known[cost]);
        }
    }
    assert_ne!(challenge("acme", "a@acme.example")["salt"], challenge("acme", "b@acme.example")["salt"]);
    assert_eq!(tenant_of(&acme.refresh_token), acme.id);
}
