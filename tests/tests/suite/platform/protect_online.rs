//! `nebula protect`: a large table, step by step, while it is written to; killed anywhere, the next run goes on.

use nebula_tests::{
    Process, Shop, eventually,
    shop::{number, refusal},
};
use postgres::{Client, error::SqlState};
use std::{
    process::ExitStatus,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const QUERY: &str = "select c.tenant_id from public.customers c where c.id = t.customer_id";
/// The same, slowly.
const SLOW_QUERY: &str = "select c.tenant_id from public.customers c where c.id = t.customer_id and pg_sleep(0.00005) is not null";

fn start(shop: &Shop, query: &str) -> Process {
    let url = shop.database.url("postgres");
    let arguments = ["protect", "public.orders", "--package", "pro", "--grant-to", "nebula_app", "--tenant-query", query];
    Process::start(shop.database.installation, &arguments, &[("NEBULA_ADMIN_DATABASE_URL", &url)])
}

/// Waits as long as a large table takes on a busy machine.
#[track_caller]
fn wait(process: &mut Process) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(180);
    loop {
        if let Some(status) = process.ended() {
            return status;
        }
        assert!(Instant::now() < deadline, "it takes too long:\n{}", process.log());
        thread::sleep(Duration::from_millis(20));
    }
}

fn fill(shop: &Shop, rows: u32, width: u32) {
    shop.database.execute(&format!(
        "alter table public.orders add column filler text; alter table public.orders alter column filler set storage plain; \
         insert into public.orders (customer_id, total, filler) select 1 + n % 2, n, repeat('x', {width}) from generate_series(1, {rows}) n; \
         grant select, insert, update on public.orders to nebula_app; analyze public.orders"
    ));
}

/// Every row has its customer's tenant, and there are this many.
#[track_caller]
fn is_whole(shop: &Shop, rows: i64) {
    let right = "select count(*) from public.orders o join public.customers c on c.id = o.customer_id and c.tenant_id = o.tenant_id";
    assert_eq!((shop.database.number("select count(*) from public.orders", &[]), shop.database.number(right, &[])), (rows, rows));
    assert_eq!(shop.database.text("select is_complete::text from nebula.protected_table", &[]), "true");
    let half = number(&mut shop.as_acme(), "select count(*) from public.orders");
    assert_eq!(half, shop.database.number("select count(*) from public.orders where customer_id = 1", &[]));
}

/// Writes until told to stop or refused; how many rows were added, and what it was refused with. Postgres itself ends a wait of a second for a lock.
fn write(mut client: Client, customer: i32, stop: &AtomicBool) -> (i64, Option<postgres::Error>) {
    client.batch_execute("set lock_timeout = '1s'").unwrap();
    let (insert, update) = (
        client.prepare("insert into public.orders (customer_id, total) values ($1, 0) returning id").unwrap(),
        client.prepare("update public.orders set total = total + 1 where id = $1 or id = $2").unwrap(),
    );
    let mut added = 0;
    while !stop.load(Ordering::Relaxed) {
        let id: i64 = match client.query_one(&insert, &[&customer]) {
            Ok(row) => row.get(0),
            Err(error) => return (added, Some(error)),
        };
        added += 1;
        // Old rows too, in whatever place they are.
        let old = 1 + id.wrapping_mul(7919) % 100_000;
        if let Err(error) = client.execute(&update, &[&id, &old]) {
            return (added, Some(error));
        }
    }
    (added, None)
}

#[test]
fn writers_wait_for_no_lock_for_a_second_and_lose_no_row() {
    const ROWS: u32 = 300_000;
    let shop = Shop::new();
    fill(&shop, ROWS, 20);
    let stop = AtomicBool::new(false);
    let (bound, unaware) = thread::scope(|scope| {
        // One who has a tenant, and one who has never heard of any.
        let bound = scope.spawn(|| write(shop.as_acme(), 1, &stop));
        let unaware = scope.spawn(|| write(shop.database.superuser(), 2, &stop));
        let mut process = start(&shop, QUERY);
        let status = wait(&mut process);
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        assert!(status.success(), "{}", process.log());
        (bound.join().unwrap(), unaware.join().unwrap())
    });
    assert!(bound.1.is_none(), "{:?}", bound.1);
    // From the switch on a row without a tenant is none.
    let refused = unaware.1.expect("it is refused from the switch on");
    assert!([&SqlState::NOT_NULL_VIOLATION, &SqlState::CHECK_VIOLATION].contains(&refused.code().unwrap()), "{refused:?}");
    assert!(bound.0 > 100 && unaware.0 > 100, "{} {}", bound.0, unaware.0);
    is_whole(&shop, 10 + i64::from(ROWS) + bound.0 + unaware.0);
}

