//! B2. The threat: somebody of one tenant who knows ids of another, and puts them wherever the product takes an id; who adds members to a request that it should
//! not have; who carries a cursor elsewhere. A foreign id must be answered like a random one, whether it is alive or deleted. The cases come from the routes, the
//! OpenAPI document and the columns of the tables. (Every permission removed one at a time is `docs::generated::the_table_of_permissions_is_what_the_running_system_does`.)

use nebula_tests::{
    Battery, Database, Handle, Handled, Route, Tenant, World, battery,
    field::{Field, Step},
    fields,
    handle::request,
    routes,
    sql_caller::{SqlRefusal, as_postgrest, bound_login},
    token::{claims_of, tenant_of},
    world::{Actor, sell_notes},
};
use postgres::Client;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, time::Instant};
use uuid::Uuid;

/// Two customers, and everybody who may call for the first of them.
struct Scene {
    database: Database,
    acme: World,
    zeta: World,
    actors: Vec<(&'static str, Actor)>,
    routes: Vec<Route>,
    document: Value,
}

/// Somebody of the other tenant, who calls in this one.
const ELSEWHERE: &str = "administrator of the other tenant";

/// What a case puts its id into.
enum Place {
    Field(Field),
    /// A member that only the edge makes, of the database's input.
    Protocol(Field),
    /// `X-Tenant-Id`.
    Header,
    /// The first argument of `handle`.
    Argument,
}

impl Scene {
    fn new() -> Self {
        let database = Database::new();
        let mut handle = database.handle();
        sell_notes(&database, &mut handle);
        let acme = World::of_customer(&database, &mut handle, "acme");
        let zeta = World::of_customer(&database, &mut handle, "zeta");
        for world in [&acme, &zeta] {
            database.raise_limits(world.tenant);
        }
        let actors = actors(&database, &mut handle, &acme, &zeta);
        let routes = routes(&database).into_iter().filter(|route| route.scope != "public").collect();
        let document = serde_json::from_str(&database.text("select nebula.openapi()::text", &[])).unwrap();
        Self { database, acme, zeta, actors, routes, document }
    }

    fn route(&self, operation: &str) -> &Route {
        self.routes.iter().find(|route| route.operation == operation).unwrap()
    }

    /// Every place of an operation where an id stands or may stand.
    fn places(&self, route: &Route) -> Vec<Place> {
        let fields = fields(&self.document, route);
        let mut places = vec![Place::Header, Place::Argument];
        let mut ids = Vec::new();
        find_ids(&self.acme.input(&route.operation), &mut Vec::new(), &mut ids);
        for field in fields {
            ids.retain(|steps| *steps != field.steps);
            if field.is_id() {
                places.push(Place::Field(field));
            }
        }
        let protocol = |steps| Place::Protocol(Field { steps, part: "body", schema: json!({ "format": "uuid" }) });
        places.extend(ids.into_iter().map(protocol));
        places
    }

