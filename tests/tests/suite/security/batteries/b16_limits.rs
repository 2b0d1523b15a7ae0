//! B16. The threat: a client that asks for more than was agreed, by many edges at once, by SQL beside HTTP, or by a request that is counted elsewhere. What is admitted
//! equals the limit. (`rest::limits` has the rules one by one, with the library preloaded and without.)

use nebula_tests::{
    Anonymous, Battery, Caller, Database, Edge, Library, Tenant, User, battery, http::Request, onboard, parallel, sql_caller,
};
use serde_json::json;
use uuid::Uuid;

fn agree(edge: &Edge, tenant: Uuid, category: &str, limit: usize) {
    let request = edge.operator().request("PUT", "/v1/config").header("X-Tenant-Id", tenant.to_string());
    request.json(&json!({ "flags": {}, "limits": { category: { "perMinute": limit } } })).send().data(200);
}

fn scene(library: Library) -> (Database, [Edge; 4], Tenant<User>) {
    let database = Database::with(library);
    let settings = [("NEBULA_POOL_SIZE", "10"), ("NEBULA_POOL_WAIT_MS", "30000"), ("NEBULA_TRUSTED_PROXIES", "127.0.0.1/32")];
    let edges = [(); 4].map(|()| database.serve_with(&settings));
    let acme = onboard(&edges[0], "acme");
    (database, edges, acme)
}

fn admitted_equals_the_limit(library: Library, name: &'static str) {
    let (database, edges, acme) = scene(library);
    let mut battery = Battery::begin(name, &database);
    let (key, _) = acme.key(&edges[0], &json!({ "name": "k", "profile": "admin" }));
    let login = format!("limit_{}", database.name);
    database.execute(&format!(
        "create role {login} login; grant nebula_app to {login}; select nebula.bind_role('{login}', '{}', 'k')",
        acme.id
    ));
    let requests = battery::scaled(1_000, 10_000);
    let limit = requests / 4;
    agree(&edges[0], acme.id, "read", limit);
    let paths = ["/v1/users", "/v1/groups?limit=1", "/v1/me", "/v1/api-keys", "/v1/webhooks", "/v1/audit-logs?limit=2", "/v1/branding"];
    let answers = parallel(requests, 24, |n| {
        if n % 10 == 9 {
            let called = sql_caller::call(&mut database.connect(&login), "users.list", &json!({}));
            return called.map_or_else(|refusal| refusal.state.trim_start_matches("PT").parse().unwrap_or(0), |_| 200);
        }
        let edge = &edges[n % 4];
        match n % 3 {
            0 => edge.key(&key.secret).get(paths[n % paths.len()]).status,
            _ => edge.user(&acme.admin.token).get(paths[n % paths.len()]).status,
        }
    });
    let admitted = answers.iter().filter(|status| **status == 200).count();
    for status in &answers {
        battery.case(matches!(status, 200 | 429), || format!("answered {status}"));
    }
    battery.case(admitted == limit, || format!("{admitted} admitted of {limit}"));
    battery.end(requests, &[]);
}

#[test]
fn four_edges_and_sql_callers_together_admit_exactly_the_limit() {
    admitted_equals_the_limit(Library::OnDemand, "B16 limit, table");
}

#[test]
fn the_same_with_the_counters_in_shared_memory() {
    admitted_equals_the_limit(Library::Preloaded, "B16 limit, memory");
}

/// How a request is dressed up; every one of them is combined with every operation, caller and edge.
type Disguise = fn(Request, usize) -> Request;

