//! B4: PgBouncer in transaction mode. Threat: a backend keeps something of one caller, and the next one, of another tenant, gets it.
//!
//! Through the same few backends go the edge, PostgREST's transactions and logins bound to a tenant, of many tenants, while transactions are given up, cancelled
//! and their backends killed. The short storm is part of every run; the long one (100,000 requests, 200 clients, 50 tenants) is `make test-pooler`.

use nebula_tests::{
    Caller, Database, Edge, PgBouncer, Tenant, eventually, onboard, onboard_by_sql, sql_caller::bound_login, token::claims_of,
};
use postgres::{Client, types::Type};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Backends for each login: few, so that they change hands all the time.
const POOL_SIZE: usize = 4;

/// Random enough, and the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// A tenant of the storm: every e-mail address in it ends in its slug, which nobody else's does.
struct Subject {
    tenant: Tenant<String>,
    key: String,
    /// Bound to the tenant.
    login: Option<String>,
}

/// How a request ended: as it must, with this tenant's data and no other's, or refused as it must be; or why nothing can be said of its answer.
type End = &'static str;

const RIGHT: End = "right";
const GIVEN_UP: End = "given up by its client";
const NO_ANSWER: End = "no answer";
const UNAVAILABLE: End = "503";
const CANCELLED: End = "cancelled";
const CUT_OFF: End = "connection lost";

struct Storm {
    database: Database,
    bouncer: PgBouncer,
    subjects: Vec<Subject>,
    is_over: AtomicBool,
    ends: Mutex<BTreeMap<End, usize>>,
    wrong: Mutex<Vec<String>>,
}

/// The e-mail addresses of other tenants in an answer.
fn foreign(answer: &str, slug: &str) -> Vec<String> {
    let domains = answer.split('@').skip(1).map(|rest| rest.split(".example").next().unwrap_or_default());
    domains.filter(|domain| *domain != slug).map(str::to_owned).collect()
}

/// Whose data an answer holds: this tenant's, and nobody else's.
fn is_own(answer: &str, slug: &str) -> Result<(), String> {
    let foreign = foreign(answer, slug);
    if !foreign.is_empty() {
        return Err(format!("{slug} got {foreign:?}"));
    }
    if answer.contains(&format!("@{slug}.example")) { Ok(()) } else { Err(format!("{slug} got nothing of its own: {answer}")) }
}

/// What of the storm's doing an error is: cancelled, terminated, or the connection went with its backend.
fn disturbance(error: &postgres::Error) -> Option<End> {
    match error.code().map(postgres::error::SqlState::code) {
        Some("57014") => Some(CANCELLED),
        Some(code) if !code.starts_with("57") && !code.starts_with("08") => None,
        _ => Some(CUT_OFF),
    }
}

const LIST: &str = "select nebula.call('users.list', '{}')::text";
const CLAIM: &str = "select set_config('request.jwt.claims', $1, true)";

fn list(client: &mut Client, slug: &str) -> Result<Result<(), String>, postgres::Error> {
    let row = client.query_typed_one(LIST, &[])?;
    Ok(is_own(row.get(0), slug))
}

impl Storm {
    fn brew(tenants: usize, bound: usize) -> Self {
        let database = Database::new();
        let subjects = (0..tenants).map(|number| {
            let tenant = onboard_by_sql(&database, &format!("t{number:03}"));
            let (_, key) =
                tenant.key(&mut database.handle(), &json!({ "name": "robot", "actions": ["users.create", "users.list", "users.read"] }));
            let login = (number < bound).then(|| bound_login(&database, &tenant, &json!({ "name": "bound", "profile": "read-only" })));
            Subject { tenant, key, login }
        });
        let subjects = subjects.collect::<Vec<_>>();
        let logins = subjects.iter().filter_map(|subject| subject.login.as_deref()).chain(["nebula_edge", "authenticator"]);
        let bouncer = PgBouncer::start(&database, &logins.collect::<Vec<_>>(), POOL_SIZE);
        Self { database, bouncer, subjects, is_over: AtomicBool::new(false), ends: Mutex::default(), wrong: Mutex::default() }
    }

