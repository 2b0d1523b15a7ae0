//! B18. The threat: a statement that no cancel, timeout or terminate ends (it holds its locks, its connection and its processor until it likes), and a backend that is
//! not itself afterwards. Every function that somebody may call, from pg_catalog, is called over and over while another session cancels it at random moments, sets
//! timeouts of milliseconds, and at last terminates it; and so is what takes its time.

use super::b10_bad_input::{calls, functions};
use nebula_tests::{Backend, Battery, Database, Shop, battery, handle::request};
use postgres::Client;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// From the cancel to the end of the statement.
const MOST_MILLISECONDS: u128 = 200;

/// No statement is on its way.
const NOTHING: u64 = u64::MAX;

/// The same sequence in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

#[derive(Default)]
struct Outcomes {
    /// The longest time from a cancel to the end of what was running, by what it was.
    longest: BTreeMap<String, u128>,
    hits: usize,
    statements: u64,
}

/// Calls `sql` until told to stop, and cancels it so many times at random moments.
#[allow(clippy::too_many_arguments, reason = "two sessions, and what is counted of them")]
fn cancel_it(
    battery: &mut Battery,
    outcomes: &mut Outcomes,
    dice: &mut Dice,
    what: &str,
    client: &mut Client,
    canceller: &mut Client,
    sql: &str,
    times: usize,
) {
    let backend = Backend::of(client);
    let (done, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    // When what is running was sent, in microseconds since then.
    let (epoch, sent) = (Instant::now(), AtomicU64::new(NOTHING));
    let run = |client: &mut Client| {
        let mut states = BTreeMap::<String, usize>::new();
        while !is_over.load(Ordering::Acquire) {
            sent.store(epoch.elapsed().as_micros() as u64, Ordering::Release);
            let outcome = client.batch_execute(sql);
            let state = outcome.as_ref().err().map_or("done", |error| error.code().map_or("connection", |code| code.code())).to_owned();
            sent.store(NOTHING, Ordering::Release);
            done.fetch_add(1, Ordering::Release);
            let is_lost = state == "connection";
            *states.entry(state).or_default() += 1;
            let _ = client.batch_execute("rollback");
            if is_lost {
                break;
            }
        }
        states
    };
    let mut longest = 0;
    let states = thread::scope(|scope| {
        let runner = scope.spawn(|| run(client));
        for _ in 0..times {
            thread::sleep(Duration::from_micros(dice.roll(30_000)));
            // One that comes between two statements is nobody's: then the next.
            let took = loop {
                let before = done.load(Ordering::Acquire);
                let is_running = epoch.elapsed().as_micros() as u64 > sent.load(Ordering::Acquire).saturating_add(3_000);
                canceller.execute("select pg_cancel_backend($1)", &[&backend.pid]).unwrap();
                let start = Instant::now();
                let patience = if is_running { Duration::from_secs(20) } else { Duration::from_millis(300) };
                while done.load(Ordering::Acquire) == before && start.elapsed() < patience {
                    thread::sleep(Duration::from_micros(200));
                }
                if done.load(Ordering::Acquire) != before {
                    break is_running.then(|| start.elapsed().as_millis());
                }
                if is_running {
                    break Some(start.elapsed().as_millis());
                }
            };
            longest = longest.max(took.unwrap_or(0));
        }
        is_over.store(true, Ordering::Release);
        runner.join().unwrap()
    });
    outcomes.hits += states.get("57014").copied().unwrap_or(0);
    outcomes.statements += done.into_inner();
    outcomes.longest.insert(what.to_owned(), longest);
    battery.case(longest <= MOST_MILLISECONDS, || format!("{what}: {longest} ms from a cancel to its end"));
    battery.case(!states.keys().any(|state| state == "connection" || state.starts_with("XX")), || format!("{what}: {states:?}"));
    // Timeouts of the server's own.
    for milliseconds in [1 + dice.roll(3), 1 + dice.roll(50)] {
        let start = Instant::now();
        let outcome = client.batch_execute(&format!("set statement_timeout = {milliseconds}; {sql}"));
        let took = start.elapsed().as_millis();
        let _ = client.batch_execute("rollback");
        let state = outcome.as_ref().err().and_then(|error| error.code()).map(|code| code.code().to_owned());
        battery
            .case(took <= MOST_MILLISECONDS + u128::from(milliseconds), || format!("{what}: {took} ms where {milliseconds} are the limit"));
        battery.case(state.is_none_or(|state| !state.starts_with("XX")), || format!("{what}: {outcome:?}"));
    }
    client.batch_execute("set statement_timeout = 0").unwrap();
    let locks: i64 =
        canceller.query_one("select count(*) from pg_locks where pid = $1 and locktype <> 'virtualxid'", &[&backend.pid]).unwrap().get(0);
    battery.case(locks == 0, || format!("{what}: {locks} locks are left"));
}

/// What a session of this role must find afterwards, whoever was being served.
fn is_itself(shop: &Shop, role: &str, client: &mut Client) -> Result<(), String> {
    let tenant =
        |client: &mut Client| client.query_one("select nebula.current_tenant()::text", &[]).map(|row| row.get::<_, Option<String>>(0));
    let own = (role == shop.acme_login).then(|| shop.acme.id.to_string());
    if role == shop.acme_login || role == "postgres" {
        let found = tenant(client).map_err(|error| format!("{error:?}"))?;
        if found != own {
            return Err(format!("{role}'s tenant is {found:?}"));
        }
    }
    if role == "nebula_edge" {
        for tenant in [&shop.zeta, &shop.acme] {
            let message = request("me.read", Some(&tenant.admin), &json!({})).to_string();
            let row = client
                .query_one("select status, body::text from nebula.handle($1, $2::text::json)", &[&tenant.id, &message])
                .map_err(|error| format!("{error:?}"))?;
            let body: Value = serde_json::from_str(row.get(1)).unwrap();
            if row.get::<_, i32>(0) != 200 || !body.to_string().contains(&tenant.admin_email) || body.to_string().contains("deleted") {
                return Err(format!("{} gets {body}", tenant.slug));
            }
        }
    }
    Ok(())
}

fn session(database: &Database, role: &str) -> Client {
    let mut client = database.connect(role);
    client.batch_execute("set statement_timeout = 0; set lock_timeout = '1s'").unwrap();
    client
}

#[test]
fn every_function_ends_when_it_is_cancelled_and_leaves_the_session_itself() {
    let shop = Shop::protected();
    let database = &shop.database;
    for tenant in [&shop.acme, &shop.zeta] {
        database.raise_limits(tenant.id);
    }
    database.adopt();
    let mut battery = Battery::begin("B18 cancel", database);
    let (mut outcomes, mut dice) = (Outcomes::default(), Dice(18));
    let mut canceller = database.superuser();
    let functions = functions(database);
    let (mut taken, times) = (Vec::new(), battery::scaled(2, 12));
    let superuser = database.installation.cluster.superuser;
    for role in ["nebula_edge", "nebula_worker", "nebula_keys", &shop.acme_login, superuser] {
        let mut client = session(database, role);
        for function in &functions {
            let may: bool =
                canceller.query_one("select has_function_privilege($1::text, $2::oid, 'execute')", &[&role, &function.oid]).unwrap().get(0);
            // The superuser may everything: theirs is what nobody else calls.
            if !may || (role == superuser && taken.contains(&function.oid)) {
                continue;
            }
            taken.push(function.oid);
            let what = format!("{role}: {}", function.name);
            // Plain arguments, and odd ones that take another way.
            let calls = calls(function);
            let picked = [0, dice.roll(calls.len() as u64) as usize];
            let sql = format!("begin; {}; rollback", calls[picked[battery.cases() % 2]]);
            cancel_it(&mut battery, &mut outcomes, &mut dice, &what, &mut client, &mut canceller, &sql, times);
            let itself = is_itself(&shop, role, &mut client);
            battery.case(itself.is_ok(), || format!("after {what}: {itself:?}"));
        }
    }
    // Nothing is skipped.
    battery.case(taken.len() >= functions.len(), || format!("{} of {} functions", taken.len(), functions.len()));
    report("B18 cancel", &outcomes);
    battery.end(functions.len() * 6, &[]);
}

#[allow(clippy::print_stdout, reason = "what was measured is the result")]
fn report(name: &str, outcomes: &Outcomes) {
    let mut longest = outcomes.longest.iter().collect::<Vec<_>>();
    longest.sort_by_key(|(_, milliseconds)| std::cmp::Reverse(**milliseconds));
    println!(
        "{name}: {} statements, {} cancelled, the longest to end, in ms: {:?}",
        outcomes.statements,
        outcomes.hits,
        longest.iter().take(8).collect::<Vec<_>>()
    );
}

/// What takes its time, each as whoever does it.
#[test]
fn what_takes_its_time_ends_when_it_is_cancelled() {
    let shop = Shop::protected();
    let (database, acme) = (&shop.database, &shop.acme);
    for tenant in [&shop.acme, &shop.zeta] {
        database.raise_limits(tenant.id);
    }
    database.adopt();
    let rows = battery::scaled(20_000, 200_000);
    database.execute(&format!(
        "create table public.big (id bigint generated by default as identity primary key, customer_id integer not null, email text, note text); \
         insert into public.big (customer_id, email, note) select 1 + n % 2, n || '@acme.example', repeat('x', 200) from generate_series(1, {rows}) n; \
         grant usage on all sequences in schema public to nebula_app; \
         insert into nebula.user (tenant_id, email, name) select '{0}', 'c' || n || '@acme.example', 'C' from generate_series(1, {rows}) n; \
         insert into nebula.audit_log (tenant_id, action, entity_type, actor_type, metadata) \
           select '{0}', 'x', 'y', 'system', '{{\"a\": 1}}' from generate_series(1, {rows}) n",
        acme.id
    ));
    let mut superuser = database.superuser();
    for _ in 0..10 {
        let emit = format!(
            "select nebula.emit_each('bench.noop', (select jsonb_agg(jsonb_build_object('n', n)) from generate_series(1, 200) n), '{}')",
            acme.id
        );
        if superuser.batch_execute(&emit).is_err() {
            let emit = format!("select nebula.emit('bench.noop', '{{}}', null, '{}') from generate_series(1, 200)", acme.id);
            superuser.batch_execute(&emit).unwrap();
        }
    }
    let user = database.text("select id::text from nebula.user where email = 'c1@acme.example'", &[]);
    let sends = |operation: &str, input: &Value| {
        let message = request(operation, Some(&acme.admin), input).to_string();
        format!("select * from nebula.handle('{}', $q${message}$q$::json)", acme.id)
    };
    let superuser_name = database.installation.cluster.superuser;
    let protect = "nebula.protect('public.big', package => 'pro', grant_to => '{nebula_app}', tenant_query => 'select c.tenant_id from public.customers c where c.id = t.customer_id')";
    let long: Vec<(&str, &str, String)> = vec![
        ("nebula_worker", "claims", "select count(*) from nebula.claim('w', 2000, '1 minute', null, '{}')".to_owned()),
        ("nebula_worker", "claims tenant by tenant", "select count(*) from nebula.claim('w', 2000, '1 minute', 1000, '{}')".to_owned()),
        ("nebula_worker", "a wait", "select nebula.wait_for_work(60000)".to_owned()),
        ("nebula_worker", "audit rows", format!("select count(*) from nebula.audit_tenants() t, lateral nebula.audit_rows('{}', 0, null, 10000)", acme.id)),
        ("nebula_worker", "purge", "select nebula.purge(10000)::text".to_owned()),
        ("nebula_worker", "metrics", "select count(*) from generate_series(1, 50), lateral nebula.metrics()".to_owned()),
        (&shop.acme_login, "a bulk insert", format!("insert into public.orders (customer_id, total, email) select 1, n, n || '@x' from generate_series(1, {rows}) n")),
        (&shop.acme_login, "a bulk update", "insert into public.orders (customer_id, total) select 1, n from generate_series(1, 3000) n; update public.orders set total = total + 1".to_owned()),
        (&shop.acme_login, "many questions", "select count(*) from generate_series(1, 300000) n where nebula.tenant_for('users.' || n) is null".to_owned()),
        (&shop.acme_login, "calls in a loop", "do $$ begin for n in 1..100000 loop perform nebula.call('users.list', '{\"limit\":200}'); end loop; end $$".to_owned()),
        ("nebula_edge", "a long list", sends("users.list", &json!({ "limit": "200" }))),
        ("nebula_edge", "requests in a loop", format!("do $$ begin for n in 1..100000 loop perform {}; end loop; end $$", sends("me.read", &json!({})).replacen("select * from ", "", 1))),
        ("nebula_edge", "openapi", "select length(nebula.openapi()::text) from generate_series(1, 500)".to_owned()),
        ("nebula_edge", "edge_state", "select length(nebula.edge_state()::text) from generate_series(1, 500)".to_owned()),
        ("nebula_edge", "4 MiB of empty arrays", format!("select status from nebula.handle('{}', ('{{\"query\":{{\"a\":[' || repeat('[],', 1390000) || '1]}},\"operation\":\"me.read\"}}')::json)", acme.id)),
        ("nebula_edge", "4 MiB of members", format!("select status from nebula.handle('{}', (select ('{{\"operation\":\"me.read\",\"query\":{{' || string_agg('\"k' || n || '\":\"v\"', ',') || '}}}}')::json from generate_series(1, 270000) n))", acme.id)),
        ("nebula_edge", "a request of 50 MB", format!("select status from nebula.handle('{}', ('{{\"operation\":\"me.read\",\"credential\":\"' || repeat('x', 50000000) || '\"}}')::json)", acme.id)),
        ("nebula_edge", "a credential of 50 MB", format!("select nebula.password_challenge('{}', repeat('x', 50000000), '203.0.113.7')::text", acme.id)),
        ("nebula_edge", "an address of 50 MB", "select nebula.login_challenge('acme', repeat('X', 50000000), '203.0.113.7')::text".to_owned()),
        (&shop.acme_login, "an action of 50 MB", "select nebula.can(repeat('x', 50000000)), nebula.tenant_for(repeat('x', 50000000))".to_owned()),
        (superuser_name, "the doctor", "select count(*) from nebula.doctor()".to_owned()),
        (superuser_name, "the prover", "select count(*) from nebula.prove_isolation()".to_owned()),
        (superuser_name, "protect", format!("select count(*) from {protect}")),
        (superuser_name, "anonymise", format!("select nebula.anonymize_again('{}', '{user}')", acme.id)),
        (superuser_name, "partitions", "select nebula.ensure_partitions(24)".to_owned()),
        (superuser_name, "an export", format!("select count(*) from nebula.open_export('acme') e; select count(*) from nebula.export_rows('x', '{}', 1, 'user', null, 10000)", acme.id)),
        (superuser_name, "events", format!("select count(nebula.emit('bench.noop', jsonb_build_object('n', n), null, '{}')) from generate_series(1, 20000) n", acme.id)),
        (superuser_name, "migrate and seed", "select nebula.migrate(); select nebula.seed()".to_owned()),
    ];
    let mut battery = Battery::begin("B18 long", database);
    let (mut outcomes, mut dice) = (Outcomes::default(), Dice(81));
    let mut canceller = database.superuser();
    let times = battery::scaled(2, 30);
    for (role, what, sql) in &long {
        let mut client = session(database, role);
        let what = format!("{role}: {what}");
        // Once undisturbed: it is what it is called, and not an error (or that of the input).
        let start = Instant::now();
        client.batch_execute("set statement_timeout = '400ms'").unwrap();
        let first = client.batch_execute(&format!("begin; {sql}; rollback"));
        let state = first.as_ref().err().and_then(|error| error.code()).map_or_else(String::new, |code| code.code().to_owned());
        println!("B18 long: {what}: {} ms, {state}", start.elapsed().as_millis());
        battery.case(matches!(&*state, "" | "57014" | "PT429"), || format!("{what}: {first:?}"));
        let _ = client.batch_execute("rollback; set statement_timeout = 0");
        cancel_it(&mut battery, &mut outcomes, &mut dice, &what, &mut client, &mut canceller, &format!("begin; {sql}; rollback"), times);
        let itself = is_itself(&shop, role, &mut client);
        battery.case(itself.is_ok(), || format!("after {what}: {itself:?}"));
        // And terminated: the process is gone, with what it held.
        let backend = Backend::of(&mut client);
        thread::scope(|scope| {
            let running = scope.spawn(|| client.batch_execute(&format!("begin; {sql}; rollback")));
            thread::sleep(Duration::from_millis(2 + dice.roll(20)));
            canceller.execute("select pg_terminate_backend($1)", &[&backend.pid]).unwrap();
            let start = Instant::now();
            while backend.is_alive() && start.elapsed() < Duration::from_secs(20) {
                thread::sleep(Duration::from_millis(1));
            }
            let took = start.elapsed().as_millis();
            battery.case(took <= 2 * MOST_MILLISECONDS, || format!("{what}: {took} ms from a terminate to its end"));
            let _ = running.join().unwrap();
        });
    }
    report("B18 long", &outcomes);
    battery.end(long.len() * 6, &[]);
}

/// A worker that is terminated while it waits runs no destructor. Places in shared memory are few: without one a worker polls.
#[test]
fn a_terminated_waiter_leaves_its_place() {
    let shop = Shop::new();
    let (database, acme) = (&shop.database, &shop.acme);
    database.adopt();
    let mut battery = Battery::begin("B18 waiters", database);
    let mut superuser = database.superuser();
    for _ in 0..3 {
        let mut waiters = (0..30).map(|_| session(database, "nebula_worker")).collect::<Vec<_>>();
        thread::scope(|scope| {
            // Work that is committed wakes them: then they wait again.
            let waiting = waiters
                .iter_mut()
                .map(|client| scope.spawn(|| while client.batch_execute("select nebula.wait_for_work(60000)").is_ok() {}))
                .collect::<Vec<_>>();
            thread::sleep(Duration::from_millis(400));
            superuser
                .batch_execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'nebula_worker'")
                .unwrap();
            for waiting in waiting {
                battery.case(waiting.join().is_ok(), || "it was not terminated".to_owned());
            }
        });
    }
    // Whoever has no place looks every 100 ms.
    let mut took = Vec::new();
    for _ in 0..12 {
        let mut waiter = session(database, "nebula_worker");
        waiter.batch_execute("select nebula.wait_for_work(0)").unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                waiter.batch_execute("select nebula.wait_for_work(20000)").unwrap();
                Instant::now()
            });
            thread::sleep(Duration::from_millis(130 + 7 * took.len() as u64));
            superuser.execute("select nebula.emit('bench.noop', '{}', null, $1)", &[&acme.id]).unwrap();
            let committed = Instant::now();
            took.push(waiting.join().unwrap().saturating_duration_since(committed).as_millis());
        });
    }
    took.sort_unstable();
    println!("B18 waiters: woken after {took:?} ms");
    battery.case(took[took.len() / 2] < 20, || format!("woken after {took:?} ms: they poll"));
    battery.end(91, &[]);
}
