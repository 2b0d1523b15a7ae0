//! SQL callers: `nebula.call`, `can`, `why`, the typed functions, and who a SQL caller is.

use nebula_tests::{
    Caller, Database, Tenant, eventually,
    http::id,
    issuer, onboard_by_sql,
    sql_caller::{SqlRefusal, as_postgrest, bound_login, call, can, why},
    token::{claims_of, tenant_of, with},
};
use postgres::{GenericClient, types::ToSql};
use serde_json::{Value, json};
use uuid::Uuid;

fn typed(client: &mut impl GenericClient, sql: &str, args: &[&(dyn ToSql + Sync)]) -> Result<Value, SqlRefusal> {
    let row = client.query_one(&format!("select {sql}"), args)?;
    Ok(row.get::<_, Option<Value>>(0).unwrap_or(Value::Null))
}

#[track_caller]
fn data(outcome: Result<Value, SqlRefusal>) -> Value {
    outcome.unwrap()["data"].take()
}

/// A tenant, and the name of a login that acts as an administrator's key of it.
fn scene() -> (Database, Tenant<String>, String) {
    let database = Database::new();
    let tenant = onboard_by_sql(&database, "acme");
    let login = bound_login(&database, &tenant, &json!({ "name": "app", "profile": "admin" }));
    (database, tenant, login)
}

#[test]
fn a_typed_function_does_what_the_route_does() {
    let (database, acme, login) = scene();
    let mut app = database.connect(&login);
    let edge = database.serve();
    let admin = edge.user(&acme.admin);
    let made = data(typed(&mut app, "nebula.create_user('bia@acme.example', 'Bia')", &[]));
    let shown = admin.get(&format!("/v1/users/{}", id(&made))).data(200);
    assert_eq!(made, shown);
    let by_http = admin.post("/v1/users", &json!({ "email": "caio@acme.example", "name": "Caio" })).data(201);
    assert_eq!(data(typed(&mut app, "nebula.get_user($1)", &[&id(&by_http)])), by_http);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&by_http));
    // The same trail is left.
    let trail = "select count(*) from nebula.audit_log where action = 'users.create' and actor_type = $1";
    assert_eq!((database.number(trail, &[&"service"]), database.number(trail, &[&"user"])), (1, 1));
    assert_eq!(
        database
            .number("select count(*) from nebula.outbox where type = 'user.created' and payload #>> '{data,email}' ~ '^(bia|caio)@'", &[]),
        2
    );
}

