//! B7. The threat: a client that repeats itself, a connection that breaks before or after the commit, and whoever tries another's key: money moved twice, or an answer
//! given to the wrong caller. One effect under a key, the same bytes each time, 422 for another request, nothing across tenants, callers and operations.

use nebula_tests::{
    Battery, Caller, Database, Handle, Route, World, battery,
    handle::request,
    onboard, onboard_by_sql, parallel, routes,
    world::{Actor, sell_notes},
};
use serde_json::{Value, json};
use std::{thread, time::Duration};
use uuid::Uuid;

fn keyed(route: &Route, actor: &Actor, input: &Value, key: &str) -> Value {
    let mut message = request(&route.operation, Some(&actor.credential), &json!({}));
    let members = message.as_object_mut().unwrap();
    members.remove("query");
    members.remove("body");
    members.insert(if route.takes_body() { "body" } else { "query" }.to_owned(), input.clone());
    members.insert("idempotencyKey".to_owned(), json!(key));
    message
}

/// The input with one leaf changed, so that it is another request.
fn another(input: &Value) -> Value {
    let mut changed = input.clone();
    for member in changed.as_object_mut().unwrap().values_mut() {
        if let Value::String(text) = member {
            *text = if text.parse::<Uuid>().is_ok() { Uuid::now_v7().to_string() } else { format!("{text}x") };
            return changed;
        }
    }
    changed["unexpected"] = json!(1);
    changed
}

#[test]
fn each_operation_replays_the_same_bytes_to_the_same_request_and_to_no_other() {
    let database = Database::new();
    let mut handle = database.handle();
    sell_notes(&database, &mut handle);
    let mut battery = Battery::begin("B7 operations", &database);
    let (acme, zeta) = (World::of_customer(&database, &mut handle, "acme"), World::of_customer(&database, &mut handle, "zeta"));
    let platform = World::of_platform(&database, &mut handle);
    for world in [&acme, &zeta, &platform] {
        database.raise_limits(world.tenant);
    }
    let colleague = acme.key_with(&mut handle, "admin");
    let changing = routes(&database).into_iter().filter(|route| route.method != "GET" && route.scope != "public").collect::<Vec<_>>();
    let before = database.digests();
    for (number, route) in changing.iter().enumerate() {
        let world = if route.scope == "platform" { &platform } else { &acme };
        let input = world.input(&route.operation);
        for key in ["1", "a key of 255 visible characters", "\u{7e}!\"#$%&'()*+,-./:;<=>?@[]^_`{|}"] {
            let key = format!("{}-{number}", key.replace(' ', "_"));
            handle.client.batch_execute("begin").unwrap();
            let message = keyed(route, &world.founder, &input, &key);
            let first = handle.send(world.tenant, &message);
            let effects = effects(&mut handle, world, route);
            for _ in 0..3 {
                let again = handle.send(world.tenant, &message);
                let is_same = (again.status, &again.text) == (first.status, &first.text) && again.context["replayed"] == true;
                battery.case((200..300).contains(&first.status) && is_same, || format!("{}: {first:?} then {again:?}", route.operation));
            }
            battery.case(effects == self::effects(&mut handle, world, route), || format!("{}: a replay had an effect", route.operation));
            let other = handle.send(world.tenant, &keyed(route, &world.founder, &another(&input), &key));
            battery.case(matches!(other.status, 422 | 400), || format!("{} with another input: {other:?}", route.operation));
            if route.scope == "tenant" && !route.is_own() {
                // Somebody else of the tenant, by the same key, gets no answer of the first's.
                let theirs = handle.send(acme.tenant, &keyed(route, &colleague, &input, &key));
                battery.case(theirs.context.get("replayed").is_none() && theirs.text != first.text, || {
                    format!("{} by a colleague: {theirs:?}", route.operation)
                });
                // The other tenant has keys of its own.
                let elsewhere = handle.send(zeta.tenant, &keyed(route, &zeta.founder, &zeta.input(&route.operation), &key));
                battery.case(elsewhere.status == first.status && elsewhere.context.get("replayed").is_none(), || {
                    format!("{} of the other tenant: {elsewhere:?}", route.operation)
                });
            }
            handle.client.batch_execute("rollback").unwrap();
        }
    }
    assert_eq!(database.digests(), before);
    battery.end(500, &[]);
}

