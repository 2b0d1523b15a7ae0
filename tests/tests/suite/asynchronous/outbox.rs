//! The outbox: what is committed is claimed at least once, by one worker at a time, fairly and in order.

use nebula_tests::{Database, Leased, Queue, eventually, onboard_by_sql};
use postgres::error::SqlState;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};
use uuid::Uuid;

/// A database without work, a tenant in it, and a worker.
fn quiet(slug: &str) -> (Database, Uuid, Queue) {
    let database = Database::new();
    let tenant = onboard_by_sql(&database, slug).id;
    let mut worker = Queue::new(&database, "w1");
    drain(&mut worker);
    (database, tenant, worker)
}

fn drain(worker: &mut Queue) {
    loop {
        let jobs = worker.claim(1000);
        if jobs.is_empty() {
            return;
        }
        worker.complete(&jobs);
    }
}

#[track_caller]
fn emit(database: &Database, tenant: Uuid, count: i32, aggregate: Option<&str>) {
    let sql = "select count(nebula.emit('order.paid', jsonb_build_object('number', n), $1, $2)) from generate_series(1, $3::integer) n";
    database.superuser().query_one(sql, &[&aggregate, &tenant, &count]).unwrap();
}

/// So many workers at once.
fn workers(count: usize, work: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for number in 0..count {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

fn numbers(jobs: &[Leased]) -> Vec<i64> {
    jobs.iter().map(|job| job.data["number"].as_i64().unwrap()).collect()
}

fn status(database: &Database, id: Uuid) -> String {
    database.text("select status from nebula.outbox where id = $1", &[&id])
}

#[test]
fn data_of_any_shape_is_the_event_s_and_names_what_it_is_about() {
    let (database, tenant, _) = quiet("acme");
    let mut superuser = database.superuser();
    let shapes = [
        "5",
        "-0.50",
        "\"text\"",
        "null",
        "true",
        "[]",
        "{}",
        "[1, [2, {\"a\": null}], \"x\"]",
        "{\"id\": \"né\\\"w\"}",
        "{\"id\": 7}",
        "{\"id\": null}",
        "{\"id\": true, \"data\": {\"id\": 1}}",
        "{\"id\": {\"a\": [1]}, \"version\": 2}",
        "{\"id\": [\"x\"]}",
        "{\"ID\": \"x\", \"nested\": {\"id\": \"y\"}, \"long\": [1.25, 1e20, \"\"]}",
    ];
    for shape in shapes {
        superuser.execute("delete from nebula.outbox_live", &[]).unwrap();
        superuser.execute("select nebula.emit('order.paid', $1::text::jsonb, null, $2)", &[&shape, &tenant]).unwrap();
        superuser
            .execute("select nebula.emit_each('order.paid', jsonb_build_array($1::text::jsonb, $1::text::jsonb), $2)", &[&shape, &tenant])
            .unwrap();
        let wrong = "select count(*) from nebula.outbox_live where payload <> jsonb_build_object('version', 1, 'data', $1::text::jsonb) \
                     or aggregate is distinct from 'order/' || ($1::text::jsonb #>> '{id}')";
        assert_eq!((database.number("select count(*) from nebula.outbox_live", &[]), database.number(wrong, &[&shape])), (3, 0), "{shape}");
    }
    // What was compressed or moved out of its row too.
    superuser.batch_execute("create table public.large (data jsonb); insert into public.large select jsonb_build_object('id', 'x', 'text', repeat('long', 20000))").unwrap();
    superuser.execute("select nebula.emit('order.paid', data, null, $1) from public.large", &[&tenant]).unwrap();
    let same = "select count(*) from nebula.outbox_live o, public.large l where o.payload -> 'data' = l.data and o.aggregate = 'order/x'";
    assert_eq!(database.number(same, &[]), 1);
}

#[test]
fn what_returns_a_table_may_stand_wherever_sql_has_a_place_for_it() {
    let (database, tenant, _) = quiet("acme");
    emit(&database, tenant, 8, None);
    let mut superuser = database.superuser();
    let claim = "nebula.claim('w1', 2, interval '1 minute')";
    // As a table, in the list of a select, taken apart, and beside other rows.
    for (sql, rows) in [
        (format!("select id, data ->> 'number' from {claim}"), 2),
        (format!("select c from (select {claim} as c) t"), 2),
        (format!("select ({claim}).id limit 1"), 1),
        (format!("select c.id from generate_series(1, 3) n cross join lateral {claim} c where n > 0"), 6),
        (format!("select * from {claim}"), 0),
    ] {
        assert_eq!(superuser.query(&sql, &[]).unwrap_or_else(|error| panic!("{sql}: {error:?}")).len(), rows, "{sql}");
    }
    let lease = "(select array_agg(id) from nebula.outbox_live), (select array_agg(attempts) from nebula.outbox_live)";
    let done = format!("select nebula.complete('w1', {lease})");
    assert_eq!(superuser.query(&done, &[]).unwrap().len(), 8);
    assert!(superuser.query("select * from nebula.complete('w1', '{}', '{}') with ordinality", &[]).unwrap().is_empty());
    // By a cursor that is not read to its end, and with a snapshot of before.
    emit(&database, tenant, 2, None);
    let mut transaction = superuser.transaction().unwrap();
    transaction.batch_execute(&format!("declare c cursor for select * from {claim}; fetch 1 from c; close c")).unwrap();
    transaction.commit().unwrap();
    assert_eq!(database.number("select count(*) from nebula.outbox_live where status = 'running'", &[]), 2);
}

#[test]
fn what_is_committed_is_claimed_once_and_what_is_rolled_back_never() {
    let (database, tenant, mut worker) = quiet("acme");
    let mut superuser = database.superuser();
    superuser.execute("begin", &[]).unwrap();
    superuser.execute("select nebula.emit('order.paid', '{\"number\": 7}', null, $1)", &[&tenant]).unwrap();
    assert!(worker.claim(10).is_empty(), "not yet committed");
    superuser.batch_execute("rollback").unwrap();
    assert!(worker.claim(10).is_empty());
    emit(&database, tenant, 3, None);
    let jobs = worker.claim(10);
    assert_eq!(numbers(&jobs), [1, 2, 3]);
    assert!(jobs.iter().all(|job| job.kind == "order.paid" && job.attempt == 1 && job.tenant == Some(tenant) && job.aggregate.is_none()));
    assert!(worker.claim(10).is_empty(), "leased");
    assert_eq!(status(&database, jobs[0].id), "running");
    assert_eq!(worker.complete(&jobs), 3);
    assert_eq!(status(&database, jobs[0].id), "done");
    assert_eq!(worker.complete(&jobs), 0, "once");
    assert_eq!(database.number("select count(*) from nebula.outbox_live", &[]), 0, "the live part holds the backlog alone");
}

#[test]
fn many_workers_at_once_share_the_work_and_no_job_is_had_twice() {
    let (database, tenant, _) = quiet("acme");
    emit(&database, tenant, 2000, None);
    let had = Mutex::new(Vec::new());
    workers(6, |number| {
        let mut worker = Queue::new(&database, &format!("w{number}"));
        eventually("nothing is left", || {
            let jobs = worker.claim(37);
            assert_eq!(worker.complete(&jobs), jobs.len());
            had.lock().unwrap().extend(numbers(&jobs));
            jobs.is_empty() && database.number("select count(*) from nebula.outbox_live where status = 'pending'", &[]) == 0
        });
    });
    let had = had.into_inner().unwrap();
    assert_eq!(had.len(), 2000);
    assert_eq!(had.into_iter().collect::<BTreeSet<_>>().len(), 2000);
}

#[test]
fn a_worker_whose_lease_has_passed_can_acknowledge_nothing() {
    let (database, tenant, mut first) = quiet("acme");
    emit(&database, tenant, 2, None);
    let stale = first.claim_with(2, "1 second", None, &[]);
    assert_eq!(stale.len(), 2);
    database.execute("update nebula.outbox set locked_until = now() - interval '1 second' where status = 'running'");
    // Its time is over, though nobody else has them yet.
    assert_eq!((first.complete(&stale), first.extend(&stale, "1 minute"), first.fail(&stale[0], None, true)), (0, 0, None));
    let mut second = Queue::new(&database, "w2");
    let fresh = second.claim(2);
    assert_eq!(fresh.iter().map(|job| job.attempt).collect::<Vec<_>>(), [2, 2]);
    assert_eq!((first.complete(&stale), first.fan_out(&stale), first.fail(&stale[0], None, false)), (0, 0, None));
    // Nor with the number of the new attempt: the lease is another worker's.
    assert_eq!((first.complete(&fresh), first.extend(&fresh, "1 minute")), (0, 0));
    assert_eq!(second.extend(&fresh, "1 hour"), 2);
    assert_eq!(second.complete(&fresh), 2);
}

#[test]
fn failures_wait_as_the_profile_says_and_end_dead_until_a_person_retries() {
    for (profile, waits) in [
        ("mvp", vec![60.0, 300.0, 900.0, 3600.0, 21_600.0]),
        ("standard", vec![60.0, 180.0, 540.0, 1620.0, 4860.0, 14_580.0, 43_740.0, 86_400.0, 86_400.0, 86_400.0]),
    ] {
        let (database, tenant, mut worker) = quiet("acme");
        database
            .superuser()
            .execute("insert into nebula.tenant_config (tenant_id, profile) values ($1, $2)", &[&tenant, &profile])
            .unwrap();
        emit(&database, tenant, 1, None);
        for wait in waits {
            let job = worker.claim(1).remove(0);
            assert_eq!(worker.fail(&job, None, false).as_deref(), Some("pending"));
            let seconds = database.text("select extract(epoch from available_at - clock_timestamp())::text from nebula.outbox_live", &[]);
            let seconds: f64 = seconds.parse().unwrap();
            assert!(seconds > wait * 0.9 - 5.0 && seconds < wait * 1.1, "{profile}: {seconds} of {wait}");
            assert!(worker.claim(1).is_empty(), "not before its time");
            database.execute("update nebula.outbox set available_at = now() where status = 'pending'");
        }
        let job = worker.claim(1).remove(0);
        assert_eq!(worker.fail(&job, None, false).as_deref(), Some("dead"));
        assert_eq!(database.text("select last_error from nebula.outbox where id = $1", &[&job.id]), "it failed");
        assert!(worker.claim(1).is_empty());
        assert_eq!(database.text("select nebula.requeue($1)::text", &[&job.id]), "true");
        assert_eq!(database.text("select nebula.requeue($1)::text", &[&job.id]), "false", "only what is dead");
        let again = worker.claim(1).remove(0);
        assert_eq!((again.id, again.attempt), (job.id, job.attempt + 1), "a lease of before is not taken for the new one");
        assert_eq!(worker.complete(&[job]), 0);
        assert_eq!(worker.complete(&[again]), 1);
    }
}

#[test]
fn a_receiver_may_ask_for_more_time_and_a_job_can_be_given_up_at_once() {
    let (database, tenant, mut worker) = quiet("acme");
    emit(&database, tenant, 3, None);
    let jobs = worker.claim(3);
    let wait = |id: Uuid| {
        let sql = "select extract(epoch from available_at - clock_timestamp())::text from nebula.outbox_live where id = $1";
        database.text(sql, &[&id]).parse::<f64>().unwrap()
    };
    worker.fail(&jobs[0], Some("2 hours"), false);
    assert!((7100.0..7201.0).contains(&wait(jobs[0].id)));
    worker.fail(&jobs[1], Some("1 year"), false);
    assert!((86_000.0..86_401.0).contains(&wait(jobs[1].id)), "a day at most");
    assert_eq!(worker.fail(&jobs[2], None, true).as_deref(), Some("dead"));
}

#[test]
fn a_crash_is_no_failure_but_what_crashes_every_worker_ends_dead() {
    let (database, tenant, mut worker) = quiet("acme");
    emit(&database, tenant, 1, None);
    for attempt in 1..=25 {
        assert_eq!(worker.claim(1).remove(0).attempt, attempt);
        database.execute("update nebula.outbox set locked_until = now() - interval '1 second' where status = 'running'");
    }
    assert!(worker.claim(1).is_empty());
    assert_eq!(
        database.texts("select last_error from nebula.outbox where status = 'dead' and type = 'order.paid'", &[]),
        ["the lease ended too often without a word"]
    );
}

#[test]
fn a_tenant_with_a_hundred_thousand_events_delays_another_by_at_most_one_batch() {
    let (database, noisy, mut worker) = quiet("noisy");
    let calm = onboard_by_sql(&database, "calm").id;
    drain(&mut worker);
    database
        .superuser()
        .execute(
            "insert into nebula.outbox (tenant_id, type, payload) select $1, 'order.paid', '{\"version\": 1, \"data\": {}}' from generate_series(1, 100000)",
            &[&noisy],
        )
        .unwrap();
    let batch = worker.claim(100);
    assert!(batch.len() == 100 && batch.iter().all(|job| job.tenant == Some(noisy)), "nobody else has any");
    worker.complete(&batch);
    for _ in 0..5 {
        emit(&database, calm, 1, None);
        let batch = worker.claim(100);
        assert_eq!(batch.len(), 100, "and no room is left empty");
        assert_eq!(batch.iter().filter(|job| job.tenant == Some(calm)).count(), 1);
        worker.complete(&batch);
    }
    // One at a time goes round.
    emit(&database, calm, 3, None);
    let turns = (0..6).map(|_| worker.claim(1).remove(0).tenant.unwrap()).collect::<Vec<_>>();
    assert_eq!(turns.iter().filter(|tenant| **tenant == calm).count(), 3, "{turns:?}");
}

#[test]
fn a_tenant_gets_no_more_than_its_bound_and_a_busy_one_nothing() {
    let (database, one, mut worker) = quiet("one");
    let two = onboard_by_sql(&database, "two").id;
    drain(&mut worker);
    emit(&database, one, 50, None);
    emit(&database, two, 3, None);
    let jobs = worker.claim_with(40, "1 minute", Some(10), &[]);
    let count = |tenant: Uuid| jobs.iter().filter(|job| job.tenant == Some(tenant)).count();
    assert_eq!((count(one), count(two)), (10, 3));
    assert!(worker.claim_with(40, "1 minute", Some(10), &[one]).is_empty());
    assert_eq!(worker.claim_with(40, "1 minute", None, &[two]).len(), 40);
}

#[test]
fn events_about_the_same_come_one_at_a_time_in_the_order_in_which_they_were_written() {
    let (database, tenant, mut worker) = quiet("acme");
    let mut other = Queue::new(&database, "w2");
    emit(&database, tenant, 5, Some("order/1"));
    emit(&database, tenant, 2, None);
    emit(&database, tenant, 3, Some("order/2"));
    let first = worker.claim(100);
    assert_eq!(first.len(), 4, "one of each order, and what is about nothing");
    assert!(other.claim(100).is_empty(), "the next ones wait for the first");
    worker.complete(&first);
    let mut seen: BTreeMap<Option<String>, Vec<i64>> = BTreeMap::new();
    for _ in 0..4 {
        let jobs = other.claim(100);
        for job in &jobs {
            seen.entry(job.aggregate.clone()).or_default().extend(numbers(std::slice::from_ref(job)));
        }
        other.complete(&jobs);
    }
    assert_eq!(seen[&Some("order/1".to_owned())], [2, 3, 4, 5]);
    assert_eq!(seen[&Some("order/2".to_owned())], [2, 3]);
    assert_eq!(database.number("select count(*) from nebula.outbox_live", &[]), 0);
}

#[test]
fn one_that_failed_holds_the_next_back_until_it_is_done_or_dead() {
    let (database, tenant, mut worker) = quiet("acme");
    emit(&database, tenant, 3, Some("order/1"));
    let job = worker.claim(10).remove(0);
    worker.fail(&job, None, false);
    assert!(worker.claim(10).is_empty());
    database.execute("update nebula.outbox set available_at = now() where failures > 0");
    let job = worker.claim(10);
    assert_eq!(numbers(&job), [1], "itself first");
    worker.fail(&job[0], None, true);
    let job = worker.claim(10);
    assert_eq!(numbers(&job), [2], "after a dead one it goes on");
    // One whose worker died comes again before the next.
    database.execute("update nebula.outbox set locked_until = now() - interval '1 second' where status = 'running'");
    assert_eq!(numbers(&worker.claim(10)), [2]);
}

#[test]
fn order_is_kept_while_many_workers_finish_and_hold_at_once() {
    let (database, tenant, _) = quiet("acme");
    for aggregate in 0..8 {
        emit(&database, tenant, 25, Some(&format!("order/{aggregate}")));
    }
    let seen = Mutex::new(BTreeMap::<String, Vec<i64>>::new());
    workers(6, |number| {
        let mut worker = Queue::new(&database, &format!("w{number}"));
        eventually("everything is done, none of it by the minute's grace", || {
            let jobs = worker.claim(5);
            {
                let mut seen = seen.lock().unwrap();
                for job in &jobs {
                    seen.entry(job.aggregate.clone().unwrap()).or_default().push(job.data["number"].as_i64().unwrap());
                }
            }
            worker.complete(&jobs);
            database.number("select count(*) from nebula.outbox_live", &[]) == 0
        });
    });
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.len(), 8);
    assert!(seen.values().all(|numbers| *numbers == (1..=25).collect::<Vec<_>>()), "{seen:?}");
}

/// A subscription of a tenant to these events, as the edge would have made it.
fn subscribe(database: &Database, tenant: Uuid, events: &[&str]) -> Uuid {
    let sql = "insert into nebula.webhook_subscription (tenant_id, url, events, secret_sealed, secret_key_version) \
               values ($1, 'https://acme.example/', $2, '\\x00', 1) returning id";
    database.superuser().query_one(sql, &[&tenant, &events]).unwrap().get(0)
}

#[test]
fn events_become_one_job_for_each_webhook_that_wants_them_and_for_no_other_tenants() {
    for is_relayed in [true, false] {
        let (database, tenant, mut worker) = quiet("acme");
        let zeta = onboard_by_sql(&database, "zeta").id;
        drain(&mut worker);
        let (all, some) = (subscribe(&database, tenant, &["*"]), subscribe(&database, tenant, &["order.paid", "x.y"]));
        let suspended = subscribe(&database, tenant, &["*"]);
        database.execute(&format!("update nebula.webhook_subscription set status = 'suspenso' where id = '{suspended}'"));
        subscribe(&database, tenant, &["order"]);
        subscribe(&database, zeta, &["*"]);
        emit(&database, tenant, 2, Some("order/1"));
        if is_relayed {
            assert_eq!((worker.relay(10), worker.relay(10)), (2, 0));
        } else {
            for _ in 0..2 {
                let events = worker.claim(1);
                assert_eq!(worker.fan_out(&events), 1);
                assert_eq!(worker.fan_out(&events), 0, "once");
            }
        }
        assert_eq!(database.number("select count(*) from nebula.outbox where type = 'order.paid' and status = 'done'", &[]), 2);
        let jobs = worker.claim(10);
        // One at a time of each webhook, since both events are about the same.
        let webhooks = jobs.iter().map(|job| job.data["webhookId"].as_str().unwrap().parse().unwrap()).collect::<BTreeSet<Uuid>>();
        assert_eq!(webhooks, BTreeSet::from([all, some]));
        assert!(
            jobs.iter().all(|job| job.kind == "webhook.delivery" && job.tenant == Some(tenant) && job.data["eventType"] == "order.paid")
        );
        worker.complete(&jobs);
        let next = worker.claim(10);
        assert_eq!(next.len(), 2);
        let event = |job: &Leased| {
            database.number(
                "select (payload #>> '{data,number}')::bigint from nebula.outbox where id = $1",
                &[&job.data["eventId"].as_str().unwrap().parse::<Uuid>().unwrap()],
            )
        };
        assert!(jobs.iter().all(|job| event(job) == 1) && next.iter().all(|job| event(job) == 2), "in order");
    }
}

#[test]
fn many_relays_at_once_hand_each_event_on_once_and_in_order() {
    let (database, tenant, _) = quiet("acme");
    subscribe(&database, tenant, &["*"]);
    for aggregate in 0..20 {
        emit(&database, tenant, 50, Some(&format!("order/{aggregate}")));
    }
    emit(&database, tenant, 500, None);
    workers(6, |number| {
        let mut worker = Queue::new(&database, &format!("w{number}"));
        eventually("every event is handed on", || {
            worker.relay(37);
            database.number("select count(*) from nebula.outbox_live where not is_job", &[]) == 0
        });
    });
    let handed =
        "select count(*) || ' ' || count(distinct payload #>> '{data,eventId}') from nebula.outbox where type = 'webhook.delivery'";
    assert_eq!(database.text(handed, &[]), "1500 1500");
    let out_of_order = "select count(*) from ( \
        select (e.payload #>> '{data,number}')::integer as number, lag((e.payload #>> '{data,number}')::integer) over (partition by e.aggregate order by j.position) as before \
        from nebula.outbox j join nebula.outbox e on e.id = (j.payload #>> '{data,eventId}')::uuid where j.is_job and e.aggregate is not null) o where number <> before + 1";
    assert_eq!(database.number(out_of_order, &[]), 0);
}

#[test]
fn an_event_waits_for_an_earlier_one_that_somebody_has_claimed() {
    let (database, tenant, mut worker) = quiet("acme");
    subscribe(&database, tenant, &["*"]);
    emit(&database, tenant, 2, Some("order/1"));
    let first = worker.claim(1);
    Queue::new(&database, "w2").relay(10);
    assert_eq!(database.number("select count(*) from nebula.outbox where type = 'webhook.delivery'", &[]), 0);
    worker.fan_out(&first);
    assert_eq!(worker.relay(10), 1);
    assert_eq!(database.number("select count(*) from nebula.outbox where type = 'webhook.delivery'", &[]), 2);
}

#[test]
fn jobs_can_be_claimed_without_events_and_a_backlog_of_the_one_is_none_of_the_other() {
    let (database, tenant, mut worker) = quiet("acme");
    subscribe(&database, tenant, &["order.paid"]);
    emit(&database, tenant, 1, None);
    worker.relay(10);
    database.execute(&format!("select nebula.emit('noise.made', '{{}}', null, '{tenant}') from generate_series(1, 500)"));
    let claim = "select kind from nebula.claim('w1', 100, '1 minute', null, '{}', true)";
    let kinds = worker.client.query(claim, &[]).unwrap().iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>();
    assert_eq!(kinds, ["webhook.delivery"]);
}

#[test]
fn the_products_own_events_are_about_the_row_that_they_name() {
    let database = Database::new();
    let _ = onboard_by_sql(&database, "acme");
    let wrong = "select type || ' ' || coalesce(aggregate, '') from nebula.outbox where payload -> 'data' ? 'id' \
                 and aggregate is distinct from split_part(type, '.', 1) || '/' || (payload -> 'data' ->> 'id')";
    assert!(database.texts(wrong, &[]).is_empty());
    assert!(database.number("select count(*) from nebula.outbox where aggregate ~ '^user/[0-9a-f-]{36}$'", &[]) > 0);
}

#[test]
fn whoever_waits_is_woken_by_a_commit_and_by_nothing_else() {
    let (database, tenant, mut worker) = quiet("acme");
    let wait = |worker: &mut Queue, milliseconds: i32| -> bool {
        worker.client.query_one("select nebula.wait_for_work($1)", &[&milliseconds]).unwrap().get(0)
    };
    wait(&mut worker, 0);
    // Other tests of this cluster write, too: only what this one does is waited for.
    emit(&database, tenant, 1, None);
    assert!(wait(&mut worker, 20_000), "what was committed before the wait is told at once");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut worker = Queue::new(&database, "w2");
            while wait(&mut worker, 0) {}
            let woken = wait(&mut worker, 20_000);
            (woken, worker.claim(10).len())
        });
        std::thread::sleep(Duration::from_millis(200));
        emit(&database, tenant, 1, None);
        assert!(waiting.join().unwrap().0);
    });
}

