//! B18. The threat: input so large that a backend gets no more memory. Rust's allocator would abort the process, and Postgres would then restart every session of every
//! tenant. Every function that a session may call is given every argument huge, in a backend that may map little more than it has (as in a container with a limit):
//! what comes back is an error, at worst the end of that one session, and never of the server.

use super::b10_bad_input::{Function, functions, odd_values};
use nebula_tests::{Backend, Battery, Database, Shop, battery, handle::request};
use postgres::Client;
use serde_json::json;
use std::collections::BTreeMap;

/// So much more than it has at first a backend may map.
const MORE_BYTES: u64 = 256 << 20;

/// Values of this many bytes and more, as SQL. `None`: values of the type are small.
fn huge_values(kind: &str, bytes: usize) -> Vec<String> {
    let text = format!("repeat('x', {bytes})");
    match kind {
        "text" => vec![text, format!("repeat('[', {bytes})"), format!("repeat('é', {})", bytes / 2)],
        "json" => vec![
            format!("('[' || repeat('1,', {}) || '1]')::json", bytes / 2),
            format!("('{{\"query\":{{\"a\":[' || repeat('[],', {}) || '1]}},\"operation\":\"me.read\"}}')::json", bytes / 3),
            // The members of an object, each of which is a string.
            format!("(select ('{{' || string_agg('\"k' || n || '\":\"v\"', ',') || '}}')::json from generate_series(1, {}) n)", bytes / 14),
            format!("to_json({text})"),
        ],
        "jsonb" => vec![
            format!("('{{\"a\":[' || repeat('1,', {}) || '1]}}')::jsonb", bytes / 12),
            format!("to_jsonb({text})"),
            format!("jsonb_build_object('a', {text})"),
        ],
        "bytea" => vec![format!("convert_to({text}, 'UTF8')")],
        array if array.ends_with("[]") => {
            let one = &odd_values(&array[..array.len() - 2])[0];
            vec![format!("array_fill({one}, array[{}])", bytes / 16)]
        }
        _ => Vec::new(),
    }
}

/// One argument huge at a time, the others plain.
fn huge_calls(function: &Function, bytes: usize) -> Vec<String> {
    let plain = function.kinds.iter().map(|kind| odd_values(kind)[0].clone()).collect::<Vec<_>>();
    let mut calls = Vec::new();
    for (at, kind) in function.kinds.iter().enumerate() {
        for value in huge_values(kind, bytes) {
            let mut arguments = plain.clone();
            arguments[at] = value;
            calls.push(format!("select * from {}({})", function.name, arguments.join(", ")));
        }
    }
    calls
}

struct Session {
    role: String,
    client: Client,
    backend: Backend,
}

impl Session {
    fn new(database: &Database, role: &str) -> Self {
        let mut client = database.connect(role);
        client.batch_execute("set statement_timeout = '10s'; set lock_timeout = '1s'").unwrap();
        // The library, its caches, and what Postgres keeps of them.
        let _ = client.batch_execute("select nebula.can('users.list')");
        let _ = client.batch_execute("select count(*) from nebula.readiness()");
        let backend = Backend::of(&mut client);
        assert!(backend.limit_to(MORE_BYTES), "prlimit is not there, or this user may not use it");
        Self { role: role.to_owned(), client, backend }
    }
}

#[test]
fn no_size_of_an_argument_ends_more_than_its_own_session() {
    let shop = Shop::protected();
    let database = &shop.database;
    let mut battery = Battery::begin("B18 memory", database);
    let bytes = battery::scaled(12 << 20, 60 << 20);
    let functions = functions(database);
    let mut states = BTreeMap::<String, usize>::new();
    let mut ended = Vec::new();
    let mut superuser = database.superuser();
    for role in ["nebula_edge", "nebula_worker", "nebula_keys", &shop.acme_login, database.installation.cluster.superuser] {
        let mut session = Session::new(database, role);
        for function in &functions {
            let may = "select has_function_privilege($1::text, $2::oid, 'execute') and \
                       ($1 <> current_user or not exists (select from unnest(array['nebula_edge', 'nebula_worker', 'nebula_app']) r where has_function_privilege(r, $2::oid, 'execute')))";
            if !superuser.query_one(may, &[&session.role, &function.oid]).unwrap().get::<_, bool>(0) {
                continue;
            }
            for (turn, sql) in huge_calls(function, bytes).iter().enumerate() {
                // The short version tries the first value of each argument, and all of what the edge and tenants call.
                if !battery::is_full() && turn % 6 != 0 && !matches!(role, "nebula_edge") {
                    continue;
                }
                let outcome = session.client.batch_execute(&format!("begin; {sql}; rollback"));
                let error = outcome.as_ref().err();
                let state = error.map_or("done", |error| error.code().map_or("connection", |code| code.code())).to_owned();
                let is_alive = session.client.batch_execute("rollback").is_ok();
                // A session that ends says why.
                let holds = !state.starts_with("XX") && (is_alive || state == "53200");
                battery.case(holds, || format!("{role}: {sql:.200}: {outcome:?}"));
                *states.entry(state).or_default() += 1;
                if !is_alive {
                    ended.push(format!("{role}: {sql:.120}"));
                    session = Session::new(database, role);
                }
            }
        }
        battery.case(session.backend.is_alive(), || format!("{role}: gone"));
    }
    println!("B18 memory: answers by SQLSTATE {states:?}; sessions that ended: {ended:#?}");
    battery.end(90, &[]);
}

