//! Rules that a person would forget, held for every table and function of the schema, present and future.

use nebula_tests::Database;

/// No row may come back: each is a broken rule, in words.
#[track_caller]
fn holds(rule: &str, violations: &str) {
    let database = Database::new();
    let found = database.texts(violations, &[]);
    assert!(found.is_empty(), "{rule}, but:\n{}", found.join("\n"));
}

/// Every table of the schema, partitions included, with whether it is one tenant's.
const TABLES: &str = "with tables as ( \
  select c.oid, c.relname, c.relispartition, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relacl, \
    c.relname = 'tenant' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as scoped \
  from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') \
) ";

fn over_tables(sql: &str) -> String {
    format!("{TABLES}{sql}")
}

#[test]
fn there_are_tables_and_functions_to_hold_rules_for() {
    let database = Database::new();
    assert!(database.number(&over_tables("select count(*) from tables where scoped"), &[]) > 30);
    assert!(database.number("select count(*) from pg_proc where pronamespace = 'nebula'::regnamespace", &[]) > 40);
}

#[test]
fn every_tenant_scoped_table_has_row_security_enabled_and_forced() {
    holds(
        "RLS is enabled and forced",
        &over_tables("select relname::text from tables where scoped and not (relrowsecurity and relforcerowsecurity)"),
    );
}

#[test]
fn every_tenant_scoped_table_has_exactly_the_two_policies() {
    holds(
        "there is one policy for tenants, by memory alone, and one for the platform",
        &over_tables(
            "select t.relname || ': ' || coalesce(p.policyname::text, 'no policy') \
             from tables t left join pg_policies p on p.schemaname = 'nebula' and p.tablename = t.relname \
             where t.scoped and not coalesce(p.permissive = 'PERMISSIVE' and p.cmd = 'ALL' and ( \
               (p.policyname = 'tenant_isolation' and p.roles = '{public}'::name[] and p.qual = p.with_check \
                 and p.qual = case t.relname when 'tenant' then '(id = nebula.current_tenant())' else '(tenant_id = nebula.current_tenant())' end) \
               or (p.policyname = 'platform_access' and p.roles = '{nebula_platform}'::name[] and p.qual = 'true' and p.with_check = 'true') \
             ), false) \
             union all \
             select t.relname || ' has ' || count(p.policyname) || ' policies' from tables t \
             left join pg_policies p on p.schemaname = 'nebula' and p.tablename = t.relname where t.scoped group by t.relname having count(p.policyname) <> 2",
        ),
    );
}

#[test]
fn every_index_of_a_tenant_scoped_table_starts_with_the_tenant() {
    holds(
        "keys and indexes start with tenant_id",
        &over_tables(
            "select i.indexrelid::regclass::text from tables t join pg_index i on i.indrelid = t.oid \
             join pg_attribute a on a.attrelid = t.oid and a.attnum = i.indkey[0] \
             where t.scoped and t.relname <> 'tenant' and a.attname <> 'tenant_id' \
               and i.indexrelid::regclass::text not in ( \
                 'nebula.pk_outbox_live', /* events of the installation have no tenant; consumers deduplicate by id */ \
                 'nebula.pk_seed_history', /* seeds of the catalog have no tenant */ \
                 'nebula.uq_role_binding_role_name', /* a login has one tenant: asked before the tenant is known */ \
                 'nebula.idx_user_external_id', 'nebula.idx_user_unlinked_email' /* whose token Supabase Auth is about to sign: asked before the tenant is known */ \
               )",
        ),
    );
}

#[test]
fn foreign_keys_between_tenant_scoped_tables_include_the_tenant() {
    holds(
        "a row can't reference another tenant's row",
        "select con.conname::text \
         from pg_constraint con \
         join pg_class t on t.oid = con.conrelid join pg_class f on f.oid = con.confrelid \
         where con.contype = 'f' and t.relnamespace = 'nebula'::regnamespace \
           and exists (select from pg_attribute a where a.attrelid = f.oid and a.attname = 'tenant_id') \
           and not ( \
             (select attname from pg_attribute where attrelid = t.oid and attnum = con.conkey[1]) = 'tenant_id' \
             and (select attname from pg_attribute where attrelid = f.oid and attnum = con.confkey[1]) = 'tenant_id' \
           )",
    );
    holds(
        "global tables reference no tenant-scoped one",
        "select con.conname::text from pg_constraint con join pg_class t on t.oid = con.conrelid join pg_class f on f.oid = con.confrelid \
         where con.contype = 'f' and t.relnamespace = 'nebula'::regnamespace \
           and not exists (select from pg_attribute a where a.attrelid = t.oid and a.attname = 'tenant_id') \
           and (f.relname = 'tenant' or exists (select from pg_attribute a where a.attrelid = f.oid and a.attname = 'tenant_id'))",
    );
}