    /// The ids of the other tenant that are tried in a place: what stands there in its own request, or one of each kind.
    fn foreign(&self, route: &Route, place: &Place) -> Vec<String> {
        match place {
            Place::Header | Place::Argument => vec![self.zeta.tenant.to_string()],
            // A row of the other tenant's, sealed for.
            Place::Protocol(_) => ["credentials.update", "webhooks.read"]
                .map(|operation| self.zeta.input(operation)["id"].as_str().unwrap().to_owned())
                .to_vec(),
            Place::Field(field) => match field.get(&self.zeta.input(&route.operation)).and_then(Value::as_str) {
                Some(id) => vec![id.to_owned()],
                None => ["users.read", "groups.read", "api_keys.status", "webhooks.read", "exports.read"]
                    .iter()
                    .map(|operation| self.zeta.input(operation)["id"].as_str().unwrap().to_owned())
                    .chain([self.zeta.tenant.to_string()])
                    .collect(),
            },
        }
    }
}

/// Where ids stand in an input.
fn find_ids(value: &Value, steps: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    match value {
        Value::String(text) if text.parse::<Uuid>().is_ok() => found.push(steps.clone()),
        Value::Object(members) => {
            for (name, member) in members {
                steps.push(Step::Member(name.clone()));
                find_ids(member, steps, found);
                steps.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => {
            steps.push(Step::Item);
            find_ids(&items[0], steps, found);
            steps.pop();
        }
        _ => {}
    }
}

/// Fifteen kinds of caller: people by what they hold, keys by their scope, and credentials that have ended or are another's.
fn actors(database: &Database, handle: &mut Handle, acme: &World, zeta: &World) -> Vec<(&'static str, Actor)> {
    let group = |name: &str| -> Uuid {
        let row = database.superuser().query_one("select id from nebula.group where tenant_id = $1 and name = $2", &[&acme.tenant, &name]);
        row.unwrap().get(0)
    };
    let (admins, operators, viewers) = (group("ADM_CLIENTE"), group("OPERATOR"), group("VIEWER"));
    let someone = |handle: &mut Handle, name: &str, actions: &[&str]| {
        acme.person_with(database, handle, name, &actions.iter().map(|action| (*action).to_owned()).collect::<Vec<_>>()).0
    };
    let mut actors = vec![
        ("founder", acme.founder.clone()),
        ("administrator", acme.person_in(database, handle, "diretor", admins)),
        ("operator", acme.person_in(database, handle, "operador", operators)),
        ("viewer", acme.person_in(database, handle, "leitor", viewers)),
        ("person without rights", someone(handle, "ninguem", &[])),
        ("person with one right", someone(handle, "um", &["users.read"])),
        ("key admin", acme.key_with(handle, "admin")),
        ("key write", acme.key_with(handle, "write")),
        ("key read-only", acme.key_with(handle, "read-only")),
    ];
    let suspended = acme.person_in(database, handle, "suspensa", admins);
    let ended = acme.person_in(database, handle, "saiu", admins);
    let made = |handle: &mut Handle, name: &str| {
        let answer = handle.call(acme.tenant, &acme.founder.credential, "api_keys.create", &json!({ "name": name, "profile": "admin" }));
        Actor { tenant: acme.tenant, credential: answer.data(201)["secret"].as_str().unwrap().to_owned() }
    };
    let (stopped, expired) = (made(handle, "parada"), made(handle, "vencida"));
    let mut superuser = database.superuser();
    superuser.batch_execute("update nebula.user set status = 'suspenso' where name = 'suspensa'").unwrap();
    superuser
        .batch_execute("update nebula.session set revoked_at = now() where user_id = (select id from nebula.user where name = 'saiu')")
        .unwrap();
    superuser.batch_execute("update nebula.api_key set status = 'suspenso' where name = 'parada'").unwrap();
    superuser.batch_execute("update nebula.api_key set expires_at = now() - interval '1 minute' where name = 'vencida'").unwrap();
    let operator = database.installation.operator_key.clone();
    actors.extend([
        ("suspended person", suspended),
        ("person who logged out", ended),
        ("suspended key", stopped),
        ("expired key", expired),
        ("operator of the platform", Actor { tenant: tenant_of(&operator), credential: operator }),
        (ELSEWHERE, Actor { tenant: acme.tenant, credential: zeta.founder.credential.clone() }),
    ]);
    actors
}

/// What an answer tells, but for what differs from request to request. `asked` is the id that the request held.
fn told(answer: &Handled, asked: &str) -> (i32, String) {
    let mut body = answer.body.clone();
    if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("requestId");
    }
    (answer.status, shape(&body, asked).to_string())
}

fn shape(value: &Value, asked: &str) -> Value {
    match value {
        Value::String(text) if text == asked => json!("<asked>"),
        Value::String(text) if text.parse::<Uuid>().is_ok() => json!("<id>"),
        Value::String(text) if text.len() > 18 && text.as_bytes().get(10) == Some(&b'T') => json!("<time>"),
        Value::String(text) if text.starts_with("nbk_") || text.starts_with("nbi_") => json!("<secret>"),
        Value::Array(items) => Value::Array(items.iter().map(|item| shape(item, asked)).collect()),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), shape(member, asked))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}

/// Does an operation for good, as its input says.
fn does(handle: &mut Handle, world: &World, route: &Route) -> Handled {
    let mut message = request(&route.operation, Some(&world.founder.credential), &json!({}));
    let members = message.as_object_mut().unwrap();
    members.remove("query");
    members.remove("body");
    members.insert(if route.takes_body() { "body" } else { "query" }.to_owned(), world.input(&route.operation));
    handle.send(world.tenant, &message)
}

/// Asks with an id in a place, and takes it back.
fn ask(handle: &mut Handle, actor: &Actor, route: &Route, input: &Value, place: &Place, id: &str) -> Handled {
    let mut tenant = actor.tenant;
    let mut message = request(&route.operation, Some(&actor.credential), &json!({}));
    let mut filled = input.clone();
    match place {
        Place::Header => message["tenantHeader"] = json!(id),
        Place::Argument => tenant = id.parse().unwrap(),
        Place::Field(field) | Place::Protocol(field) => filled = field.set(input, &json!(id)),
    }
    let members = message.as_object_mut().unwrap();
    members.remove("query");
    members.remove("body");
    members.insert(if route.takes_body() { "body" } else { "query" }.to_owned(), filled);
    handle.client.batch_execute("begin").unwrap();
    let answer = handle.send(tenant, &message);
    handle.client.batch_execute("rollback").unwrap();
    answer
}

/// Every operation, place and caller: this id, and a random one.
fn fire(battery: &mut Battery, scene: &Scene, handle: &mut Handle, what: &str, foreign: &dyn Fn(&Route, &Place) -> Vec<String>) {
    for route in &scene.routes {
        let input = scene.acme.input(&route.operation);
        for place in scene.places(route) {
            let ids = foreign(route, &place);
            for (who, actor) in &scene.actors {
                let random = Uuid::now_v7().to_string();
                let nobodys = told(&ask(handle, actor, route, &input, &place, &random), &random);
                for id in &ids {
                    let theirs = told(&ask(handle, actor, route, &input, &place, id), id);
                    // The operator may enter a tenant by the header, and reach it by the platform's operations: that is what an operator is.
                    let is_operators = *who == "operator of the platform"
                        && (matches!(place, Place::Header) || route.scope == "platform" || route.operation == "audit.list");
                    // And where the other tenant's administrator names that tenant, they are at home.
                    let is_home = *who == ELSEWHERE && matches!(place, Place::Argument);
                    battery.case(theirs == nobodys || is_operators || is_home, || {
                        let place = match &place {
                            Place::Field(field) | Place::Protocol(field) => field.name(),
                            Place::Header => "X-Tenant-Id".to_owned(),
                            Place::Argument => "the tenant of handle".to_owned(),
                        };
                        format!("{} by {who}, {what} id in {place}:\n  theirs  {theirs:?}\n  random  {nobodys:?}", route.operation)
                    });
                }
            }
        }
    }
}

#[test]
fn an_id_of_another_tenant_is_answered_like_a_random_one_wherever_it_stands() {
    let scene = Scene::new();
    let mut handle = scene.database.handle();
    let mut battery = Battery::begin("B2 ids", &scene.database);
    let before = scene.database.digests();
    fire(&mut battery, &scene, &mut handle, "living", &|route, place| scene.foreign(route, place));
    assert_eq!(scene.database.digests(), before, "an attempt has changed something");
    // What the other tenant has taken away, or suspended where nothing is taken away.
    let zeta = &scene.zeta;
    for operation in
        ["webhooks.delete", "credentials.delete", "groups.permissions.revoke", "users.anonymize", "groups.status", "api_keys.status"]
    {
        let answer = does(&mut handle, zeta, scene.route(operation));
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }
    fire(&mut battery, &scene, &mut handle, "deleted", &|route, place| scene.foreign(route, place));
    battery.end(5_000, &[]);
}

/// What is gone for good is gone for its own tenant, too.
#[test]
fn an_id_of_what_was_deleted_is_answered_like_a_random_one() {
    let scene = Scene::new();
    let mut handle = scene.database.handle();
    let mut battery = Battery::begin("B2 deleted", &scene.database);
    let deleted = ["webhooks.delete", "credentials.delete", "groups.permissions.revoke"];
    let acme = &scene.acme;
    let gone = deleted.map(|operation| {
        let mut ids = Vec::new();
        let input = acme.input(operation);
        find_ids(&input, &mut Vec::new(), &mut ids);
        let answer = does(&mut handle, acme, scene.route(operation));
        assert_eq!(answer.status, 204, "{answer:?}");
        input[if operation == "groups.permissions.revoke" { "permissionId" } else { "id" }].as_str().unwrap().to_owned()
    });
    fire(&mut battery, &scene, &mut handle, "own deleted", &|route, place| match place {
        // One's own history tells of what was there; and a secret that was sealed for the row that is asked for fits no random one.
        _ if ["audit.list", "credentials.update"].contains(&route.operation.as_str()) => Vec::new(),
        Place::Field(_) | Place::Protocol(_) => gone.to_vec(),
        Place::Header | Place::Argument => Vec::new(),
    });
    battery.end(1_000, &[]);
}

#[test]
fn sql_callers_and_http_clients_learn_no_more_of_a_foreign_id() {
    let scene = Scene::new();
    let mut handle = scene.database.handle();
    let mut battery = Battery::begin("B2 doors", &scene.database);
    let edge = scene.database.serve();
    let acme = Tenant {
        id: scene.acme.tenant,
        slug: "acme".into(),
        admin: scene.acme.founder.credential.clone(),
        admin_id: Uuid::nil(),
        admin_email: String::new(),
        refresh_token: String::new(),
        invite: String::new(),
    };
    let mut bound = ["admin", "read-only"].map(|profile| {
        let login = bound_login(&scene.database, &acme, &json!({ "name": format!("door {profile}"), "profile": profile }));
        scene.database.connect(&login)
    });
    let mut authenticator = scene.database.connect("authenticator");
    let before = scene.database.digests();
    let mut http = 0;
    for route in &scene.routes {
        for place in scene.places(route) {
            let Place::Field(field) = &place else { continue };
            let random = Uuid::now_v7().to_string();
            for id in scene.foreign(route, &place) {
                let asks = [&id, &random].map(|id| field.set(&scene.acme.input(&route.operation), &json!(id)));
                for client in &mut bound {
                    let [theirs, nobodys] = [(&asks[0], &id), (&asks[1], &random)].map(|(ask, id)| called(client, None, route, ask, id));
                    battery
                        .case(theirs == nobodys, || format!("bound login: {} {}: {theirs:?} {nobodys:?}", route.operation, field.name()));
                }
                for (who, actor) in scene.actors.iter().take(6) {
                    let claims = claims_of(&actor.credential);
                    let [theirs, nobodys] =
                        [(&asks[0], &id), (&asks[1], &random)].map(|(ask, id)| called(&mut authenticator, Some(&claims), route, ask, id));
                    battery.case(theirs == nobodys, || format!("{who}: {} {}: {theirs:?} {nobodys:?}", route.operation, field.name()));
                }
                for (who, actor) in &scene.actors {
                    // Over HTTP nothing is taken back: only what the database refuses, or what reads.
                    let is_safe = route.method == "GET"
                        || ask(&mut handle, actor, route, &scene.acme.input(&route.operation), &place, &random).status >= 400;
                    if !is_safe || ["operator of the platform", ELSEWHERE].contains(who) {
                        continue;
                    }
                    let [theirs, nobodys] = [&id, &random].map(|id| {
                        let sent = field.set(&scene.acme.sent(&route.operation), &json!(id));
                        let answer = route.send(&edge.user(&actor.credential), &sent);
                        let mut body: Value = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
                        if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
                            error.remove("requestId");
                        }
                        (answer.status, shape(&body, id).to_string())
                    });
                    http += 1;
                    battery.case(theirs == nobodys && theirs.0 < 500, || {
                        format!("over HTTP, {who}: {} {}: {theirs:?} {nobodys:?}", route.operation, field.name())
                    });
                }
            }
        }
    }
    assert!(http > 300, "{http}");
    let mut after = scene.database.digests();
    // Refused attempts are on record.
    after.insert("nebula.audit_log".into(), before["nebula.audit_log"].clone());
    assert_eq!(after, before);
    battery.end(1_000, &[]);
}

