//! Installing on Supabase: by `postgres`, who is no superuser there, beside default privileges that give everything to everybody.

use nebula_tests::{Database, Supabase, cluster::TEMPLATE, onboard_by_sql, sql_caller::bound_login, supabase};
use postgres::error::SqlState;
use serde_json::json;
use std::{fs, path::Path};

/// What the API's roles and Supabase's own may execute, by role. Everything else is nobody's but the DBA's, the edge's and the worker's.
fn allowed(role: &str) -> Vec<&'static str> {
    const EVERYBODY: [&str; 6] =
        ["caller_refusal()", "can(text)", "current_actor()", "current_tenant()", "pre_request()", "tenant_for(text)"];
    match role {
        "anon" | "service_role" => EVERYBODY.to_vec(),
        "supabase_auth_admin" => vec!["custom_access_token_hook(jsonb)"],
        _ => vec![],
    }
}

const ROLES: [&str; 9] = [
    "anon",
    "service_role",
    "authenticator",
    "supabase_auth_admin",
    "supabase_storage_admin",
    "supabase_realtime_admin",
    "supabase_replication_admin",
    "dashboard_user",
    "pgbouncer",
];

/// The rules of what is whose, for a database of that cluster.
#[track_caller]
fn holds_privileges(database: &Database) {
    for role in ROLES {
        let may = database.texts(
            "select replace(p.oid::regprocedure::text, 'nebula.', '') from pg_proc p \
             where p.pronamespace = 'nebula'::regnamespace and has_function_privilege($1::text, p.oid, 'execute') order by 1",
            &[&role],
        );
        // noinherit: authenticator has what it has itself.
        assert_eq!(may, allowed(role), "{role}");
    }
    let authenticated = database.texts(
        "select p.proname::text from pg_proc p join pg_language l on l.oid = p.prolang where p.pronamespace = 'nebula'::regnamespace \
         and has_function_privilege('authenticated', p.oid, 'execute') and not (l.lanname = 'sql' and p.prosrc ~ '^\\s*select nebula\\.call\\(') order by 1",
        &[],
    );
    assert_eq!(
        authenticated,
        [
            "call",
            "caller_refusal",
            "can",
            "current_actor",
            "current_tenant",
            "dispatch",
            "openapi",
            "pre_request",
            "routes",
            "tenant_for",
            "version",
            "why"
        ]
    );
    let leaks = database.texts(
        "select c.oid::regclass || ' to ' || r.rolname || ': ' || p.name \
         from pg_class c cross join pg_roles r cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p (name) \
         where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and (r.rolname = any ($1) or r.rolname = 'authenticated') \
           and has_table_privilege(r.oid, c.oid, p.name)",
        &[&ROLES.map(str::to_owned).to_vec()],
    );
    assert!(leaks.is_empty(), "{leaks:#?}");
    let to_public = database.texts(
        "select o.name || ': ' || acl.privilege_type from ( \
           select oid::regprocedure::text, proacl, 'f'::\"char\", proowner from pg_proc where pronamespace = 'nebula'::regnamespace \
           union all select oid::regclass::text, relacl, 'r', relowner from pg_class where relnamespace = 'nebula'::regnamespace and relkind in ('r', 'p', 'v') \
           union all select nspname, nspacl, 'n', nspowner from pg_namespace where nspname = 'nebula' \
         ) o (name, acl, kind, owner) cross join lateral aclexplode(coalesce(o.acl, acldefault(o.kind, o.owner))) acl \
         where acl.grantee = 0 or acl.is_grantable and acl.grantee <> o.owner",
        &[],
    );
    assert!(to_public.is_empty(), "{to_public:#?}");
    let creators = database.texts(
        "select rolname::text from pg_roles where has_schema_privilege(oid, 'nebula', 'create') and not rolsuper and rolname not in ('postgres', 'nebula_owner')",
        &[],
    );
    assert!(creators.is_empty(), "{creators:?}");
}

