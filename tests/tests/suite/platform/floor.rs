//! The tenant floor: whatever policies a protected table loses or gains, its rows are the caller's tenant's.

use nebula_tests::{
    Library, Shop,
    shop::{PROTECT, number},
};
use std::time::Duration;

const OPEN: &str = "create policy anything on public.orders using (true) with check (true)";

#[test]
fn a_policy_that_admits_everything_leaks_nothing() {
    let shop = Shop::protected();
    shop.database.execute(OPEN);
    let mut acme = shop.as_acme();
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 5);
    assert_eq!(acme.execute("update public.orders set total = 0", &[]).unwrap(), 5);
    assert!(acme.execute("insert into public.orders (customer_id, total, tenant_id) select 1, 1, id from public.customers c join lateral (select gen_random_uuid() as id) x on true", &[]).is_err());
}

#[test]
fn with_the_library_loaded_it_holds_without_any_policy_of_ours() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute(PROTECT);
    shop.database.execute(OPEN);
    for name in ["nebula_tenant", "nebula_read", "nebula_create", "nebula_update", "nebula_delete"] {
        shop.database.execute(&format!("drop policy {name} on public.orders"));
    }
    let (mut acme, mut zeta) = (shop.as_acme(), shop.as_zeta());
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 5);
    assert_eq!(acme.execute("update public.orders set total = 0", &[]).unwrap(), 5);
    assert_eq!(number(&mut zeta, "select count(*) from public.orders where total > 0"), 5);
    let foreign = format!("insert into public.orders (customer_id, total, tenant_id) values (1, 1, '{}')", shop.zeta.id);
    assert!(acme.execute(&foreign, &[]).is_err());
    assert_eq!(acme.execute("insert into public.orders (customer_id, total) values (1, 1)", &[]).unwrap(), 1);
    // Through a view of the DBA's that runs as who asks.
    shop.database.execute("create view public.all_orders with (security_invoker) as select * from public.orders; grant select on public.all_orders to nebula_app");
    assert_eq!(number(&mut acme, "select count(*) from public.all_orders"), 6);
}

#[test]
fn a_session_that_loads_the_library_first_has_it_too() {
    let shop = Shop::protected();
    shop.database.execute(OPEN);
    shop.database.execute("drop policy nebula_tenant on public.orders");
    let mut acme = shop.as_acme();
    acme.batch_execute("select nebula.version()").unwrap();
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 5);
}

#[test]
fn it_follows_a_change_of_tenant_in_a_plan_that_is_kept() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute(PROTECT);
    shop.database.execute(OPEN);
    shop.database.execute("drop policy nebula_tenant on public.orders");
    let mut dba = shop.database.superuser();
    dba.batch_execute("set plan_cache_mode = force_generic_plan; prepare mine as select count(*) from public.orders where total > $1")
        .unwrap();
    for _ in 0..3 {
        for (login, tenant) in [(&shop.acme_login, shop.acme.id), (&shop.zeta_login, shop.zeta.id)] {
            dba.batch_execute(&format!("set session authorization {login}")).unwrap();
            assert_eq!(number(&mut dba, "execute mine(0)"), 5);
            let foreign = format!("select count(*) from public.orders where tenant_id <> '{tenant}'");
            assert_eq!(number(&mut dba, &foreign), 0);
            dba.batch_execute("reset session authorization").unwrap();
        }
    }
}

#[test]
fn it_follows_renames_and_fails_closed_where_the_column_is_gone() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute(PROTECT);
    shop.database.execute(OPEN);
    let mut acme = shop.as_acme();
    let everything = "select count(*) from public.orders";
    assert_eq!(number(&mut acme, everything), 5);
    shop.database.execute("alter table public.orders rename column tenant_id to mandante; drop policy nebula_tenant on public.orders");
    assert_eq!(number(&mut acme, everything), 5);
    shop.database.execute("alter table public.orders rename to sales");
    assert_eq!(number(&mut acme, "select count(*) from public.sales"), 5);
    acme.batch_execute("update public.sales set total = 0").unwrap();
    let audited =
        shop.database.text("select entity_type from nebula.audit_log where action = 'orders.update' order by created_at desc limit 1", &[]);
    assert_eq!(audited, "public.sales");
    shop.database.execute("alter table public.sales drop column mandante cascade");
    assert_eq!(number(&mut acme, "select count(*) from public.sales"), 0);
}

#[test]
fn a_table_that_was_dropped_and_one_that_takes_its_place_disturb_nobody() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute(PROTECT);
    let mut acme = shop.as_acme();
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 5);
    shop.database.execute("drop table public.orders");
    shop.database.execute(
        "create table public.orders (id integer, tenant_id uuid); insert into public.orders values (1, null); alter table public.orders enable row level security; \
         create policy anything on public.orders using (true); grant select on public.orders to nebula_app",
    );
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 1);
    // A dump writes the old row with a number that may be another table's: without a mark of ours it binds nobody.
    shop.database.execute("update nebula.protected_table set relation = 'public.orders'");
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 1);
    shop.database.execute("select nebula.protect('public.customers', package => 'pro')");
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 1);
}