#[test]
fn every_typed_function_of_a_tenant_works() {
    let (database, acme, login) = scene();
    let mut app = database.connect(&login);
    let user = id(&data(typed(&mut app, "nebula.create_user('bia@acme.example', 'Bia', idempotency_key => 'k1')", &[])));
    data(typed(&mut app, "nebula.update_user($1, name => 'Beatriz')", &[&user]));
    assert_eq!(data(typed(&mut app, "nebula.get_user($1)", &[&user]))["name"], "Beatriz");
    assert_eq!(
        data(typed(&mut app, "nebula.list_users(limit_ => 10, sort => 'email:asc', status => 'ativo', q => 'bia')", &[]))
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(data(typed(&mut app, "nebula.set_user_status($1, 'suspenso', 'férias')", &[&user]))["suspendedReason"], "férias");
    data(typed(&mut app, "nebula.set_user_status($1, 'ativo')", &[&user]));
    assert!(data(typed(&mut app, "nebula.invite_user($1)", &[&user]))["token"].as_str().unwrap().starts_with("nbi_"));
    let group = id(&data(typed(&mut app, "nebula.create_group('Suporte', 'Quem atende')", &[])));
    assert_eq!(data(typed(&mut app, "nebula.list_groups()", &[])).as_array().unwrap().len(), 4);
    data(typed(&mut app, "nebula.add_group_member($1, $2)", &[&group, &user]));
    let permissions = json!([{ "action": "users.list", "constraints": { "maxPerDay": 3 } }]);
    let granted = data(typed(&mut app, "nebula.grant_group_permissions($1, $2)", &[&group, &permissions]));
    assert_eq!(granted[0]["constraints"], json!({ "maxPerDay": 3 }));
    typed(&mut app, "nebula.revoke_group_permission($1, $2)", &[&group, &id(&granted[0])]).unwrap();
    typed(&mut app, "nebula.remove_group_member($1, $2)", &[&group, &user]).unwrap();
    let key = data(typed(
        &mut app,
        "nebula.create_api_key('robot', actions => array['users.list'], expires_at => now() + interval '1 day')",
        &[],
    ));
    assert!(key["secret"].as_str().unwrap().starts_with("nbk_") && key["expiresAt"].is_string());
    let rotated = data(typed(&mut app, "nebula.rotate_api_key($1, 60)", &[&id(&key)]));
    assert_ne!(rotated["secret"], key["secret"]);
    data(typed(&mut app, "nebula.set_api_key_status($1, 'suspenso', 'vazou')", &[&id(&key)]));
    let logs = data(typed(&mut app, "nebula.list_audit_logs(action => 'users.create', entity_id => $1)", &[&user]));
    assert_eq!(logs.as_array().unwrap().len(), 1);
    assert_eq!(logs[0]["actorType"], "service");
    let _ = acme;
}

#[test]
fn the_platforms_typed_functions_work_for_a_login_bound_to_it_and_for_nobody_else() {
    let (database, acme, login) = scene();
    let platform = tenant_of(&database.installation.operator_key);
    let operator = format!("{login}_operator");
    database.execute(&format!(
        "create role {operator} login; grant nebula_app to {operator}; select nebula.bind_role('{operator}', '{platform}', 'harness')"
    ));
    let mut operator = database.connect(&operator);
    let made = data(typed(&mut operator, "nebula.create_tenant('zeta', 'Zeta', 'base', 'z@zeta.example', 'Zoe')", &[]));
    let zeta = id(&made["tenant"]);
    data(typed(&mut operator, "nebula.assign_package($1, 'pro', now() + interval '1 day')", &[&zeta]));
    assert_eq!(data(typed(&mut operator, "nebula.set_tenant_status($1, 'suspenso', 'teste')", &[&zeta]))["status"], "suspenso");
    let mut app = database.connect(&login);
    for sql in [
        "nebula.create_tenant('eta', 'Eta', 'base', 'e@eta.example', 'E')",
        "nebula.set_tenant_status(gen_random_uuid(), 'suspenso')",
        "nebula.assign_package(gen_random_uuid(), 'platform')",
    ] {
        let details = typed(&mut app, sql, &[]).unwrap_err().is("PT403", "FORBIDDEN_ACTION");
        assert_eq!(details["condition"], "platform_only");
    }
    let _ = acme;
}

#[test]
fn a_refusal_has_the_status_as_sqlstate_and_the_code_in_its_detail() {
    let (database, acme, login) = scene();
    let mut app = database.connect(&login);
    let reader = bound_login(&database, &acme, &json!({ "name": "reader", "actions": ["users.list"] }));
    let mut reader = database.connect(&reader);
    let before = database.row_counts();

    let details = typed(&mut app, "nebula.create_user('no-address', 'X')", &[]).unwrap_err().is("PT400", "VALIDATION_ERROR");
    assert_eq!(details, json!([{ "field": "email", "rule": "email" }]));
    let details =
        typed(&mut app, "nebula.create_user($1, 'X')", &[&acme.admin_email.to_uppercase()]).unwrap_err().is("PT409", "DUPLICATE_RESOURCE");
    assert_eq!(details, json!({ "field": "email" }));
    typed(&mut app, "nebula.get_user(gen_random_uuid())", &[]).unwrap_err().is("PT404", "NOT_FOUND");
    let details = typed(&mut app, "nebula.set_user_status($1, 'suspenso')", &[&acme.admin_id]).unwrap_err().is("PT409", "CONFLICT");
    assert_eq!(details, json!({ "rule": "last_admin" }));
    call(&mut app, "no.such", &json!({})).unwrap_err().is("PT404", "NOT_FOUND");
    call(&mut app, "auth.login", &json!({})).unwrap_err().is("PT404", "NOT_FOUND");
    call(&mut app, "users.create", &json!({ "email": "x@acme.example", "name": "X", "tenantId": acme.id }))
        .unwrap_err()
        .is("PT400", "VALIDATION_ERROR");
    for sql in ["nebula.call(null)", "nebula.call('users.list', null)", "nebula.call('users.list', '[]')", "nebula.call('users.list', '1')"]
    {
        typed(&mut app, sql, &[]).unwrap_err().is("PT400", "VALIDATION_ERROR");
    }
    typed(&mut app, "nebula.call('groups.create', '{\"name\": \"G\"}', 'with space')", &[]).unwrap_err().is("PT400", "VALIDATION_ERROR");
    assert_eq!(database.row_counts(), before);

    let refusal = typed(&mut reader, "nebula.create_user('y@acme.example', 'Y')", &[]).unwrap_err();
    assert_eq!(refusal.is("PT403", "FORBIDDEN_ACTION"), json!({ "toolAction": "users.create", "condition": "granted" }));
    assert_eq!(refusal.message, "Ação não permitida.");
}

#[test]
fn an_idempotency_key_replays_and_is_not_reused() {
    let (database, _acme, login) = scene();
    let mut app = database.connect(&login);
    let create = "nebula.create_group($1, idempotency_key => 'g-1')";
    let first = typed(&mut app, create, &[&"Um"]).unwrap();
    assert_eq!(typed(&mut app, create, &[&"Um"]).unwrap(), first);
    typed(&mut app, create, &[&"Dois"]).unwrap_err().is("PT422", "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name in ('Um', 'Dois')", &[]), 1);
}