const DISGUISES: [(&str, Disguise); 18] = [
    ("nothing", |request, _| request),
    ("an address", |request, n| request.header("x-forwarded-for", format!("203.0.113.{}", n % 250))),
    ("a chain of addresses", |request, n| request.header("x-forwarded-for", format!("198.51.100.{}, 203.0.113.{}", n % 250, n % 200))),
    ("two headers of addresses", |request, n| {
        request.header("x-forwarded-for", "1.2.3.4").header("x-forwarded-for", format!("203.0.113.{}", n % 250))
    }),
    ("a real address", |request, n| request.header("x-real-ip", format!("203.0.113.{}", n % 250))),
    ("RFC 7239", |request, n| request.header("forwarded", format!("for=203.0.113.{}", n % 250))),
    ("a client address", |request, n| {
        request.header("true-client-ip", format!("203.0.113.{}", n % 250)).header("cf-connecting-ip", "203.0.113.1")
    }),
    ("another host", |request, n| request.header("x-forwarded-host", format!("h{n}.example"))),
    ("a request id", |request, n| request.header("x-request-id", format!("request-{n}"))),
    ("a language", |request, _| request.header("accept-language", "en")),
    ("a user agent", |request, n| request.header("user-agent", format!("agent/{n}"))),
    ("an idempotency key", |request, n| request.key(&format!("disguise-{n}"))),
    ("an override of the method", |request, _| request.header("x-http-method-override", "GET")),
    ("another path", |request, _| request.header("x-original-url", "/health").header("x-rewrite-url", "/health")),
    ("a trace", |request, _| request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    ("no cache", |request, _| request.header("cache-control", "no-store").header("pragma", "no-cache")),
    ("an origin", |request, _| request.header("origin", "https://acme.example")),
    ("a prefer", |request, _| request.header("prefer", "respond-async, wait=0")),
];

#[test]
fn no_disguise_of_a_request_is_admitted_beyond_the_limit() {
    let (database, edges, acme) = scene(Library::OnDemand);
    let mut battery = Battery::begin("B16 disguises", &database);
    let (key, _) = acme.key(&edges[0], &json!({ "name": "k", "profile": "admin" }));
    agree(&edges[0], acme.id, "write", 3);
    while acme.admin.patch("/v1/me", &json!({ "name": "Ana" })).status == 200 {}
    let before = database.digests();
    let mut number = 0;
    for (what, disguise) in DISGUISES {
        for (method, path, body) in [
            ("POST", "/v1/users", json!({ "email": "x@acme.example", "name": "X" })),
            ("POST", "/v1/groups", json!({ "name": "X" })),
            ("PATCH", "/v1/me", json!({ "name": "X" })),
            ("POST", "/v1/groups?limit=1", json!({ "name": "X" })),
            ("POST", "/v1//groups", json!({ "name": "X" })),
            ("POST", "/v1/groups/", json!({ "name": "X" })),
            ("POST", "/V1/groups", json!({ "name": "X" })),
            ("POST", "/v1/%67roups", json!({ "name": "X" })),
        ] {
            for edge in &edges {
                let callers: [(&str, Box<dyn Caller>); 2] =
                    [("a person", Box::new(edge.user(&acme.admin.token))), ("a key", Box::new(edge.key(&key.secret)))];
                for (who, caller) in callers {
                    number += 1;
                    let answer = disguise(caller.request(method, path), number).json(&body).send();
                    battery.case(answer.status >= 400 && answer.status < 500, || format!("{what}, {method} {path} by {who}: {answer:?}"));
                }
            }
        }
    }
    assert_eq!(database.digests(), before);
    battery.end(18 * 8 * 8, &[]);
}

/// Guesses without a credential, from one address that calls itself by many.
#[test]
fn an_untrusted_client_names_no_address_of_its_own() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let mut battery = Battery::begin("B16 guesses", &database);
    let caller: Anonymous = edge.anonymous();
    let mut looked_at = 0;
    let guesses = battery::scaled(60, 600);
    for n in 0..guesses {
        let (_, disguise) = DISGUISES[n % DISGUISES.len()];
        let body = json!({ "tenant": "acme", "email": acme.admin_email.to_uppercase().replace("ADMIN", if n % 2 == 0 { "aDmIn" } else { "ADMIN" }), "password": format!("guess {n}") });
        let answer = disguise(caller.request("POST", "/v1/auth/login"), n).json(&body).send();
        looked_at += usize::from(answer.code() == "INVALID_CREDENTIALS");
        battery.case(matches!(answer.status, 401 | 429), || format!("{answer:?}"));
    }
    // Five guesses before the waits begin; the shortest waits may end while this runs.
    battery.case(looked_at <= 12, || format!("{looked_at} of {guesses} guesses were looked at"));
    battery.end(guesses, &[]);
}