/// `nebula.call`, taken back.
fn called(client: &mut Client, claims: Option<&Value>, route: &Route, input: &Value, id: &str) -> String {
    let mut transaction = match claims {
        Some(claims) => as_postgrest(client, claims),
        None => client.transaction().unwrap(),
    };
    match transaction.query_one("select nebula.call($1, $2)", &[&route.operation, input]).map_err(SqlRefusal::from) {
        Ok(row) => format!("done {}", shape(&row.get::<_, Option<Value>>(0).unwrap_or(Value::Null), id)),
        Err(refusal) => format!("{} {} {}", refusal.state, refusal.message, refusal.detail),
    }
}

/// The names that an attacker would add: each column that any table of the product has, as its tables and as clients spell it.
fn columns(database: &Database) -> BTreeSet<String> {
    let names = database.texts(
        "select distinct a.attname::text from pg_attribute a join pg_class c on c.oid = a.attrelid \
         where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped",
        &[],
    );
    let camel = |name: &String| {
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |mut name, word| {
            let (head, tail) = word.split_at(word.len().min(1));
            name.push_str(&head.to_uppercase());
            name.push_str(tail);
            name
        })
    };
    let camels = names.iter().map(camel).collect::<Vec<_>>();
    let more =
        ["__proto__", "constructor", "isAdmin", "is_superuser", "scope", "permissions", "groups", "packages", "claims", "actor", "tenant"];
    names.into_iter().chain(camels).chain(more.map(str::to_owned)).collect()
}

