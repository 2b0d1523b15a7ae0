//! B10. The threat: input that nobody meant, in every field of every operation and every argument of every function: to crash a backend (and with it every session of
//! the cluster), to be told of the inside by an error, to store what reads back as something else. The fields come from the OpenAPI document, the functions from
//! pg_catalog. No answer is a 5xx, no error an `XX000`, nothing ends by a signal, and what is accepted reads back as it was sent.

use nebula_tests::{
    Battery, Caller, Database, Edge, Field, Handle, Route, World, battery,
    field::Step,
    fields,
    handle::request,
    routes,
    story::{PASSWORD, derived_password, proof},
    world::sell_notes,
};
use postgres::Client;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// Stands where the raw text goes.
const HOLE: &str = "@@raw@@";

/// Raw JSON values, and what only looks like one.
fn raw_inputs() -> Vec<Vec<u8>> {
    let mut raw: Vec<Vec<u8>> = Vec::new();
    for text in [
        // Types and numbers.
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "1",
        "1.5",
        "1e0",
        "1E+2",
        "1e308",
        "1e309",
        "-1e309",
        "1e-400",
        "1e999999999999",
        "0.1",
        "2147483647",
        "2147483648",
        "-2147483649",
        "4294967295",
        "4294967296",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890123456789012345678901234567890",
        "3.141592653589793238462643383279502884197",
        "-5e-324",
        // Structures.
        "[]",
        "[[]]",
        "[null]",
        "[1,2,3]",
        "[\"\"]",
        "[{}]",
        "{}",
        "{\"\":\"\"}",
        "{\"a\":null}",
        "{\"__proto__\":{\"isAdmin\":true}}",
        "{\"constructor\":{}}",
        "{\"$ref\":\"#\"}",
        "{\"$gt\":\"\"}",
        "{\"a\":1,\"a\":2}",
        "{\"toString\":1}",
        "[true,false,null,1,\"x\",{},[]]",
        // What is no JSON.
        "",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "'x'",
        "01",
        "+1",
        ".5",
        "1.",
        "0x10",
        "1_000",
        "tru",
        "nul",
        "\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\",
        "[1,]",
        "[,1]",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "[",
        "{",
        "]",
        "}",
        "//",
        "/* */ 1",
        "1 2",
        "\"a\" \"b\"",
        "\u{feff}1",
        "1;",
        "\\u0041",
        "\u{a0}1",
    ] {
        raw.push(text.as_bytes().to_vec());
    }
    // Escapes that are no characters, or no ones to keep.
    for escape in [
        "\\u0000",
        "a\\u0000b",
        "\\ud800",
        "\\udc00",
        "\\ud800\\ud800",
        "\\udc00\\ud800",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\uffff",
        "\\ufffe",
        "\\ufeffx",
        "\\u202ex",
        "\\u2066x",
        "\\u200b",
        "\\u200d",
        "\\u00ad",
        "\\u2028",
        "\\u2029",
        "\\u3000",
        "\\u00a0",
        "\\u1680",
        "\\u180e",
        "\\u0085",
        "\\r\\nSet-Cookie: a=b",
        "\\b\\f",
        "\\/",
    ] {
        raw.push(format!("\"{escape}\"").into_bytes());
    }
    // Control characters: escaped, and as they are.
    for control in (1..32).chain([127, 128, 133, 155, 159]) {
        raw.push(format!("\"a\\u{control:04x}b\"").into_bytes());
    }
    for bytes in [
        &b"\x01"[..],
        b"\x1f",
        b"\x00",
        b"\x7f",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\x80",
        b"\xf0\x9f\x98",
    ] {
        raw.push([b"\"", bytes, b"\""].concat());
    }
    for text in [
        // Texts for who pastes them into something.
        "'",
        "''",
        "\\\\",
        "' or true --",
        "'; select pg_sleep(9); --",
        "$$",
        "$1",
        "%",
        "_",
        "%%%%",
        "a%",
        "\\\\%",
        "%s%n%x",
        "{0}",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "<script>alert(1)</script>",
        "&lt;",
        "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
        "../../etc/passwd",
        "..%2f..%2f",
        "%00",
        "C:\\\\x",
        "|id",
        "`id`",
        "$(id)",
        "=1+1",
        "@SUM(1)",
        "((a+)+)+$",
        "(?R)",
        "*",
        "select",
        "null",
        "undefined",
        "true",
        "NaN",
        "-1",
        "1e5",
        "0x1",
        "\u{1d54f}",
        "ﷺ",
        "İ",
        "ß",
        "ﬃ",
        "e\u{301}",
        "\u{e9}",
        "𝕏𝕐",
        "日本語",
        "עברית",
        "a\u{300}\u{301}\u{302}\u{303}\u{304}",
        "👩‍👩‍👧‍👦",
        "\u{fffd}",
        "\u{10ffff}",
        "\u{e000}",
        " x ",
        "x ",
        " x",
        "   ",
        // Ids and keys.
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "{00000000-0000-0000-0000-000000000000}",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        "00000000000000000000000000000000",
        "0000-0000",
        "users.create",
        "Users.Create",
        "users.",
        ".users",
        "users..create",
        "a-b",
        "a--b",
        "-a",
        // Instants.
        "infinity",
        "-infinity",
        "now",
        "epoch",
        "today",
        "0000-00-00T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-12-31T23:59:60Z",
        "2026-12-31T24:00:00Z",
        "9999-12-31T23:59:59Z",
        "99999-01-01T00:00:00Z",
        "294277-01-01T00:00:00Z",
        "-0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2026-01-01T00:00:00+99:99",
        "2026-01-01T00:00:00+23:59",
        "2026-01-01T00:00:00.123456789012Z",
        "2026-01-01 00:00:00Z",
        "2026-01-01",
        "2026-01-01T00:00:00 BC",
        // Addresses.
        "a@b",
        "a@b.example",
        "\\\"a\\\"@b.example",
        "a@[127.0.0.1]",
        "a@b.example\\n",
        "a@b@c.example",
        "A@B.EXAMPLE",
        "file:///etc/passwd",
        "javascript:1",
        "http://x.example",
        "https://localhost",
        "https://127.1/",
        "https://[::1]/",
        "https://0x7f000001/",
        "https://user:pass@x.example/",
        "https://x.example:0/",
        "https://x.example:99999/",
        "https://x",
        "https://xn--/",
        "https://x.example/\\u0000",
        "HTTPS://X.EXAMPLE/",
        "#123456",
        "#12345",
        "#GGGGGG",
        "10.0.0.0/8",
        "10.0.0.0/33",
        "::/0",
        "ffff::/129",
        "1.2.3.4",
        // Words of the product.
        "ativo",
        "SUSPENSO",
        "read",
        "json",
        "created_at:desc",
        "created_at:desc,id",
        "nbk_",
        "nbr_0",
        "whsec_",
        "Bearer x",
        "eyJhbGciOiJub25lIn0.e30.",
    ] {
        raw.push(format!("\"{text}\"").into_bytes());
    }
    // Sizes and depths.
    for length in [64, 100, 101, 200, 201, 254, 255, 256, 2000, 2001, 2048, 65_536, 300_000] {
        raw.push(format!("\"{}\"", "x".repeat(length)).into_bytes());
    }
    for length in [200, 201, 70_000] {
        raw.push(format!("\"{}\"", "é".repeat(length)).into_bytes());
    }
    for depth in [20, 127, 128, 129, 1_000, 20_000] {
        raw.push(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes());
        raw.push(format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)).into_bytes());
    }
    raw.push(format!("[{}]", vec!["1"; 20_000].join(",")).into_bytes());
    raw.push(format!("[{}]", vec!["\"users.create\""; 201].join(",")).into_bytes());
    raw.push(format!("{{{}}}", (0..5_000).map(|n| format!("\"k{n}\":true")).collect::<Vec<_>>().join(",")).into_bytes());
    raw.push(format!("{}1", "0".repeat(10_000)).into_bytes());
    raw.push("9".repeat(10_000).into_bytes());
    assert!(raw.len() >= 245, "{}", raw.len());
    raw
}