/// What a list of the tenant tells after an effect, as far as one exists; it stands for the tables, which only another session could read.
fn effects(handle: &mut Handle, world: &World, route: &Route) -> String {
    if route.is_own() || route.operation.starts_with("users.anonymize") {
        return String::new();
    }
    let told = handle.call(world.tenant, &world.founder.credential, "audit.list", &json!({ "limit": "200" }));
    told.body["data"].as_array().map_or(0, Vec::len).to_string() + &told.body["data"][0]["id"].to_string()
}

#[test]
fn of_64_at_once_one_has_the_effect_and_all_get_its_bytes() {
    let database = Database::new();
    let edges = [database.serve(), database.serve()];
    let acme = onboard(&edges[0], "acme");
    database.raise_limits(acme.id);
    let mut battery = Battery::begin("B7 at once", &database);
    for round in 0..battery::scaled(3, 50) {
        let email = format!("round{round}@acme.example");
        let body = json!({ "email": email, "name": "R" });
        let answers = parallel(64, 32, |n| {
            let caller = edges[n % 2].user(&acme.admin.token);
            caller.request("POST", "/v1/users").key(&format!("round-{round}")).json(&body).send()
        });
        let made = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count();
        battery.case(made == 1, || format!("round {round}: {made} answers were no replay"));
        for answer in &answers {
            battery.case(answer.status == 201 && answer.text == answers[0].text, || format!("round {round}: {answer:?}"));
        }
        let effects = database.number("select count(*) from nebula.user where email = $1", &[&email]);
        let events = database.number("select count(*) from nebula.outbox where payload::text like '%' || $1 || '%' or payload #>> '{data,id}' = (select id::text from nebula.user where email = $1)", &[&email]);
        battery.case(effects == 1 && events == 1, || format!("round {round}: {effects} effects, {events} events"));
        let other =
            acme.admin.request("POST", "/v1/users").key(&format!("round-{round}")).json(&json!({ "email": email, "name": "S" })).send();
        battery.case(other.status == 422, || format!("round {round}: another body: {other:?}"));
    }
    battery.end(190, &[]);
}

/// The backend is ended somewhere between the statement's arrival and the answer's; the client knows nothing and asks again.
#[test]
fn a_connection_that_is_killed_before_or_after_the_commit_has_one_effect() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut battery = Battery::begin("B7 kills", &database);
    let (mut before, mut after) = (0, 0);
    for round in 0..battery::scaled(40, 400) {
        let email = format!("kill{round}@acme.example");
        let mut message = request("users.create", Some(&acme.admin), &json!({ "email": email, "name": "K" }));
        message["idempotencyKey"] = json!(format!("kill-{round}"));
        let mut victim = database.handle();
        let pid: i32 = victim.client.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
        // With the library loaded and the rights read: the statement is short then, and is hit at every part of it.
        victim.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
        let mut killer = database.superuser();
        let outcome = thread::scope(|scope| {
            let sent = scope.spawn(|| victim.try_send(acme.id, &message));
            thread::sleep(Duration::from_micros(u64::try_from(round % 20).unwrap() * 500));
            killer.execute("select pg_terminate_backend($1)", &[&pid]).unwrap();
            sent.join().unwrap()
        });
        let is_there = database.number("select count(*) from nebula.user where email = $1", &[&email]);
        if outcome.is_err() && is_there == 0 {
            before += 1;
        } else {
            after += 1;
        }
        let again = database.handle().send(acme.id, &message);
        let counts = [
            database.number("select count(*) from nebula.user where email = $1", &[&email]),
            database.number("select count(*) from nebula.idempotency_key where tenant_id = $1 and key = $2", &[&acme.id, &format!("kill-{round}")]),
            database.number("select count(*) from nebula.audit_log where action = 'users.create' and entity_id = (select id from nebula.user where email = $1)", &[&email]),
        ];
        battery.case(again.status == 201 && counts[0] == 1 && counts[1] <= 1 && counts[2] == 1, || {
            format!("round {round}: {counts:?} {again:?}")
        });
        let told_before = outcome.ok().map(|answer| answer.text);
        battery.case(told_before.is_none_or(|text| text == again.text), || format!("round {round}: two answers"));
    }
    println!("B7 kills: {before} before the commit, {after} after it");
    battery.end(80, &[]);
}