#[test]
fn postgres_installs_without_being_a_superuser_and_only_the_list_may_do_anything() {
    let supabase = Supabase::new();
    let database = &supabase.database;
    assert_eq!(database.text("select rolsuper::text from pg_roles where rolname = 'postgres'", &[]), "false");
    assert_eq!(database.text("select extowner::regrole::text from pg_extension where extname = 'nebula'", &[]), "postgres");
    holds_privileges(database);
    let definers = database.texts(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'nebula'::regnamespace and prosecdef \
         and proowner not in ('nebula_owner'::regrole, 'nebula_platform'::regrole)",
        &[],
    );
    assert!(definers.is_empty(), "{definers:?}");
    let tables = database.texts(
        "select oid::regclass::text from pg_class where relnamespace = 'nebula'::regnamespace and relkind in ('r', 'p') and relowner <> 'nebula_owner'::regrole",
        &[],
    );
    assert!(tables.is_empty(), "{tables:?}");
    // The whole product works there.
    let acme = supabase.tenant("acme");
    acme.does(&mut database.handle(), "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201);
}

#[test]
fn default_privileges_that_give_everything_away_reach_no_function() {
    let database = supabase::empty();
    let mut generous = database.superuser();
    for role in ["supabase_admin", "postgres"] {
        for kind in ["functions", "tables", "schemas", "types"] {
            let sql = format!(
                "alter default privileges for role {role} grant all on {kind} to anon, authenticated, service_role, dashboard_user"
            );
            generous.batch_execute(&sql).unwrap();
        }
    }
    let mut dba = database.connect("postgres");
    dba.batch_execute("create extension nebula; select nebula.migrate(); select nebula.seed()").unwrap();
    holds_privileges(&database);
}

#[test]
fn supautils_may_create_it_as_the_superuser_in_the_name_of_postgres() {
    let database = supabase::empty();
    // What supautils.privileged_extensions does: the session is postgres', the role for this one statement is not.
    database.execute(
        "create function public.lend() returns void language plpgsql security definer as 'begin create extension nebula; end'; \
         grant execute on function public.lend() to postgres",
    );
    let mut dba = database.connect("postgres");
    dba.batch_execute("select public.lend(); select nebula.migrate(); select nebula.seed()").unwrap();
    holds_privileges(&database);
}

#[test]
fn the_dba_does_what_a_dba_does_and_nothing_more() {
    let supabase = Supabase::new();
    let database = &supabase.database;
    let acme = onboard_by_sql(database, "acme");
    let login = bound_login(database, &acme, &json!({ "name": "app", "profile": "admin" }));
    let mut dba = supabase.dba();
    let mine = format!("dba_{}", database.name);
    for sql in [
        "select nebula.migrate()".to_owned(),
        "select nebula.seed()".to_owned(),
        "alter role nebula_edge password 'x'".to_owned(),
        "alter role nebula_worker password 'x'".to_owned(),
        "alter role nebula_keys password 'x'".to_owned(),
        format!("create role {mine} login; grant nebula_app to {mine}"),
        format!("select nebula.bind_role('{mine}', '{}', 'app')", acme.id),
        format!("select nebula.unbind_role('{mine}')"),
        "select nebula.set_postgrest_trust('token')".to_owned(),
        "select nebula.set_postgrest_trust('claims')".to_owned(),
        "select nebula.readiness(), nebula.edge_state(), nebula.issuer_state()".to_owned(),
    ] {
        dba.batch_execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    for sql in [
        "update nebula.user set name = 'x' where true",
        "insert into nebula.role_binding (tenant_id, role_name, api_key_id) select tenant_id, 'postgres', id from nebula.api_key",
        "delete from nebula.audit_log where true",
        "update nebula.installation set postgrest_trust = 'token' where true",
        "alter table nebula.user disable row level security",
        "set role nebula_owner",
        "set role nebula_platform",
        "set session authorization nebula_owner",
        "alter function nebula.current_tenant() owner to postgres",
        "create or replace function nebula.current_tenant() returns uuid language sql stable as 'select null::uuid'",
        "select nebula.custom_access_token_hook('{}')",
        "select nebula.access_token_claims('{}')",
    ] {
        let error = dba.batch_execute(sql).expect_err(sql);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error:?}");
    }
    // Bound since before: unbinding counts at the next statement.
    let mut app = database.connect(&login);
    assert!(nebula_tests::sql_caller::can(&mut app, "users.list"));
    let unbound: (bool, bool) = {
        let sql = "select nebula.unbind_role($1)";
        (dba.query_one(sql, &[&login]).unwrap().get(0), dba.query_one(sql, &[&login]).unwrap().get(0))
    };
    assert_eq!(unbound, (true, false));
    assert!(!nebula_tests::sql_caller::can(&mut app, "users.list"));
}

#[test]
fn another_role_than_the_one_that_installed_has_nothing() {
    let supabase = Supabase::new();
    let stranger = format!("stranger_{}", supabase.database.name);
    supabase.database.execute(&format!("create role {stranger} login createrole"));
    let mut stranger = supabase.database.connect(&stranger);
    for sql in ["select nebula.version()", "select nebula.migrate()", "select nebula.current_tenant()", "select from nebula.tenant"] {
        assert_eq!(stranger.batch_execute(sql).unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    assert_ne!(supabase.database.name, TEMPLATE);
}

#[test]
fn a_second_database_of_the_cluster_lends_no_role_to_who_installs_there() {
    let supabase = Supabase::new();
    let cluster = &supabase.database.installation.cluster;
    let name = format!("owner_of_{}", supabase.database.name);
    let mut admin = cluster.connect("supabase_admin", "postgres");
    admin.batch_execute(&format!("create role {name} login createrole")).unwrap();
    admin.batch_execute(&format!("create database {name} owner {name}")).unwrap();
    let mut other = cluster.connect(&name, &name);
    other.batch_execute("create extension nebula; select nebula.migrate()").unwrap();
    for role in ["nebula_owner", "nebula_platform"] {
        assert_eq!(other.batch_execute(&format!("set role {role}")).unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{role}");
    }
    let members = supabase.database.texts(
        "select granted.rolname || ' to ' || member.rolname from pg_auth_members m join pg_roles granted on granted.oid = m.roleid \
         join pg_roles member on member.oid = m.member where granted.rolname like 'nebula\\_%' and member.rolname = $1",
        &[&name],
    );
    assert!(members.is_empty(), "{members:?}");
    drop(other);
    cluster.connect("supabase_admin", "postgres").batch_execute(&format!("drop database {name} with (force)")).unwrap();
}

#[test]
fn the_cluster_is_like_the_images() {
    let supabase = Supabase::new();
    let roles = supabase.database.texts(
        "select rolname || ':' || concat_ws(',', case when rolsuper then 'super' end, case when rolcanlogin then 'login' end, \
           case when rolbypassrls then 'bypassrls' end, case when rolcreaterole then 'createrole' end, case when not rolinherit then 'noinherit' end) \
         from pg_roles where rolname in ('supabase_admin', 'postgres', 'anon', 'authenticated', 'service_role', 'authenticator', 'supabase_auth_admin') \
         order by 1",
        &[],
    );
    assert_eq!(
        roles,
        [
            "anon:",
            "authenticated:",
            "authenticator:login,noinherit",
            "postgres:login,bypassrls,createrole",
            "service_role:bypassrls",
            "supabase_admin:super,login,bypassrls,createrole",
            "supabase_auth_admin:login,createrole,noinherit",
        ]
    );
    let mut dba = supabase.dba();
    dba.batch_execute("create table public.given (id integer)").unwrap();
    let given = supabase.database.texts(
        "select r from unnest(array['anon', 'authenticated', 'service_role']) r where has_table_privilege(r, 'public.given', 'select, insert, update, delete')",
        &[],
    );
    assert_eq!(given.len(), 3, "{given:?}");
    let settings = supabase.database.text(
        "select array_to_string(setconfig, ' ') from pg_db_role_setting where setrole = 'authenticator'::regrole and setdatabase = 0",
        &[],
    );
    assert_eq!(settings, "statement_timeout=8s lock_timeout=8s session_preload_libraries=auto_explain");
    let limit: String = supabase.postgrest().query_one("show statement_timeout", &[]).unwrap().get(0);
    assert_eq!(limit, "8s");
}

/// safeupdate, which comes with PostgREST's sessions in the images, refuses what lacks a condition, inside of functions too.
#[test]
fn no_statement_of_ours_updates_or_deletes_without_a_condition() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders = ["extension/src", "sql/functions", "sql/seeds"].map(|folder| root.join(folder)).to_vec();
    let (mut found, mut bare) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            // A statement ends with its literal in Rust, and with its semicolon in SQL.
            let end = if path.extension().is_some_and(|extension| extension == "rs") { '"' } else { ';' };
            for verb in ["update nebula.", "delete from nebula."] {
                for (at, _) in text.match_indices(verb) {
                    let statement = text[at..].split(end).next().unwrap();
                    let macro_follows = text[at + statement.len()..].trim_start_matches([end, ',', ' ', '\n']).starts_with("locked!");
                    found += 1;
                    if !statement.contains("where") && !macro_follows {
                        bare.push(format!("{}: {}", path.display(), statement.chars().take(90).collect::<String>()));
                    }
                }
            }
        }
    }
    assert!(found > 80 && bare.is_empty(), "{found}: {bare:#?}");
}
