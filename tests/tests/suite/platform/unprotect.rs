//! `nebula.unprotect` gives a table back as it was; a dump and a restore give back a protected one.

use nebula_tests::{
    Database, Shop,
    shop::{PROTECT, number, refusal},
};

/// Everything about the application's tables: the schema as pg_dump writes it, privileges included, and the rows.
fn application(database: &Database) -> Vec<String> {
    let dump = database.dump();
    let is_ours = |line: &&str| !line.starts_with("--") && !line.trim().is_empty();
    // The product's own tables, whose rows are told in between, come first and last.
    let mut lines = dump.lines().filter(is_ours).filter(|line| line.contains("public.")).map(str::to_owned).collect::<Vec<_>>();
    lines.extend(database.texts(
        "select c.relname || ' ' || coalesce((select string_agg(acl::text, ',' order by acl::text) from unnest(coalesce(c.relacl, acldefault('r', c.relowner))) acl), '') \
           || c.relrowsecurity || c.relforcerowsecurity || coalesce((select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull || coalesce(pg_get_expr(d.adbin, d.adrelid), ''), ',' order by a.attnum) \
             from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '') \
         from pg_class c where c.relnamespace = 'public'::regnamespace \
         union all select 'policy ' || p::text from pg_policies p where p.schemaname = 'public' \
         union all select 'comment ' || description from pg_description where classoid = 'pg_policy'::regclass \
         union all select 'trigger ' || pg_get_triggerdef(t.oid) || tgenabled::text from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = 'public'::regnamespace and not tgisinternal \
         union all select 'constraint ' || conname || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace \
         order by 1",
        &[],
    ));
    for table in database
        .texts("select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1", &[])
    {
        lines.extend(database.texts(&format!("select t::text from {table} t order by 1"), &[]));
    }
    lines
}

/// Protects by `protect` and gives back: nothing is as it wasn't.
#[track_caller]
fn comes_back(prepare: &str, protect: &str, unprotect: &str) {
    let shop = Shop::new();
    shop.database.execute(prepare);
    let before = application(&shop.database);
    shop.database.execute(protect);
    assert_ne!(application(&shop.database), before);
    shop.database.execute(unprotect);
    assert_eq!(application(&shop.database), before);
    assert_eq!(shop.database.number("select count(*) from nebula.protected_table", &[]), 0);
    // And once more.
    shop.database.execute(protect);
    shop.database.execute(unprotect);
    assert_eq!(application(&shop.database), before);
}

const ALL: &str = "select nebula.unprotect('public.orders', drop_column => true)";

#[test]
fn a_plain_table_comes_back_as_it_was() {
    comes_back("select", PROTECT, ALL);
}

#[test]
fn a_table_with_policies_privileges_triggers_and_defaults_comes_back_as_it_was() {
    comes_back(
        "grant all on public.orders to anon, authenticated, nebula_app; grant truncate on public.orders to public; \
         grant references on public.orders to authenticated with grant option; \
         create function public.f() returns trigger language plpgsql as 'begin return new; end'; \
         create trigger theirs before update on public.orders for each row execute function public.f(); \
         alter table public.orders enable row level security; \
         create policy \"Odd \"\"one\"\"\" on public.orders as permissive for update to authenticated, nebula_app using (total > 0) with check (total < 100); \
         comment on policy \"Odd \"\"one\"\"\" on public.orders is 'it''s theirs'; \
         create policy kept on public.orders as restrictive for select to public using (true)",
        &PROTECT.replace(", tenant_query", ", replace_policies => true, emits => true, touches_updated_at => true, tenant_query"),
        ALL,
    );
}

#[test]
fn a_column_that_was_there_comes_back_with_its_default_and_its_nulls() {
    comes_back(
        "alter table public.orders add column tenant_id uuid default '00000000-0000-0000-0000-000000000001'; \
         update public.orders t set tenant_id = c.tenant_id from public.customers c where c.id = t.customer_id; \
         create index theirs on public.orders (tenant_id, id); alter table public.orders force row level security",
        PROTECT,
        ALL,
    );
}

