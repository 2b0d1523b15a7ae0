//! B18. The threat: a backend of a pool that lives for weeks, or one statement that asks a million times, and grows with every call until the machine kills it, and the
//! cluster with it. Each hot function is called again and again by one backend in five ways; what memory it has at its highest with ten times the calls is what it
//! had with a tenth of them.

use nebula_tests::{Backend, Battery, Shop, battery, handle::request, token::tenant_of};
use postgres::Client;
use serde_json::json;

/// Growth over all calls of one session.
const MOST_BYTES: u64 = 5 << 20;

/// Postgres keeps memory for each savepoint that is released until its transaction ends, if a statement in it had a trigger with transition tables: 8192 bytes, with any
/// such trigger in any language (GetAfterTriggersTableData allocates in CurTransactionContext). So much is not ours.
const OF_A_SAVEPOINT_BYTES: u64 = 8192;
/// What writes into tables with such triggers, and how many times.
const WRITES: [(&str, u64); 4] =
    [("users.create", 2), ("insert into a protected table", 1), ("update of a protected table", 1), ("claim and complete", 3)];

/// How it is called so many times. `{call}` is an expression.
const WAYS: [(&str, &str); 5] = [
    ("one statement", "select count({call}) from generate_series(1, {n}) n"),
    ("a loop", "do $do$ declare n integer; begin for n in 1..{n} loop perform {call}; end loop; end $do$"),
    (
        "kept savepoints",
        "do $do$ declare n integer; begin for n in 1..{n} loop begin perform {call}; exception when others then raise; end; end loop; end $do$",
    ),
    (
        "savepoints rolled back",
        "do $do$ declare n integer; begin for n in 1..{n} loop begin perform {call}; raise exception 'back'; exception when raise_exception then null; end; end loop; \
         end $do$",
    ),
    ("statements", "select {call} from (values (0)) v (n)"),
];

/// What a session calls: by name, an expression, and how much it is: the share of a session's calls.
struct Hot {
    name: &'static str,
    call: String,
    /// Of so many calls in each way one is done: what writes, or answers much, takes its time.
    every: usize,
}

fn hot(name: &'static str, every: usize, call: impl Into<String>) -> Hot {
    Hot { name, call: call.into(), every }
}

