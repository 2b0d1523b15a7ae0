//! What was used: each call that had its effect, once.

use nebula_tests::{
    Caller, Database, Edge, User,
    cluster::{Cluster, TEMPLATE, install},
    eventually,
    handle::request,
    onboard, onboard_by_sql, parallel,
    sql_caller::{bound_login, call},
};
use postgres::Client;
use serde_json::{Value, json};
use std::{
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};
use uuid::Uuid;

/// Flushes only where a test says so.
const BY_HAND: &[(&str, &str)] = &[("NEBULA_FLUSH_INTERVAL_MS", "0")];

const OF_ACTION: &str = "select coalesce(sum(m.count), 0)::bigint from nebula.usage_metrics m join nebula.tool_action a on a.id = m.tool_action_id \
                         where m.tenant_id = $1 and a.key = $2";

fn used(database: &Database, tenant: Uuid, action: &str) -> i64 {
    database.number(OF_ACTION, &[&tenant, &action])
}

fn flush(client: &mut Client) -> i32 {
    client.query_one("select nebula.flush()", &[]).unwrap().get(0)
}

/// Stops an edge in peace: its connections write what they gathered.
fn stop(mut edge: Edge) {
    edge.terminate();
    assert!(edge.wait().success());
}

#[test]
fn exactly_the_calls_that_had_their_effect_are_counted() {
    let database = Database::new();
    let edge = database.serve_with(BY_HAND);
    let acme = onboard(&edge, "acme");
    let (clerk, ..) = acme.member(&edge, "clerk", &["users.list"]);
    let create =
        |key: &str, email: &str| acme.admin.request("POST", "/v1/users").key(key).json(&json!({ "email": email, "name": "X" })).send();
    let before = used(&database, acme.id, "users.create");
    assert_eq!(before, 0, "nothing was flushed yet");
    for number in 0..3 {
        create(&format!("k{number}"), &format!("u{number}@acme.example")).data(201);
        for _ in 0..2 {
            assert_eq!(create(&format!("k{number}"), &format!("u{number}@acme.example")).header("idempotency-replayed"), Some("true"));
        }
        create(&format!("k{number}"), "other@acme.example").refused(422, "IDEMPOTENCY_KEY_REUSED");
        create("duplicate", "u0@acme.example").refused(409, "DUPLICATE_RESOURCE");
        create("invalid", "x").refused(400, "VALIDATION_ERROR");
        clerk.post("/v1/users", &json!({ "email": "x@acme.example", "name": "X" })).forbidden("users.create", "granted");
        acme.admin.get(&format!("/v1/users/{}", Uuid::now_v7())).refused(404, "NOT_FOUND");
        clerk.get("/v1/users").data(200);
    }
    edge.operator()
        .request("POST", "/v1/users")
        .header("x-tenant-id", acme.id.to_string())
        .json(&json!({ "email": "p@acme.example", "name": "P" }))
        .send()
        .data(201);
    stop(edge);
    // The helper created one person; what the platform did there is the platform's use.
    assert_eq!(used(&database, acme.id, "users.create"), 3 + 1);
    assert_eq!(used(&database, acme.id, "users.list"), 3);
    assert_eq!(used(&database, acme.id, "users.read"), 0);
    assert_eq!(database.number("select coalesce(sum(count), 0)::bigint from nebula.usage_metrics m join nebula.tool_action a on a.id = m.tool_action_id join nebula.tenant t on t.id = m.tenant_id where t.kind = 'platform' and a.key = 'users.create'", &[]), 1);
}

