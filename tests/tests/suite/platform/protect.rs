//! `nebula.protect`: a table that is there, and has rows, is tenant-safe after one call.

use nebula_tests::{
    Shop,
    shop::{PROTECT, number, refusal},
};
use postgres::error::SqlState;
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn each_tenant_sees_and_changes_its_own_rows_and_no_others() {
    let shop = Shop::protected();
    let (mut acme, mut zeta) = (shop.as_acme(), shop.as_zeta());
    assert_eq!((number(&mut acme, "select count(*) from public.orders"), number(&mut zeta, "select count(*) from public.orders")), (5, 5));
    assert_eq!(number(&mut acme, "select count(*) from public.orders where customer_id = 2"), 0);
    for (change, count) in [
        ("update public.orders set total = 0", 5),
        ("update public.orders set total = 0 where customer_id = 2", 0),
        ("delete from public.orders where customer_id = 2", 0),
        ("delete from public.orders where id = 2", 1),
    ] {
        assert_eq!(acme.execute(change, &[]).unwrap(), count, "{change}");
    }
    assert_eq!(number(&mut zeta, "select count(*) from public.orders where total > 0"), 5);
}

#[test]
fn a_row_gets_the_callers_tenant_and_can_get_no_other() {
    let shop = Shop::protected();
    let mut acme = shop.as_acme();
    let tenant: Uuid =
        acme.query_one("insert into public.orders (customer_id, total) values (1, 1) returning tenant_id", &[]).unwrap().get(0);
    assert_eq!(tenant, shop.acme.id);
    for sql in [
        format!("insert into public.orders (customer_id, total, tenant_id) values (1, 1, '{}')", shop.zeta.id),
        format!("update public.orders set tenant_id = '{}'", shop.zeta.id),
        "insert into public.orders (customer_id, total, tenant_id) values (1, 1, null)".to_owned(),
    ] {
        assert_eq!(refusal(&mut acme, &sql).code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
}

#[test]
fn each_verb_needs_the_right_to_its_action() {
    let shop = Shop::protected();
    let all = ["orders.read", "orders.create", "orders.update", "orders.delete"];
    let insert = "insert into public.orders (customer_id, total) values (1, 1)";
    for lacking in all {
        let held = all.iter().copied().filter(|action| *action != lacking).collect::<Vec<_>>();
        let mut login = shop.as_acme_with(&held);
        let sees = number(&mut login, "select count(*) from public.orders");
        assert_eq!(sees > 0, lacking != "orders.read", "without {lacking}");
        assert_eq!(login.execute(insert, &[]).is_ok(), lacking != "orders.create", "without {lacking}");
        // What can't be seen can't be changed either: Postgres asks for the right to read as well.
        let updates = login.execute("update public.orders set total = 2 where customer_id = 1", &[]).unwrap();
        assert_eq!(updates > 0, !["orders.update", "orders.read"].contains(&lacking), "without {lacking}");
        let deletes = login.execute("delete from public.orders where id = (select min(id) from public.orders)", &[]).unwrap();
        assert_eq!(deletes > 0, !["orders.delete", "orders.read"].contains(&lacking), "without {lacking}");
    }
}

#[test]
fn who_is_nobody_sees_nothing_and_writes_nothing() {
    let shop = Shop::protected();
    shop.database.execute("create role nobody_of_shop login; grant nebula_app to nobody_of_shop");
    let mut nobody = shop.database.connect("nobody_of_shop");
    assert_eq!(number(&mut nobody, "select count(*) from public.orders"), 0);
    assert_eq!(
        nobody.execute("update public.orders set total = 0", &[]).unwrap() + nobody.execute("delete from public.orders", &[]).unwrap(),
        0
    );
    for sql in [
        "insert into public.orders (customer_id, total) values (1, 1)".to_owned(),
        format!("insert into public.orders (customer_id, total, tenant_id) values (1, 1, '{}')", shop.acme.id),
    ] {
        assert_eq!(refusal(&mut nobody, &sql).code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    shop.database.execute("drop owned by nobody_of_shop; drop role nobody_of_shop");
}

#[test]
fn the_owner_who_is_no_superuser_is_bound_as_well() {
    let shop = Shop::new();
    shop.database.execute(PROTECT);
    let owner = format!("owner_{}", shop.database.name);
    shop.database.execute(&format!("create role {owner} login; grant nebula_app to {owner}; alter table public.orders owner to {owner}"));
    assert_eq!(number(&mut shop.database.connect(&owner), "select count(*) from public.orders"), 0);
}

#[test]
fn a_change_of_rights_counts_at_the_next_statement() {
    let shop = Shop::protected();
    let mut acme = shop.as_acme();
    acme.batch_execute("prepare seen as select count(*) from public.orders").unwrap();
    let mut seen = || number(&mut acme, "execute seen");
    assert_eq!(seen(), 5);
    for (spoil, mend) in [
        ("update nebula.tool_action set status = 'suspenso' where key = 'orders.read'", "update nebula.tool_action set status = 'ativo'"),
        ("update nebula.tenant set status = 'suspenso' where slug = 'acme'", "update nebula.tenant set status = 'ativo'"),
        ("update nebula.api_key set status = 'suspenso'", "update nebula.api_key set status = 'ativo'"),
    ] {
        shop.database.execute(spoil);
        assert_eq!(seen(), 0, "{spoil}");
        shop.database.execute(mend);
        assert_eq!(seen(), 5, "{mend}");
    }
}

#[test]
fn rows_without_a_tenant_are_refused_with_their_number() {
    let shop = Shop::new();
    shop.database.execute("insert into public.orders (customer_id, total) values (99, 1), (99, 2)");
    let mut dba = shop.database.superuser();
    let refused = refusal(&mut dba, PROTECT);
    assert_eq!((refused.code(), refused.message()), (&SqlState::NOT_NULL_VIOLATION, "2 rows of public.orders have no tenant"));
    assert_eq!(refused.hint(), Some("The tenant_query gives null for them."));
    // All or nothing.
    assert_eq!(
        number(&mut dba, "select count(*) from pg_attribute where attrelid = 'public.orders'::regclass and attname = 'tenant_id'"),
        0
    );
    assert_eq!(number(&mut dba, "select count(*) from nebula.protected_table"), 0);
}

#[test]
fn one_tenant_can_be_named_for_all_rows() {
    let shop = Shop::new();
    shop.database.execute(&format!(
        "select nebula.protect('public.orders', tenant => '{}', package => 'pro', grant_to => '{{nebula_app}}')",
        shop.acme.id
    ));
    assert_eq!(number(&mut shop.as_acme(), "select count(*) from public.orders"), 10);
    assert_eq!(number(&mut shop.as_zeta(), "select count(*) from public.orders"), 0);
    // The default on the way was that tenant; now it is the caller's.
    assert_eq!(shop.as_zeta().execute("insert into public.orders (customer_id, total) values (2, 1)", &[]).unwrap(), 1);
    assert_eq!(number(&mut shop.as_zeta(), "select count(*) from public.orders"), 1);
}

#[test]
fn a_tenants_column_of_another_name_is_taken_as_it_is() {
    let shop = Shop::new();
    shop.database.execute(
        "alter table public.customers rename column tenant_id to \"Mandante\"; \
         select nebula.protect('public.customers', tenant_column => 'Mandante', package => 'pro', grant_to => '{nebula_app}')",
    );
    assert_eq!(number(&mut shop.as_acme(), "select id::bigint from public.customers"), 1);
    let refused = refusal(&mut shop.database.superuser(), "select nebula.protect('public.customers', tenant_column => 'other')");
    assert_eq!(refused.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "{refused:?}");
}

#[test]
fn what_can_not_be_protected_is_refused_and_says_what_to_do() {
    let shop = Shop::new();
    shop.database.execute(
        "create view public.v as select * from public.orders; create materialized view public.m as select 1 as x; create sequence public.s; \
         create temp table t (); create table public.parent (a integer); create table public.child () inherits (public.parent); \
         create table public.p (a integer) partition by list (a); create table public.p1 partition of public.p for values in (1); \
         create table public.odd (tenant_id integer); create table public.made (tenant_id uuid generated always as (null::uuid) stored); \
         create table public.users (id uuid); create table public.\"Ünlü\" (a integer)",
    );
    let mut dba = shop.database.superuser();
    dba.batch_execute("create temp table t (a integer)").unwrap();
    let acme = shop.acme.id;
    for (call, state) in [
        ("'public.v'".to_owned(), "42809"),
        ("'public.m'".to_owned(), "42809"),
        ("'public.s'".to_owned(), "42809"),
        ("'pg_temp.t'".to_owned(), "42809"),
        ("'nebula.tenant'".to_owned(), "42809"),
        ("'pg_catalog.pg_class'".to_owned(), "42809"),
        ("'public.parent'".to_owned(), "42809"),
        ("'public.child'".to_owned(), "42809"),
        ("'public.p1'".to_owned(), "42809"),
        ("'public.odd'".to_owned(), "42809"),
        ("'public.made'".to_owned(), "42809"),
        ("'public.nowhere'".to_owned(), "42P01"),
        // The product's own operations have that name.
        ("'public.users'".to_owned(), "22023"),
        ("'public.\"Ünlü\"'".to_owned(), "22023"),
        ("'public.orders'".to_owned(), "22023"),
        (format!("'public.orders', tenant => '{}'", Uuid::now_v7()), "22023"),
        (format!("'public.orders', tenant => '{acme}', tenant_query => 'null'"), "22023"),
        (format!("'public.orders', tenant => '{acme}', package => 'nowhere'"), "22023"),
        (format!("'public.orders', tenant => '{acme}', resource => 'Orders'"), "22023"),
        (format!("'public.orders', tenant => '{acme}', actions => '{{\"look\": \"orders.read\"}}'"), "22023"),
        (format!("'public.orders', tenant => '{acme}', actions => '{{\"read\": \"no key\"}}'"), "22023"),
        (format!("'public.orders', tenant => '{acme}', personal_columns => '{{nothing}}'"), "22023"),
        (format!("'public.orders', tenant => '{acme}', grant_to => '{{nobody_at_all}}'"), "22023"),
        (format!("'public.orders', tenant => '{acme}', resource => 'user', emits => true"), "22023"),
    ] {
        for dry in ["", ", dry_run => true"] {
            let refused = refusal(&mut dba, &format!("select nebula.protect({call}{dry})"));
            assert_eq!(refused.code().code(), state, "{call}: {refused:?}");
            assert!(state == "42P01" || refused.hint().is_some(), "{call}: {refused:?}");
            assert_eq!(refused.detail(), None, "{call}");
        }
    }
}

#[test]
fn who_does_not_own_the_table_can_neither_protect_nor_unprotect_it() {
    let shop = Shop::protected();
    let other = format!("other_{}", shop.database.name);
    shop.database.execute(&format!(
        "create role {other} login; grant nebula_app to {other}; grant select on public.orders to {other}; \
         grant execute on all functions in schema nebula to {other}"
    ));
    let mut other = shop.database.connect(&other);
    for sql in [
        "select nebula.protect('public.orders')",
        "select nebula.unprotect('public.orders')",
        "select nebula.begin_protection('public.orders', '{}')",
        "select nebula.finish_protection('public.orders')",
        "select nebula.end_protection('public.orders')",
    ] {
        assert_eq!(refusal(&mut other, sql).code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
}

#[test]
fn sql_callers_can_not_call_it_at_all() {
    let shop = Shop::protected();
    for sql in [
        "select nebula.protect('public.orders')",
        "select nebula.unprotect('public.orders')",
        "select nebula.end_protection('public.orders')",
    ] {
        assert_eq!(refusal(&mut shop.as_acme(), sql).code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
}

#[test]
fn an_owner_who_is_no_superuser_protects_their_table_and_keeps_no_right_to_the_tenants() {
    let shop = Shop::new();
    let owner = format!("dba_{}", shop.database.name);
    shop.database.execute(&format!(
        "create role {owner} login; grant usage on schema nebula to {owner}; grant execute on all functions in schema nebula to {owner}; \
         alter table public.orders owner to {owner}; grant select on public.customers to {owner}; grant create on schema public to {owner}"
    ));
    let mut dba = shop.database.connect(&owner);
    dba.batch_execute(PROTECT).unwrap();
    assert_eq!(number(&mut shop.as_acme(), "select count(*) from public.orders"), 5);
    let acl = shop.database.text("select relacl::text from pg_class where oid = 'nebula.tenant'::regclass", &[]);
    assert!(!acl.contains(&owner), "{acl}");
    dba.batch_execute("select nebula.unprotect('public.orders', drop_column => true)").unwrap();
    assert_eq!(number(&mut dba, "select count(*) from public.orders"), 10);
}

#[test]
fn called_again_it_changes_nothing_and_called_otherwise_it_changes_its_options() {
    let shop = Shop::protected();
    let state = || {
        shop.database.texts(
            "select 'policy ' || polname || xmin from pg_policy where polrelid = 'public.orders'::regclass \
             union all select 'trigger ' || tgname || xmin from pg_trigger where tgrelid = 'public.orders'::regclass and not tgisinternal \
             union all select 'class ' || xmin from pg_class where oid = 'public.orders'::regclass \
             union all select 'row ' || xmin from nebula.protected_table order by 1",
            &[],
        )
    };
    let before = state();
    shop.database.execute(PROTECT);
    assert_eq!(state(), before);
    shop.database.execute(
        &PROTECT.replace(", tenant_query", ", actions => '{\"read\": \"orders.view\"}', audited => false, emits => true, tenant_query"),
    );
    let actions = shop.database.texts("select read_action || ' ' || is_audited || ' ' || emits_events from nebula.protected_table", &[]);
    assert_eq!(actions, ["orders.view false true"]);
    let triggers = shop
        .database
        .texts("select tgname::text from pg_trigger where tgrelid = 'public.orders'::regclass and not tgisinternal order by 1", &[]);
    assert_eq!(triggers, ["nebula_emit_delete", "nebula_emit_insert", "nebula_emit_update"]);
    let reads = shop.database.text("select pg_get_expr(polqual, polrelid) from pg_policy where polname = 'nebula_read'", &[]);
    assert_eq!(reads, "(tenant_id = nebula.tenant_for('orders.view'::text))");
    assert_eq!(number(&mut shop.as_acme(), "select count(*) from public.orders"), 5);
}

#[test]
fn a_dry_run_says_every_step_and_does_none() {
    let shop = Shop::new();
    let before = shop.dump();
    let dry = PROTECT
        .replace("select nebula", "select name || ':' || is_done from nebula")
        .replace("public.orders'", "public.orders', dry_run => true");
    let steps = shop.database.texts(&dry, &[]);
    assert_eq!(
        steps,
        [
            "begin:false",
            "add_tenant_column:false",
            "fill_tenant_column:false",
            "index:false",
            "foreign_key:false",
            "validate_foreign_key:false",
            "switch:false",
            "validate_not_null:false",
            "set_not_null:false",
            "finish:false"
        ]
    );
    assert_eq!(shop.dump(), before);
    shop.database.execute(PROTECT);
    assert!(shop.database.texts(&dry, &[]).iter().all(|step| step.ends_with(":true")));
}

#[test]
fn the_steps_of_a_dry_run_can_be_run_one_by_one() {
    let shop = Shop::new();
    let mut dba = shop.database.superuser();
    let dry = PROTECT.replace("select nebula", "select sql from nebula").replace("public.orders'", "public.orders', dry_run => true")
        + " where not is_done order by step";
    let steps = shop.database.texts(&dry, &[]);
    dba.batch_execute("set search_path = pg_catalog, pg_temp").unwrap();
    for (at, step) in steps.iter().enumerate() {
        // Nobody sees more on the way than before, and a session of its own can go on from here.
        dba.batch_execute(step).unwrap_or_else(|error| panic!("{step}: {error:?}"));
        let left = shop.database.texts(&dry, &[]);
        // Few rows are left to the switch to fill.
        assert!(left.len() < steps.len() - at, "after {step}: {left:#?}");
    }
    assert_eq!(number(&mut shop.as_acme(), "select count(*) from public.orders"), 5);
    assert_eq!(shop.database.text("select is_complete::text from nebula.protected_table", &[]), "true");
}

#[test]
fn whoever_truncates_refers_or_adds_triggers_is_not_bound_by_rows_and_may_no_more() {
    let shop = Shop::new();
    // As Supabase's default privileges do.
    shop.database.execute("grant all on public.orders to anon, authenticated, nebula_app");
    shop.database.execute(PROTECT);
    let left = shop.database.texts(
        "select distinct lower(acl.privilege_type) from pg_class c cross join lateral aclexplode(c.relacl) acl \
         where c.oid = 'public.orders'::regclass and acl.grantee <> c.relowner order by 1",
        &[],
    );
    assert_eq!(left, ["delete", "insert", "select", "update"]);
    for sql in [
        "truncate public.orders",
        "create trigger t before insert on public.orders for each row execute function nebula.touch_updated_at()",
    ] {
        assert_eq!(refusal(&mut shop.as_acme(), sql).code(), &SqlState::INSUFFICIENT_PRIVILEGE, "{sql}");
    }
}

#[test]
fn permissive_policies_that_were_there_are_told_of_and_taken_out_only_when_asked() {
    let shop = Shop::new();
    shop.database.execute("alter table public.orders enable row level security; create policy everybody on public.orders using (true)");
    let notes = shop.database.texts(&PROTECT.replace("select nebula", "select note from nebula"), &[]);
    assert!(notes.iter().any(|note| note.starts_with("the policy everybody stays")), "{notes:?}");
    // Within the tenant it admits what a right doesn't; beyond it nothing.
    let mut login = shop.as_acme_with(&["orders.create"]);
    assert_eq!(number(&mut login, "select count(*) from public.orders"), 5);
    shop.database.execute(&PROTECT.replace(", tenant_query", ", replace_policies => true, tenant_query"));
    assert_eq!(number(&mut login, "select count(*) from public.orders"), 0);
    assert_eq!(number(&mut shop.as_acme(), "select count(*) from public.orders"), 5);
}

#[test]
fn oracles_that_are_left_are_told_of() {
    let shop = Shop::new();
    shop.database.execute(
        "create unique index by_email on public.orders (email); \
         alter table public.orders add constraint of_customer foreign key (customer_id) references public.customers (id)",
    );
    let notes = shop.database.texts(&(PROTECT.replace("select nebula", "select note from nebula") + " where name = 'note'"), &[]);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("of_customer") && notes[1].contains("by_email"), "{notes:?}");
}

/// The newest audit row of a tenant about the table, as JSON.
fn audited(shop: &Shop, tenant: Uuid) -> Value {
    let sql = "select to_jsonb(a)::text from nebula.audit_log a where a.tenant_id = $1 and a.entity_type like 'public.%' order by a.created_at desc, a.id desc limit 1";
    serde_json::from_str(&shop.database.text(sql, &[&tenant])).unwrap()
}

#[test]
fn each_changed_row_is_audited_with_who_changed_it_and_no_value() {
    let shop = Shop::new();
    shop.database.execute(&PROTECT.replace(", tenant_query", ", personal_columns => '{email}', tenant_query"));
    let mut acme = shop.as_acme();
    acme.execute("insert into public.orders (id, customer_id, total, email) values (900, 1, 1, 'ana@secret.example')", &[]).unwrap();
    let row = audited(&shop, shop.acme.id);
    assert_eq!(
        (&row["action"], &row["entity_type"], &row["actor_type"], &row["entity_id"]),
        (&json!("orders.create"), &json!("public.orders"), &json!("service"), &Value::Null)
    );
    assert!(row["actor_api_key_id"].is_string());
    assert_eq!((&row["metadata"]["verb"], &row["metadata"]["key"]), (&json!("insert"), &json!({ "id": 900 })));
    acme.execute("update public.orders set email = 'bia@secret.example', total = total, id = 901 where id = 900", &[]).unwrap();
    let row = audited(&shop, shop.acme.id);
    assert_eq!((&row["metadata"]["changed"], &row["metadata"]["key"]), (&json!(["id", "email"]), &json!({ "id": 901 })));
    acme.execute("delete from public.orders where id = 901", &[]).unwrap();
    assert_eq!(audited(&shop, shop.acme.id)["metadata"]["verb"], "delete");
    // A DBA's SQL too, in the log of the row's tenant.
    shop.database.execute("update public.orders set total = 0 where customer_id = 2");
    let row = audited(&shop, shop.zeta.id);
    assert_eq!(
        (&row["action"], &row["actor_type"], &row["metadata"]["role"]),
        (&json!("orders.update"), &json!("system"), &json!("postgres"))
    );
    let secrets = "select count(*) from nebula.audit_log a where a::text like '%secret.example%'";
    assert_eq!(shop.database.number(secrets, &[]), 0);
}

#[test]
fn a_key_is_told_as_postgres_would_tell_it_whatever_its_types() {
    let shop = Shop::new();
    shop.database.execute(&format!(
        "create type public.size as enum ('small', 'large'); \
         create table public.keys ( \
           a smallint, b integer, c bigint, d text, e varchar(9), f char(4), g numeric(9, 3), h boolean, i date, j uuid, k timestamptz, l public.size, m double precision, \
           n bytea, \"näme \"\"o\" text, primary key (a, b, c, d, e, f, g, h, i, j, k, l, m, n, \"näme \"\"o\")); \
         select nebula.protect('public.keys', tenant => '{}', package => 'pro', grant_to => '{{nebula_app}}')",
        shop.acme.id
    ));
    let values = [
        "-32768, -2147483648, -9223372036854775808, E'a\\u0001\"\\\\ é😀', 'varchar', 'x', 1.500, true, '2026-02-28', '0190a0b0-0000-7000-8000-000000000001', \
         '2026-02-28 12:00:00.5+03', 'large', 0.1, '\\x00ff', ''",
        "32767, 2147483647, 9223372036854775807, '', '', '', 'NaN', false, 'infinity', '00000000-0000-0000-0000-000000000000', '-infinity', 'small', '-Infinity', '', 'n'",
        "0, 0, 0, 'null', '1', '2', 0, false, '0001-01-01 BC', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '2026-01-01 00:00:00Z', 'small', 1e300, '\\x', repeat('x', 500)",
    ];
    // As the trigger: UTC and ISO, whatever the caller has set. A double is told as its text.
    let expected = "set timezone = 'UTC'; set datestyle = 'ISO'; set extra_float_digits = 1; set bytea_output = 'hex'";
    let mut superuser = shop.database.superuser();
    superuser.batch_execute(expected).unwrap();
    for values in values {
        shop.as_acme().execute(&format!("insert into public.keys values ({values})"), &[]).unwrap_or_else(|error| panic!("{error:?}"));
        let sql = "select (to_jsonb(keys) - 'tenant_id' || jsonb_build_object('m', keys.m::text))::text, (a.metadata -> 'key')::text from public.keys, \
                   (select metadata from nebula.audit_log where entity_type = 'public.keys' order by created_at desc, id desc limit 1) a";
        let row = superuser.query_one(sql, &[]).unwrap();
        assert_eq!(row.get::<_, String>(1), row.get::<_, String>(0), "{values}");
        superuser.batch_execute("delete from public.keys").unwrap();
    }
}

#[test]
fn tables_of_any_key_and_any_type_are_audited() {
    let shop = Shop::new();
    shop.database.execute(&format!(
        "create type public.pair as (a integer, b text); create domain public.cpf as text; \
         create table public.none (x integer, j json, p point, x2 xml, c public.pair); \
         create table public.composite (a integer, b public.cpf, j json, primary key (a, b)); \
         create table public.by_uuid (id uuid primary key default gen_random_uuid(), s public.cpf, \"it's \"\"odd\"\"\" box); \
         create table public.secret_key (mail text primary key, n integer); \
         select nebula.protect(t::regclass, tenant => '{0}', package => 'pro', grant_to => '{{nebula_app}}', touches_updated_at => true) \
         from unnest(array['public.none', 'public.composite', 'public.by_uuid']) t; \
         select nebula.protect('public.secret_key', tenant => '{0}', package => 'pro', grant_to => '{{nebula_app}}', personal_columns => '{{mail}}')",
        shop.acme.id
    ));
    let mut acme = shop.as_acme();
    let seen = |sql: &str, acme: &mut postgres::Client| {
        acme.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        audited(&shop, shop.acme.id)
    };
    seen("insert into public.none values (1, '{}', '(1,2)', '<a/>', row(1, 'x')), (2, '[]', '(1,2)', '<b/>', null)", &mut acme);
    let row = seen("update public.none set j = '{\"a\":1}', p = '(2,2)' where x = 2", &mut acme);
    assert_eq!((&row["metadata"]["changed"], &row["metadata"]["key"]), (&json!(["j", "p"]), &Value::Null));
    seen("insert into public.composite values (7, 'x', '{}')", &mut acme);
    let row = seen("update public.composite set a = 8", &mut acme);
    assert_eq!((&row["metadata"]["changed"], &row["metadata"]["key"]), (&json!(["a"]), &json!({ "a": 8, "b": "x" })));
    let row = seen("insert into public.by_uuid (s) values ('x')", &mut acme);
    assert!(row["entity_id"].is_string() && row["metadata"]["key"].is_null(), "{row}");
    let row = seen("update public.by_uuid set \"it's \"\"odd\"\"\" = '(1,1),(0,0)'", &mut acme);
    assert_eq!(row["metadata"]["changed"], json!(["it's \"odd\""]));
    let row = seen("insert into public.secret_key values ('ana@secret.example', 1)", &mut acme);
    assert!(!row.to_string().contains("secret.example"), "{row}");
}

#[test]
fn old_and_new_rows_of_a_statement_over_many_are_told_apart() {
    let shop = Shop::protected();
    let mut acme = shop.as_acme();
    acme.batch_execute(
        "update public.orders set total = case when id = 4 then total + 1 else total end, email = case when id = 6 then 'x' else email end",
    )
    .unwrap();
    let told = shop.database.texts(
        "select a.metadata -> 'key' ->> 'id' || ' ' || (a.metadata ->> 'changed') from nebula.audit_log a where a.entity_type = 'public.orders' \
         and a.metadata ->> 'changed' <> '[]' order by 1",
        &[],
    );
    assert_eq!(told, ["4 [\"total\"]", "6 [\"email\"]"]);
}

#[test]
fn replication_role_is_no_way_around_the_audit() {
    let shop = Shop::protected();
    let before = shop.database.number("select count(*) from nebula.audit_log", &[]);
    shop.database.execute("set session_replication_role = replica; update public.orders set total = 0");
    assert_eq!(shop.database.number("select count(*) from nebula.audit_log", &[]), before + 10);
}

#[test]
fn events_carry_the_key_and_nothing_else() {
    let shop = Shop::new();
    shop.database.execute(&PROTECT.replace(", tenant_query", ", emits => true, tenant_query"));
    let mut acme = shop.as_acme();
    acme.batch_execute(
        "insert into public.orders (id, customer_id, total, email) values (900, 1, 1, 'ana@secret.example'); \
         update public.orders set total = 2 where id = 900; delete from public.orders where id = 900",
    )
    .unwrap();
    acme.batch_execute("begin; insert into public.orders (id, customer_id, total) values (901, 1, 1); rollback").unwrap();
    let events = shop.database.texts(
        "select type || ' ' || aggregate || ' ' || payload::text || ' ' || (tenant_id = (select id from nebula.tenant where slug = 'acme')) from nebula.outbox where type like 'orders.%' order by position",
        &[],
    );
    let event = |verb: &str| format!("orders.{verb} orders/900 {{\"data\": {{\"id\": 900}}, \"version\": 1}} true");
    assert_eq!(events, [event("created"), event("updated"), event("deleted")]);
}

#[test]
fn updated_at_is_added_and_kept_where_it_is_wanted() {
    let shop = Shop::new();
    shop.database.execute(&PROTECT.replace(", tenant_query", ", touches_updated_at => true, tenant_query"));
    let mut acme = shop.as_acme();
    acme.batch_execute("update public.orders set updated_at = '2000-01-01' where id = 2").unwrap();
    assert_eq!(number(&mut acme, "select count(*) from public.orders where updated_at > now() - interval '1 minute'"), 5);
}

#[test]
fn a_partitioned_table_is_safe_by_its_partitions_names_too() {
    let shop = Shop::new();
    shop.database.execute(
        "create table public.visits (id bigint generated by default as identity, customer_id integer, at date, primary key (id, at)) partition by range (at); \
         create table public.visits_2025 partition of public.visits for values from ('2025-01-01') to ('2026-01-01'); \
         create table public.visits_2026 partition of public.visits for values from ('2026-01-01') to ('2027-01-01'); \
         insert into public.visits (customer_id, at) select 1 + n % 2, date '2025-12-01' + n from generate_series(1, 60) n; \
         grant all on all tables in schema public to nebula_app; \
         select nebula.protect('public.visits', package => 'pro', grant_to => '{nebula_app}', touches_updated_at => true, emits => true, \
           tenant_query => 'select c.tenant_id from public.customers c where c.id = t.customer_id')",
    );
    let mut acme = shop.as_acme();
    assert_eq!(number(&mut acme, "select count(*) from public.visits"), 30);
    assert_eq!(
        number(&mut acme, "select count(*) from public.visits_2025") + number(&mut acme, "select count(*) from public.visits_2026"),
        30
    );
    assert_eq!(refusal(&mut acme, "truncate public.visits_2025").code(), &SqlState::INSUFFICIENT_PRIVILEGE);
    acme.batch_execute("insert into public.visits_2026 (id, customer_id, at) values (900, 1, '2026-05-05'); update public.visits set at = '2025-05-05' where at = '2026-05-05'").unwrap();
    let row = audited(&shop, shop.acme.id);
    assert_eq!((&row["entity_type"], &row["metadata"]["changed"]), (&json!("public.visits"), &json!(["at"])));
    // A partition that comes later is bound by the next call.
    shop.database.execute("create table public.visits_2027 partition of public.visits for values from ('2027-01-01') to ('2028-01-01')");
    shop.database.execute(
        "select nebula.protect('public.visits', package => 'pro', grant_to => '{nebula_app}', touches_updated_at => true, emits => true)",
    );
    let bound =
        "select count(*) from pg_class where relname like 'visits%' and relkind in ('r', 'p') and relrowsecurity and relforcerowsecurity";
    assert_eq!(shop.database.number(bound, &[]), 4);
}

#[test]
fn administrators_hold_the_actions_of_a_package_at_once() {
    let shop = Shop::protected();
    let grants = "select count(*) from nebula.group_permission gp join nebula.tool_action a on a.id = gp.tool_action_id join nebula.group g on g.id = gp.group_id \
        where a.key like 'orders.%' and g.name = 'ADM_CLIENTE'";
    assert_eq!(shop.database.number(grants, &[]), 8);
    let kinds = shop.database.texts("select key || ' ' || kind from nebula.tool_action where key like 'orders.%' order by 1", &[]);
    assert_eq!(kinds, ["orders.create write", "orders.delete write", "orders.read read", "orders.update write"]);
}

#[test]
fn roles_that_are_granted_a_table_can_use_its_sequences() {
    let shop = Shop::new();
    shop.database.execute(
        "create table public.serials (id serial primary key, n integer); \
         select nebula.protect('public.serials', package => 'pro', grant_to => '{nebula_app}')",
    );
    assert_eq!(shop.as_acme().execute("insert into public.serials (n) values (1)", &[]).unwrap(), 1);
    shop.database.execute("select nebula.unprotect('public.serials', drop_column => true)");
    let acl = shop.database.text("select coalesce(relacl::text, '') from pg_class where oid = 'public.serials_id_seq'::regclass", &[]);
    assert!(!acl.contains("nebula_app"), "{acl}");
}

#[test]
fn an_owner_from_whom_row_security_hides_rows_is_refused_rather_than_leaving_them_out() {
    let shop = Shop::new();
    let owner = format!("blind_{}", shop.database.name);
    shop.database.execute(&format!(
        "create role {owner} login; grant usage on schema nebula to {owner}; grant execute on all functions in schema nebula to {owner}; \
         grant select on public.customers to {owner}; grant create on schema public to {owner}; \
         create policy first_half on public.orders using (customer_id = 1); alter table public.orders owner to {owner}; \
         alter table public.orders enable row level security; alter table public.orders force row level security"
    ));
    let mut dba = shop.database.connect(&owner);
    let refused = refusal(&mut dba, PROTECT);
    assert_eq!(
        (refused.code(), refused.message()),
        (&SqlState::INSUFFICIENT_PRIVILEGE, "row security hides rows of public.orders from you")
    );
    dba.batch_execute("alter table public.orders no force row level security").unwrap();
    dba.batch_execute(PROTECT).unwrap();
    assert_eq!(shop.database.number("select count(*) from public.orders where tenant_id is not null", &[]), 10);
}

#[test]
fn hostile_names_are_names_and_nothing_else() {
    let shop = Shop::new();
    let name = "o\"; drop table public.customers; --'$nebula$";
    let quoted = format!("public.\"{}\"", name.replace('"', "\"\""));
    let options = "resource => 'odd', tenant_column => 'ten\"''ant $nebula$', package => 'pro', grant_to => '{nebula_app}', emits => true, touches_updated_at => true, \
        tenant_query => 'select c.tenant_id /* $nebula$ '' */ from public.customers c where c.id = t.\"ke''y\"\"\"'";
    shop.database.execute(&format!(
        "create table {quoted} (\"ke'y\"\"\" integer primary key, \"va'lue\" text); insert into {quoted} values (1, 'x'), (2, 'y')"
    ));
    let target = quoted.replace('\'', "''");
    let before = shop.dump();
    // Both ways to do it.
    let steps = shop
        .database
        .texts(&format!("select sql from nebula.protect('{target}', {options}, dry_run => true) where not is_done order by step"), &[]);
    for step in steps {
        shop.database.execute(&step);
    }
    let mut acme = shop.as_acme();
    assert_eq!(number(&mut acme, &format!("select count(*) from {quoted}")), 1);
    acme.batch_execute(&format!("update {quoted} set \"va'lue\" = 'z'; delete from {quoted}")).unwrap();
    assert_eq!(audited(&shop, shop.acme.id)["metadata"]["key"], json!({ "ke'y\"": 1 }));
    shop.database.execute(&format!("insert into {quoted} values (1, 'x', '{}')", shop.acme.id));
    shop.database.execute(&format!("select nebula.unprotect('{target}', drop_column => true)"));
    shop.database
        .execute(&format!("select nebula.protect('{target}', {options}); select nebula.unprotect('{target}', drop_column => true)"));
    let is_theirs = |line: &&str| line.contains("ke'y") || line.contains("va'lue") || line.contains("drop table public.customers");
    let theirs = |dump: &str| {
        dump.lines()
            .filter(is_theirs)
            .filter(|line| line.contains("CREATE") || line.contains("COPY"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(theirs(&shop.dump()), theirs(&before));
    assert_eq!(shop.database.number("select count(*) from public.customers", &[]), 2);
}