fn calls(client: &mut Client, way: &str, sql: &str, call: &str, n: usize) {
    let text = sql.replace("{call}", call).replace("{n}", &n.to_string());
    let times = if way == "statements" { n } else { 1 };
    for _ in 0..times {
        client.batch_execute(&text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    }
}

/// Calls everything in every way, by one backend.
#[allow(clippy::print_stdout, reason = "what was measured is the result")]
fn does_not_grow(battery: &mut Battery, who: &str, client: &mut Client, hot: &[Hot]) -> u64 {
    client.batch_execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0").unwrap();
    let backend = Backend::of(client);
    let most = if battery::is_full() { MOST_BYTES } else { 1 << 20 };
    // Everything is loaded, planned and cached.
    for Hot { call, .. } in hot {
        for (way, sql) in WAYS {
            calls(client, way, sql, call, 20);
        }
    }
    let (mut total, mut begin) = (0, 0);
    for Hot { name, call, every } in hot {
        for (way, sql) in WAYS {
            let n = battery::scaled(2_500, 100_000) / every;
            // At least one: what a single call takes may have been given back to the system since the last one.
            let a_few = (n / 10).max(1);
            let few = backend.peak_bytes(|| calls(client, way, sql, call, a_few));
            if begin == 0 {
                begin = few;
            }
            let many = backend.peak_bytes(|| calls(client, way, sql, call, n));
            let grown = many.saturating_sub(few);
            let of_postgres = WRITES
                .iter()
                .find(|(write, _)| way == "kept savepoints" && write == name)
                .map_or(0, |(_, times)| times * OF_A_SAVEPOINT_BYTES * n as u64);
            battery
                .case(grown < most + of_postgres, || format!("{who}: {name}, {way}: {grown} bytes more with {n} calls than with {a_few}"));
            total += n + a_few;
        }
    }
    let grown = backend.memory_bytes().saturating_sub(begin);
    println!("B18 leak, {who}: {total} calls, {} KiB more at the end", grown / 1024);
    battery.case(grown < MOST_BYTES, || format!("{who}: {grown} bytes more after {total} calls"));
    battery.case(backend.is_alive(), || format!("{who}: the backend is gone"));
    total as u64
}

#[test]
fn no_hot_function_keeps_memory_of_its_calls() {
    let shop = Shop::protected();
    let (database, acme) = (&shop.database, &shop.acme);
    database.raise_limits(acme.id);
    let mut handle = database.handle();
    for n in 0..60 {
        acme.does(&mut handle, "users.create", &json!({ "email": format!("p{n}@acme.example"), "name": "P" }), 201);
    }
    let (_, reader) = acme.key(&mut handle, &json!({ "name": "leitor", "profile": "read-only" }));
    drop(handle);
    let mut battery = Battery::begin("B18 leak", database);

    // nebula.handle, as the edge calls it.
    let sends = |operation: &str, credential: &str, input: &serde_json::Value| {
        let message = request(operation, Some(credential), input).to_string();
        format!("(select status from nebula.handle('{}', $q${message}$q$::json))", acme.id)
    };
    let creates = {
        let message = request("users.create", Some(&acme.admin), &json!({ "email": "@@", "name": "Novo" })).to_string();
        format!(
            "(select status from nebula.handle('{}', replace($q${message}$q$, '@@', 'n' || n || '-' || gen_random_uuid() || '@acme.example')::json))",
            acme.id
        )
    };
    let forged = format!("{}AAAA", &acme.admin[..acme.admin.len() - 4]);
    let operator = &database.installation.operator_key;
    let of_edge = [
        hot("me.read", 2, sends("me.read", &acme.admin, &json!({}))),
        hot("users.list", 20, sends("users.list", &acme.admin, &json!({ "limit": "50" }))),
        hot("users.create", 20, creates),
        hot("a refused call", 10, sends("users.create", &reader, &json!({ "email": "x@acme.example", "name": "X" }))),
        hot("an invalid call", 5, sends("users.create", &acme.admin, &json!({ "email": 7 }))),
        hot("a forged token", 2, sends("me.read", &forged, &json!({}))),
        hot("no token", 1, sends("me.read", "Bearer nonsense", &json!({}))),
        hot("another tenant's", 2, sends("me.read", operator, &json!({}))),
        hot("login_challenge", 5, "nebula.login_challenge('acme', 'p1@acme.example', '203.0.113.9')::text"),
        hot("readiness", 5, "nebula.readiness()::text"),
        hot("edge_state", 100, "nebula.edge_state()::text"),
        hot("openapi", 500, "nebula.openapi()::text"),
    ];
    assert_ne!(tenant_of(operator), acme.id);
    let mut total = does_not_grow(&mut battery, "edge", &mut database.connect("nebula_edge"), &of_edge);

    // A tenant's own SQL.
    let writes = "create function public.put() returns integer language sql as $$ insert into public.orders (tenant_id, customer_id, total) \
                  select nebula.current_tenant(), c.id, 1 from (values (1)) c (id) returning 1 $$; \
                  create function public.change() returns integer language sql as $$ update public.orders set total = total + 1 where id = (select min(id) from public.orders) returning 1 $$; \
                  grant usage on all sequences in schema public to nebula_app; grant execute on function nebula.uuid_v7(), nebula.random_bytes(integer) to nebula_app";
    database.execute(writes);
    let user = database.text("select id::text from nebula.user where email = 'p1@acme.example'", &[]);
    let of_app = [
        hot("can", 1, "nebula.can('users.list')"),
        hot("can, of many names", 1, "nebula.can('users.' || n)"),
        hot("tenant_for", 1, "nebula.tenant_for('users.' || n)"),
        hot("why", 5, "nebula.why('users.list')::text"),
        hot("current_tenant", 1, "nebula.current_tenant()"),
        hot("current_actor", 1, "nebula.current_actor()::text"),
        hot("call", 5, format!("nebula.call('users.read', '{{\"id\":\"{user}\"}}')")),
        hot("insert into a protected table", 20, "public.put()"),
        hot("update of a protected table", 20, "public.change()"),
        hot("uuid_v7", 1, "nebula.uuid_v7()"),
        hot("random_bytes", 1, "nebula.random_bytes(64)"),
    ];
    total += does_not_grow(&mut battery, "app", &mut shop.as_acme(), &of_app);

    // The DBA's events, and the worker's queue: each call claims what was left, and finishes it.
    let emit = format!("nebula.emit('bench.noop', jsonb_build_object('n', n), null, '{}')", acme.id);
    let mut superuser = database.superuser();
    total += does_not_grow(
        &mut battery,
        "dba",
        &mut superuser,
        &[hot("emit", 20, emit), hot("metrics", 100, "(select count(*) from nebula.metrics())")],
    );
    drop(superuser);
    database.adopt();
    let claim = "(with c as materialized (select id, attempt from nebula.claim('w', 3, '1 minute', null, '{}')) \
                 select count(*) from (select array_agg(id) ids, array_agg(attempt) attempts from c) a, lateral nebula.complete('w', a.ids, a.attempts))";
    let of_worker = [
        hot("claim and complete", 40, claim),
        hot("may_deliver", 1, "nebula.may_deliver()"),
        hot("metrics", 100, "(select count(*) from nebula.metrics())"),
    ];
    total += does_not_grow(&mut battery, "worker", &mut database.connect("nebula_worker"), &of_worker);
    println!("B18 leak: {total} calls");
    battery.end(28 * 5, &[]);
}