    fn edge(&self, settings: &[(&str, &str)]) -> Edge {
        // The pooler forwards no notifications, and would keep a backend that listens.
        let direct = self.database.url("nebula_edge");
        let own = [("NEBULA_NOTIFY_DATABASE_URL", direct.as_str())];
        Edge::start(self.database.installation, &self.bouncer.url("nebula_edge"), &[&own[..], settings].concat())
    }

    fn ended(&self, end: Result<End, String>) {
        match end {
            Ok(end) => *self.ends.lock().unwrap().entry(end).or_default() += 1,
            Err(wrong) => self.wrong.lock().unwrap().push(wrong),
        }
    }

    /// A client over HTTP: a new tenant for each request.
    fn calls_over_http(&self, edge: &Edge, seed: usize, requests: usize) {
        let mut dice = Dice(seed as u64);
        for _ in 0..requests {
            self.ended(self.one_over_http(edge, &mut dice));
        }
    }

    fn one_over_http(&self, edge: &Edge, dice: &mut Dice) -> Result<End, String> {
        let subject = &self.subjects[dice.roll(self.subjects.len())];
        let other = &self.subjects[dice.roll(self.subjects.len())];
        let slug = &subject.tenant.slug;
        let (robot, admin) = (edge.key(&subject.key), edge.user(&subject.tenant.admin));
        let name = format!("p{}-{}", dice.roll(1 << 30), dice.roll(1 << 30));
        let (request, wanted) = match dice.roll(10) {
            0..=2 => (robot.request("GET", "/v1/users"), 200),
            3..=4 => (admin.request("GET", "/v1/users?limit=5"), 200),
            5 => (admin.request("GET", "/v1/me"), 200),
            6 => (
                robot.request("POST", "/v1/users").json(&json!({ "email": format!("{name}@{slug}.example"), "name": "P" })).key(&name),
                201,
            ),
            // There already: refused after a look at this tenant's rows.
            7 => (robot.request("POST", "/v1/users").json(&json!({ "email": subject.tenant.admin_email, "name": "P" })), 409),
            8 if other.tenant.id != subject.tenant.id => (robot.request("GET", &format!("/v1/users/{}", other.tenant.admin_id)), 404),
            8 => (edge.anonymous().request("GET", "/v1/users"), 401),
            _ => {
                // Given up: nobody is there any more when the answer is.
                let mut stream = edge.connect();
                let _ = write!(stream, "GET /v1/users HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n", subject.key);
                if dice.roll(2) == 0 {
                    thread::sleep(Duration::from_millis(2));
                }
                return Ok(GIVEN_UP);
            }
        };
        let Ok(answer) = request.try_send() else { return Ok(NO_ANSWER) };
        let foreign = foreign(&answer.text, slug);
        match answer.status {
            _ if !foreign.is_empty() => Err(format!("{slug} got {foreign:?} with {}", answer.status)),
            200 | 201 if answer.status == wanted => is_own(&answer.text, slug).map(|()| RIGHT),
            status if status == wanted => Ok(RIGHT),
            503 => Ok(UNAVAILABLE),
            status => Err(format!("{slug} got {status} instead of {wanted}: {}", answer.text)),
        }
    }

    /// A client with SQL; connects again where it was thrown out.
    fn calls_in_sql(
        &self,
        login: &str,
        seed: usize,
        requests: usize,
        one: impl Fn(&mut Client, &mut Dice) -> Result<Result<(), String>, postgres::Error>,
    ) {
        let mut dice = Dice(seed as u64);
        let mut client = None;
        for _ in 0..requests {
            if client.as_ref().is_none_or(Client::is_closed) {
                client = None;
                eventually("a client is let in", || {
                    client = self.bouncer.connect(login).ok();
                    client.is_some()
                });
            }
            let connected = client.as_mut().unwrap();
            let end = one(connected, &mut dice);
            // In the middle of a transaction: the pooler has to roll it back before somebody else gets the backend.
            let is_left = dice.roll(20) == 0 && connected.batch_execute("begin; select 1").is_ok();
            if is_left || connected.batch_execute("rollback").is_err() {
                client = None;
            }
            self.ended(match end {
                Ok(end) => end.map(|()| RIGHT),
                Err(error) => disturbance(&error).ok_or_else(|| format!("{login}: {error:?}")),
            });
        }
    }