#[test]
fn no_member_can_be_added_that_the_document_does_not_name() {
    let scene = Scene::new();
    let mut handle = scene.database.handle();
    let mut battery = Battery::begin("B2 mass assignment", &scene.database);
    let platform = World::of_platform(&scene.database, &mut handle);
    scene.database.raise_limits(platform.tenant);
    let names = columns(&scene.database);
    assert!(names.len() > 200, "{}", names.len());
    let before = scene.database.digests();
    for route in &scene.routes {
        let world = if route.scope == "platform" { &platform } else { &scene.acme };
        let input = world.input(&route.operation);
        let known = fields(&scene.document, route).iter().map(Field::name).collect::<BTreeSet<_>>();
        let mut objects = vec![Vec::new()];
        find_objects(&input, &mut Vec::new(), &mut objects);
        for object in objects {
            for name in &names {
                let mut steps = object.clone();
                steps.push(Step::Member(name.clone()));
                let field = Field { steps, part: "body", schema: Value::Null };
                // What is there already, or belongs there: the protocol's own members are the edge's, and are held by its own tests.
                if known.contains(&field.name()) || field.get(&input).is_some() || is_of_the_protocol(&field.name()) {
                    continue;
                }
                let answer = world.tries(&mut handle, &world.founder, route, &field.set(&input, &json!(scene.zeta.tenant)));
                battery.case(answer.status == 400 && answer.code() == "VALIDATION_ERROR", || {
                    format!("{} with {}: {} {}", route.operation, field.name(), answer.status, answer.text)
                });
            }
        }
    }
    assert_eq!(scene.database.digests(), before);
    battery.end(5_000, &[]);
}