/// An input of a public operation: what a client sends, or the edge.
pub fn public_input(world: &World, operation: &str, is_edges: bool) -> Value {
    let token = |kind: &str| format!("{kind}{}", "0".repeat(136));
    let (new, check) = if is_edges { (derived_password(), proof()) } else { (json!(PASSWORD), json!(PASSWORD)) };
    match operation {
        "auth.login" => json!({ "tenant": world.slug, "email": "nobody@acme.example", "password": check }),
        "auth.password.reset" => json!({ "tenant": world.slug, "email": "nobody@acme.example" }),
        "auth.password" => json!({ "token": token("nbi_"), "password": new }),
        _ => json!({ "refreshToken": token("nbr_") }),
    }
}

/// Where something can be put: what the document names, and what only the edge puts in.
fn places(document: &Value, route: &Route, input: &Value) -> Vec<Field> {
    let mut places = fields(document, route);
    let mut leaves = Vec::new();
    find_leaves(input, &mut Vec::new(), &mut leaves);
    leaves.retain(|steps| places.iter().all(|place| place.steps != *steps));
    places.extend(leaves.into_iter().map(|steps| Field { steps, part: "protocol", schema: Value::Null }));
    places
}

fn find_leaves(value: &Value, steps: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                steps.push(Step::Member(name.clone()));
                find_leaves(member, steps, found);
                steps.pop();
            }
        }
        _ => found.push(steps.clone()),
    }
}