#[test]
fn every_foreign_key_has_an_index() {
    // On a tenant-scoped table (tenant_id, x_id) is the index of x_id: no index may start with another column.
    holds(
        "a foreign key's columns, after the tenant, lead an index",
        "select con.conname::text \
         from pg_constraint con \
         join pg_class t on t.oid = con.conrelid \
         cross join lateral ( \
           select array_agg(attnum order by attnum) as wanted from pg_attribute \
           where attrelid = t.oid and (attnum = any (con.conkey) or attname = 'tenant_id') \
         ) columns \
         where con.contype = 'f' and t.relnamespace = 'nebula'::regnamespace and con.conparentid = 0 and not exists ( \
           select from pg_index i \
           where i.indrelid = t.oid and i.indisvalid and i.indpred is null and i.indnkeyatts >= cardinality(columns.wanted) \
             and (select array_agg(key order by key) from unnest((i.indkey::smallint[])[0:cardinality(columns.wanted) - 1]) key) = columns.wanted \
         )",
    );
}

#[test]
fn constraints_and_indexes_are_named_after_their_table() {
    holds(
        "names are pk_, fk_, uq_, ck_, idx_ and the table's",
        "select con.conname || ' on ' || t.relname \
         from pg_constraint con join pg_class t on t.oid = con.conrelid \
         where t.relnamespace = 'nebula'::regnamespace and not t.relispartition and con.contype <> 'n' /* Postgres 18 has one for each column, of its own naming */ and con.conname !~ ('^' || case con.contype \
           when 'p' then 'pk_' || t.relname || '$' \
           when 'u' then 'uq_' || t.relname || '_' \
           when 'c' then 'ck_' || t.relname || '_' \
           when 'f' then 'fk_' || t.relname || '_' || (select attname from pg_attribute where attrelid = t.oid and attnum = con.conkey[cardinality(con.conkey)]) || '$' \
           else 'never$' end) \
         union all \
         select i.indexrelid::regclass || ' on ' || t.relname \
         from pg_index i join pg_class t on t.oid = i.indrelid join pg_class x on x.oid = i.indexrelid \
         where t.relnamespace = 'nebula'::regnamespace and not t.relispartition and not i.indisprimary \
           and x.relname !~ ('^' || case when i.indisunique then 'uq_' else 'idx_' end || t.relname || '_')",
    );
}

#[test]
fn everything_has_a_comment() {
    holds(
        "tables, functions and types say what they are",
        &over_tables(
            "select 'table ' || relname from tables where obj_description(oid, 'pg_class') is null \
             union all \
             select 'function ' || oid::regprocedure from pg_proc where pronamespace = 'nebula'::regnamespace and obj_description(oid, 'pg_proc') is null \
             union all \
             select 'type ' || oid::regtype from pg_type where typnamespace = 'nebula'::regnamespace and typtype in ('e', 'd') and obj_description(oid, 'pg_type') is null",
        ),
    );
    // Columns that every table has, foreign keys, and times and words that say it themselves need none.
    holds(
        "columns say what they hold",
        &over_tables(
            "select t.relname || '.' || a.attname from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped \
             where not t.relispartition and col_description(t.oid, a.attnum) is null \
               and a.attname not in ('id', 'tenant_id', 'status', 'suspended_reason', 'name', 'description', 'key', 'kind', 'method', 'path', 'version', \
                 'kid', 'alg', 'jti', 'day', 'count', 'attempts', 'is_singleton', 'applied_by') \
               and a.attname !~ '_at$' \
               and not exists (select from pg_constraint con where con.contype = 'f' and con.conrelid = t.oid and a.attnum = any (con.conkey)) \
             order by 1",
        ),
    );
}

#[test]
fn every_definer_function_belongs_to_a_role_that_rls_binds() {
    holds(
        "security definer functions are the owner's or the platform's",
        "select oid::regprocedure::text from pg_proc where pronamespace = 'nebula'::regnamespace and prosecdef \
         and proowner not in ('nebula_owner'::regrole, 'nebula_platform'::regrole)",
    );
}

#[test]
fn every_function_that_runs_sql_pins_its_search_path() {
    holds(
        "search_path is pg_catalog, pg_temp",
        "select p.oid::regprocedure::text from pg_proc p join pg_language l on l.oid = p.prolang \
         where p.pronamespace = 'nebula'::regnamespace and (p.prosecdef or l.lanname <> 'c') \
           and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)",
    );
}