/// What the edge may add to a member that it seals.
fn is_of_the_protocol(name: &str) -> bool {
    ["secret.plain", "secret.fingerprint", "secret", "data.plain", "data.fingerprint"].contains(&name)
}

fn find_objects(value: &Value, steps: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let descend = |step: Step, member: &Value, steps: &mut Vec<Step>, found: &mut Vec<Vec<Step>>| {
        steps.push(step);
        if member.is_object() {
            found.push(steps.clone());
        }
        find_objects(member, steps, found);
        steps.pop();
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| descend(Step::Member(name.clone()), member, steps, found)),
        Value::Array(items) => items.iter().take(1).for_each(|item| descend(Step::Item, item, steps, found)),
        _ => {}
    }
}

#[test]
fn no_list_answer_payload_or_row_of_one_tenant_mentions_another() {
    let scene = Scene::new();
    let mut handle = scene.database.handle();
    let mut battery = Battery::begin("B2 answers", &scene.database);
    // Each does everything to its own, for good, so that both leave rows, events and jobs behind.
    let mut ordered = scene.routes.iter().filter(|route| route.scope != "platform" && !route.is_own()).collect::<Vec<_>>();
    ordered.sort_by_key(|route| route.turn());
    let whole = "select distinct t.relname::text from pg_class t join pg_attribute a on a.attrelid = t.oid where t.relnamespace = 'nebula'::regnamespace \
                 and t.relkind in ('r', 'p') and not t.relispartition and a.attname = 'tenant_id' order by 1";
    let tables = scene.database.texts(whole, &[]);
    let marks = |world: &World| {
        let mut marks = BTreeSet::from([world.tenant.to_string(), format!("@{}.example", world.slug)]);
        for table in &tables {
            let has_id = "select count(*) from pg_attribute where attrelid = $1::text::regclass and attname = 'id'";
            let table = format!("nebula.\"{table}\"");
            if scene.database.number(has_id, &[&table]) == 1 {
                marks.extend(scene.database.texts(&format!("select id::text from {table} where tenant_id = $1"), &[&world.tenant]));
            }
        }
        marks
    };
    for world in [&scene.acme, &scene.zeta] {
        for route in &ordered {
            let answer = does(&mut handle, world, route);
            assert!(answer.status < 400, "{}: {answer:?}", route.operation);
        }
    }
    let edge = scene.database.serve();
    for (own, other) in [(&scene.acme, &scene.zeta), (&scene.zeta, &scene.acme)] {
        let marks = marks(other);
        assert!(marks.len() > 50, "{}", marks.len());
        let caller = edge.user(&own.founder.credential);
        for route in scene.routes.iter().filter(|route| route.method == "GET" && route.operation != "exports.download") {
            let mut input = own.sent(&route.operation);
            if route.operation.ends_with(".list") {
                input["limit"] = json!("200");
            }
            let answer = route.send(&caller, &input);
            for mark in &marks {
                battery.case(!answer.text.contains(mark), || format!("{} of {} shows {mark}", route.operation, own.slug));
            }
        }
        for table in &tables {
            let rows =
                scene.database.texts(&format!("select t::text from nebula.\"{table}\" t where tenant_id = $1"), &[&own.tenant]).join("\n");
            for mark in &marks {
                battery.case(!rows.contains(mark), || format!("a row of {} in {table} holds {mark}", own.slug));
            }
        }
    }
    battery.end(5_000, &[("the edge's", edge.log())]);
}