#[test]
fn what_a_sql_caller_rolls_back_was_not_used() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let login = bound_login(&database, &acme, &json!({ "name": "app", "profile": "admin" }));
    let mut app = database.connect(&login);
    let list = |client: &mut postgres::Transaction| call(client, "users.list", &json!({})).unwrap();
    let group = |client: &mut postgres::Transaction, name: &str| call(client, "groups.create", &json!({ "name": name })).unwrap();
    let mut transaction = app.transaction().unwrap();
    list(&mut transaction);
    transaction.rollback().unwrap();
    // Of savepoints, the released ones alone; and of those, what no outer one takes back.
    let mut transaction = app.transaction().unwrap();
    list(&mut transaction);
    {
        let mut kept = transaction.transaction().unwrap();
        list(&mut kept);
        {
            let mut lost = kept.transaction().unwrap();
            list(&mut lost);
            {
                let mut released_into_lost = lost.transaction().unwrap();
                list(&mut released_into_lost);
                released_into_lost.commit().unwrap();
            }
            lost.rollback().unwrap();
        }
        list(&mut kept);
        kept.commit().unwrap();
    }
    {
        let mut lost = transaction.transaction().unwrap();
        group(&mut lost, "lost");
        lost.rollback().unwrap();
    }
    group(&mut transaction, "kept");
    transaction.commit().unwrap();
    // A statement that fails afterwards takes its call along.
    app.batch_execute(
        "select nebula.call('users.list') from (select 1) x where 1 / (select count(*) from pg_class where relname = 'no such') > 0",
    )
    .unwrap_err();
    app.batch_execute("do $$ begin for i in 1..5 loop begin perform nebula.call('users.list'); if i > 2 then raise exception 'x'; end if; exception when others then null; end; end loop; end $$").unwrap();
    call(&mut app, "users.read", &json!({ "id": Uuid::now_v7() })).unwrap_err();
    drop(app);
    eventually("the backend writes what it gathered when it ends", || used(&database, acme.id, "groups.create") > 0);
    assert_eq!(used(&database, acme.id, "users.list"), 3 + 2);
    assert_eq!(used(&database, acme.id, "groups.create"), 1);
    assert_eq!(used(&database, acme.id, "users.read"), 0);
}

#[test]
fn a_flush_writes_each_call_once_whoever_flushes_at_the_same_time_and_however_it_ends() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    // 8 backends, each with calls of two tenants' actions, flush again and again at once.
    parallel(8, 8, |_| {
        let mut handle = database.handle();
        for _ in 0..25 {
            for operation in ["users.list", "groups.list", "me.read"] {
                handle.call(acme.id, &acme.admin, operation, &json!({})).data(200);
            }
            flush(&mut handle.client);
        }
        assert_eq!(flush(&mut handle.client), 0, "there is nothing left");
    });
    for action in ["users.list", "groups.list", "me.read"] {
        assert_eq!(used(&database, acme.id, action), 200, "{action}");
    }
    // In a transaction that somebody holds open nothing is written, and nothing forgotten.
    let mut handle = database.handle();
    for _ in 0..3 {
        handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    }
    for end in ["rollback", "savepoint s; select nebula.flush(); rollback to s; rollback", "select 1/0"] {
        handle.client.batch_execute("begin").unwrap();
        assert_eq!(flush(&mut handle.client), 0);
        let _ = handle.client.batch_execute(end);
        let _ = handle.client.batch_execute("rollback");
        assert_eq!(used(&database, acme.id, "users.list"), 200, "{end}");
    }
    // Nor does one that fails: the table is locked by somebody else for longer than it waits.
    let mut locker = database.superuser();
    let mut lock = locker.transaction().unwrap();
    lock.batch_execute("lock nebula.usage_metrics in access exclusive mode").unwrap();
    handle.client.batch_execute("set lock_timeout = '100ms'").unwrap();
    handle.client.batch_execute("select nebula.flush()").unwrap_err();
    lock.rollback().unwrap();
    assert_eq!(flush(&mut handle.client), 1);
    assert_eq!(used(&database, acme.id, "users.list"), 203);
    drop(handle);
    assert_eq!(used(&database, acme.id, "users.list"), 203);
}

