//! To be somebody else: settings, roles, objects that stand in for ours, and the functions that decide who is who.

use super::arena::{Arena, Attempt, attempt};

/// Settings that other products read a tenant from, and those that ours reads in PostgREST's sessions.
fn settings() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (name, value) in [
        ("request.jwt.claims", "{claims}"),
        ("request.jwt.claims", "{own_claims}"),
        ("request.headers", "{headers}"),
        ("request.jwt.claim.sub", "{zetas_admin}"),
        ("request.jwt.claim.tenantId", "{zeta}"),
        ("nebula.tenant", "{zeta}"),
        ("nebula.tenant_id", "{zeta}"),
        ("nebula.current_tenant", "{zeta}"),
        ("nebula.context", "{own_claims}"),
        ("app.tenant_id", "{zeta}"),
        ("app.current_tenant", "{zeta}"),
        ("role", "nebula_owner"),
        ("role", "nebula_platform"),
        ("role", "postgres"),
        ("session_authorization", "postgres"),
        ("session_authorization", "nebula_platform"),
        ("row_security", "off"),
        ("session_replication_role", "replica"),
        ("search_path", "pg_temp, public, nebula"),
    ] {
        for local in ["true", "false"] {
            let set = format!("select set_config('{name}', '{value}', {local})");
            attempts.push(attempt(&format!("{name} = {value}, local: {local}"), &[&set]));
        }
    }
    for (name, steps) in [
        (
            "claims and headers together",
            vec!["select set_config('request.jwt.claims', '{claims}', true), set_config('request.headers', '{headers}', true)"],
        ),
        (
            "claims of our own issuer with the other tenant's living session",
            vec!["set request.jwt.claims = '{own_claims}'", "set request.headers = '{headers}'"],
        ),
        (
            "claims, and then a new transaction",
            vec!["set request.jwt.claims = '{own_claims}'", "commit", "begin", "select nebula.current_tenant()", "commit"],
        ),
        (
            "headers with X-Tenant-Id",
            vec![r#"set request.headers = '{"x-tenant-id": "{zeta}"}'"#, r#"select nebula.call('users.list', '{"tenantId": "{zeta}"}')"#],
        ),
        ("a made-up key in the headers", vec![r#"set request.headers = '{"x-api-key": "nbk_00000000"}'"#]),
        (
            "a setting of the database",
            vec!["do $$ begin execute format('alter database %I set request.jwt.claims = %L', current_database(), '{own_claims}'); end $$"],
        ),
        (
            "a setting by update of the catalog",
            vec!["update pg_catalog.pg_settings set setting = '{own_claims}' where name = 'request.jwt.claims'"],
        ),
        ("a setting within the query", vec!["select set_config('request.jwt.claims', '{own_claims}', true), note from public.orders"]),
        (
            "a setting within the filter",
            vec!["select note from public.orders where set_config('request.jwt.claims', '{own_claims}', true) is not null"],
        ),
        (
            "a setting in a CTE",
            vec!["with s as materialized (select set_config('request.headers', '{headers}', true)) select o.note from s, public.orders o"],
        ),
        (
            "a setting of a function",
            vec![
                "create function pg_temp.f() returns setof text language sql set request.jwt.claims = '{own_claims}' as 'select note from public.orders'",
                "select pg_temp.f()",
            ],
        ),
        (
            "a role of a function",
            vec![
                "create function pg_temp.f() returns setof text language sql set role = 'nebula_owner' as 'select note from public.orders'",
                "select pg_temp.f()",
            ],
        ),
        ("discard all, and claims", vec!["discard all", "set request.jwt.claims = '{own_claims}'"]),
        ("reset all, and claims", vec!["reset all", "set request.jwt.claims = '{own_claims}'"]),
        (
            "two levels of claims over savepoints",
            vec![
                "savepoint a",
                "set local request.jwt.claims = '{own_claims}'",
                "savepoint b",
                "select nebula.current_tenant()",
                "rollback to a",
            ],
        ),
    ] {
        attempts.push(attempt(name, &steps));
    }
    attempts
}

fn roles() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for role in [
        "nebula_owner",
        "nebula_platform",
        "nebula_edge",
        "nebula_worker",
        "nebula_keys",
        "postgres",
        "supabase_admin",
        "supabase_auth_admin",
        "dashboard_user",
    ] {
        attempts.push(attempt(&format!("set role {role}"), &[&format!("set role {role}")]));
        attempts.push(attempt(&format!("set session authorization {role}"), &[&format!("set session authorization {role}")]));
        attempts
            .push(attempt(&format!("grant {role} to oneself"), &[&format!("grant {role} to current_user"), &format!("set role {role}")]));
    }
    for role in ["none", "authenticated", "anon", "authenticator", "nebula_app"] {
        attempts.push(attempt(&format!("set role {role}"), &[&format!("set role {role}")]));
    }
    attempts.push(attempt("reset role and session authorization", &["reset role", "reset session authorization"]));
    attempts.push(attempt("create a role that bypasses RLS", &["create role r bypassrls", "grant r to current_user", "set role r"]));
    attempts.push(attempt(
        "a role named as the login that is believed",
        &["create role authenticator2 login", "set session authorization authenticator2"],
    ));
    attempts.push(attempt("alter oneself", &["alter role current_user bypassrls", "alter role current_user superuser"]));
    attempts
}

fn objects() -> Vec<Attempt> {
    [
        ("replace current_tenant", vec!["create or replace function nebula.current_tenant() returns uuid language sql stable as 'select ''{zeta}''::uuid'"]),
        ("alter current_tenant", vec!["alter function nebula.current_tenant() set search_path = public", "alter function nebula.current_tenant() owner to current_user"]),
        ("drop current_tenant", vec!["drop function nebula.current_tenant() cascade"]),
        ("current_tenant in pg_temp", vec!["create function pg_temp.current_tenant() returns uuid language sql stable as 'select ''{zeta}''::uuid'", "set search_path = pg_temp, nebula, public", "select current_tenant(), note from orders"]),
        ("current_tenant in public", vec!["create function public.current_tenant() returns uuid language sql stable as 'select ''{zeta}''::uuid'", "set search_path = public, nebula", "select note from orders"]),
        ("an equality in pg_temp", vec!["create function pg_temp.eq(uuid, uuid) returns boolean language sql as 'select true'", "create operator pg_temp.= (leftarg = uuid, rightarg = uuid, function = pg_temp.eq)", "set search_path = pg_temp, pg_catalog", "select note from public.orders"]),
        ("an equality in public", vec!["create function public.eq(uuid, uuid) returns boolean language sql as 'select true'", "create operator public.= (leftarg = uuid, rightarg = uuid, function = public.eq)", "set search_path = public, pg_catalog", "select note from public.orders"]),
        ("tables of ours in pg_temp", vec!["create temp table role_binding (tenant_id uuid, role_name name, api_key_id uuid)", "insert into role_binding select '{zeta}', session_user, '{zetas_key}'", "create temp table session (tenant_id uuid, id uuid, user_id uuid, revoked_at timestamptz)", "set search_path = pg_temp, nebula"]),
        ("a schema of ours again", vec!["create schema nebula", "alter schema nebula rename to n", "drop schema nebula cascade"]),
        ("a cast to uuid", vec!["create type public.u as (id uuid)", "create cast (text as uuid) with inout as implicit"]),
        ("drop the policy", vec!["drop policy tenant on public.orders"]),
        ("alter the policy", vec!["alter policy tenant on public.orders using (true)"]),
        ("another policy", vec!["create policy open on public.orders using (true)"]),
        ("disable row security", vec!["alter table public.orders disable row level security", "alter table public.orders no force row level security"]),
        ("own the table", vec!["alter table public.orders owner to current_user"]),
        ("own what others own", vec!["reassign owned by postgres to current_user", "drop owned by postgres"]),
        ("a trigger on the table", vec!["create function public.peek() returns trigger language plpgsql as $$ begin raise notice '%', new; return new; end $$", "create trigger peek before insert or update on public.orders for each row execute function public.peek()", "update public.orders set amount = amount where true"]),
        ("a rule on the table", vec!["create rule r as on insert to public.orders do also select * from public.orders"]),
        ("an index with a function on the table", vec!["create function public.leak(text) returns text language plpgsql immutable as $$ begin raise notice '%', $1; return $1; end $$", "create index on public.orders (public.leak(note))"]),
        ("a foreign key into the table", vec!["create table public.probe (tenant_id uuid, id uuid, foreign key (tenant_id, id) references public.orders (tenant_id, id))", "insert into public.probe values ('{zeta}', '{zetas_order}')", "select case when count(*) > 0 then 'kanarien' || 'vogel exists' end from public.probe"]),
        ("statistics on the table", vec!["create statistics public.s on note, tenant_id from public.orders", "analyze public.orders"]),
        ("a publication of the table", vec!["create publication p for table public.orders", "select pg_create_logical_replication_slot('s', 'pgoutput')"]),
        ("an event trigger", vec!["create function public.e() returns event_trigger language plpgsql as 'begin end'", "create event trigger e on ddl_command_end execute function public.e()"]),
        ("a definer function of one's own", vec!["create function public.mine() returns setof text language sql security definer as 'select note from public.orders'", "select public.mine()"]),
        ("a definer function as somebody else's", vec!["create function public.theirs() returns setof text language sql security definer as 'select note from public.orders'", "alter function public.theirs() owner to nebula_platform", "select public.theirs()"]),
        ("a leakproof function", vec!["create function public.lp(text) returns boolean language plpgsql leakproof cost 0.0001 as $$ begin raise notice '%', $1; return true; end $$", "select note from public.orders where public.lp(note)"]),
        ("another extension", vec!["create extension dblink", "create extension file_fdw", "create extension adminpack"]),
        ("a newer Nebula", vec!["alter extension nebula update to '9.9.9'", "drop extension nebula cascade", "alter extension nebula add function public.total()"]),
        ("a library", vec!["load 'nebula'", "load '/tmp/x'", "create function public.c() returns uuid language c as 'nebula', 'current_tenant_wrapper'"]),
        ("an untrusted language", vec!["create extension plpython3u", "create language plperlu"]),
        ("privileges", vec!["grant all on public.orders to public", "grant all on all tables in schema nebula to current_user", "grant usage on schema nebula to public"]),
        ("default privileges", vec!["alter default privileges for role nebula_owner grant all on tables to current_user"]),
        ("a security label", vec!["security label on table public.orders is 'x'"]),
        ("a large object", vec!["select lo_from_bytea(0, 'x')", "select lo_import('/etc/passwd')"]),
    ]
    .iter()
    .map(|(name, steps)| attempt(name, steps))
    .collect()
}

fn functions() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (name, call) in [
        ("bind_role", "nebula.bind_role(session_user, '{zeta}', 'k')"),
        ("unbind_role", "nebula.unbind_role(session_user)"),
        ("set_postgrest_trust", "nebula.set_postgrest_trust('claims')"),
        (
            "register_issuer",
            r#"nebula.register_issuer('{"issuer": "x", "audience": "x", "algorithms": ["HS256"], "tenantId": "{zeta}", "trustsEmail": true}')"#,
        ),
        ("set_issuer_secret", "nebula.set_issuer_secret('http://localhost:8000/auth/v1', repeat('x', 40))"),
        ("replace_issuer_keys", r#"nebula.replace_issuer_keys('http://localhost:8000/auth/v1', '{"keys": []}')"#),
        ("remove_issuer", "nebula.remove_issuer('http://localhost:8000/auth/v1')"),
        ("register_signing_key", r"nebula.register_signing_key('mine', '\x00')"),
        ("revoke_signing_key", "nebula.revoke_signing_key('mine')"),
        ("issue_operator_key", "nebula.issue_operator_key('mine')"),
        ("handle with a forged token", r#"nebula.handle('{zeta}', '{"operation": "users.list", "credential": "x.y.z"}')"#),
        ("handle without a credential", r#"nebula.handle('{zeta}', '{"operation": "users.list"}')"#),
        ("edge_state", "nebula.edge_state()"),
        ("access_token_claims", r#"nebula.access_token_claims('{"user_id": "{zetas_admin}", "claims": {claims}}')"#),
        ("custom_access_token_hook", r#"nebula.custom_access_token_hook('{"user_id": "{zetas_admin}", "claims": {claims}}')"#),
        ("open_export", "nebula.open_export('{zeta}')"),
        ("export_rows", "nebula.export_rows('x', '{zeta}', 1, 'user', null, 100)"),
        ("begin_import", "nebula.begin_import('{}')"),
        ("claim", "nebula.claim('x', 10, '1 minute', 1, null, false)"),
        ("emit", "nebula.emit('user.created', '{}', null, '{zeta}', null)"),
        ("emit_event", "nebula.emit_event('user.created', '{}', null, '{zeta}', null)"),
        ("reset_token", "nebula.reset_token('{zeta}', '{zetas_admin}')"),
        ("reveal_credential", "nebula.reveal_credential('{zeta}', '{zetas_key}', 'x', 'x', 'x', 'x')"),
        ("anonymize_again", "nebula.anonymize_again('{zeta}', '{zetas_admin}')"),
        ("migrate", "nebula.migrate()"),
        ("seed_tenant", "nebula.seed_tenant('{zeta}')"),
        ("flush", "nebula.flush()"),
        ("login_challenge", "nebula.login_challenge('zeta', 'x@y.example', '')"),
        ("govern_table", "nebula.govern_table('public.orders'::regclass)"),
        ("audit_change", "nebula.audit_change()"),
        ("rights_changed", "nebula.rights_changed()"),
    ] {
        attempts.push(attempt(&format!("the function {name}"), &[&format!("select {call}")]));
    }
    for (action, input) in [
        ("users.read", r#"{"id": "{zetas_admin}"}"#),
        ("users.update", r#"{"id": "{zetas_admin}", "name": "x"}"#),
        ("users.status", r#"{"id": "{zetas_admin}", "status": "suspenso"}"#),
        ("users.create", r#"{"email": "x@y.example", "name": "x", "tenantId": "{zeta}"}"#),
        ("users.create", r#"{"email": "x@y.example", "name": "x", "tenant_id": "{zeta}"}"#),
        ("api_keys.rotate", r#"{"id": "{zetas_key}"}"#),
        ("tenants.read", r#"{"tenantId": "{zeta}"}"#),
        ("tenants.status", r#"{"tenantId": "{zeta}", "status": "suspenso"}"#),
        ("tenants.list", "{}"),
        ("audit.list", r#"{"actor": "{zetas_admin}"}"#),
        ("exports.create", r#"{"format": "json", "tenantId": "{zeta}"}"#),
        ("auth.login", r#"{"tenant": "zeta", "email": "x", "password": {}}"#),
        ("me.read", r#"{"tenantId": "{zeta}"}"#),
    ] {
        let call = format!("select nebula.call('{action}', '{input}')");
        let dispatch = format!("select nebula.dispatch('{action}', '{input}', null)");
        attempts.push(attempt(&format!("call {action} {input}"), &[&call]));
        attempts.push(attempt(&format!("dispatch {action} {input}"), &[&dispatch]));
    }
    attempts
}

#[test]
fn nobody_forges_a_setting() {
    let mut arena = Arena::new();
    arena.make_all(&settings());
    arena.judge("settings", 250);
}

#[test]
fn nobody_becomes_another_role() {
    let mut arena = Arena::new();
    arena.make_all(&roles());
    arena.judge("roles", 150);
}

#[test]
fn nobody_puts_an_object_in_the_place_of_ours() {
    let mut arena = Arena::new();
    arena.make_all(&objects());
    arena.judge("objects", 150);
}

#[test]
fn no_function_makes_somebody_of_nobody() {
    let mut arena = Arena::new();
    arena.make_all(&functions());
    arena.judge("functions", 250);
}