#[test]
fn a_cursor_opens_nothing_but_the_page_that_it_was_made_for() {
    let scene = Scene::new();
    let mut handle = scene.database.handle();
    let mut battery = Battery::begin("B2 cursors", &scene.database);
    let lists = scene
        .routes
        .iter()
        .filter(|route| route.scope == "tenant" && fields(&scene.document, route).iter().any(|field| field.name() == "cursor"))
        .collect::<Vec<_>>();
    let first = |handle: &mut Handle, world: &World, route: &Route| {
        let mut input = world.input(&route.operation);
        input["limit"] = json!("1");
        let page = world.tries(handle, &world.founder, route, &input);
        page.body["meta"]["nextCursor"].as_str().map(|cursor| (input, cursor.to_owned()))
    };
    let mut with_cursor = 0;
    for route in &lists {
        let Some((input, cursor)) = first(&mut handle, &scene.zeta, route) else { continue };
        with_cursor += 1;
        let mut tries = vec![(scene.acme.input(&route.operation), cursor.clone(), "the other tenant's cursor")];
        if let Some((own, own_cursor)) = first(&mut handle, &scene.acme, route) {
            for at in (0..own_cursor.len()).step_by(battery::scaled(7, 1)) {
                let mut bytes = own_cursor.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                tries.push((own.clone(), String::from_utf8(bytes).unwrap(), "an altered cursor"));
            }
            for other in &lists {
                if other.operation != route.operation {
                    tries.push((scene.acme.input(&other.operation), own_cursor.clone(), "another list's cursor"));
                    let input = field_cursor(&scene.acme.input(&other.operation), &own_cursor);
                    let answer = scene.acme.tries(&mut handle, &scene.acme.founder, other, &input);
                    battery.case(answer.code() == "VALIDATION_ERROR", || {
                        format!("{} with a cursor of {}: {}", other.operation, route.operation, answer.text)
                    });
                }
            }
            tries.retain(|(_, _, what)| *what != "another list's cursor");
        }
        drop(input);
        for (input, cursor, what) in tries {
            let mut input = input;
            input["limit"] = json!("1");
            let answer = scene.acme.tries(&mut handle, &scene.acme.founder, route, &field_cursor(&input, &cursor));
            battery.case(answer.code() == "VALIDATION_ERROR", || {
                format!("{} with {what}: {} {}", route.operation, answer.status, answer.text)
            });
        }
    }
    assert!(with_cursor >= 5, "{with_cursor}");
    battery.end(100, &[]);
}

