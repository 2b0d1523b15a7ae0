//! Invariant 2, as Postgres counts it: a request is one statement and one transaction, and what only reads takes no transaction id.

use nebula_tests::{
    Caller, Database, Route, User, World,
    cluster::{Cluster, QUICK, install},
    eventually,
    http::id,
    onboard, routes,
    story::PASSWORD,
    token::tenant_of,
    world::{Actor, sell_notes},
};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the edge asks first, by which function (docs/edge-protocol.md): for the salt before it derives a password's key, or whose tenant a slug is.
const ASKS_FIRST: [(&str, &str); 4] = [
    ("auth.login", "login_challenge"),
    ("auth.password.reset", "login_challenge"),
    ("auth.password", "password_challenge"),
    ("me.password", "password_challenge"),
];

/// Reads that are written down in the audit log: who took all of a tenant's data.
const AUDITED_READS: [&str; 1] = ["exports.download"];

/// Nothing but the edge may count in the cluster of this test.
const COUNTED: &str = "shared_preload_libraries = 'pg_stat_statements'\nautovacuum = off";

/// What Postgres has counted of a database, asked for from another one, so that asking doesn't count.
struct Counter {
    postgres: Client,
    database: String,
}

impl Counter {
    fn new(database: &Database) -> Self {
        let mut postgres = database.installation.cluster.connect("postgres", "postgres");
        postgres.batch_execute("create extension pg_stat_statements").unwrap();
        Self { postgres, database: database.name.clone() }
    }

    fn number(&mut self, sql: &str) -> i64 {
        self.postgres.query_one(sql, &[&self.database]).unwrap().get(0)
    }

