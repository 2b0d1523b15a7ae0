//! The two doors: every operation through HTTP and through `nebula.call`, as the same actor, with the same outcome, in success and in refusal.

use nebula_tests::{
    Database, Edge, Handle, Route, World, conformity, routes,
    sql_caller::{SqlRefusal, as_postgrest},
    token::{claims_of, tenant_of},
    world::{Actor, sell_notes},
};
use postgres::Client;
use serde_json::{Value, json};
use uuid::Uuid;

/// How a call ended: with this HTTP status and the whole answer, or with status, code and details.
#[derive(Debug, PartialEq)]
enum Outcome {
    Done(Value),
    Refused(u16, String, Value),
}

/// The operations that take what only the edge makes: derived passwords, sealed secrets, signed tokens. SQL callers don't have them.
const OF_THE_EDGE: [&str; 11] = [
    "auth.login",
    "auth.refresh",
    "auth.logout",
    "auth.password",
    "auth.password.reset",
    "me.password",
    "webhooks.create",
    "webhooks.rotate_secret",
    "exports.download",
    "credentials.create",
    "credentials.update",
];

/// By HTTP.
fn over_http(edge: &Edge, credential: &str, route: &Route, input: &Value) -> Outcome {
    let answer = route.send(&edge.user(credential), input);
    match answer.status {
        204 => Outcome::Done(Value::Null),
        200..=299 => {
            assert_eq!(answer.status, route.success, "{}", route.operation);
            Outcome::Done(answer.json())
        }
        status => Outcome::Refused(status, answer.code(), answer.json()["error"]["details"].clone()),
    }
}

/// By SQL, taken back afterwards.
fn over_sql(transaction: &mut postgres::Transaction, route: &Route, input: &Value) -> Outcome {
    let called = transaction.query_one("select nebula.call($1, $2)", &[&route.operation, input]).map_err(SqlRefusal::from);
    match called {
        Ok(row) => Outcome::Done(row.get::<_, Option<Value>>(0).unwrap_or(Value::Null)),
        Err(refusal) => Outcome::Refused(
            refusal.state.trim_start_matches("PT").parse().unwrap_or_else(|_| panic!("{refusal:?}")),
            refusal.detail["code"].as_str().unwrap_or_default().to_owned(),
            refusal.detail["details"].clone(),
        ),
    }
}

/// Ids, times and secrets differ from call to call; that they are there must not.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(text) if text.parse::<Uuid>().is_ok() => json!("<id>"),
        Value::String(text) if text.len() > 18 && text.as_bytes().get(10) == Some(&b'T') => json!("<time>"),
        Value::String(text) if text.starts_with("nbk_") || text.starts_with("nbi_") => json!("<secret>"),
        Value::String(text) if text.len() > 60 && !text.contains(' ') => json!("<cursor>"),
        Value::Array(items) => Value::Array(items.iter().map(shape).collect()),
        Value::Object(members) => Value::Object(members.iter().map(|(name, member)| (name.clone(), shape(member))).collect()),
        other => other.clone(),
    }
}

fn same(sql: &Outcome, http: &Outcome) -> bool {
    match (sql, http) {
        (Outcome::Done(sql), Outcome::Done(http)) => shape(sql) == shape(http),
        (sql, http) => sql == http,
    }
}

/// The input as it is, and made wrong in ways that both doors must see alike.
fn variants(route: &Route, right: &Value) -> Vec<(&'static str, Value)> {
    let changed = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut input = right.as_object().unwrap().clone();
        change(&mut input);
        Value::Object(input)
    };
    let is_in_path = |name: &str| route.parameters().any(|parameter| parameter == name);
    let mut variants = vec![
        ("with a member too many", changed(&|input| drop(input.insert("unexpected".into(), json!("1"))))),
        ("with nothing but its path", changed(&|input| input.retain(|name, _| is_in_path(name)))),
    ];
    for name in route.parameters() {
        let other = if name.ends_with("Key") { json!("nobody.has.this") } else { json!(Uuid::now_v7()) };
        variants.push(("with another path", changed(&|input| drop(input.insert(name.into(), other.clone())))));
        variants.push(("with a broken path", changed(&|input| drop(input.insert(name.into(), json!("NOT_ONE"))))));
    }
    for name in right.as_object().unwrap().keys().filter(|name| !is_in_path(name) && route.takes_body()) {
        variants.push(("with a wrong type", changed(&|input| drop(input.insert(name.clone(), json!([[1]]))))));
        variants.push(("with too long a text", changed(&|input| drop(input.insert(name.clone(), json!("x".repeat(3000)))))));
    }
    // Where nothing but the path is asked for, nothing but the path is right.
    variants.retain(|(_, input)| input != right);
    variants
}

struct Doors<'a> {
    edge: &'a Edge,
    client: &'a mut Client,
    /// The claims that PostgREST would set; a bound login has none.
    claims: Option<Value>,
    credential: &'a str,
    differences: Vec<String>,
    calls: usize,
}

impl Doors<'_> {
    /// Calls through SQL, takes it back, and then through HTTP.
    fn compare(&mut self, route: &Route, what: &str, input: &Value) -> Outcome {
        let sql = match &self.claims {
            Some(claims) => over_sql(&mut as_postgrest(self.client, claims), route, input),
            None => over_sql(&mut self.client.transaction().unwrap(), route, input),
        };
        let http = over_http(self.edge, self.credential, route, input);
        self.calls += 1;
        if !same(&sql, &http) {
            self.differences.push(format!("{} {what}: {input}\n  SQL  {sql:?}\n  HTTP {http:?}", route.operation));
        }
        http
    }
}