#[test]
fn nobody_is_refused_and_sees_nothing() {
    let (database, acme, _login) = scene();
    let stranger = format!("stranger_{}", database.name);
    database.execute(&format!("create role {stranger} login; grant nebula_app to {stranger}"));
    let mut nobody = database.connect(&stranger);
    let claims = claims_of(&acme.admin).to_string();
    for setting in ["", &claims] {
        // Claims that anyone but PostgREST's login sets are nobody's word.
        nobody.execute("select set_config('request.jwt.claims', $1, false)", &[&setting]).unwrap();
        call(&mut nobody, "users.list", &json!({})).unwrap_err().is("PT401", "UNAUTHORIZED");
        assert!(!can(&mut nobody, "users.list"));
        assert!(why(&mut nobody, "users.list").is_null());
        let row = nobody.query_one("select nebula.current_tenant() is null and nebula.current_actor() is null", &[]).unwrap();
        assert!(row.get::<_, bool>(0));
    }
    for sql in [
        "select 1 from nebula.\"user\"",
        "select nebula.migrate()",
        "select nebula.migrate_next()",
        "select nebula.handle(gen_random_uuid(), '{}')",
        "select nebula.bind_role('x', gen_random_uuid(), 'x')",
    ] {
        assert_eq!(nobody.batch_execute(sql).unwrap_err().code().unwrap().code(), "42501", "{sql}");
    }
}