/// What `nebula.await_work` tells, once there is nothing left to tell of.
fn told_of(worker: &mut Queue, work: impl FnOnce()) -> (bool, bool) {
    let await_work = |worker: &mut Queue, milliseconds: i32| {
        let row = worker.client.query_one("select events, jobs from nebula.await_work($1)", &[&milliseconds]).unwrap();
        (row.get(0), row.get(1))
    };
    while await_work(worker, 0) != (false, false) {}
    work();
    await_work(worker, 100)
}

/// Databases share a few counters, so that another test's work may be told of, too: what is asked is what comes out once at least.
#[test]
fn whoever_waits_is_told_of_events_and_jobs_apart() {
    let (database, tenant, mut worker) = quiet("acme");
    let is_told = |worker: &mut Queue, expected, work: &mut dyn FnMut()| (0..20).any(|_| told_of(worker, &mut *work) == expected);
    assert!(is_told(&mut worker, (false, false), &mut || emit(&database, tenant, 1, None)), "an event of a tenant without webhooks");
    assert!(is_told(&mut worker, (false, false), &mut || ()), "nothing");
    subscribe(&database, tenant, &["x.y"]);
    assert!(is_told(&mut worker, (true, false), &mut || emit(&database, tenant, 1, None)), "an event");
    subscribe(&database, tenant, &["*"]);
    let mut relay = database.connect("nebula_worker");
    let mut is_delivery_told = || {
        emit(&database, tenant, 1, None);
        told_of(&mut worker, || drop(relay.query_one("select nebula.relay('w2', 10)", &[]).unwrap())) == (false, true)
    };
    assert!((0..20).any(|_| is_delivery_told()), "a delivery, which handing on has made a job of");
}