#[test]
fn a_change_counts_at_the_next_statement_of_a_warm_session() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute("alter table public.orders enable row level security; create policy anything on public.orders using (true); grant select on public.orders to nebula_app");
    let mut acme = shop.as_acme();
    let everything = "select count(*) from public.orders";
    acme.batch_execute(&format!("prepare seen as {everything}")).unwrap();
    assert_eq!((number(&mut acme, everything), number(&mut acme, "execute seen")), (10, 10));
    shop.database.execute(PROTECT);
    assert_eq!((number(&mut acme, everything), number(&mut acme, "execute seen")), (5, 5));
    shop.database.execute("select nebula.unprotect('public.orders')");
    assert_eq!((number(&mut acme, everything), number(&mut acme, "execute seen")), (10, 10));
}

#[test]
fn a_parallel_plan_sees_what_a_serial_one_sees() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute(PROTECT);
    let mut acme = shop.as_acme();
    // Renamed in 16.
    acme.batch_execute(
        "select set_config(name, 'on', false) from pg_settings where name in ('force_parallel_mode', 'debug_parallel_query')",
    )
    .unwrap();
    acme.batch_execute("set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0").unwrap();
    assert_eq!(number(&mut acme, "select count(*) from public.orders"), 5);
    assert_eq!(number(&mut acme, "select count(*) from public.orders o join public.orders p using (id)"), 5);
}

#[test]
fn it_costs_no_second_condition_and_keeps_the_index() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute(PROTECT);
    shop.database.execute("insert into public.orders (customer_id, total, tenant_id) select 1, n, (select tenant_id from public.customers where id = 1 + n % 2) from generate_series(1, 5000) n; analyze public.orders");
    let mut acme = shop.as_acme();
    acme.batch_execute("set enable_seqscan = off").unwrap();
    // An index that was made beside changed rows serves nobody until every transaction of then is over (indcheckxmin): another one's, too.
    let plan = std::iter::repeat_with(|| {
        let plan = acme.query("explain (verbose) select count(*) from public.orders", &[]).unwrap();
        plan.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n")
    });
    let is_served = |plan: &String| {
        plan.contains("idx_orders_tenant_id") || {
            std::thread::sleep(Duration::from_millis(100));
            false
        }
    };
    let plan = plan.take(300).find(is_served).expect("the index is never used");
    assert_eq!(plan.matches("nebula.current_tenant()").count(), 1, "{plan}");
}

#[test]
fn a_database_that_preloads_the_library_for_its_sessions_has_it_in_the_first_statement() {
    let shop = Shop::protected();
    shop.database.execute(OPEN);
    shop.database.execute("drop policy nebula_tenant on public.orders; drop policy nebula_read on public.orders");
    shop.database.execute(&format!("alter database {} set session_preload_libraries = 'nebula'", shop.database.name));
    assert_eq!(number(&mut shop.as_acme(), "select count(*) from public.orders"), 5);
}

#[test]
fn every_way_to_read_and_write_is_bound() {
    let shop = Shop::with(Library::Preloaded);
    shop.database.execute(PROTECT);
    shop.database.execute(OPEN);
    shop.database.execute("drop policy nebula_tenant on public.orders");
    let mut acme = shop.as_acme();
    for sql in [
        "select count(*) from public.orders",
        "select count(*) from only public.orders",
        "with o as materialized (select * from public.orders) select count(*) from o",
        "select count(*) from (select * from public.orders for update) o",
        "select count(*) from public.orders tablesample system (100)",
        "select count(*) from (table public.orders) o",
        "select count(*) from generate_series(1, 1) n join lateral (select * from public.orders where total > n - 1) o on true",
        "select count(*) from public.orders where exists (select from public.orders o where o.id = orders.id)",
        "with changed as (update public.orders set total = total returning id) select count(*) from changed",
    ] {
        assert_eq!(number(&mut acme, sql), 5, "{sql}");
    }
    acme.batch_execute("begin; declare c cursor for select * from public.orders").unwrap();
    assert_eq!(acme.query("fetch all from c", &[]).unwrap().len(), 5);
    acme.batch_execute("commit").unwrap();
    let mut copied = String::new();
    std::io::Read::read_to_string(&mut acme.copy_out("copy public.orders to stdout").unwrap(), &mut copied).unwrap();
    assert_eq!(copied.lines().count(), 5);
    let foreign = shop.zeta.id;
    for sql in [
        format!(
            "insert into public.orders (id, customer_id, total) values (1, 1, 1) on conflict (id) do update set total = -1, tenant_id = '{foreign}'"
        ),
        format!("merge into public.orders o using public.orders s on o.id = s.id when matched then update set tenant_id = '{foreign}'"),
        format!("update public.orders set tenant_id = '{foreign}'"),
    ] {
        assert!(acme.batch_execute(&sql).is_err(), "{sql}");
    }
    assert_eq!(shop.database.number("select count(*) from public.orders where total < 0 or customer_id = 1 and tenant_id <> (select id from nebula.tenant where slug = 'acme')", &[]), 0);
}
