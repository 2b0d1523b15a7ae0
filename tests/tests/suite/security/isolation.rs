//! Invariant 3: RLS holds where a handler forgets, and no id of another tenant tells that it exists.

use nebula_tests::{Caller, Database, http::id, onboard, onboard_by_sql};
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn the_owner_of_the_tables_sees_no_row_of_any_tenant_without_a_context() {
    let database = Database::new();
    let _tenants = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let scoped = database.texts(
        "select distinct a.attrelid::regclass::text from pg_attribute a join pg_class c on c.oid = a.attrelid \
         where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') and a.attname = 'tenant_id' and not a.attisdropped",
        &[],
    );
    assert!(scoped.len() > 15, "{scoped:?}");
    let mut owner = database.superuser();
    let mut total: i64 = 0;
    for table in scoped.iter().map(String::as_str).chain(["nebula.tenant"]) {
        total += owner.query_one(&format!("select count(*) from {table}"), &[]).unwrap().get::<_, i64>(0);
        owner.batch_execute("set role nebula_owner").unwrap();
        let seen: i64 = owner.query_one(&format!("select count(*) from {table}"), &[]).unwrap().get(0);
        assert_eq!(seen, 0, "{table}");
        if let Err(error) = owner.batch_execute(&format!("delete from {table}")) {
            assert_eq!(error.code().unwrap().code(), "42501", "{table}");
        }
        owner.batch_execute("reset role").unwrap();
    }
    let mut left: i64 = 0;
    for table in scoped.iter().map(String::as_str).chain(["nebula.tenant"]) {
        left += owner.query_one(&format!("select count(*) from {table}"), &[]).unwrap().get::<_, i64>(0);
    }
    assert!(total > 100 && left == total, "{left} of {total}");
}

#[test]
fn a_handler_that_forgets_its_filter_sees_and_changes_only_its_own_tenant() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    // Stands in for the handler: runs inside it, as the same role, in the same context, and filters nothing.
    database.execute(
        "create table public.seen (tenants uuid[], users bigint, groups bigint, keys bigint, audit bigint, foreign_audit bigint, renamed bigint); \
         alter table public.seen owner to nebula_owner; \
         create function public.forgetful() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ \
         declare renamed bigint; \
         begin \
           update nebula.\"user\" set name = 'Forgotten'; \
           get diagnostics renamed = row_count; \
           insert into public.seen \
           select (select array_agg(distinct tenant_id) from nebula.\"user\"), (select count(*) from nebula.\"user\"), (select count(*) from nebula.\"group\"), \
             (select count(*) from nebula.api_key), (select count(*) from nebula.audit_log), \
             (select count(*) from nebula.audit_log where tenant_id <> nebula.current_tenant()), renamed; \
           return null; \
         end $$; \
         alter function public.forgetful() owner to nebula_owner; \
         create trigger forgetful after insert on nebula.\"group\" for each statement execute function public.forgetful()",
    );
    let mut handle = database.handle();
    zeta.does(&mut handle, "users.create", &json!({ "email": "z@zeta.example", "name": "Z" }), 201);
    acme.does(&mut handle, "groups.create", &json!({ "name": "Forgetful" }), 201);
    let seen = database.superuser().query_one("select * from public.seen", &[]).unwrap();
    assert_eq!(seen.get::<_, Vec<Uuid>>("tenants"), [acme.id]);
    assert_eq!((seen.get::<_, i64>("users"), seen.get::<_, i64>("groups"), seen.get::<_, i64>("keys")), (1, 4, 0));
    assert!(seen.get::<_, i64>("audit") > 0);
    assert_eq!((seen.get::<_, i64>("foreign_audit"), seen.get::<_, i64>("renamed")), (0, 1));
    assert_eq!(database.number("select count(*) from nebula.user where name = 'Forgotten' and tenant_id <> $1", &[&acme.id]), 0);
}

#[test]
fn a_handler_that_writes_another_tenants_id_is_stopped() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    database.execute(&format!(
        "create function public.forgetful() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$ \
         begin insert into nebula.\"user\" (tenant_id, email, name) values ('{}', 'x@y.example', 'X'); return null; end $$; \
         alter function public.forgetful() owner to nebula_owner; \
         create trigger forgetful after insert on nebula.\"group\" for each statement execute function public.forgetful()",
        zeta.id
    ));
    let before = database.row_counts();
    let error = database
        .handle()
        .try_send(acme.id, &nebula_tests::handle::request("groups.create", Some(&acme.admin), &json!({ "name": "G" })))
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    assert_eq!(database.row_counts(), before);
}