#[test]
fn a_bound_login_stays_what_it_is_whatever_it_claims() {
    let (database, _acme, login) = scene();
    let zeta = onboard_by_sql(&database, "zeta");
    let mut app = database.connect(&login);
    app.execute("select set_config('request.jwt.claims', $1, false)", &[&claims_of(&zeta.admin).to_string()]).unwrap();
    app.execute("select set_config('request.headers', $1, false)", &[&json!({ "x-tenant-id": zeta.id }).to_string()]).unwrap();
    app.batch_execute("set nebula.tenant_id = 'x'").unwrap();
    assert!(!data(call(&mut app, "users.list", &json!({}))).to_string().contains("zeta"));
    app.batch_execute("set role nebula_app").unwrap();
    assert!(!data(call(&mut app, "users.list", &json!({}))).to_string().contains("zeta"));
    let tenant: Uuid = app.query_one("select nebula.current_tenant()", &[]).unwrap().get(0);
    assert_ne!(tenant, zeta.id);
}

#[test]
fn powerful_logins_are_not_bound() {
    let (database, acme, _login) = scene();
    for login in ["postgres", "authenticator", "nebula_edge", "nebula_worker", "no_such_login"] {
        let sql = format!("select nebula.bind_role('{login}', '{}', 'app')::text", acme.id);
        assert_eq!(database.text(&sql, &[]), "false", "{login}");
    }
    assert_eq!(database.text("select nebula.bind_role('nebula_app', gen_random_uuid(), 'app')::text", &[]), "false");
}

#[test]
fn postgrests_claims_are_believed_in_its_sessions_for_a_living_session_of_the_token() {
    let (database, acme, _login) = scene();
    let mut authenticator = database.connect("authenticator");
    let claims = claims_of(&acme.admin);
    {
        let mut request = as_postgrest(&mut authenticator, &claims);
        assert!(can(&mut request, "users.create"));
        let actor: Value = request.query_one("select nebula.current_actor()", &[]).unwrap().get(0);
        assert_eq!((&actor["type"], &actor["id"], &actor["tenantId"]), (&json!("user"), &json!(acme.admin_id), &json!(acme.id)));
        data(typed(&mut request, "nebula.create_user('bia@acme.example', 'Bia')", &[]));
        request.commit().unwrap();
    }
    // Gone with its transaction.
    let left: bool =
        database.connect("authenticator").query_one("select current_setting('request.jwt.claims', true) is null", &[]).unwrap().get(0);
    assert!(left);
    {
        let mut request = authenticator.transaction().unwrap();
        request.batch_execute("set local role authenticated").unwrap();
        call(&mut request, "users.list", &json!({})).unwrap_err().is("PT401", "UNAUTHORIZED");
    }
    let zeta = onboard_by_sql(&database, "zeta");
    for forged in [
        json!({}),
        json!([]),
        json!(null),
        json!("x"),
        with(&claims, &json!({ "sid": Uuid::now_v7() })),
        with(&claims, &json!({ "sid": null })),
        with(&claims, &json!({ "sub": zeta.admin_id })),
        with(&claims, &json!({ "tenantId": zeta.id })),
        with(&claims, &json!({ "tenantId": null })),
        with(&claims, &json!({ "tenantId": "acme" })),
        with(&claims, &json!({ "iss": "someone", "sub": acme.admin_id })),
        with(&claims, &json!({ "sub": "' or true --" })),
    ] {
        let mut request = as_postgrest(&mut authenticator, &forged);
        let refusal = call(&mut request, "users.list", &json!({})).expect_err(&forged.to_string());
        refusal.is("PT401", "UNAUTHORIZED");
    }
    // Logged out: its token is worth nothing here either.
    let mut handle = database.handle();
    assert_eq!(handle.public(acme.id, "auth.logout", &json!({ "refreshToken": acme.refresh_token })).status, 204);
    let mut request = as_postgrest(&mut authenticator, &claims);
    call(&mut request, "users.list", &json!({})).unwrap_err().is("PT401", "UNAUTHORIZED");
}

#[test]
fn malformed_claims_are_nobodys() {
    let (database, _acme, _login) = scene();
    let mut authenticator = database.connect("authenticator");
    for claims in ["", "{", "not json", "\"", "{\"tenantId\":", "[[[[[[", "{\"iss\": 1, \"sub\": {}, \"tenantId\": []}"] {
        let mut request = authenticator.transaction().unwrap();
        request.execute("select set_config('request.jwt.claims', $1, true)", &[&claims]).unwrap();
        request.batch_execute("set local role authenticated").unwrap();
        assert!(!can(&mut request, "users.list"), "{claims}");
        call(&mut request, "users.list", &json!({})).unwrap_err().is("PT401", "UNAUTHORIZED");
    }
}