/// The text with the raw bytes in its hole.
fn pour(text: &str, raw: &[u8]) -> Vec<u8> {
    let hole = format!("\"{HOLE}\"");
    let at = text.find(&hole).unwrap_or_else(|| panic!("no hole in {text}"));
    [&text.as_bytes()[..at], raw, &text.as_bytes()[at + hole.len()..]].concat()
}

/// Whether what came back is what was sent. Surrounding blanks and the case of addresses are the product's to settle, and so is how an instant is written.
fn reads_back(field: &Field, sent: &Value, answer: &Value) -> bool {
    let Some(Step::Member(name)) = field.steps.first() else { return true };
    let Some(got) = answer["data"].get(name) else { return true };
    if field.steps.len() > 1 || sent.is_null() || field.schema["format"] == "date-time" || field.schema["writeOnly"] == true {
        return true;
    }
    match (sent, got) {
        // Of an address, the host is written in lower case.
        (Value::String(sent), Value::String(got)) if field.schema["format"] == "email" => sent.trim().eq_ignore_ascii_case(got),
        // An address is stored as the URL standard writes it: `https://127.1` with all four numbers and its path.
        (Value::String(sent), Value::String(got)) if field.schema["format"] == "uri" => {
            url::Url::parse(sent).is_ok_and(|url| url.as_str() == got)
        }
        (Value::String(sent), Value::String(got)) => sent == got || sent.trim() == got || sent.trim().to_lowercase() == *got,
        (Value::Number(sent), Value::Number(got)) => sent.as_f64() == got.as_f64(),
        // Which permissions a list of actions made is told in another form.
        (Value::Array(sent), Value::Array(got)) => sent.len() == got.len(),
        (sent, got) => sent == got,
    }
}

pub struct Scene {
    pub database: Database,
    world: World,
    platform: World,
    pub routes: Vec<Route>,
    pub document: Value,
}

impl Scene {
    pub fn new() -> Self {
        let database = Database::new();
        let mut handle = database.handle();
        sell_notes(&database, &mut handle);
        let world = World::of_customer(&database, &mut handle, "acme");
        let platform = World::of_platform(&database, &mut handle);
        database.raise_limits(world.tenant);
        database.raise_limits(platform.tenant);
        let mut routes = routes(&database);
        routes.sort_by_key(Route::turn);
        let document = serde_json::from_str(&database.text("select nebula.openapi()::text", &[])).unwrap();
        Self { database, world, platform, routes, document }
    }

    pub fn world_of(&self, route: &Route) -> &World {
        if route.scope == "platform" { &self.platform } else { &self.world }
    }
}