#[test]
fn an_id_of_another_tenant_is_answered_like_a_random_one() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let zetas_group = zeta.group("Deles", &["users.list"]);
    let zetas_user = zeta.person("zoe");
    let permission = id(&zeta.admin.get(&format!("/v1/groups/{zetas_group}/permissions")).data(200)[0]);
    let (_, zetas_key) = zeta.key(&edge, &json!({ "name": "k", "profile": "read-only" }));
    let (own_group, own_user) = (acme.group("Nosso", &[]), acme.person("bia"));
    let random = Uuid::now_v7();
    let before = database.digests();
    // Method, path with {} for the id, body; and the other tenant's id that is asked about.
    let questions: Vec<(&str, String, Option<Value>, Uuid)> = vec![
        ("GET", "/v1/users/{}".into(), None, zetas_user),
        ("PATCH", "/v1/users/{}".into(), Some(json!({ "name": "Ours" })), zetas_user),
        ("PATCH", "/v1/users/{}".into(), Some(json!({ "email": "ours@acme.example" })), zetas_user),
        ("PATCH", "/v1/users/{}/status".into(), Some(json!({ "status": "suspenso" })), zetas_user),
        ("PATCH", "/v1/users/{}/status".into(), Some(json!({ "status": "suspenso" })), zeta.admin_id),
        ("POST", "/v1/users/{}/invite".into(), Some(json!({})), zetas_user),
        ("GET", "/v1/groups/{}".into(), None, zetas_group),
        ("PATCH", "/v1/groups/{}".into(), Some(json!({ "name": "Ours" })), zetas_group),
        ("PATCH", "/v1/groups/{}/status".into(), Some(json!({ "status": "suspenso" })), zetas_group),
        ("GET", "/v1/groups/{}/users".into(), None, zetas_group),
        ("POST", format!("/v1/groups/{{}}/users/{own_user}"), Some(json!({})), zetas_group),
        ("POST", format!("/v1/groups/{own_group}/users/{{}}"), Some(json!({})), zetas_user),
        ("DELETE", format!("/v1/groups/{own_group}/users/{{}}"), None, zetas_user),
        ("DELETE", format!("/v1/groups/{{}}/users/{own_user}"), None, zetas_group),
        ("GET", "/v1/groups/{}/permissions".into(), None, zetas_group),
        ("POST", "/v1/groups/{}/permissions".into(), Some(json!({ "permissions": [{ "action": "users.list" }] })), zetas_group),
        ("DELETE", format!("/v1/groups/{own_group}/permissions/{{}}"), None, permission),
        ("DELETE", format!("/v1/groups/{zetas_group}/permissions/{{}}"), None, permission),
        ("PATCH", "/v1/api-keys/{}/status".into(), Some(json!({ "status": "suspenso" })), zetas_key),
        ("POST", "/v1/api-keys/{}/rotate".into(), Some(json!({})), zetas_key),
    ];
    for (method, path, body, foreign) in questions {
        let ask = |id: Uuid| {
            let request = acme.admin.request(method, &path.replace("{}", &id.to_string())).header("X-Request-Id", "same-request-id");
            match &body {
                Some(body) => request.json(body).send(),
                None => request.send(),
            }
        };
        let (theirs, nobodys) = (ask(foreign), ask(random));
        assert_eq!(theirs.status, 404, "{method} {path}: {theirs:?}");
        theirs.refused(404, "NOT_FOUND");
        assert_eq!((theirs.status, theirs.text), (nobodys.status, nobodys.text), "{method} {path}");
    }
    assert_eq!(database.digests(), before);
}

#[test]
fn lists_hold_only_the_own_tenants_rows_and_platform_routes_are_closed() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    zeta.group("Deles", &[]);
    zeta.key(&edge, &json!({ "name": "k", "profile": "read-only" }));
    for path in ["/v1/users", "/v1/groups", "/v1/api-keys", "/v1/audit-logs", "/v1/me/sessions"] {
        let answer = acme.admin.get(&format!("{path}?limit=200"));
        answer.data(200);
        for foreign in [zeta.id.to_string(), zeta.admin_id.to_string(), zeta.admin_email.clone(), "Deles".to_owned()] {
            assert!(!answer.text.contains(&foreign), "{path} shows {foreign}");
        }
    }
    let routes: Value = serde_json::from_str(&database.text("select nebula.routes()::text", &[])).unwrap();
    let platform = routes.as_array().unwrap().iter().filter(|route| route["scope"] == "platform").collect::<Vec<_>>();
    assert!(platform.len() >= 10);
    for route in platform {
        let path = route["path"].as_str().unwrap().replace("{tenantId}", &zeta.id.to_string()).replace(['{', '}'], "");
        let request = acme.admin.request(route["method"].as_str().unwrap(), &path);
        let answer =
            if ["GET", "DELETE"].contains(&route["method"].as_str().unwrap()) { request.send() } else { request.json(&json!({})).send() };
        answer.forbidden(route["operation"].as_str().unwrap(), "platform_only");
    }
}