#[test]
fn nothing_is_granted_to_public_or_beyond_the_list() {
    holds(
        "functions are executable by whom the list names",
        "select p.oid::regprocedure || ' by ' || coalesce(nullif(acl.grantee, 0)::regrole::text, 'PUBLIC') \
         from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl \
         where p.pronamespace = 'nebula'::regnamespace and (acl.grantee = 0 or acl.is_grantable and acl.grantee <> p.proowner \
           or acl.grantee <> p.proowner and acl.grantee::regrole::text not in ('nebula_owner', 'nebula_platform', 'nebula_edge', 'nebula_keys', 'nebula_app', 'authenticated') \
           and not (acl.grantee::regrole::text in ('anon', 'service_role') and p.proname in ('current_tenant', 'tenant_for', 'current_actor', 'can', 'pre_request', 'caller_refusal')) \
           and not (acl.grantee::regrole::text = 'supabase_auth_admin' and p.proname = 'custom_access_token_hook') \
           and not (acl.grantee = 'pg_monitor'::regrole and p.proname in ('metrics', 'metrics_as_platform', 'metrics_of_statements')) \
           and not (acl.grantee = 'nebula_worker'::regrole and p.proname in ('reset_token', 'metrics', 'metrics_as_platform', 'metrics_of_statements', \
             'claim', 'complete', 'fail', 'extend', 'fan_out', 'relay', 'wait_for_work', 'await_work', 'may_deliver', 'start_task', 'finish_task', \
             'ensure_partitions', 'retention_plan', 'archive_columns', 'archive_page', 'record_archive', 'drop_partition', 'settle_default', \
             'expired_archives', 'forget_archive', 'purge', 'webhook_requests', 'record_deliveries', \
             'start_export', 'export_tables', 'export_rows', 'finish_export', 'expire_exports', 'sealing_keys', 'sealed_rows', 'reseal', 'reveal_credential', \
             'audit_keys', 'begin_audit_round', 'audit_tenants', 'audit_rows', 'audit_segments', 'seal_audit', 'finish_audit_round', 'unsealed_audit_drops', \
             'seal_audit_drop', 'unsealed_audit_erasures', 'seal_audit_erasures', 'audit_heads', 'lost_audit_heads')))",
    );
    holds(
        "tables are their owner's and the platform's",
        &over_tables(
            "select t.relname || ' by ' || coalesce(nullif(acl.grantee, 0)::regrole::text, 'PUBLIC') from tables t \
             cross join lateral aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) acl \
             where t.relowner <> 'nebula_owner'::regrole or acl.grantee = 0 or acl.grantee::regrole::text not in ('nebula_owner', 'nebula_platform')",
        ),
    );
    holds(
        "no column has privileges of its own, but for what anonymising takes out of the audit log (decision 0015)",
        &over_tables(
            "select t.relname || '.' || a.attname || ' ' || a.attacl::text from tables t join pg_attribute a on a.attrelid = t.oid \
             where a.attacl is not null and not (t.relname = 'audit_log' and a.attname in ('ip', 'user_agent') and a.attacl::text = '{nebula_platform=w/nebula_owner}')",
        ),
    );
    holds(
        "only the owner creates in the schema, and PUBLIC doesn't look into it",
        "select coalesce(nullif(acl.grantee, 0)::regrole::text, 'PUBLIC') || ' ' || acl.privilege_type \
         from pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl \
         where n.nspname = 'nebula' and acl.grantee <> n.nspowner and (acl.grantee = 0 \
           or acl.privilege_type = 'CREATE' and acl.grantee <> 'nebula_owner'::regrole)",
    );
    holds(
        "SQL callers have what is made for them and nothing else",
        "select p.oid::regprocedure::text from pg_proc p join pg_language l on l.oid = p.prolang where p.pronamespace = 'nebula'::regnamespace \
         and (has_function_privilege('nebula_app', p.oid, 'execute') or has_function_privilege('authenticated', p.oid, 'execute')) \
         and p.proname not in ('version', 'current_tenant', 'tenant_for', 'current_actor', 'can', 'why', 'routes', 'openapi', 'dispatch', 'call', 'pre_request', 'caller_refusal') \
         and not (l.lanname = 'sql' and not p.prosecdef and p.prosrc ~ '^\\s*select nebula\\.call\\(')",
    );
}

#[test]
fn our_roles_have_no_power_of_their_own_and_no_members() {
    holds(
        "no superuser, bypassrls, createrole, createdb, replication, inherit; three can't log in",
        "select rolname::text from pg_roles where rolname in ('nebula_owner', 'nebula_platform', 'nebula_app', 'nebula_edge', 'nebula_keys', 'nebula_worker') \
         and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolinherit or rolcanlogin <> (rolname in ('nebula_edge', 'nebula_keys', 'nebula_worker')))",
    );
    holds(
        "nobody can act as one of them, but tenants' logins as nebula_app",
        "select roleid::regrole || ' has member ' || member::regrole from pg_auth_members \
         where roleid in ('nebula_owner'::regrole, 'nebula_platform'::regrole, 'nebula_edge'::regrole, 'nebula_keys'::regrole, 'nebula_worker'::regrole) \
            or member in ('nebula_owner'::regrole, 'nebula_platform'::regrole, 'nebula_edge'::regrole, 'nebula_keys'::regrole, 'nebula_worker'::regrole, 'nebula_app'::regrole)",
    );
}