#[test]
fn no_raw_input_in_any_field_makes_the_database_fail() {
    let scene = Scene::new();
    let raw = raw_inputs();
    let mut battery = Battery::begin("B10 fields, database", &scene.database);
    let mut handle = scene.database.handle();
    let before = scene.database.digests();
    let step = battery::scaled(5, 1);
    let mut turn = 0;
    for route in &scene.routes {
        let world = scene.world_of(route);
        let is_public = route.scope == "public";
        let input = if is_public { public_input(world, &route.operation, true) } else { world.input(&route.operation) };
        for place in places(&scene.document, route, &input) {
            turn += 1;
            // Each field meets another part of the list, so that all of it is used everywhere in few runs.
            for raw in raw.iter().skip(turn % step).step_by(step) {
                let Ok(text) = std::str::from_utf8(raw) else { continue };
                let credential = (!is_public).then_some(world.founder.credential.as_str());
                let mut message = request(&route.operation, credential, &json!({}));
                let members = message.as_object_mut().unwrap();
                members.remove("query");
                members.remove("body");
                members.insert(if route.takes_body() { "body" } else { "query" }.into(), place.set(&input, &json!(HOLE)));
                let sent = String::from_utf8(pour(&message.to_string(), text.as_bytes())).unwrap();
                let (outcome, is_connected) = tell(&mut handle, world, &sent);
                let holds = match &outcome {
                    Ok((status, body)) => {
                        let value = serde_json::from_str(text).unwrap_or(Value::Null);
                        *status < 500 && (*status >= 300 || reads_back(&place, &value, body))
                    }
                    // What is no JSON, or deeper than Postgres' parser goes, doesn't become the function's argument.
                    Err(state) => state.starts_with("22") || state == "54001",
                };
                battery.case(holds && is_connected, || format!("{} {} = {:.80}: {outcome:?}", route.operation, place.name(), text));
                if !is_connected {
                    handle = scene.database.handle();
                }
            }
        }
    }
    assert_eq!(scene.database.digests(), before);
    battery.end(8_000, &[]);
}

/// Status and body, or the SQLSTATE; and whether the session has survived.
pub fn tell(handle: &mut Handle, world: &World, message: &str) -> (Result<(i32, Value), String>, bool) {
    handle.client.batch_execute("begin").unwrap();
    let sql = "select status, body::text from nebula.handle($1, $2::text::json)";
    let row = handle.client.query_typed(sql, &[(&world.tenant, postgres::types::Type::UUID), (&message, postgres::types::Type::TEXT)]);
    let outcome = match row {
        Ok(rows) => {
            let body: Option<String> = rows[0].get(1);
            Ok((rows[0].get(0), body.and_then(|body| serde_json::from_str(&body).ok()).unwrap_or(Value::Null)))
        }
        Err(error) => Err(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())),
    };
    let is_connected = handle.client.batch_execute("rollback").is_ok();
    (outcome, is_connected)
}

/// Each byte that is no letter or digit as `%XX`.
fn percent(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").unwrap();
        }
    }
    text
}

#[test]
fn no_raw_input_in_any_field_makes_the_edge_fail() {
    let scene = Scene::new();
    let raw = raw_inputs();
    let mut battery = Battery::begin("B10 fields, edge", &scene.database);
    let edge = scene.database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.1/32")]);
    let step = battery::scaled(20, 1);
    let mut turn = 0;
    for route in &scene.routes {
        let world = scene.world_of(route);
        let is_public = route.scope == "public";
        let input = if is_public { public_input(world, &route.operation, false) } else { world.sent(&route.operation) };
        for place in fields(&scene.document, route) {
            turn += 1;
            for raw in raw.iter().skip(turn % step).step_by(step) {
                let Some(answer) = send(&edge, route, world, &input, &place, raw, turn) else { continue };
                let shown = String::from_utf8_lossy(raw).chars().take(80).collect::<String>();
                let holds = answer.as_ref().is_ok_and(|answer| {
                    let body = serde_json::from_str::<Value>(&answer.text).unwrap_or(Value::Null);
                    let is_told = answer.status < 400 || body["error"]["code"].is_string();
                    let value = serde_json::from_slice(raw).unwrap_or(Value::Null);
                    answer.status < 500 && is_told && (answer.status >= 300 || place.part != "body" || reads_back(&place, &value, &body))
                });
                battery.case(holds, || format!("{} {} = {shown}: {answer:?}", route.operation, place.name()));
            }
        }
    }
    // Still there, for everybody.
    assert!(edge.is_ready());
    battery.end(2_000, &[("the edge's", edge.log())]);
}