#[test]
fn work_of_another_database_wakes_nobody() {
    let (database, _, mut worker) = quiet("acme");
    let oid = |database: &Database| database.number("select oid::bigint from pg_database where datname = current_database()", &[]);
    // Of one that doesn't share the counter.
    let (other, tenant, _) = std::iter::repeat_with(|| quiet("other")).find(|(other, ..)| (oid(other) - oid(&database)) % 32 != 0).unwrap();
    assert!((0..20).any(|_| told_of(&mut worker, || emit(&other, tenant, 1, None)) == (false, false)));
}

#[test]
fn a_copied_database_gives_its_work_to_nobody_until_it_is_adopted() {
    let database = Database::new();
    let tenant = onboard_by_sql(&database, "acme").id;
    emit(&database, tenant, 1, None);
    let mut worker = database.connect("nebula_worker");
    assert_eq!(database.text("select nebula.may_deliver()::text", &[]), "false", "a test's database is a copy of the template");
    for call in [
        "select nebula.claim('w', 1, '1 minute')",
        "select nebula.start_task('w', 'retention', '1 hour', '1 minute')",
        "select nebula.relay('w', 1)",
    ] {
        let refused = worker.query(call, &[]).unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE), "{call}");
    }
    assert!(worker.query("select nebula.adopt_here()", &[]).is_err(), "that is a person's to say");
    database.execute("select nebula.adopt_here(), nebula.adopt_here()");
    assert!(!worker.query("select nebula.claim('w', 1, '1 minute')", &[]).unwrap().is_empty());
    // A copy of this one is one again, though it knows that its original was adopted.
    drop(worker);
    let copy = format!("{}_copy", database.name);
    let mut postgres = database.installation.cluster.connect("postgres", "postgres");
    postgres.batch_execute(&format!("create database {copy} template {}", database.name)).unwrap();
    let mut worker = database.installation.cluster.connect("nebula_worker", &copy);
    let refused = worker.query("select nebula.claim('w', 1, '1 minute')", &[]).unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE));
    drop(worker);
    postgres.batch_execute(&format!("drop database {copy} with (force)")).unwrap();
}