#[test]
fn the_edge_has_it_written_every_few_seconds_and_before_it_stops() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_FLUSH_INTERVAL_MS", "100")]);
    let acme = onboard(&edge, "acme");
    parallel(40, 16, |_| acme.admin.get("/v1/users").data(200));
    eventually("it is written while nobody calls, whichever connections they took", || used(&database, acme.id, "users.list") == 40);
    stop(edge);
    let edge = database.serve_with(BY_HAND);
    let admin = edge.user(&acme.admin.token);
    let answers = parallel(60, 16, |_| admin.get("/v1/users").status);
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 60);
    assert_eq!(used(&database, acme.id, "users.list"), 40);
    stop(edge);
    // What the edge could not have written in time, its backends write as they end, which nobody waits for.
    eventually("nothing is lost", || used(&database, acme.id, "users.list") == 100);
}

#[test]
fn the_edge_has_it_written_while_requests_never_leave_a_connection_idle() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_FLUSH_INTERVAL_MS", "100"), ("NEBULA_POOL_SIZE", "2")]);
    let acme = onboard(&edge, "acme");
    database.raise_limits(acme.id);
    // Eight clients, two connections, and each request takes a tenth of a second. What was handed over is never old, so that no request writes it.
    database.slow_inserts("nebula.user", 0.1);
    database.execute("alter table nebula.gathered_usage alter gathered_at set default 'infinity'");
    let is_written = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_written.load(Ordering::Relaxed) {
                    acme.person(&Uuid::now_v7().to_string());
                }
            });
        }
        let written = catch_unwind(AssertUnwindSafe(|| eventually("it is written", || used(&database, acme.id, "users.create") > 0)));
        is_written.store(true, Ordering::Relaxed);
        written.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

#[test]
fn what_backends_have_handed_over_is_summed_up_by_whoever_flushes_and_where_nobody_does_by_a_request() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handles = [database.handle(), database.handle(), database.handle()];
    for handle in &mut handles {
        handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
        handle.call(acme.id, &acme.admin, "groups.list", &json!({})).data(200);
    }
    let hand_over = |client: &mut Client| client.query_one("select nebula.hand_over_usage()", &[]).unwrap().get::<_, i32>(0);
    let waiting = || database.number("select count(*) from nebula.gathered_usage", &[]);
    let [first, second, _] = &mut handles;
    assert_eq!((hand_over(&mut first.client), hand_over(&mut first.client), hand_over(&mut second.client)), (2, 0, 2));
    assert_eq!((waiting(), used(&database, acme.id, "users.list")), (2, 0));
    // What is rolled back was not handed over; in an open transaction nothing is.
    first.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    first.client.batch_execute("select nebula.hand_over_usage() / 0").unwrap_err();
    first.client.batch_execute("begin; select nebula.hand_over_usage(); commit").unwrap();
    assert_eq!(waiting(), 2);
    // In a transaction that keeps its snapshot it is handed over, and written by the next.
    first.client.batch_execute("set default_transaction_isolation = 'repeatable read'").unwrap();
    assert_eq!((flush(&mut first.client), waiting(), used(&database, acme.id, "users.list")), (1, 3, 0));
    assert_eq!((flush(&mut second.client), waiting()), (0, 0));
    assert_eq!((used(&database, acme.id, "users.list"), used(&database, acme.id, "groups.list")), (3, 2));
    // Of somebody who is gone, and of nothing: forgotten, and nobody is kept from writing the rest.
    database.execute(&format!(
        "insert into nebula.gathered_usage (gathered_at, tenants, actions, hours, counts, key_tenants, keys, keys_used) values \
         (now() - interval '1 minute', array['{0}', '{0}', '{1}']::uuid[], array['users.list', 'no.such', 'users.list'], array[3600, 3600, 3600], array[5, 6, 7], '{{}}', '{{}}', '{{}}')",
        acme.id,
        Uuid::now_v7()
    ));
    let [_, _, third] = &mut handles;
    eventually("a request of a backend whose interval is over writes what nobody else does", || {
        third.call(acme.id, &acme.admin, "me.read", &json!({})).data(200);
        waiting() == 0
    });
    assert_eq!(used(&database, acme.id, "users.list"), 3 + 1 + 5);
}

