//! HTTP itself: routes, methods, bodies, headers, languages.

use nebula_tests::{Caller, Database, onboard, onboard_by_sql};
use serde_json::json;
use uuid::Uuid;

#[test]
fn unknown_routes_are_not_found_and_unknown_methods_not_allowed() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    let admin = edge.user(&acme.admin);
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/users/",
        "/v1/Users",
        "/v2/users",
        "/v1/users/x/y/z",
        "//v1/users",
        "/v1/../v1/users",
        "/v1/%75sers/x/y",
        "/metrics/x",
    ] {
        for caller in [&admin as &dyn Caller, &edge.anonymous()] {
            let answer = caller.get(path);
            assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"), "{path}");
        }
    }
    for (method, path, allow) in [
        ("DELETE", "/v1/users", &["GET", "POST"][..]),
        ("PUT", "/v1/users", &["GET", "POST"]),
        ("GET", "/v1/auth/login", &["POST"]),
        ("POST", "/v1/me", &["GET", "PATCH"]),
        ("POST", "/health", &["GET"]),
        ("TRACE", "/v1/users", &["GET", "POST"]),
    ] {
        let raw = edge.raw(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        assert!(raw.starts_with("HTTP/1.1 405") && raw.contains("METHOD_NOT_ALLOWED"), "{method} {path}: {raw}");
        let allowed = raw.lines().find_map(|line| line.to_lowercase().strip_prefix("allow:").map(str::to_uppercase)).unwrap_or_default();
        assert!(allow.iter().all(|method| allowed.contains(method)), "{method} {path}: {raw}");
    }
}

#[test]
fn a_body_must_be_one_json_object_said_to_be_json() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let send = |content_type: &str, bytes: &[u8]| acme.admin.request("POST", "/v1/groups").body(content_type, bytes).send();
    for (bytes, rule) in [
        (&b"{"[..], "json"),
        (b"{\"name\":}", "json"),
        (b"{'name':'x'}", "json"),
        (b"{\"name\":\"x\",}", "json"),
        (b"{\"name\":\"x\"} {}", "json"),
        (b"\xef\xbb\xbf{\"name\":\"x\"}", "json"),
        (b"{\"name\":\"\xff\"}", "json"),
        (b"{\"name\":\"\\ud800\"}", "json"),
        (b"{\"name\":\"a\tb\"}", "json"),
        (b"{\"name\":NaN}", "json"),
        (b"{\"name\":\"a\\u0000b\"}", "nul"),
        (b"{\"name\":\"x\",\"name\":\"y\"}", "duplicate_key"),
        (b"{\"name\":\"x\",\"n\\u0061me\":\"y\"}", "duplicate_key"),
    ] {
        let answer = send("application/json", bytes);
        assert_eq!(answer.status, 400, "{}: {}", String::from_utf8_lossy(bytes), answer.text);
        answer.invalid("body", rule);
    }
    send("application/json", "[".repeat(100_000).as_bytes()).refused(400, "VALIDATION_ERROR");
    for body in ["[]", "1", "\"x\"", "true", "[{\"name\":\"x\"}]"] {
        send("application/json", body.as_bytes()).refused(400, "VALIDATION_ERROR");
    }
    for content_type in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "multipart/form-data",
        "application/json; charset=latin1",
    ] {
        send(content_type, b"{\"name\":\"x\"}").refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let gzip =
        acme.admin.request("POST", "/v1/groups").header("content-encoding", "gzip").body("application/json", &b"\x1f\x8b"[..]).send();
    gzip.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(database.number("select count(*) from nebula.\"group\" where name not in ('ADM_CLIENTE', 'OPERATOR', 'VIEWER')", &[]), 0);
    send("Application/JSON; charset=UTF-8", b" {\"name\":\"x\"}\n").data(201);
}