#[test]
fn a_person_of_another_issuer_is_known_by_their_external_id() {
    let (database, acme, _login) = scene();
    database.execute("update nebula.user set auth_provider = 'https://auth.example', external_id = 'sub-7' where email like 'admin@%'");
    let mut authenticator = database.connect("authenticator");
    let claims = json!({ "iss": "https://auth.example", "aud": "app", "sub": "sub-7", "tenantId": acme.id, "role": "authenticated" });
    assert!(!can(&mut as_postgrest(&mut authenticator, &claims), "users.list"), "of an issuer that nobody has registered");
    issuer::register(&database, &json!({ "issuer": "https://auth.example", "audience": "app", "tenantClaim": "tenantId" }));
    assert!(can(&mut as_postgrest(&mut authenticator, &claims), "users.list"));
    for (member, value) in
        [("sub", json!("sub-8")), ("aud", json!("other")), ("iss", json!("https://other.example")), ("tenantId", json!(Uuid::now_v7()))]
    {
        assert!(!can(&mut as_postgrest(&mut authenticator, &with(&claims, &json!({ member: value }))), "users.list"), "{member}");
    }
}

#[test]
fn the_anonymous_role_may_ask_who_it_is_and_call_nothing() {
    let (database, acme, _login) = scene();
    let mut authenticator = database.connect("authenticator");
    authenticator.execute("select set_config('request.jwt.claims', $1, false)", &[&claims_of(&acme.admin).to_string()]).unwrap();
    authenticator.batch_execute("set role anon").unwrap();
    for sql in
        ["select nebula.call('users.list')", "select nebula.why('users.list')", "select nebula.version()", "select 1 from nebula.tenant"]
    {
        assert_eq!(authenticator.batch_execute(sql).unwrap_err().code().unwrap().code(), "42501", "{sql}");
    }
    // What policies ask: an application's tables answer with no rows, and not with an error.
    let mut nobody = database.connect("authenticator");
    nobody.batch_execute("set role anon").unwrap();
    let row = nobody.query_one("select nebula.current_tenant() is null, nebula.can('users.list')", &[]).unwrap();
    assert_eq!((row.get(0), row.get(1)), (true, false));
}

#[test]
fn a_suspended_tenant_has_no_current_tenant() {
    let (database, acme, login) = scene();
    let mut app = database.connect(&login);
    let current = "select nebula.current_tenant()";
    assert_eq!(app.query_one(current, &[]).unwrap().get::<_, Option<Uuid>>(0), Some(acme.id));
    database.superuser().execute("update nebula.tenant set status = 'suspenso' where id = $1", &[&acme.id]).unwrap();
    assert_eq!(app.query_one(current, &[]).unwrap().get::<_, Option<Uuid>>(0), None);
    call(&mut app, "users.list", &json!({})).unwrap_err().is("PT403", "TENANT_SUSPENDED");
    assert!(!can(&mut app, "users.list"));
    assert_eq!(why(&mut app, "users.list")["refusedBy"], "tenant_active");
}