#[test]
fn where_it_was_installed_it_may_send() {
    let database = Database::new();
    database.execute("drop extension nebula cascade; drop schema nebula cascade; create extension nebula; select nebula.migrate()");
    assert_eq!(database.text("select nebula.may_deliver()::text", &[]), "true");
}

#[test]
fn a_task_is_one_workers_until_it_says_so_or_its_lease_ends() {
    let (database, _, mut one) = quiet("acme");
    let mut two = Queue::new(&database, "w2");
    let start = |worker: &mut Queue, every: &str| -> bool {
        let sql = "select nebula.start_task($1, 'retention', $2::text::interval, '1 minute')";
        worker.client.query_one(sql, &[&worker.name, &every]).unwrap().get(0)
    };
    assert!(start(&mut one, "0 s"));
    assert!(!start(&mut two, "0 s"));
    two.client.execute("select nebula.finish_task('w2', 'retention')", &[]).unwrap();
    assert!(!start(&mut two, "0 s"), "another's turn can't be given back");
    one.client.execute("select nebula.finish_task('w1', 'retention', 'no storage')", &[]).unwrap();
    assert_eq!(database.text("select last_error from nebula.task", &[]), "no storage");
    assert!(start(&mut two, "1 hour"));
    database.execute("update nebula.task set locked_until = now() - interval '1 second'");
    assert!(start(&mut one, "1 hour"), "its worker died");
    one.client.execute("select nebula.finish_task('w1', 'retention')", &[]).unwrap();
    assert!(!start(&mut two, "1 hour"), "not due yet");
}

