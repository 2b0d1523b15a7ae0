//! B18. The threat: savepoints. What a backend keeps in its memory (who calls, their rights, what is counted) must go back with them, or a right that was granted and
//! taken back is used, and a call is counted twice or never. Transactions of savepoints, calls and failures are made up; an oracle says what must be left of them.

use nebula_tests::{
    Backend, Battery, Database, Handle, Shop, World, battery, cluster, handle::request, world::SOLD_ACTION, world::sell_notes,
};
use postgres::Client;
use serde_json::{Value, json};

/// The same sequence in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

fn used(database: &Database, tenant: &uuid::Uuid, action: &str) -> i64 {
    let sql = "select coalesce(sum(m.count), 0)::bigint from nebula.usage_metrics m join nebula.tool_action a on a.id = m.tool_action_id where m.tenant_id = $1 and a.key = $2";
    database.number(sql, &[tenant, &action])
}

/// What a session answers, whatever it has been through.
fn answers(client: &mut Client) -> Vec<String> {
    let sql = "select coalesce(nebula.current_tenant()::text, '') || ' ' || nebula.can('users.read') || nebula.can('users.create') || nebula.can('tenants.create') || ' ' || \
               coalesce(nebula.current_actor()::text, '') || ' ' || coalesce(nebula.why('users.read')::text, '') || ' ' || (select count(*) from public.orders)";
    let row = client.query_one(sql, &[]).unwrap();
    vec![
        row.get(0),
        client
            .query_one("select current_user::text || current_setting('search_path') || current_setting('row_security')", &[])
            .unwrap()
            .get(0),
    ]
}