#[test]
fn why_names_the_condition_that_refuses() {
    let (database, acme, _login) = scene();
    let login = bound_login(&database, &acme, &json!({ "name": "lister", "actions": ["users.list"] }));
    let mut app = database.connect(&login);
    let explained = why(&mut app, "users.list");
    assert_eq!((&explained["allowed"], &explained["refusedBy"], &explained["code"]), (&json!(true), &Value::Null, &Value::Null));
    let conditions =
        explained["conditions"].as_array().unwrap().iter().map(|condition| condition["condition"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        conditions,
        [
            "tenant_active",
            "actor_active",
            "action_exists",
            "action_active",
            "not_disabled_by_override",
            "in_active_package",
            "granted",
            "constraints_hold"
        ]
    );
    let tenant = acme.id;
    for (spoil, mend, condition) in [
        (
            "update nebula.tool set status = 'suspenso' where key = 'users'".to_owned(),
            "update nebula.tool set status = 'ativo'".to_owned(),
            "action_active",
        ),
        (
            "update nebula.tool_action set status = 'suspenso' where key = 'users.list'".into(),
            "update nebula.tool_action set status = 'ativo'".into(),
            "action_active",
        ),
        (
            format!(
                "insert into nebula.tenant_tool_override (tenant_id, tool_action_id, flags) select '{tenant}', id, '{{\"enabled\": false}}' from nebula.tool_action where key = 'users.list'"
            ),
            "delete from nebula.tenant_tool_override".into(),
            "not_disabled_by_override",
        ),
        (
            format!(
                "insert into nebula.tenant_tool_override (tenant_id, tool_id, flags) select '{tenant}', id, '{{\"enabled\": false}}' from nebula.tool where key = 'users'"
            ),
            "delete from nebula.tenant_tool_override".into(),
            "not_disabled_by_override",
        ),
        (
            format!("update nebula.tenant_package set status = 'suspenso' where tenant_id = '{tenant}'"),
            "update nebula.tenant_package set status = 'ativo'".into(),
            "in_active_package",
        ),
        (
            format!("update nebula.tenant_package set expires_at = now() where tenant_id = '{tenant}'"),
            "update nebula.tenant_package set expires_at = null".into(),
            "in_active_package",
        ),
        (
            "update nebula.package set status = 'suspenso' where key = 'pro'".into(),
            "update nebula.package set status = 'ativo'".into(),
            "in_active_package",
        ),
        (
            format!("update nebula.api_key set status = 'suspenso' where tenant_id = '{tenant}'"),
            "update nebula.api_key set status = 'ativo'".into(),
            "actor_active",
        ),
        (
            format!("update nebula.tenant set status = 'suspenso' where id = '{tenant}'"),
            "update nebula.tenant set status = 'ativo'".into(),
            "tenant_active",
        ),
    ] {
        database.execute(&spoil);
        let explained = why(&mut app, "users.list");
        assert_eq!((&explained["allowed"], &explained["refusedBy"]), (&json!(false), &json!(condition)), "{spoil}: {explained}");
        assert!(!can(&mut app, "users.list"), "{spoil}");
        call(&mut app, "users.list", &json!({})).expect_err(&spoil);
        database.execute(&mend);
        assert!(can(&mut app, "users.list"), "{mend}");
    }
    assert_eq!(why(&mut app, "users.create")["refusedBy"], "granted");
    assert_eq!(why(&mut app, "no.such")["refusedBy"], "action_exists");
    // An override replaces a package, not a grant.
    database.execute(&format!(
        "delete from nebula.tenant_package where tenant_id = '{tenant}'; \
         insert into nebula.tenant_tool_override (tenant_id, tool_id, flags) select '{tenant}', id, '{{\"enabled\": true}}' from nebula.tool where key = 'users'"
    ));
    assert!(can(&mut app, "users.list"));
    assert_eq!(why(&mut app, "users.create")["refusedBy"], "granted");
    assert_eq!(why(&mut app, "groups.list")["refusedBy"], "in_active_package");
}

#[test]
fn why_names_the_constraint_that_does_not_hold() {
    let (database, acme, _login) = scene();
    let mut handle = database.handle();
    let member = id(&acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201));
    let group = id(&acme.does(&mut handle, "groups.create", &json!({ "name": "G" }), 201));
    acme.does(&mut handle, "groups.members.add", &json!({ "id": group, "userId": member }), 201);
    database.execute("update nebula.user set auth_provider = 'x', external_id = 'bia' where name = 'Bia'");
    issuer::register(&database, &json!({ "issuer": "x", "audience": "app", "tenantClaim": "tenantId" }));
    let claims = json!({ "iss": "x", "aud": "app", "sub": "bia", "tenantId": acme.id });
    let mut authenticator = database.connect("authenticator");
    for (constraints, because) in [
        (json!({ "validUntil": "2020-01-01T00:00:00Z" }), "validUntil"),
        (json!({ "validFrom": "2999-01-01T00:00:00Z" }), "validFrom"),
        (json!({ "ipCidrs": ["203.0.113.0/24"] }), "ipCidrs"),
        (json!({ "resourceIds": [Uuid::now_v7()] }), "resourceIds"),
    ] {
        let permissions = json!({ "id": group, "permissions": [{ "action": "users.list", "constraints": constraints }] });
        acme.does(&mut handle, "groups.permissions.grant", &permissions, 201);
        let explained = why(&mut as_postgrest(&mut authenticator, &claims), "users.list");
        assert_eq!(explained["refusedBy"], "constraints_hold", "{explained}");
        assert_eq!(explained["conditions"][7]["because"], because);
    }
}