#[test]
fn events_of_others_and_of_the_product_are_refused() {
    let (database, tenant, _) = quiet("acme");
    let mut superuser = database.superuser();
    for kind in ["user.created", "webhook.delivery", "export.run", "storage.remove", "privacy.erased", "group.x", "", "Order.Paid", "a.b\n"]
    {
        let refused = superuser.query("select nebula.emit($1, '{}', null, $2)", &[&kind, &tenant]).unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{kind}");
    }
    let refused = superuser.query("select nebula.emit('order.paid', '{}', null, $1)", &[&Uuid::now_v7()]).unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::FOREIGN_KEY_VIOLATION));
    assert!(superuser.query("select nebula.emit('order.paid', '{}')", &[]).is_err(), "whose?");
    let huge = "x".repeat(300_000);
    assert!(superuser.query("select nebula.emit('order.paid', jsonb_build_object('x', $1::text), null, $2)", &[&huge, &tenant]).is_err());
    assert!(superuser.query("select nebula.emit('order.paid', '{}', repeat('x', 201), $1)", &[&tenant]).is_err());
    let later = "select count(nebula.emit('order.paid', '{}', null, $1, now() + interval '1 hour'))";
    superuser.query_one(later, &[&tenant]).unwrap();
    assert!(Queue::new(&database, "w2").claim(10).is_empty(), "not before its time");
    assert_eq!(database.number("select count(*) from nebula.outbox_live", &[]), 1);
}