#[test]
fn what_is_left_of_savepoints_is_what_their_oracle_says() {
    let shop = Shop::protected();
    let (database, acme) = (&shop.database, &shop.acme);
    database.raise_limits(acme.id);
    database.execute(
        "grant execute on function nebula.flush() to nebula_app; grant usage on all sequences in schema public to nebula_app; \
         create function public.break() returns trigger language plpgsql as $$ begin if new.total = 13 then raise exception 'a trigger fails'; end if; return new; end $$; \
         create trigger zz_break after insert on public.orders for each row execute function public.break(); \
         create function public.late() returns trigger language plpgsql as $$ begin if new.total = 66 then raise exception 'too late'; end if; return null; end $$; \
         create constraint trigger late after insert on public.orders deferrable initially deferred for each row execute function public.late()",
    );
    let user = database.text("select id::text from nebula.user where tenant_id = $1 limit 1", &[&acme.id]);
    let mut battery = Battery::begin("B18 savepoints", database);
    let fresh = answers(&mut shop.as_acme());
    let (mut dice, mut client) = (Dice(3), shop.as_acme());
    let good = format!("select nebula.call('users.read', '{{\"id\":\"{user}\"}}')");
    let bad = [
        "select nebula.call('users.read', '{\"id\":7}')",
        "select nebula.call('tenants.create', '{}')",
        "select nebula.call('no.such', '{}')",
        "insert into public.orders (customer_id, total) values (1, 13)",
        "select 1 / (nebula.can('users.read')::integer - 1)",
        "select status / 0 from nebula.dispatch('users.read', '{}', null)",
        "set local role nebula_owner",
    ];
    let caught =
        |sql: &str| format!("do $do$ begin begin {}; exception when others then null; end; end $do$", sql.replacen("select", "perform", 1));
    let (mut expected, mut orders) = (0, database.number("select count(*) from public.orders where total = 5", &[]));
    let transactions = battery::scaled(60, 3_000);
    for turn in 0..transactions {
        let depth_wanted = if turn % 10 == 0 { 60 } else { 1 + dice.roll(8) };
        client.batch_execute("begin").unwrap();
        // By savepoint: how many calls and rows count so far, its own and its ancestors'.
        let mut levels = vec![(0_i64, 0_i64)];
        let mut is_late = false;
        for step in 0..depth_wanted + 6 {
            match dice.roll(if step < depth_wanted { 6 } else { 9 }) {
                0..=1 if levels.len() < 61 => {
                    client.batch_execute(&format!("savepoint s{}", levels.len())).unwrap();
                    levels.push((0, 0));
                }
                2 => {
                    client.batch_execute(&good).unwrap();
                    levels.last_mut().unwrap().0 += 1;
                }
                3 => {
                    let put = "insert into public.orders (customer_id, total) values (1, 5)";
                    client.batch_execute(put).unwrap();
                    levels.last_mut().unwrap().1 += 1;
                }
                4 => {
                    // Failing, in a savepoint of the client's or of plpgsql's.
                    let sql = bad[dice.roll(bad.len())];
                    if dice.roll(2) == 0 {
                        client.batch_execute("savepoint f").unwrap();
                        let outcome = client.batch_execute(sql);
                        battery.case(outcome.is_err(), || format!("{sql} succeeds"));
                        client.batch_execute("rollback to f; release f").unwrap();
                    } else {
                        let _ = client.batch_execute(&caught(sql));
                    }
                }
                5 => {
                    // Done, and taken back, by plpgsql.
                    let sql = good.replacen("select", "perform", 1);
                    client
                        .batch_execute(&format!(
                            "do $do$ begin begin {sql}; raise exception 'x'; exception when others then null; end; end $do$"
                        ))
                        .unwrap();
                    client.batch_execute(&format!("do $do$ begin begin {sql}; exception when others then raise; end; end $do$")).unwrap();
                    levels.last_mut().unwrap().0 += 1;
                }
                6 if levels.len() > 1 => {
                    let at = 1 + dice.roll(levels.len() - 1);
                    client.batch_execute(&format!("rollback to s{at}")).unwrap();
                    levels.truncate(at + 1);
                    *levels.last_mut().unwrap() = (0, 0);
                }
                7 if levels.len() > 1 => {
                    let at = 1 + dice.roll(levels.len() - 1);
                    client.batch_execute(&format!("release s{at}")).unwrap();
                    let lifted = levels.split_off(at);
                    for (calls, rows) in lifted {
                        let last = levels.last_mut().unwrap();
                        *last = (last.0 + calls, last.1 + rows);
                    }
                }
                _ => {
                    let found = answers(&mut client);
                    battery.case(found[0].rsplit_once(' ').unwrap().0 == fresh[0].rsplit_once(' ').unwrap().0, || {
                        format!("turn {turn}: {found:?}")
                    });
                }
            }
        }
        let end = dice.roll(4);
        if end == 3 {
            client.batch_execute("savepoint l; insert into public.orders (customer_id, total) values (1, 66)").unwrap();
            is_late = true;
        }
        let outcome = client.batch_execute(if end == 0 { "rollback" } else { "commit" });
        battery.case(outcome.is_err() == is_late, || format!("turn {turn}: {outcome:?}"));
        if end != 0 && !is_late {
            let (calls, rows) = levels.iter().fold((0, 0), |(calls, rows), level| (calls + level.0, rows + level.1));
            expected += calls;
            orders += rows;
        }
        let found = answers(&mut client);
        battery.case(found[0].rsplit_once(' ').unwrap().0 == fresh[0].rsplit_once(' ').unwrap().0 && found[1] == fresh[1], || {
            format!("turn {turn}: {found:?} where a fresh backend says {fresh:?}")
        });
        if turn % 7 == 0 {
            client.batch_execute("select nebula.flush()").unwrap();
        }
        let counted = if turn % 7 == 0 { used(database, &acme.id, "users.read") } else { expected };
        battery.case(counted == expected, || format!("turn {turn}: {counted} calls are counted where {expected} were made"));
    }
    client.batch_execute("select nebula.flush()").unwrap();
    let counted = used(database, &acme.id, "users.read");
    battery.case(counted == expected && expected > 0, || format!("{counted} calls are counted where {expected} were made"));
    let found = database.number("select count(*) from public.orders where total = 5", &[]);
    battery.case(found == orders, || format!("{found} rows where {orders} were written"));
    // A long transaction of many kept savepoints holds one count, and no more memory than a short one.
    let backend = Backend::of(&mut client);
    let good = good.replacen("select", "perform", 1);
    let mut many = |times: usize| {
        let sql = format!("do $do$ begin for n in 1..{times} loop begin {good}; exception when others then raise; end; end loop; end $do$");
        backend.peak_bytes(|| client.batch_execute(&sql).unwrap())
    };
    let (few, all) = (many(1_000), many(battery::scaled(10_000, 200_000)));
    battery.case(all.saturating_sub(few) < 1 << 20, || format!("{} bytes more for calls in savepoints", all - few));
    battery.end(100, &[]);
}