#[test]
fn a_body_of_more_than_a_mebibyte_is_too_large_declared_or_not() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let body = |size: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(size - 11));
    let send = |size: usize| acme.admin.request("POST", "/v1/groups").body("application/json", body(size)).send();
    send((1 << 20) + 1).refused(413, "PAYLOAD_TOO_LARGE");
    send(1 << 20).invalid("name", "too_long");
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    let head = format!(
        "POST /v1/groups HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        acme.admin.token
    );
    let answer = edge.raw(format!("{head}{}0\r\n\r\n", chunk.repeat(17)).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
    // Declared and never sent: refused without waiting for it.
    let head = format!(
        "POST /v1/groups HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n",
        acme.admin.token
    );
    let answer = edge.raw(head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn requests_that_are_no_http_or_could_be_read_in_two_ways_are_refused() {
    let database = Database::new();
    let edge = database.serve();
    for bytes in [
        &b"NONSENSE\r\n\r\n"[..],
        b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nX: a\0b\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, nonsense\r\nConnection: close\r\n\r\n0\r\n\r\n",
    ] {
        let answer = edge.raw(bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{}: {answer}", String::from_utf8_lossy(bytes));
    }
    let big = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "x".repeat(200_000));
    let answer = edge.raw(big.as_bytes());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(edge.anonymous().get("/health").status, 200);
}

#[test]
fn a_query_where_a_body_belongs_and_a_body_where_a_query_belongs_are_refused() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    acme.admin.post("/v1/groups?name=x", &json!({ "name": "y" })).refused(400, "VALIDATION_ERROR");
    acme.admin.post("/v1/groups?x=1", &json!({ "name": "y" })).invalid("x", "unknown");
    let head = format!(
        "GET /v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}",
        acme.admin.token
    );
    let answer = edge.raw(head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("unexpected"), "{answer}");
    for query in ["a=%zz", "a=%ff", "a=%00", "%"] {
        acme.admin.get("/v1/users").data(200);
        let raw = edge.raw(
            format!("GET /v1/users?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", acme.admin.token)
                .as_bytes(),
        );
        assert!(raw.starts_with("HTTP/1.1 400"), "{query}: {raw}");
    }
}

#[test]
fn a_request_id_is_kept_where_well_formed_and_else_made() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let ask =
        |id: &str| acme.admin.request("POST", "/v1/groups").header("X-Request-Id", id).json(&json!({ "name": Uuid::now_v7() })).send();
    for good in ["abcd1234", "A-b_c.d-0", &"x".repeat(128)] {
        assert_eq!(ask(good).header("x-request-id"), Some(good));
        assert_eq!(database.number("select count(*) from nebula.audit_log where metadata ->> 'requestId' = $1", &[&good]), 1);
    }
    for bad in ["short", "", "has space", "semi;colon1", "<script>alert", &"x".repeat(129), "a\"b\"c\"d\"e"] {
        let answer = ask(bad);
        let made: Uuid = answer.header("x-request-id").unwrap().parse().unwrap();
        assert_eq!(made.get_version_num(), 7, "{bad}");
    }
    let refused = edge.anonymous().request("GET", "/v1/nothing").header("X-Request-Id", "abcd1234").send();
    refused.refused(404, "NOT_FOUND");
    assert_eq!(refused.header("x-request-id"), Some("abcd1234"));
}

#[test]
fn messages_are_portuguese_unless_english_is_preferred() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for (accept, message, language) in [
        (None, "Recurso não encontrado.", "pt"),
        (Some("en"), "The resource was not found.", "en"),
        (Some("en-US,en;q=0.9"), "The resource was not found.", "en"),
        (Some("pt-BR,pt;q=0.9,en;q=0.8"), "Recurso não encontrado.", "pt"),
        (Some("pt;q=0.2, en;q=0.7"), "The resource was not found.", "en"),
        (Some("fr"), "Recurso não encontrado.", "pt"),
        (Some(";;;q=,,"), "Recurso não encontrado.", "pt"),
    ] {
        // Refused by the edge, and by the database.
        for path in ["/v1/nothing".to_owned(), format!("/v1/users/{}", Uuid::now_v7())] {
            let request = acme.admin.request("GET", &path);
            let answer = match accept {
                Some(accept) => request.header("Accept-Language", accept),
                None => request,
            }
            .send();
            answer.refused(404, "NOT_FOUND");
            assert_eq!(
                (answer.json()["error"]["message"].as_str(), answer.header("content-language")),
                (Some(message), Some(language)),
                "{accept:?} {path}"
            );
        }
    }
}

#[test]
fn every_answer_has_the_common_headers() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for answer in
        [acme.admin.get("/v1/me"), edge.anonymous().get("/v1/me"), edge.anonymous().get("/v1/nothing"), edge.anonymous().get("/health")]
    {
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.header("x-request-id").is_some());
        assert!(answer.header("server").is_none());
    }
    assert_eq!(edge.anonymous().get("/v1/me").header("www-authenticate"), Some("Bearer"));
}

#[test]
fn every_route_of_the_database_is_served_and_closed_to_strangers() {
    let database = Database::new();
    let edge = database.serve();
    let routes: serde_json::Value = serde_json::from_str(&database.text("select nebula.routes()::text", &[])).unwrap();
    assert!(routes.as_array().unwrap().len() > 40);
    for route in routes.as_array().unwrap() {
        let path = route["path"]
            .as_str()
            .unwrap()
            .split('/')
            .map(|part| if part.starts_with('{') { "00000000-0000-0000-0000-000000000000" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let answer = edge.anonymous().request(route["method"].as_str().unwrap(), &path).send();
        if route["scope"] == "public" {
            answer.refused(400, "VALIDATION_ERROR");
        } else {
            answer.refused(401, "UNAUTHORIZED");
        }
    }
}