#[test]
fn arguments_without_sense_are_refused_and_lose_nothing() {
    let (database, tenant, mut worker) = quiet("acme");
    emit(&database, tenant, 1, None);
    for call in [
        "select nebula.claim('', 1, '1 minute')",
        "select nebula.claim(null, 1, '1 minute')",
        "select nebula.claim('w', 1, null)",
        "select nebula.claim('w', 1, '0')",
        "select nebula.claim('w', 1, '-1 day')",
        "select nebula.claim('w', 1, '2 days')",
        "select nebula.claim(repeat('w', 201), 1, '1 minute')",
        "select nebula.complete('w', array[gen_random_uuid()], array[]::integer[])",
        "select nebula.complete('w', array[null]::uuid[], array[1])",
    ] {
        let refused = worker.client.query(call, &[]).unwrap_err();
        assert_ne!(refused.code(), Some(&SqlState::INTERNAL_ERROR), "{call}: {refused:?}");
    }
    for call in [
        "select nebula.claim('w', 0, '1 minute')",
        "select nebula.claim('w', -1, '1 minute')",
        "select nebula.claim('w', 5, '1 minute', 0)",
    ] {
        assert!(worker.client.query(call, &[]).unwrap().is_empty(), "{call}");
    }
    assert_eq!(worker.claim(i32::MAX).len(), 1);
}

#[test]
fn the_workers_login_reads_and_changes_no_table() {
    let (database, _, mut worker) = quiet("acme");
    for table in database.tables() {
        for statement in [format!("select 1 from {table}"), format!("delete from {table}"), format!("truncate {table}")] {
            let refused = worker.client.batch_execute(&statement).unwrap_err();
            assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
        }
    }
}