/// The bound is before the reading: a request of just under it is read, one beyond it is refused, and neither takes long.
#[test]
fn a_request_beyond_the_bound_is_refused_before_it_is_read() {
    let shop = Shop::protected();
    let (database, acme) = (&shop.database, &shop.acme);
    let mut battery = Battery::begin("B18 bound", database);
    let mut handle = database.handle();
    for (mib, status) in [(1, 400), (3, 400), (5, 413), (120, 413)] {
        let mut message = request("users.create", Some(&acme.admin), &json!({}));
        message["body"] = json!({ "email": "x".repeat(mib << 20) });
        let answer = handle.send(acme.id, &message);
        battery.case(answer.status == status, || format!("{mib} MiB: {} {:.200}", answer.status, answer.text));
    }
    let mut app = shop.as_acme();
    let call = |client: &mut Client, mib: usize| {
        client.batch_execute(&format!("select nebula.call('users.create', jsonb_build_object('email', repeat('x', {})))", mib << 20))
    };
    for (mib, state) in [(3, "PT400"), (5, "PT413"), (120, "PT413")] {
        let error = call(&mut app, mib).unwrap_err();
        battery.case(error.code().is_some_and(|code| code.code() == state), || format!("call of {mib} MiB: {error:?}"));
    }
    // Whoever lets larger bodies in says so twice.
    database.execute(&format!("alter database {} set nebula.max_request_bytes = '32MB'", database.name));
    let error = call(&mut shop.as_acme(), 17).unwrap_err();
    battery.case(error.code().is_some_and(|code| code.code() == "PT400"), || format!("{error:?}"));
    battery.case(app.batch_execute("set nebula.max_request_bytes = '1GB'").is_err(), || "a tenant raises the bound".to_owned());
    battery.end(9, &[]);
}

/// Where the system gives no more to Rust, one session ends, with its transaction, and gives its locks back.
#[test]
fn a_backend_without_memory_ends_alone() {
    let shop = Shop::protected();
    let (database, acme) = (&shop.database, &shop.acme);
    let mut battery = Battery::begin("B18 alone", database);
    database.execute(&format!("alter database {} set nebula.max_request_bytes = '1GB'", database.name));
    let mut bystander = shop.as_zeta();
    bystander.batch_execute("select nebula.can('users.list')").unwrap();
    for turn in 0..battery::scaled(4, 40) {
        let mut app = shop.as_acme();
        app.batch_execute("select nebula.can('users.list')").unwrap();
        let backend = Backend::of(&mut app);
        assert!(backend.limit_to((150 + 20 * (turn as u64 % 10)) << 20));
        let outcome = app.batch_execute(
            "begin; insert into public.orders (customer_id, total) values (1, 77); select pg_advisory_xact_lock(77); \
             select status from nebula.dispatch('users.create', ('{\"a\":[' || repeat('[],', 10000000) || '1]}')::json, null)",
        );
        let state = outcome.as_ref().err().and_then(postgres::Error::code).map(|code| code.code().to_owned());
        battery.case(state.as_deref() == Some("53200"), || format!("turn {turn}: {outcome:?}"));
        drop(app);
        let left = database.number("select count(*) from public.orders where total = 77", &[]);
        battery.case(left == 0, || format!("turn {turn}: {left} rows of a transaction that ended"));
        let alive = bystander.query_one("select nebula.current_tenant()::text", &[]).map(|row| row.get::<_, Option<String>>(0));
        battery.case(alive.as_ref().is_ok_and(|tenant| *tenant == Some(shop.zeta.id.to_string())), || format!("turn {turn}: {alive:?}"));
        let free: bool = database.superuser().query_one("select pg_try_advisory_lock(77)", &[]).unwrap().get(0);
        battery.case(free, || format!("turn {turn}: its lock is held"));
    }
    let log = database.installation.cluster.log();
    battery.case(log.contains("out of memory in nebula") || log.contains("out of memory"), || "nothing is told of it".to_owned());
    let again = shop.as_acme().query_one("select nebula.current_tenant()::text", &[]).unwrap().get::<_, String>(0);
    battery.case(again == acme.id.to_string(), || again);
    battery.end(10, &[]);
}