fn bind(database: &Database, tenant: Uuid, key_name: &str) -> Client {
    let login = format!("door_{}_{}", database.name, tenant.simple());
    let mut superuser = database.superuser();
    superuser.batch_execute(&format!("create role {login} login; grant nebula_app to {login}")).unwrap();
    let is_bound: bool =
        superuser.query_one("select nebula.bind_role($1::text::name, $2, $3)", &[&login, &tenant, &key_name]).unwrap().get(0);
    assert!(is_bound);
    database.connect(&login)
}

#[test]
fn every_operation_ends_alike_through_http_and_sql() {
    let database = Database::new();
    let edge = database.serve();
    let mut handle = database.handle();
    sell_notes(&database, &mut handle);
    let document: Value = serde_json::from_str(&database.text("select nebula.openapi()::text", &[])).unwrap();
    let mut protected = routes(&database).into_iter().filter(|route| route.scope != "public").collect::<Vec<_>>();
    protected.sort_by_key(Route::turn);

    let acme = World::of_customer(&database, &mut handle, "acme");
    let key = acme.key_with(&mut handle, "admin");
    let person = everyones_person(&acme, &database, &mut handle);
    let operator = Actor { tenant: tenant_of(&database.installation.operator_key), credential: database.installation.operator_key.clone() };
    let platform = World::of_platform(&database, &mut handle);

    let (mut bound, mut authenticator, mut platforms) =
        (bind(&database, key.tenant, "chave admin"), database.connect("authenticator"), bind(&database, operator.tenant, "harness"));
    let claims = Some(claims_of(&person.credential));
    // A person's own operations as a person; the tenant's as a service account; the platform's as its own.
    let mut doors = [
        (&acme, Doors { edge: &edge, client: &mut authenticator, claims, credential: &person.credential, differences: vec![], calls: 0 }),
        (&acme, Doors { edge: &edge, client: &mut bound, claims: None, credential: &key.credential, differences: vec![], calls: 0 }),
        (
            &platform,
            Doors { edge: &edge, client: &mut platforms, claims: None, credential: &operator.credential, differences: vec![], calls: 0 },
        ),
    ];
    let mut wrong_answers = Vec::new();
    for (index, (world, doors)) in doors.iter_mut().enumerate() {
        for route in &protected {
            let input = world.input(&route.operation);
            if OF_THE_EDGE.contains(&route.operation.as_str()) {
                continue;
            }
            for (what, wrong) in variants(route, &input) {
                doors.compare(route, what, &wrong);
            }
            // Each operation takes effect once, as who it is for.
            let mine = if route.is_own() {
                0
            } else if route.scope == "platform" {
                2
            } else {
                1
            };
            if index == mine {
                let outcome = doors.compare(route, "as it is", &input);
                let Outcome::Done(answer) = outcome else { panic!("{}: {outcome:?}", route.operation) };
                if answer.is_null() {
                    assert_eq!(route.success, 204, "{}", route.operation);
                    continue;
                }
                let at = format!(
                    "/paths/{}/{}/responses/{}/content/application~1json/schema",
                    route.path.replace('/', "~1"),
                    route.method.to_lowercase(),
                    route.success
                );
                let schema = document.pointer(&at).unwrap_or_else(|| panic!("{at}"));
                wrong_answers.extend(
                    conformity::differences(&document, schema, &answer)
                        .into_iter()
                        .map(|difference| format!("{}: {difference}", route.operation)),
                );
            }
        }
    }
    let differences = doors.iter().flat_map(|(_, doors)| doors.differences.clone()).collect::<Vec<_>>();
    let calls = doors.iter().map(|(_, doors)| doors.calls).sum::<usize>();
    assert!(differences.is_empty(), "{} of {calls} calls differ: {}", differences.len(), differences.join("\n"));
    assert!(wrong_answers.is_empty(), "not as documented: {wrong_answers:#?}");
    assert!(calls > 700, "{calls}");
}

/// A person who holds everything in the tenant.
fn everyones_person(world: &World, database: &Database, handle: &mut Handle) -> Actor {
    let group = database
        .superuser()
        .query_one("select id from nebula.group where tenant_id = $1 and name = 'ADM_CLIENTE'", &[&world.tenant])
        .unwrap();
    world.person_in(database, handle, "diretora", group.get(0))
}

#[test]
fn what_needs_the_edge_is_not_there_for_sql() {
    let database = Database::new();
    let mut handle = database.handle();
    sell_notes(&database, &mut handle);
    let acme = World::of_customer(&database, &mut handle, "acme");
    let key = acme.key_with(&mut handle, "admin");
    let mut bound = bind(&database, key.tenant, "chave admin");
    let operations = routes(&database);
    for name in OF_THE_EDGE {
        let route = operations.iter().find(|route| route.operation == name).unwrap();
        let input = if name.starts_with("auth.") { json!({}) } else { acme.input(name) };
        let outcome = over_sql(&mut bound.transaction().unwrap(), route, &input);
        assert_eq!(outcome, Outcome::Refused(404, "NOT_FOUND".to_owned(), Value::Null), "{name}");
    }
}