    /// As PostgREST: role and claims for one transaction.
    fn one_as_postgrest(&self, client: &mut Client, dice: &mut Dice) -> Result<Result<(), String>, postgres::Error> {
        let subject = &self.subjects[dice.roll(self.subjects.len())];
        let slug = &subject.tenant.slug;
        client.batch_execute("begin; set local role authenticated")?;
        if dice.roll(6) == 0 {
            // Nobody: whoever was here before has left nothing that would make this somebody.
            return match client.query_typed_one(LIST, &[]) {
                Ok(row) => Ok(Err(format!("nobody got {}", row.get::<_, String>(0)))),
                Err(error) if error.code().is_some_and(|code| code.code() == "PT401") => Ok(Ok(())),
                Err(error) => Err(error),
            };
        }
        client.query_typed_one(CLAIM, &[(&claims_of(&subject.tenant.admin).to_string(), Type::TEXT)])?;
        let mut end = list(client, slug)?;
        match dice.roll(5) {
            0 => client.batch_execute("rollback")?,
            1 => {
                // An error of the caller's own, and then a commit that is none.
                let _ = client.batch_execute("select 1 / 0");
                client.batch_execute("commit")?;
            }
            2 => {
                client.batch_execute("savepoint s")?;
                end = end.and(list(client, slug)?);
                client.batch_execute("rollback to s")?;
                end = end.and(list(client, slug)?);
                client.batch_execute("commit")?;
            }
            // Cancelled by a limit of its own.
            3 => {
                let _ = client.batch_execute("set local statement_timeout = 1; select pg_sleep(1)");
                client.batch_execute("commit")?;
            }
            _ => client.batch_execute("commit")?,
        }
        Ok(end)
    }

    fn one_as_bound(subject: &Subject, client: &mut Client, dice: &mut Dice) -> Result<Result<(), String>, postgres::Error> {
        if dice.roll(3) > 0 {
            return list(client, &subject.tenant.slug);
        }
        client.batch_execute("begin")?;
        let end = list(client, &subject.tenant.slug)?;
        client.batch_execute(if dice.roll(2) == 0 { "commit" } else { "rollback" })?;
        Ok(end)
    }