#[test]
fn a_partitioned_table_comes_back_as_it_was() {
    comes_back(
        "create table public.visits (id integer, customer_id integer) partition by list (id); \
         create table public.visits_1 partition of public.visits for values in (1); create table public.visits_2 partition of public.visits default; \
         insert into public.visits values (1, 1), (2, 2); grant all on public.visits, public.visits_1 to authenticated; \
         alter table public.visits_2 enable row level security; create policy anything on public.visits_2 using (true)",
        "select nebula.protect('public.visits', replace_policies => true, touches_updated_at => true, \
           tenant_query => 'select c.tenant_id from public.customers c where c.id = t.customer_id')",
        "select nebula.unprotect('public.visits', drop_column => true)",
    );
}

#[test]
fn unless_asked_the_column_that_was_added_stays_with_its_values_and_binds_nobody() {
    let shop = Shop::protected();
    shop.database.execute("select nebula.unprotect('public.orders')");
    assert_eq!(shop.database.number("select count(*) from public.orders where tenant_id is not null", &[]), 10);
    shop.database.execute("insert into public.orders (customer_id, total) values (1, 1)");
    let column = shop.database.text(
        "select a.attnotnull || ' ' || a.atthasdef from pg_attribute a where attrelid = 'public.orders'::regclass and attname = 'tenant_id'", &[]);
    assert_eq!(column, "false false");
    // Protected again, it is known whose most rows are.
    shop.database.execute(PROTECT);
    assert_eq!(number(&mut shop.as_acme(), "select count(*) from public.orders"), 6);
}

#[test]
fn a_table_that_is_not_protected_can_not_be_given_back() {
    let shop = Shop::new();
    let refused = refusal(&mut shop.database.superuser(), "select nebula.unprotect('public.orders')");
    assert_eq!((refused.code().code(), refused.message()), ("55000", "public.orders is not protected"));
}

#[test]
fn a_dry_run_says_the_steps_and_does_none() {
    let shop = Shop::protected();
    let before = shop.dump();
    let steps =
        shop.database.texts("select sql from nebula.unprotect('public.orders', drop_column => true, dry_run => true) order by step", &[]);
    assert_eq!(shop.dump(), before);
    for step in steps {
        shop.database.execute(&step);
    }
    assert_eq!(shop.database.number("select count(*) from nebula.protected_table", &[]), 0);
}

#[test]
fn a_protect_that_was_begun_and_no_more_can_be_given_back() {
    let shop = Shop::new();
    let before = application(&shop.database);
    let dry = PROTECT.replace("select nebula", "select sql from nebula").replace("public.orders'", "public.orders', dry_run => true")
        + " order by step";
    let steps = shop.database.texts(&dry, &[]);
    for done in 1..steps.len() {
        for step in &steps[..done] {
            shop.database.execute(step);
        }
        shop.database.execute(ALL);
        assert_eq!(application(&shop.database), before, "after {done} steps");
    }
}

#[test]
fn a_dump_gives_a_protected_table_back() {
    let shop = Shop::protected();
    shop.database.execute("create table public.\"Gone\" (id integer); select nebula.protect('public.\"Gone\"', resource => 'gone'); drop table public.\"Gone\"");
    let restored = shop.database.restored("protected");
    assert_eq!(application(&restored), application(&shop.database));
    let mut acme = restored.connect(&shop.acme_login);
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 5);
    restored.execute("create policy anything on public.orders using (true); drop policy nebula_tenant on public.orders");
    acme.batch_execute("select nebula.version()").unwrap();
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 5);
    acme.batch_execute("update public.orders set total = 0").unwrap();
    assert_eq!(restored.number("select count(*) from nebula.audit_log where entity_type = 'public.orders'", &[]), 5);
    // Options are known there as well.
    restored.execute(PROTECT);
    restored.execute(ALL);
}