#[test]
fn the_context_is_not_lost_under_forced_parallel_query() {
    let (database, acme, login) = scene();
    let mut app = database.connect(&login);
    let setting = database.text("select name from pg_settings where name in ('force_parallel_mode', 'debug_parallel_query')", &[]);
    let parallel =
        format!("set {setting} = on; set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0");
    app.batch_execute(&parallel).unwrap();
    let sql = "select count(*) filter (where nebula.current_tenant() = $1), count(*) from pg_catalog.pg_class";
    let counted = app.query_one(sql, &[&acme.id]).unwrap();
    assert_eq!(counted.get::<_, i64>(0), counted.get::<_, i64>(1));
    assert!(can(&mut app, "users.list"));
    assert_eq!(data(call(&mut app, "users.list", &json!({}))).as_array().unwrap().len(), 1);
    let mut handle = database.handle();
    handle.client.batch_execute(&parallel).unwrap();
    assert_eq!(acme.does(&mut handle, "users.list", &json!({}), 200).as_array().unwrap().len(), 1);
}

#[test]
fn a_login_whose_key_has_expired_acts_as_nobody() {
    let (database, acme, _login) = scene();
    let login = bound_login(&database, &acme, &json!({ "name": "short", "profile": "admin", "expiresAt": "2099-01-01T00:00:00Z" }));
    let mut app = database.connect(&login);
    let identity = "select nebula.current_tenant(), nebula.current_actor() is null";
    let mut nobody = || {
        let row = app.query_one(identity, &[]).unwrap();
        let outcome = (row.get::<_, Option<Uuid>>(0), row.get::<_, bool>(1), can(&mut app, "users.list"));
        (outcome, call(&mut app, "users.list", &json!({})))
    };
    let (is, called) = nobody();
    assert_eq!(is, (Some(acme.id), false, true));
    called.unwrap();
    for expiry in ["now()", "now() - interval '1 second'", "'2001-01-01'"] {
        database.execute(&format!("update nebula.api_key set expires_at = {expiry} where name = 'short'"));
        let (is, called) = nobody();
        assert_eq!(is, (None, true, false), "{expiry}");
        called.unwrap_err().is("PT401", "TOKEN_EXPIRED");
        database.execute("update nebula.api_key set expires_at = null where name = 'short'");
        nobody().1.unwrap();
    }
}