    /// Statements that clients sent, by their text.
    fn calls(&mut self) -> BTreeMap<String, i64> {
        let sql = "select s.query, sum(s.calls)::bigint from pg_stat_statements s join pg_database d on d.oid = s.dbid \
                   where d.datname = $1 and s.toplevel group by 1";
        self.postgres.query(sql, &[&self.database]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    /// Transactions that ended, but for the one in which each session starts. Sessions tell when they end.
    fn transactions(&mut self) -> i64 {
        let sessions = "select count(*) from pg_stat_activity where datname = $1";
        eventually("nobody is connected", || self.number(sessions) == 0);
        self.number("select xact_commit + xact_rollback - sessions from pg_stat_database where datname = $1")
    }

    /// The next transaction id of the whole cluster.
    fn next_id(&mut self) -> i64 {
        self.number("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint where $1::text is not null")
    }

    /// The statements of what happens meanwhile, but for the edge's reading of its own state, which no request causes.
    fn during(&mut self, act: impl FnOnce()) -> BTreeMap<String, i64> {
        let before = self.calls();
        act();
        let mut calls = self.calls();
        for (query, count) in &mut calls {
            *count -= before.get(query).copied().unwrap_or_default();
        }
        calls.retain(|query, count| *count > 0 && !["nebula.edge_state", "nebula.openapi"].iter().any(|own| query.contains(own)));
        calls
    }
}

/// The input as a client gives it: in the other suites' worlds the edge has sealed and derived already.
fn input(route: &Route, world: &World, tokens: &Value) -> Value {
    match route.operation.as_str() {
        "auth.login" => json!({ "tenant": "norte", "email": "admin@norte.example", "password": PASSWORD }),
        "auth.refresh" | "auth.logout" => json!({ "refreshToken": tokens[&route.operation] }),
        "auth.password" => json!({ "token": tokens["invite"], "password": PASSWORD }),
        "auth.password.reset" => json!({ "tenant": "norte", "email": "admin@norte.example" }),
        "me.password" => json!({ "currentPassword": PASSWORD, "newPassword": "uma outra senha comprida" }),
        operation => {
            let mut input = world.input(operation);
            let members = input.as_object_mut().unwrap();
            members.remove("secret");
            members.entry("data").and_modify(|data| *data = json!({ "apiKey": "sk_1" }));
            if !operation.starts_with("credentials.") {
                members.remove("data");
            }
            input
        }
    }
}

#[test]
fn a_request_is_one_statement_and_one_transaction_and_a_read_takes_no_transaction_id() {
    let installation = Box::leak(Box::new(install(Cluster::start(&format!("{QUICK}\n{COUNTED}")))));
    let database = Database::of(installation);
    let mut counter = Counter::new(&database);
    let mut handle = database.handle();
    sell_notes(&database, &mut handle);
    let acme = World::of_customer(&database, &mut handle, "acme");
    let platform = World::of_platform(&database, &mut handle);
    let key = acme.key_with(&mut handle, "admin");
    let operator = Actor { tenant: tenant_of(&installation.operator_key), credential: installation.operator_key.clone() };
    let mut operations = routes(&database);
    operations.sort_by_key(Route::turn);
    drop(handle);

    let transactions = counter.transactions();
    let calls = counter.calls().values().sum::<i64>();
    let mut edge = database.serve_with(&[("NEBULA_FLUSH_INTERVAL_MS", "0")]);
    let norte = onboard(&edge, "norte");
    let refresh_token = |session: Value| session["refreshToken"].clone();
    let log_in =
        || edge.anonymous().post("/v1/auth/login", &json!({ "tenant": "norte", "email": norte.admin_email, "password": PASSWORD }));
    let person = id(&norte.admin.post("/v1/users", &json!({ "email": "bia@norte.example", "name": "Bia" })).data(201));
    let tokens = json!({
        "auth.refresh": norte.refresh_token,
        "auth.logout": refresh_token(log_in().data(200)),
        "invite": norte.admin.post(&format!("/v1/users/{person}/invite"), &json!({})).data(201)["token"],
    });

    let mut wrong = Vec::new();
    for route in &operations {
        // A person's own operations as a person, the tenant's as a service account, the platform's as its own.
        let (world, caller): (&World, User) = match route.scope.as_str() {
            _ if route.is_own() => (&acme, norte.admin.clone()),
            "platform" => (&platform, edge.user(&operator.credential)),
            _ => (&acme, edge.user(&key.credential)),
        };
        let input = input(route, world, &tokens);
        let send = || {
            let answer = if route.scope == "public" { route.send(&edge.anonymous(), &input) } else { route.send(&caller, &input) };
            // There is no object storage to download from; the edge finds that out after the statement.
            let is_done = answer.status == route.success || route.operation == "exports.download" && answer.status == 503;
            assert!(is_done, "{}: {answer:?}", route.operation);
        };
        let is_read = route.method == "GET" && !AUDITED_READS.contains(&route.operation.as_str());
        let before = counter.next_id();
        let statements = counter.during(send);
        if is_read {
            send();
            send();
            let taken = counter.next_id() - before;
            if taken != 0 {
                wrong.push(format!("{}: three requests took {taken} transaction ids", route.operation));
            }
        }
        let mut functions = statements
            .iter()
            .flat_map(|(query, count)| {
                vec![query.split("nebula.").nth(1).and_then(|call| call.split('(').next()).unwrap_or(query); *count as usize]
            })
            .collect::<Vec<_>>();
        functions.sort_unstable();
        let first = ASKS_FIRST.iter().find(|(operation, _)| *operation == route.operation);
        let mut expected = first.map(|(_, challenge)| *challenge).into_iter().chain(["handle"]).collect::<Vec<_>>();
        expected.sort_unstable();
        if functions != expected {
            wrong.push(format!("{}: {statements:?}", route.operation));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(operations.len() > 70, "{}", operations.len());

    // Each statement was a transaction of its own, those of the edge's start and end included.
    edge.terminate();
    edge.wait();
    assert_eq!(counter.transactions() - transactions, counter.calls().values().sum::<i64>() - calls);
}