/// Sends a raw value in a place; nothing where a URL could not hold it.
fn send(
    edge: &Edge,
    route: &Route,
    world: &World,
    input: &Value,
    place: &Field,
    raw: &[u8],
    turn: usize,
) -> Option<Result<nebula_tests::Answer, String>> {
    let caller = edge.user(&world.founder.credential);
    let (mut path, body) = if place.part == "body" {
        let (path, rest) = route.fill(&place.set(input, &json!(HOLE)));
        (path, Some(pour(&Value::Object(rest).to_string(), raw)))
    } else {
        // A text's own characters, where it is one.
        let text = serde_json::from_slice::<String>(raw).map_or_else(|_| raw.to_vec(), String::into_bytes);
        if text.len() > 15_000 {
            return None;
        }
        let (path, rest) = route.fill(&place.set(input, &json!(percent(&text))));
        (path, route.takes_body().then(|| Value::Object(rest.clone()).to_string().into_bytes()))
    };
    if place.part == "query" {
        let text = serde_json::from_slice::<String>(raw).map_or_else(|_| raw.to_vec(), String::into_bytes);
        path = format!("{path}?{}={}", place.name(), percent(&text));
    }
    let mut request =
        if route.scope == "public" { edge.anonymous().request(&route.method, &path) } else { caller.request(&route.method, &path) };
    // Whoever has no credential is counted by address.
    request = request.header("x-forwarded-for", format!("2001:db8:{:x}:{:x}::1", turn % 60_000, raw.len() % 60_000));
    if let Some(body) = body {
        request = request.body("application/json", body);
    }
    Some(request.try_send().map_err(|error| error.to_string()))
}

/// Requests that two servers on the way could read in two ways: one answer, a refusal, and the connection closed.
#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused() {
    let scene = Scene::new();
    let mut battery = Battery::begin("B10 smuggling", &scene.database);
    let edge = scene.database.serve();
    let hidden = "DELETE /v1/me/sessions HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut heads = Vec::new();
    for length in ["5, 6", "+5", "-1", "0x5", "5 5", "", "99999999999999999999", "5\u{b}", "1e1"] {
        heads.push(format!("Content-Length: {length}\r\n"));
    }
    for encoding in
        ["chunked, identity", "identity, chunked", "xchunked", "chunked\u{b}", "\"chunked\"", "chunked, chunked", "gzip, chunked"]
    {
        heads.push(format!("Transfer-Encoding: {encoding}\r\nContent-Length: 4\r\n"));
    }
    for line in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\u{b}: chunked\r\n",
        "X: y\rContent-Length: 5\r\n",
        "X: y\u{0}z\r\n",
        " Folded: yes\r\n",
        ": empty\r\n",
        "no colon\r\n",
    ] {
        heads.push(line.to_owned());
    }
    for head in heads {
        for method in ["POST", "GET"] {
            let bytes = format!(
                "{method} /v1/auth/refresh HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n{head}\r\n0\r\n\r\n{hidden}"
            );
            let answer = edge.raw(bytes.as_bytes());
            let answers = answer.matches("HTTP/1.1 ").count();
            // Refused, or one request that is read in one way; never a second one, and never a failure.
            battery.case(answers <= 1 && !answer.starts_with("HTTP/1.1 5") && !answer.starts_with("HTTP/1.1 2"), || {
                format!("{method} with {head:?}: {answer}")
            });
        }
    }
    for line in [
        "GET  /v1/me HTTP/1.1",
        "GET /v1/me HTTP/9.9",
        "GET /v1/me",
        "G\u{0}T /v1/me HTTP/1.1",
        "GET http://x/v1/me\u{0} HTTP/1.1",
        "GET /v1/../v1/me HTTP/1.1",
        "GET //v1/me HTTP/1.1",
        "GET /v1/me%00 HTTP/1.1",
        "GET /%2e%2e/v1/me HTTP/1.1",
        "CONNECT x:1 HTTP/1.1",
        "TRACE / HTTP/1.1",
        "PRI * HTTP/2.0",
        "OPTIONS * HTTP/1.1",
        "get /v1/me HTTP/1.1",
        "GET * HTTP/1.1",
        "GET /v1/me HTTP/1.1\r\nHost: a\r\nHost: b",
        "GET /v1\\me HTTP/1.1",
        "GET /v1/me;x=1 HTTP/1.1",
        "GET /v1/me?%ff HTTP/1.1",
        "GET /v1/users?limit=1&limit=2 HTTP/1.1",
    ] {
        let answer = edge.raw(format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        battery.case(
            answer.matches("HTTP/1.1 ").count() <= 1 && !answer.starts_with("HTTP/1.1 5") && !answer.starts_with("HTTP/1.1 2"),
            || format!("{line}: {answer}"),
        );
    }
    assert!(edge.is_ready());
    battery.end(60, &[]);
}