/// A right that was granted, or taken, in a savepoint that was rolled back was never granted, nor taken.
#[test]
fn rights_of_a_savepoint_go_back_with_it() {
    let database = Database::new();
    let mut handle = database.handle();
    sell_notes(&database, &mut handle);
    let world = World::of_customer(&database, &mut handle, "acme");
    database.raise_limits(world.tenant);
    let mut battery = Battery::begin("B18 rights", &database);
    let (person, group) = world.person_with(&database, &mut handle, "dora", &[SOLD_ACTION.to_owned()]);
    drop(handle);
    let message = |operation: &str, credential: &str, part: &str, input: Value| {
        let mut message = request(operation, Some(credential), &json!({}));
        message.as_object_mut().unwrap().retain(|name, _| name != "query" && name != "body");
        message[part] = input;
        message
    };
    let asks = message("users.list", &person.credential, "query", json!({}));
    let grants = message(
        "groups.permissions.grant",
        &world.founder.credential,
        "body",
        json!({ "id": group, "permissions": [{ "action": "users.list" }] }),
    );
    let suspends = database.text("select u.id::text from nebula.user u where u.email = 'dora@acme.example'", &[]);
    let suspends = message("users.status", &world.founder.credential, "body", json!({ "id": suspends, "status": "suspenso" }));
    let mut session: Handle = database.handle();
    let mut dice = Dice(7);
    let status = |session: &mut Handle| session.send(world.tenant, &asks).status;
    battery.case(status(&mut session) == 403, || "before anything".to_owned());
    for turn in 0..battery::scaled(60, 2_000) {
        session.client.batch_execute("begin").unwrap();
        let depth = 1 + dice.roll(if turn % 20 == 0 { 60 } else { 5 });
        for level in 0..depth {
            session.client.batch_execute(&format!("savepoint s{level}")).unwrap();
            if dice.roll(3) == 0 {
                battery.case(status(&mut session) == 403, || format!("turn {turn}: before the grant"));
            }
        }
        let granted = session.send(world.tenant, &grants);
        battery.case(granted.status == 201, || format!("{granted:?}"));
        battery.case(status(&mut session) == 200, || format!("turn {turn}: granted, and refused"));
        if dice.roll(2) == 0 {
            session.client.batch_execute("savepoint within").unwrap();
            let suspended = session.send(world.tenant, &suspends);
            battery.case(suspended.status == 200, || format!("{suspended:?}"));
            let refused = status(&mut session);
            battery.case(refused != 200, || format!("turn {turn}: suspended, and {refused}"));
            session.client.batch_execute("rollback to within").unwrap();
            battery.case(status(&mut session) == 200, || format!("turn {turn}: suspended no more, and refused"));
        }
        if dice.roll(2) == 0 {
            session.client.batch_execute(&format!("rollback to s{}", dice.roll(depth))).unwrap();
            battery.case(status(&mut session) == 403, || format!("turn {turn}: the grant was taken back, and counts"));
            session.client.batch_execute(if dice.roll(2) == 0 { "commit" } else { "rollback" }).unwrap();
        } else {
            let _ = session.client.batch_execute("select 1 / 0");
            session.client.batch_execute("rollback").unwrap();
        }
        battery.case(status(&mut session) == 403, || format!("turn {turn}: rolled back, and counts"));
        let fresh = database.handle().send(world.tenant, &asks).status;
        battery.case(fresh == 403, || format!("turn {turn}: a fresh backend says {fresh}"));
    }
    battery.end(200, &[]);
}