#[test]
fn a_stop_of_the_server_loses_nothing_and_a_killed_backend_what_it_had_gathered() {
    let installation = Box::leak(Box::new(install(Cluster::start(""))));
    let cluster = &installation.cluster;
    cluster.connect("postgres", "postgres").batch_execute(&format!("alter database {TEMPLATE} with allow_connections true")).unwrap();
    // The server goes with it.
    let database = ManuallyDrop::new(Database { name: TEMPLATE.to_owned(), installation });
    let acme = onboard_by_sql(&database, "acme");
    let mut handles = (0..4).map(|_| database.handle()).collect::<Vec<_>>();
    for handle in &mut handles {
        for _ in 0..5 {
            handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
        }
    }
    cluster.stop("fast");
    cluster.start_again();
    assert_eq!(used(&database, acme.id, "users.list"), 20);
    drop(handles);
    // A SIGTERM from a DBA is a peaceful end as well.
    let mut handle = database.handle();
    handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    database.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'nebula_edge'");
    eventually("it is written", || used(&database, acme.id, "users.list") == 21);
    // Killed, it loses what it had not written yet and no more; others were stopped with it by the postmaster.
    let mut handle = database.handle();
    for _ in 0..7 {
        handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    }
    flush(&mut handle.client);
    for _ in 0..5 {
        handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    }
    let starts = || cluster.log().matches("ready to accept connections").count();
    let started = starts();
    let pid: i32 = handle.client.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    eventually("the server is back", || starts() > started);
    assert_eq!(used(&database, acme.id, "users.list"), 28);
    // And it counts on.
    let mut handle = database.handle();
    handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    flush(&mut handle.client);
    assert_eq!(used(&database, acme.id, "users.list"), 29);
}

#[test]
fn a_keys_last_use_is_written_and_is_no_change_of_the_key() {
    let database = Database::new();
    let edge = database.serve_with(BY_HAND);
    let acme = onboard(&edge, "acme");
    let (key, key_id) = acme.key(&edge, &json!({ "name": "k", "actions": ["users.list"] }));
    let (idle, _) = acme.key(&edge, &json!({ "name": "idle", "actions": ["users.list"] }));
    let of = |name: &str| {
        let keys = acme.admin.get("/v1/api-keys?limit=200").data(200);
        keys.as_array().unwrap().iter().find(|key| key["name"] == name).unwrap().clone()
    };
    let before = of("k");
    assert_eq!(before["lastUsedAt"], Value::Null);
    let audited = "select count(*) from nebula.audit_log where entity_type = 'api_key'";
    let rows = database.number(audited, &[]);
    key.get("/v1/users").data(200);
    // Refused, it was used all the same.
    key.get("/v1/groups").forbidden("groups.list", "granted");
    edge.key(&idle.secret.replace(&idle.secret[100..101], "_")).get("/v1/users").refused(401, "INVALID_TOKEN");
    stop(edge);
    let edge = database.serve();
    let admin = edge.user(&acme.admin.token);
    let keys = admin.get("/v1/api-keys?limit=200").data(200);
    let find = |name: &str| keys.as_array().unwrap().iter().find(|key| key["name"] == name).unwrap().clone();
    let after = find("k");
    assert!(after["lastUsedAt"].is_string());
    assert_eq!((&after["updatedAt"], &after["status"]), (&before["updatedAt"], &before["status"]));
    assert_eq!(find("idle")["lastUsedAt"], Value::Null);
    assert_eq!(database.number(audited, &[]), rows);
    // It never goes back.
    database.execute("update nebula.api_key set last_used_at = now() + interval '1 hour'");
    let mut handle = database.handle();
    handle.call(acme.id, &key.secret, "users.list", &json!({})).data(200);
    flush(&mut handle.client);
    assert_eq!(
        database.number("select count(*) from nebula.api_key where id = $1 and last_used_at > now() + interval '30 minutes'", &[&key_id]),
        1
    );
    // But a change of the key beside it is audited as ever.
    admin.patch(&format!("/v1/api-keys/{key_id}/status"), &json!({ "status": "suspenso" })).data(200);
    assert_eq!(database.number(audited, &[]), rows + 1);
}