fn field_cursor(input: &Value, cursor: &str) -> Value {
    let mut input = input.clone();
    input["cursor"] = json!(cursor);
    input
}

/// The time of an answer, too: medians of pairs that are asked in turn, so that the machine's moods fall on both.
#[test]
fn a_foreign_id_takes_as_long_as_a_random_one() {
    let scene = Scene::new();
    let mut handle = scene.database.handle();
    let mut battery = Battery::begin("B2 time", &scene.database);
    let rounds = battery::scaled(60, 600);
    for route in scene.routes.iter().filter(|route| route.scope == "tenant") {
        for place in scene.places(route) {
            let Place::Field(field) = &place else { continue };
            let Some(Value::String(id)) = field.get(&scene.zeta.input(&route.operation)).cloned() else { continue };
            let input = scene.acme.input(&route.operation);
            let mut measure = || {
                let (mut theirs, mut nobodys) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    let random = Uuid::now_v7().to_string();
                    for (id, times) in [(&id, &mut theirs), (&random, &mut nobodys)] {
                        let start = Instant::now();
                        ask(&mut handle, &scene.acme.founder, route, &input, &place, id);
                        times.push(start.elapsed().as_secs_f64() * 1e6);
                    }
                }
                let median = |times: &mut Vec<f64>| {
                    times.sort_by(f64::total_cmp);
                    times[times.len() / 2]
                };
                (median(&mut theirs), median(&mut nobodys))
            };
            // A difference that is there repeats; a neighbour's build doesn't.
            let mut seen = (0.0, 0.0);
            let is_alike = (0..4).any(|_| {
                seen = measure();
                (seen.0 - seen.1).abs() < 0.15 * seen.1 + 60.0
            });
            battery.case(is_alike, || format!("{} {}: {:.0} µs against {:.0} µs", route.operation, field.name(), seen.0, seen.1));
        }
    }
    battery.end(15, &[]);
}