/// Cursors that outlive their transaction, roles that change inside of it: nobody's context comes along.
#[test]
fn held_cursors_and_roles_take_no_context_along() {
    let shop = Shop::protected();
    let database = &shop.database;
    let mut battery = Battery::begin("B18 cursors", database);
    let own = |client: &mut Client| -> i64 { client.query_one("select count(*) from public.orders", &[]).unwrap().get(0) };
    let mut app = shop.as_acme();
    let expected = own(&mut app);
    battery.case(expected == 5, || format!("{expected} rows"));
    for hold in ["with hold", "without hold"] {
        app.batch_execute(&format!(
            "begin; declare c cursor {hold} for select nebula.current_tenant()::text || tenant_id::text from public.orders"
        ))
        .unwrap();
        app.batch_execute("savepoint a; select nebula.call('users.list', '{}'); rollback to a").unwrap();
        let rows = app.simple_query("fetch 2 from c").unwrap().len();
        battery.case(rows >= 2, || format!("{hold}: {rows}"));
        app.batch_execute("commit").unwrap();
        let after = app.simple_query("fetch all from c");
        battery.case(after.is_ok() == (hold == "with hold"), || format!("{hold}: {after:?}"));
        battery.case(own(&mut app) == expected, || format!("{hold}: other rows afterwards"));
        let _ = app.batch_execute("close all");
    }
    // The edge's context is gone with the call, in a cursor as well.
    let mut edge = database.connect("nebula_edge");
    let message = request("me.read", Some(&shop.acme.admin), &json!({})).to_string();
    for end in ["commit", "rollback"] {
        let declare = format!(
            "begin; declare h cursor with hold for select h.status, nebula.current_tenant() from generate_series(1, 3), lateral nebula.handle('{}', $q${message}$q$::json) h",
            shop.acme.id
        );
        let declared = edge.batch_execute(&declare);
        let _ = edge.simple_query("fetch 1 from h");
        let ended = edge.batch_execute(end);
        // Without the right to ask who calls, this is refused: what counts is that nothing stays.
        battery.case(declared.is_ok() || ended.is_ok(), || format!("{declared:?} {ended:?}"));
        let _ = edge.batch_execute("close all");
        let zeta = request("me.read", Some(&shop.zeta.admin), &json!({})).to_string();
        let row = edge.query_one("select status, body::text from nebula.handle($1, $2::text::json)", &[&shop.zeta.id, &zeta]).unwrap();
        let body: String = row.get(1);
        battery.case(row.get::<_, i32>(0) == 200 && body.contains(&shop.zeta.admin_email), || body.clone());
    }
    for role in ["set local role nebula_app", "set role nebula_app; reset role", "set session role nebula_app"] {
        app.batch_execute(&format!("begin; savepoint a; {role}; select count(*) from public.orders; rollback to a; {role}")).unwrap();
        battery.case(own(&mut app) == expected, || format!("{role}: other rows"));
        app.batch_execute("commit; reset role").unwrap();
        battery.case(own(&mut app) == expected, || format!("{role}: other rows afterwards"));
    }
    battery.end(14, &[]);
}

/// `prepare transaction`: what was gathered counts once, and whoever finishes it is not who began it.
#[test]
fn a_prepared_transaction_counts_once() {
    if !battery::is_full() {
        // It needs a server of its own.
        return;
    }
    let settings = format!("{}\nmax_prepared_transactions = 10", cluster::QUICK);
    let installation: &'static _ = Box::leak(Box::new(cluster::install(cluster::Cluster::start(&settings))));
    let database = Database::of(installation);
    let mut battery = Battery::begin("B18 prepared", &database);
    let acme = nebula_tests::onboard_by_sql(&database, "acme");
    let mut edge = database.connect("nebula_edge");
    let message = request("users.create", Some(&acme.admin), &json!({ "email": "p@acme.example", "name": "P" })).to_string();
    let before = database.number("select count(*) from nebula.user", &[]);
    for (turn, end) in ["commit", "rollback"].into_iter().enumerate() {
        edge.batch_execute("begin").unwrap();
        let sent = edge
            .query_one("select status from nebula.handle($1, $2::text::json)", &[&acme.id, &message.replace("p@", &format!("p{turn}@"))])
            .unwrap();
        battery.case(sent.get::<_, i32>(0) == 201, || format!("{sent:?}"));
        let prepared = edge.batch_execute("prepare transaction 'a'");
        if let Err(error) = &prepared {
            // What it has done may forbid it; then it is rolled back whole.
            battery.case(error.code().is_some_and(|code| !code.code().starts_with("XX")), || format!("{error:?}"));
            edge.batch_execute("rollback").unwrap();
            continue;
        }
        let mut other = database.superuser();
        other.batch_execute(&format!("{end} prepared 'a'")).unwrap();
        let me = request("me.read", Some(&acme.admin), &json!({})).to_string();
        let row = edge.query_one("select status from nebula.handle($1, $2::text::json)", &[&acme.id, &me]).unwrap();
        battery.case(row.get::<_, i32>(0) == 200, || "not itself afterwards".to_owned());
    }
    let after = database.number("select count(*) from nebula.user", &[]);
    println!("B18 prepared: {} people more", after - before);
    battery.case((0..=1).contains(&(after - before)), || format!("{before} and {after} people"));
    edge.batch_execute("select nebula.flush()").unwrap();
    battery.case(used(&database, &acme.id, "users.create") <= 2, || "counted more than once".to_owned());
    battery.end(4, &[]);
}