#[test]
fn it_gives_way_to_who_holds_the_table() {
    let shop = Shop::new();
    fill(&shop, 1000, 20);
    let mut reader = shop.database.superuser();
    reader.batch_execute("begin; select count(*) from public.orders").unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(shop.as_acme(), 1, &stop));
        let mut process = start(&shop, QUERY);
        eventually("it has tried", || process.log().contains("add_tenant_column: waiting for who holds the table"));
        assert!(process.ended().is_none());
        reader.batch_execute("commit").unwrap();
        let status = wait(&mut process);
        stop.store(true, Ordering::Relaxed);
        assert!(status.success(), "{}", process.log());
        let (added, refused) = writer.join().unwrap();
        assert!(refused.is_none(), "{refused:?}");
        is_whole(&shop, 1010 + added);
    });
}

#[test]
fn killed_anywhere_the_next_run_goes_on() {
    let shop = Shop::new();
    fill(&shop, 4_000, 1500);
    let filled = "select count(*) from public.orders where to_jsonb(orders) ->> 'tenant_id' is not null";
    let (mut kills, mut was_filling, mut life) = (0, false, Duration::from_millis(60));
    loop {
        let mut process = start(&shop, SLOW_QUERY);
        let deadline = Instant::now() + life;
        while process.ended().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        if let Some(status) = process.ended() {
            assert!(status.success(), "{}", process.log());
            break;
        }
        process.signal("KILL");
        process.wait();
        kills += 1;
        was_filling |= (1..4_010).contains(&shop.database.number(filled, &[]));
        life = life.mul_f64(1.4);
    }
    assert!(kills > 4 && was_filling, "{kills} kills; one while rows were filled in: {was_filling}");
    is_whole(&shop, 4_010);
    let broken = "select count(*) from pg_index where indrelid = 'public.orders'::regclass and not indisvalid";
    assert_eq!(shop.database.number(broken, &[]), 0);
}

#[test]
fn an_index_that_was_left_broken_is_made_anew() {
    let shop = Shop::new();
    let mut process = start(&shop, QUERY);
    assert!(wait(&mut process).success(), "{}", process.log());
    shop.database.execute("update pg_index set indisvalid = false where indexrelid = 'public.idx_orders_tenant_id'::regclass");
    let mut process = start(&shop, QUERY);
    assert!(wait(&mut process).success(), "{}", process.log());
    assert!(process.log().contains("drop_broken_index"), "{}", process.log());
    is_whole(&shop, 10);
}

#[test]
fn on_the_way_nobody_sees_more_than_before() {
    let shop = Shop::new();
    shop.database.execute(
        "alter table public.orders enable row level security; create policy theirs on public.orders using (customer_id = 1); \
         grant select on public.orders to nebula_app",
    );
    let dry = format!(
        "select sql from nebula.protect('public.orders', package => 'pro', grant_to => '{{nebula_app}}', replace_policies => true, dry_run => true, \
         tenant_query => '{QUERY}') where not is_done order by step"
    );
    let (mut acme, mut zeta) = (shop.as_acme(), shop.as_zeta());
    let mut dba = shop.database.superuser();
    dba.batch_execute("set search_path = pg_catalog, pg_temp").unwrap();
    let mut has_switched = false;
    for step in shop.database.texts(&dry, &[]) {
        dba.batch_execute(&step).unwrap_or_else(|error| panic!("{step}: {error:?}"));
        has_switched |= step.contains("nebula_tenant on");
        let seen = |client: &mut Client, customer: i32| {
            number(client, &format!("select count(*) from public.orders where customer_id = {customer}"))
        };
        assert_eq!((seen(&mut acme, 1), seen(&mut acme, 2)), (5, 0), "{step}");
        assert_eq!((seen(&mut zeta, 1), seen(&mut zeta, 2)), if has_switched { (0, 5) } else { (5, 0) }, "{step}");
    }
    assert!(has_switched);
}

#[test]
fn rows_of_nobody_end_it_with_their_number_and_a_hint() {
    let shop = Shop::new();
    shop.database.execute("insert into public.orders (customer_id, total) select 99, n from generate_series(1, 2000) n");
    let mut process = start(&shop, QUERY);
    assert!(!wait(&mut process).success());
    assert!(process.log().contains("2000 rows of public.orders have no tenant (SQLSTATE 23502)"), "{}", process.log());
    // What was done stands, and binds nobody yet.
    assert_eq!(shop.database.text("select relrowsecurity::text from pg_class where oid = 'public.orders'::regclass", &[]), "false");
    shop.database.execute("delete from public.orders where customer_id = 99");
    let mut process = start(&shop, QUERY);
    assert!(wait(&mut process).success(), "{}", process.log());
    is_whole(&shop, 10);
}

#[test]
fn the_last_step_is_refused_before_the_others() {
    let shop = Shop::new();
    let mut dba = shop.database.superuser();
    assert_eq!(refusal(&mut dba, "select nebula.finish_protection('public.orders')").code().code(), "55000");
    let begin = "select nebula.begin_protection('public.orders', '{\"tenant_query\": \"null\"}')";
    dba.batch_execute(begin).unwrap();
    assert_eq!(refusal(&mut dba, "select nebula.finish_protection('public.orders')").code().code(), "55000");
}