/// What may be given for an argument of this type, as SQL.
pub fn odd_values(kind: &str) -> Vec<String> {
    let quoted = |values: &[&str]| values.iter().map(|value| format!("'{}'::{kind}", value.replace('\'', "''"))).collect::<Vec<_>>();
    let mut values = match kind {
        "text" | "name" | "character varying" => {
            let mut texts = quoted(&[
                "users.list",
                "",
                " ",
                "x",
                "'\";--",
                "..",
                "%s%n",
                "\\",
                "é\u{301}\u{202e}",
                "postgres",
                "nebula",
                "public.orders",
                "{}",
                "null",
                "-1",
                "\u{1}\n",
            ]);
            texts.extend([
                format!("repeat('x', 100000)::{kind}"),
                format!("repeat('[', 50000)::{kind}"),
                format!("repeat('é', 3000)::{kind}"),
            ]);
            texts
        }
        "uuid" => quoted(&[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "01890000-0000-7000-8000-000000000000",
        ]),
        "json" | "jsonb" => {
            let mut texts = quoted(&[
                "{}",
                "null",
                "[]",
                "1",
                "-1e300",
                "\"x\"",
                "true",
                "[null]",
                "[[[]]]",
                "{\"\":null}",
                "{\"a\":{\"b\":[1,\"x\",null]}}",
                "{\"operation\":7}",
                "[{}]",
            ]);
            texts.push(format!("(repeat('[', 3000) || repeat(']', 3000))::{kind}"));
            texts.push(format!("('[' || repeat('{{}},', 5000) || '{{}}]')::{kind}"));
            if kind == "json" {
                texts.extend(quoted(&["\"\\u0000\"", "\"\\ud800\"", "{\"a\":1,\"a\":2}", "1e999999"]));
            }
            texts
        }
        "integer" | "int" => quoted(&["1", "0", "-1", "2147483647", "-2147483648"]),
        "bigint" => quoted(&["1", "0", "-1", "9223372036854775807", "-9223372036854775808"]),
        "smallint" => quoted(&["1", "0", "-1", "32767", "-32768"]),
        "boolean" => quoted(&["true", "false"]),
        "timestamp with time zone" => quoted(&["2026-01-01", "infinity", "-infinity", "4713-01-01 BC", "294276-12-31"]),
        "date" => quoted(&["2026-01-01", "infinity", "-infinity", "4713-01-01 BC", "5874897-12-31"]),
        "interval" => quoted(&["1 second", "0", "-1 day", "178000000 years", "-178000000 years"]),
        "bytea" => {
            let mut bytes = quoted(&["\\x00", "\\x", "\\xff"]);
            bytes.push("convert_to(repeat('x', 100000), 'UTF8')".to_owned());
            bytes
        }
        "numeric" => quoted(&["1", "NaN", "-1e1000", "1e131071"]),
        "oid" | "regclass" | "regprocedure" | "regtype" | "regrole" => {
            vec![format!("1255::{kind}"), format!("0::{kind}"), format!("4294967295::{kind}")]
        }
        "inet" => quoted(&["127.0.0.1", "::", "0.0.0.0/0"]),
        "real" | "double precision" => quoted(&["1", "NaN", "infinity", "-1e30"]),
        array if array.ends_with("[]") => quoted(&["{}", "{NULL}"])
            .into_iter()
            .chain([
                format!("array[{}]::{kind}", odd_values(&array[..array.len() - 2])[0]),
                format!("array_fill(null::{}, array[2, 2])", &array[..array.len() - 2]),
                format!("array_fill({}, array[5000])", odd_values(&array[..array.len() - 2])[0]),
            ])
            .collect(),
        _ => Vec::new(),
    };
    values.push(format!("null::{kind}"));
    values
}