/// Use of two actions in known hours.
fn history(database: &Database, tenant: Uuid) {
    let sql = "insert into nebula.usage_metrics (tenant_id, tool_action_id, period_start, period_end, count) \
               select $1, a.id, h, h + interval '1 hour', c from (values \
                 ('users.list', '2026-01-31T22:00:00Z'::timestamptz, 1::bigint), ('users.list', '2026-01-31T23:00:00Z', 2), ('users.list', '2026-02-01T00:00:00Z', 4), \
                 ('groups.list', '2026-02-01T00:00:00Z', 8), ('users.list', '2026-02-28T23:00:00Z', 16), ('users.list', '2026-03-01T00:00:00Z', 32) \
               ) v (key, h, c) join nebula.tool_action a on a.key = v.key";
    database.superuser().execute(sql, &[&tenant]).unwrap();
}

/// `start action count` of each row, in UTC. (An answer is written in the session's time zone.)
#[track_caller]
fn told(database: &Database, admin: &User, query: &str) -> Vec<String> {
    let rows = admin.get(&format!("/v1/usage?{query}")).data(200);
    database.texts(
        "select to_char((r ->> 'periodStart')::timestamptz at time zone 'utc', 'YYYY-MM-DD\"T\"HH24') || ' ' || (r ->> 'action') || ' ' || (r ->> 'count') \
         from jsonb_array_elements($1) r order by 1",
        &[&rows],
    )
}

#[test]
fn use_is_told_by_hour_day_and_month_in_utc_whatever_the_sessions_time_zone() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let zeta = onboard_by_sql(&database, "zeta");
    history(&database, acme.id);
    database.execute(&format!("alter database {} set timezone = 'America/Sao_Paulo'", database.name));
    let edge = database.serve_with(BY_HAND);
    let admin = edge.user(&acme.admin);
    let all = "from=2026-01-01T00:00:00Z&to=2026-04-01T00:00:00Z";
    assert_eq!(
        told(&database, &admin, &format!("{all}&granularity=month")),
        ["2026-01-01T00 users.list 3", "2026-02-01T00 groups.list 8", "2026-02-01T00 users.list 20", "2026-03-01T00 users.list 32"]
    );
    assert_eq!(
        told(&database, &admin, all),
        [
            "2026-01-31T00 users.list 3",
            "2026-02-01T00 groups.list 8",
            "2026-02-01T00 users.list 4",
            "2026-02-28T00 users.list 16",
            "2026-03-01T00 users.list 32"
        ]
    );
    assert_eq!(told(&database, &admin, &format!("{all}&granularity=hour")).len(), 6);
    assert_eq!(told(&database, &admin, &format!("{all}&granularity=hour&action=groups.list")), ["2026-02-01T00 groups.list 8"]);
    assert_eq!(told(&database, &admin, &format!("{all}&action=no.such")), [""; 0]);
    // `from` is rounded down to its period, `to` belongs to the next.
    assert_eq!(
        told(&database, &admin, "granularity=hour&from=2026-01-31T23:59:59Z&to=2026-02-01T00:00:00Z"),
        ["2026-01-31T23 users.list 2"]
    );
    assert_eq!(
        told(&database, &admin, "granularity=day&from=2026-02-28T23:59:59Z&to=2026-02-28T23:59:59.5Z"),
        ["2026-02-28T00 users.list 16"]
    );
    assert_eq!(
        told(&database, &admin, "granularity=hour&from=2026-01-31T20:00:00-03:00&to=2026-01-31T21:00:00-03:00"),
        ["2026-01-31T23 users.list 2"]
    );
    let february = admin.get("/v1/usage?granularity=month&from=2026-02-10T00:00:00Z&to=2026-02-11T00:00:00Z").data(200);
    let ends = "select to_char(($1::jsonb -> 0 ->> 'periodEnd')::timestamptz at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS')";
    assert_eq!(database.text(ends, &[&february]), "2026-03-01 00:00:00");
    // Another tenant's use is its own; without `from`, the last 30 days.
    assert_eq!(told(&database, &edge.user(&zeta.admin), all), [""; 0]);
}