#[test]
fn a_key_expires_by_the_clock_alone() {
    let (database, acme, _login) = scene();
    let login = bound_login(&database, &acme, &json!({ "name": "short", "profile": "admin", "expiresAt": "2099-01-01T00:00:00Z" }));
    let mut app = database.connect(&login);
    database.execute("update nebula.api_key set expires_at = clock_timestamp() + interval '2 seconds' where name = 'short'");
    // Kept in memory while it is good; nothing changes any more.
    assert!(can(&mut app, "users.list"));
    eventually("the key expires", || !can(&mut app, "users.list"));
    assert_eq!(app.query_one("select nebula.current_tenant()", &[]).unwrap().get::<_, Option<Uuid>>(0), None);
    call(&mut app, "users.list", &json!({})).unwrap_err().is("PT401", "TOKEN_EXPIRED");
}

#[test]
fn a_login_whose_key_is_suspended_acts_as_nobody() {
    let (database, acme, login) = scene();
    let mut app = database.connect(&login);
    call(&mut app, "users.list", &json!({})).unwrap();
    database.execute("update nebula.api_key set status = 'suspenso'");
    call(&mut app, "users.list", &json!({})).unwrap_err().is("PT401", "INVALID_TOKEN");
    assert!(!can(&mut app, "users.list"));
    assert_eq!(app.query_one("select nebula.current_tenant()", &[]).unwrap().get::<_, Option<Uuid>>(0), None);
    let _ = acme;
}

#[test]
fn a_person_may_always_what_is_about_themselves_and_a_customer_never_what_is_the_platforms() {
    let (database, acme, login) = scene();
    let mut handle = database.handle();
    acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201);
    database.execute("update nebula.user set auth_provider = 'x', external_id = 'bia' where name = 'Bia'");
    issuer::register(&database, &json!({ "issuer": "x", "audience": "app", "tenantClaim": "tenantId" }));
    let mut authenticator = database.connect("authenticator");
    {
        let mut request = as_postgrest(&mut authenticator, &json!({ "iss": "x", "aud": "app", "sub": "bia", "tenantId": acme.id }));
        assert!(can(&mut request, "me.read"));
        assert!(why(&mut request, "me.read")["allowed"].as_bool().unwrap());
        data(call(&mut request, "me.read", &json!({})));
        assert!(!can(&mut request, "users.list"));
    }
    // Even where an override puts it into the administrators' group.
    let operator = &database.installation.operator_key;
    let set = json!({ "tenantId": acme.id, "actionKey": "tenants.list", "flags": { "enabled": true } });
    handle.call(tenant_of(operator), operator, "tenants.overrides.set", &set).data(200);
    let granted = "select count(*) from nebula.group_permission gp join nebula.tool_action a on a.id = gp.tool_action_id \
                   where a.key = 'tenants.list' and gp.tenant_id = $1";
    assert_eq!(database.number(granted, &[&acme.id]), 1);
    let mut request = as_postgrest(&mut authenticator, &claims_of(&acme.admin));
    let mut app = database.connect(&login);
    assert!(!can(&mut request, "tenants.list") && !can(&mut app, "tenants.list"));
    assert_eq!(why(&mut request, "tenants.list")["refusedBy"], "platform_only");
    assert!(can(&mut request, "users.list") && can(&mut app, "users.list"));
    let me = data(call(&mut request, "me.read", &json!({})));
    assert!(!me["actions"].as_array().unwrap().contains(&json!("tenants.list")));
    call(&mut request, "tenants.list", &json!({})).unwrap_err().is("PT403", "FORBIDDEN_ACTION");
}

#[test]
fn why_agrees_with_can_about_an_expired_key() {
    let (database, acme, _login) = scene();
    let login = bound_login(&database, &acme, &json!({ "name": "short", "profile": "admin", "expiresAt": "2099-01-01T00:00:00Z" }));
    let mut app = database.connect(&login);
    assert_eq!(why(&mut app, "users.list")["allowed"], true);
    database.execute("update nebula.api_key set expires_at = now() where name = 'short'");
    assert!(!can(&mut app, "users.list"));
    let explained = why(&mut app, "users.list");
    assert_eq!((&explained["allowed"], &explained["refusedBy"]), (&json!(false), &json!("actor_active")), "{explained}");
}