/// A function of the schema: its name, and what it takes.
pub struct Function {
    pub oid: u32,
    pub name: String,
    pub kinds: Vec<String>,
}

pub fn functions(database: &Database) -> Vec<Function> {
    let rows = database
        .superuser()
        .query(
            "select p.oid, p.oid::regproc::text, array(select format_type(t, null) from unnest(p.proargtypes::oid[]) with ordinality a (t, n) order by n) \
             from pg_proc p where p.pronamespace = 'nebula'::regnamespace and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype) order by 2",
            &[],
        )
        .unwrap();
    rows.iter().map(|row| Function { oid: row.get(0), name: row.get(1), kinds: row.get(2) }).collect()
}

/// The calls of a function: one argument odd at a time, the others plain; and all of them odd in the same way.
pub fn calls(function: &Function) -> Vec<String> {
    let values = function.kinds.iter().map(|kind| odd_values(kind)).collect::<Vec<_>>();
    let call = |pick: &dyn Fn(usize) -> usize| {
        let arguments = values.iter().enumerate().map(|(n, values)| values[pick(n).min(values.len() - 1)].clone()).collect::<Vec<_>>();
        format!("select * from {}({})", function.name, arguments.join(", "))
    };
    let mut calls = vec![call(&|_| 0)];
    for (odd, odds) in values.iter().enumerate() {
        calls.extend((1..odds.len()).map(|at| call(&|n| if n == odd { at } else { 0 })));
    }
    let longest = values.iter().map(Vec::len).max().unwrap_or_default();
    if values.len() > 1 {
        calls.extend((1..longest).map(|at| call(&|_| at)));
    }
    calls
}

#[test]
fn no_function_fails_on_any_value_of_its_types() {
    let scene = Scene::new();
    let mut battery = Battery::begin("B10 functions", &scene.database);
    let functions = functions(&scene.database);
    assert!(functions.len() > 120, "{}", functions.len());
    let app = format!("odd_{}", scene.database.name);
    scene.database.execute(&format!("create role {app} login; grant nebula_app to {app}"));
    let before = scene.database.digests();
    let mut callers =
        ["postgres", "nebula_edge", "nebula_worker", "nebula_keys", &app].map(|role| (role.to_owned(), session(&scene.database, role)));
    let mut slow = BTreeMap::<String, usize>::new();
    let step = battery::scaled(2, 1);
    for (turn, function) in functions.iter().enumerate() {
        assert!(
            function.kinds.iter().all(|kind| odd_values(kind).len() > 1),
            "a type without odd values: {} {:?}",
            function.name,
            function.kinds
        );
        for (role, client) in &mut callers {
            let may = "select has_function_privilege($1::text, $2::oid, 'execute')";
            let may: bool = scene.database.superuser().query_one(may, &[&*role, &function.oid]).unwrap().get(0);
            if !may {
                continue;
            }
            for sql in calls(function).iter().skip(turn % step).step_by(step) {
                // What takes its time for what it is asked is not odd twice.
                if slow.get(&function.name).is_some_and(|times| *times >= 2) {
                    break;
                }
                let outcome = client.batch_execute(&format!("begin; {sql}; rollback"));
                let state =
                    outcome.as_ref().err().map(|error| error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()));
                let is_alive = client.batch_execute("rollback").is_ok();
                if state.as_deref() == Some("57014") {
                    *slow.entry(function.name.clone()).or_default() += 1;
                }
                let holds = state.as_ref().is_none_or(|state| !state.starts_with("XX") && state.len() == 5) && is_alive;
                battery.case(holds, || format!("{role}: {:.300}: {outcome:?}", sql));
                if !is_alive {
                    *client = session(&scene.database, role);
                }
            }
        }
    }
    println!("B10 functions: {} functions; stopped by statement_timeout: {slow:?}", functions.len());
    drop(callers);
    assert_eq!(scene.database.digests(), before);
    battery.end(2_000, &[]);
}

fn session(database: &Database, role: &str) -> Client {
    let mut client = database.connect(role);
    client.batch_execute("set statement_timeout = '2s'; set lock_timeout = '1s'").unwrap();
    client
}