#[test]
fn every_table_is_audited_or_named_here_with_a_reason() {
    holds(
        "insert, update and delete are audited",
        &over_tables(
            "select t.relname || ' ' || verb.name from tables t cross join (values ('insert', 4), ('delete', 8), ('update', 16)) as verb (name, bit) \
             where not t.relispartition \
               and t.relname not in ( \
                 'schema_migration', 'installation', 'seed_history', 'rights_sentinel', /* of the installation; seeds keep their own history */ \
                 'permission_usage', 'revoked_token', 'session', 'refresh_token', /* told by login, logout and reuse */ \
                 'rate_limit', 'login_failure', 'quota_usage', 'gathered_usage', 'usage_metrics', /* counters */ \
                 'sealing_key', 'task', /* no data of anybody's */ \
                 'audit_log', 'audit_segment', 'audit_block', 'audit_erasure', 'audit_watermark', 'idempotency_key', 'outbox', 'webhook_delivery' /* the record itself */ \
               ) \
               and not (t.relname = 'user_secret' and verb.name <> 'insert') /* changes are told by their operation */ \
               and not exists (select from pg_trigger g where g.tgrelid = t.oid and g.tgfoid = 'nebula.audit_change'::regproc and g.tgtype & verb.bit > 0)",
        ),
    );
}

#[test]
fn triggers_that_guard_fire_always() {
    holds(
        "audit, rights and history triggers are enabled always",
        "select t.tgrelid::regclass || ' ' || t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid \
         where c.relnamespace = 'nebula'::regnamespace and not t.tgisinternal and t.tgenabled <> 'A' \
           and t.tgfoid in ('nebula.audit_change'::regproc, 'nebula.rights_changed'::regproc, 'nebula.refuse_change'::regproc, 'nebula.refuse_change_but_erasure'::regproc)",
    );
    holds(
        "the audit log and each partition refuse update, delete and truncate",
        "select c.oid::regclass || ' ' || verb.name from pg_class c cross join (values ('delete', 8), ('update', 16), ('truncate', 32)) as verb (name, bit) \
         where c.relnamespace = 'nebula'::regnamespace and c.relname ~ '^audit_log' and c.relkind in ('r', 'p') \
           and not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgtype & verb.bit > 0 and t.tgenabled = 'A' and t.tgfoid = \
             case verb.name when 'update' then 'nebula.refuse_change_but_erasure'::regproc else 'nebula.refuse_change'::regproc end)",
    );
}

#[test]
fn every_table_that_decides_rights_clears_the_caches() {
    holds(
        "insert, update, delete and truncate clear every backend's cache",
        "select name from unnest(array['tenant', 'tool', 'tool_action', 'package', 'package_action', 'tenant_package', 'tenant_tool_override', 'user', 'group', \
           'user_group', 'group_permission', 'api_key', 'api_key_action', 'role_binding', 'signing_key', 'installation', 'issuer', 'issuer_key', 'operation']) name \
         where coalesce((select bit_or(t.tgtype) from pg_trigger t where t.tgrelid = format('nebula.%I', name)::regclass and t.tgfoid = 'nebula.rights_changed'::regproc), 0) \
           & 56 <> 56",
    );
}

#[test]
fn functions_that_read_the_context_are_not_parallel_safe() {
    holds(
        "only functions without a context are parallel safe",
        "select oid::regprocedure::text from pg_proc where pronamespace = 'nebula'::regnamespace and proparallel = 's' \
         and proname not in ('version', 'uuid_v7', 'random_bytes', 'routes', 'openapi')",
    );
    holds(
        "what policies call is stable and parallel restricted",
        "select oid::regprocedure::text from pg_proc where pronamespace = 'nebula'::regnamespace and proname in ('current_tenant', 'current_actor', 'can', 'why') \
         and (proparallel <> 'r' or provolatile <> 's')",
    );
}

#[test]
fn tables_are_no_members_of_the_extension() {
    holds(
        "pg_dump takes every table",
        "select c.relname::text from pg_depend d join pg_class c on c.oid = d.objid join pg_extension e on e.oid = d.refobjid \
         where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and e.extname = 'nebula'",
    );
}

#[test]
fn the_catalogs_actions_are_the_operations_actions() {
    holds(
        "every operation has its action, with the same kind",
        "select r ->> 'operation' from json_array_elements(nebula.routes()) r \
         where not exists (select from nebula.tool_action a where a.key = r ->> 'operation' and a.kind = r ->> 'kind')",
    );
}