    /// Cancels what a backend does, or ends the backend, until there are no requests left.
    fn disturb(&self) {
        let mut superuser = self.database.superuser();
        let mut dice = Dice(7);
        while !self.is_over.load(Ordering::SeqCst) {
            let what = if dice.roll(3) == 0 { "pg_terminate_backend" } else { "pg_cancel_backend" };
            let sql = format!(
                "select {what}(pid) from (select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
                 and application_name <> 'nebula-edge-listener' order by state = 'active' desc, random() limit 1) victim"
            );
            superuser.simple_query(&sql).unwrap();
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// So many requests of so many clients; then nothing may be left of any of them.
    fn rage(self, requests: usize, clients: usize) {
        let edge = self.edge(&[]);
        // Cancels its own statements all the time.
        let hasty = self.edge(&[("NEBULA_REQUEST_TIMEOUT_MS", "15"), ("NEBULA_POOL_SIZE", "4")]);
        let bound = self.subjects.iter().filter(|subject| subject.login.is_some()).collect::<Vec<_>>();
        let storm = &self;
        thread::scope(|scope| {
            let disturber = scope.spawn(|| storm.disturb());
            let (edge, hasty, bound) = (&edge, &hasty, &bound);
            let each = requests / clients;
            let callers = (0..clients).map(|number| {
                scope.spawn(move || match number % 10 {
                    0..=3 => storm.calls_over_http(edge, number, each),
                    4 => storm.calls_over_http(hasty, number, each),
                    5..=7 => storm.calls_in_sql("authenticator", number, each, |client, dice| storm.one_as_postgrest(client, dice)),
                    _ => {
                        let subject = bound[number % bound.len()];
                        storm.calls_in_sql(subject.login.as_deref().unwrap(), number, each, |client, dice| {
                            Self::one_as_bound(subject, client, dice)
                        });
                    }
                })
            });
            let callers = callers.collect::<Vec<_>>();
            let panics = callers.into_iter().filter_map(|caller| caller.join().err()).count();
            storm.is_over.store(true, Ordering::SeqCst);
            disturber.join().unwrap();
            assert_eq!(panics, 0);
        });
        drop((edge, hasty));
        self.judge(requests);
    }

    fn judge(self, requests: usize) {
        let wrong = self.wrong.into_inner().unwrap();
        assert!(wrong.is_empty(), "{} wrong, the first: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
        let ends = self.ends.into_inner().unwrap();
        eprintln!("{requests} requests through pgbouncer: {ends:?}");
        assert!(ends.get(RIGHT).is_some_and(|right| right * 2 > requests), "a storm that disturbs most requests tests little: {ends:?}");

        let logins = self.subjects.iter().filter_map(|subject| subject.login.as_deref()).chain(["nebula_edge", "authenticator"]);
        eventually("nothing is under way", || {
            let busy = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
                 and (state <> 'idle' or backend_xid is not null or backend_xmin is not null)";
            self.database.number(busy, &[]) == 0
        });
        let left = "select count(*) from pg_locks l join pg_stat_activity a using (pid) where a.datname = current_database() and a.pid <> pg_backend_pid()";
        assert_eq!(self.database.number(left, &[]), 0, "locks that nobody needs");
        for login in logins {
            assert_eq!(self.bouncer.dirt(login), Vec::<String>::new(), "{login}");
        }
        // One effect a key, however often its connection broke.
        assert_eq!(self.database.number("select count(*) - count(distinct (tenant_id, email)) from nebula.user", &[]), 0);
    }
}

#[test]
fn what_one_tenant_does_reaches_no_other_through_shared_backends() {
    Storm::brew(10, 5).rage(4_000, 40);
}

#[test]
#[ignore = "minutes: make test-pooler"]
fn what_one_tenant_does_reaches_no_other_in_a_hundred_thousand_requests() {
    Storm::brew(50, 20).rage(100_000, 200);
}

/// What the storm's verdict rests on.
#[test]
fn a_foreign_address_and_a_backend_that_was_left_dirty_are_found() {
    assert_eq!(foreign(r#"[{"email":"a@t001.example"},{"email":"b@t002.example"}]"#, "t001"), ["t002"]);
    is_own(r#"[{"email":"a@t001.example"}]"#, "t001").unwrap();
    is_own("[]", "t001").unwrap_err();

    let database = Database::new();
    let bouncer = PgBouncer::start(&database, &["postgres"], 1);
    assert_eq!(bouncer.dirt("postgres"), Vec::<String>::new());
    for (statement, found) in [
        ("set statement_timeout = 5000", "statement_timeout"),
        ("set request.jwt.claims = '{}'", "claims"),
        ("set role authenticated", "authenticated"),
        ("prepare kept as select 1", "prepare kept"),
        ("declare kept cursor with hold for select 1", "declare kept"),
        ("listen kept", "kept"),
        ("create temp table kept ()", "kept"),
        ("select pg_advisory_lock(7)", "locks"),
    ] {
        bouncer.connect("postgres").unwrap().batch_execute(statement).unwrap();
        let dirt = bouncer.dirt("postgres");
        assert!(dirt.len() == 1 && dirt[0].contains(found), "{statement}: {dirt:?}");
        bouncer.connect("postgres").unwrap().batch_execute("discard all").unwrap();
    }
}

#[test]
fn people_log_in_and_work_through_a_pooler_and_changes_arrive() {
    let database = Database::new();
    let bouncer = PgBouncer::start(&database, &["nebula_edge"], 2);
    let direct = database.url("nebula_edge");
    let edge = Edge::start(database.installation, &bouncer.url("nebula_edge"), &[("NEBULA_NOTIFY_DATABASE_URL", &direct)]);
    let acme = onboard(&edge, "acme");
    let renewed = edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": acme.refresh_token })).data(200);
    edge.user(renewed["accessToken"].as_str().unwrap()).get("/v1/me").data(200);
    // What is announced comes by the connection that goes past the pooler: at once, not with the next poll.
    database.execute("update nebula.installation set issuer = 'another'");
    database.execute("notify nebula_changed");
    eventually("the edge knows the new issuer", || edge.user(renewed["accessToken"].as_str().unwrap()).get("/v1/me").status == 401);
    assert_eq!(bouncer.dirt("nebula_edge"), Vec::<String>::new());
}