#[test]
fn pages_of_use_hold_each_row_once_and_what_is_asked_must_make_sense() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let zeta = onboard_by_sql(&database, "zeta");
    history(&database, acme.id);
    history(&database, zeta.id);
    let edge = database.serve_with(BY_HAND);
    let admin = edge.user(&acme.admin);
    let all = "from=2026-01-01T00:00:00Z&to=2026-04-01T00:00:00Z";
    for granularity in ["hour", "day", "month"] {
        let query = format!("/v1/usage?{all}&granularity={granularity}");
        let whole = admin.get(&query).data(200);
        for limit in 1..=3 {
            let (mut rows, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = admin.get(&format!("{query}&limit={limit}{cursor}")).envelope(200);
                rows.extend(page["data"].as_array().unwrap().clone());
                assert!(rows.len() <= 6);
                match page["meta"]["nextCursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(json!(rows), whole, "{granularity} by {limit}");
        }
    }
    let next = admin.get(&format!("/v1/usage?{all}&limit=1")).envelope(200)["meta"]["nextCursor"].as_str().unwrap().to_owned();
    for query in [
        format!("{all}&limit=1&granularity=hour&cursor={next}"),
        format!("{all}&limit=1&action=users.list&cursor={next}"),
        format!("from=2026-01-02T00:00:00Z&to=2026-04-01T00:00:00Z&limit=1&cursor={next}"),
        format!("{all}&limit=1&cursor={next}x"),
    ] {
        admin.get(&format!("/v1/usage?{query}")).invalid("cursor", "cursor");
    }
    edge.user(&zeta.admin).get(&format!("/v1/usage?{all}&limit=1&cursor={next}")).invalid("cursor", "cursor");
    for (query, field, rule) in [
        ("granularity=week", "granularity", "enum"),
        ("granularity=", "granularity", "enum"),
        ("from=2026-13-01T00:00:00Z", "from", "date-time"),
        ("to=2026-02-30T00:00:00Z", "to", "date-time"),
        ("from=2026-02-02T00:00:00Z&to=2026-02-01T00:00:00Z", "to", "before_from"),
        ("limit=0", "limit", "range"),
        ("limit=201", "limit", "range"),
        ("action=Not%20A%20Key", "action", "key"),
        ("tenantId=x", "tenantId", "unknown"),
        ("sort=count:desc", "sort", "unknown"),
    ] {
        admin.get(&format!("/v1/usage?{query}")).invalid(field, rule);
    }
    let mut handle = database.handle();
    let mut plain = request("usage.read", Some(&acme.admin), &json!({}));
    plain["query"] = json!({ "from": "-infinity" });
    handle.send(acme.id, &plain).refused(400, "VALIDATION_ERROR");
    // Neither end of what can be written breaks anything.
    for query in ["from=0001-01-01T00:00:00Z", "to=9999-12-31T23:59:59Z", "from=9999-12-31T23:59:59Z", "to=0001-01-01T00:00:00Z"] {
        for granularity in ["hour", "day", "month"] {
            let status = admin.get(&format!("/v1/usage?{query}&granularity={granularity}")).status;
            assert!([200, 400].contains(&status), "{query}: {status}");
        }
    }
}
