//! B17. The threat: clients that cost the edge much and themselves little (silent connections, heads and bodies by the byte, answers that nobody reads, protocols that
//! it doesn't speak), and more work than it can do. Whoever behaves is served meanwhile; what is too much is refused at once with 503 and `Retry-After`.

use nebula_tests::{Anonymous, Battery, Caller, Database, Edge, User, battery, http::agent, onboard};
use serde_json::json;
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread::{scope, sleep},
    time::{Duration, Instant},
};

const CONNECTIONS: usize = 48;

/// What a client sends at once, again and again until the connection is closed, and whether it reads what comes back.
struct Waste {
    name: &'static str,
    first: Vec<u8>,
    drip: Vec<u8>,
    reads: bool,
}

fn wastes() -> Vec<Waste> {
    let waste = |name, first: &[u8], drip: &[u8]| Waste { name, first: first.to_vec(), drip: drip.to_vec(), reads: true };
    let login = |length: &str| {
        format!("POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n").into_bytes()
    };
    let large = [login("Content-Length: 1048576"), vec![b' '; 600_000]].concat();
    // Empty SETTINGS, PING and RST_STREAM frames of HTTP/2.
    let frames =
        [&[0, 0, 0, 4, 0, 0, 0, 0, 0][..], &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]]
            .concat();
    vec![
        waste("silent", b"", b""),
        waste("head", b"GET /v1/me HTTP/1.1\r\nHost: x\r\n", b"X-Drip: 1\r\n"),
        waste("body", &login("Content-Length: 100000"), b" "),
        waste("chunks", &login("Transfer-Encoding: chunked"), b"1\r\n \r\n"),
        Waste { drip: Vec::new(), ..waste("large body", &large, b"") },
        Waste { reads: false, ..waste("unread", &b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(40), b"") },
        waste("http/2", &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frames].concat(), &frames),
        waste("h2c", b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", &frames),
        waste("tls", &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], &[0; 64]),
    ]
}

impl Waste {
    /// One client: as soon as its connection is closed it opens the next.
    fn go_on(&self, edge: &Edge, is_over: &AtomicBool, opened: &AtomicUsize) {
        while !is_over.load(Relaxed) {
            let Ok(mut stream) = TcpStream::connect(edge.base.trim_start_matches("http://")) else {
                sleep(Duration::from_millis(20));
                continue;
            };
            opened.fetch_add(1, Relaxed);
            stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            let _ = stream.write_all(&self.first);
            let mut buffer = [0; 1 << 14];
            while !is_over.load(Relaxed) {
                let is_closed = if self.reads {
                    match stream.read(&mut buffer) {
                        Ok(count) => count == 0,
                        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    }
                } else {
                    sleep(Duration::from_millis(100));
                    stream.peek(&mut buffer).is_err_and(|error| !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
                };
                if is_closed || (!self.drip.is_empty() && stream.write_all(&self.drip).is_err()) {
                    break;
                }
            }
        }
    }
}

/// Somebody who behaves, on a new connection.
fn probe(edge: &Edge, token: &str) -> [u16; 3] {
    let caller = User { base: edge.base.clone(), agent: agent(), token: token.to_owned() };
    let anonymous = Anonymous { base: edge.base.clone(), agent: agent() };
    [caller.get("/v1/me").status, caller.patch("/v1/me", &json!({ "name": "Ana" })).status, anonymous.get("/health/ready").status]
}

/// Somebody who behaves and keeps their connection.
fn keeps_their_connection(edge: &Edge, token: &str, is_over: &AtomicBool) -> Result<usize, String> {
    let mut stream = edge.connect();
    let mut answered = 0;
    while !is_over.load(Relaxed) {
        let request = format!("GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| format!("after {answered}: {error}"))?;
        let mut answer = Vec::new();
        let mut buffer = [0; 1 << 14];
        while !answer.ends_with(b"}") {
            match stream.read(&mut buffer) {
                Ok(0) => return Err(format!("closed after {answered}")),
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(format!("after {answered}: {error}")),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(format!("after {answered}: {}", String::from_utf8_lossy(&answer)));
        }
        answered += 1;
        sleep(Duration::from_millis(100));
    }
    Ok(answered)
}

#[test]
fn whoever_behaves_is_served_while_others_waste_every_connection() {
    let database = Database::new();
    let settings = [
        ("NEBULA_MAX_CONNECTIONS", CONNECTIONS.to_string()),
        ("NEBULA_MAX_IN_FLIGHT", "8".to_owned()),
        ("NEBULA_WRITE_TIMEOUT_MS", "2000".to_owned()),
        // Only giving up their place helps against those who waste it.
        ("NEBULA_HEADER_TIMEOUT_MS", "600000".to_owned()),
        ("NEBULA_BODY_TIMEOUT_MS", "600000".to_owned()),
    ];
    let edge = database.serve_with(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
    let acme = onboard(&edge, "acme");
    database.raise_limits(acme.id);
    let token = acme.admin.token.clone();
    let mut battery = Battery::begin("B17 waste", &database);
    let (clients, probes) = (battery::scaled(CONNECTIONS + 16, 3 * CONNECTIONS), battery::scaled(4, 20));
    let wastes = wastes();
    for waste in &wastes {
        let (is_over, opened) = (AtomicBool::new(false), AtomicUsize::new(0));
        scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| waste.go_on(&edge, &is_over, &opened));
            }
            let started = Instant::now();
            while opened.load(Relaxed) < CONNECTIONS && started.elapsed() < Duration::from_secs(10) {
                sleep(Duration::from_millis(10));
            }
            let patient = scope.spawn(|| keeps_their_connection(&edge, &token, &is_over));
            for _ in 0..probes {
                let statuses = probe(&edge, &token);
                battery.case(statuses == [200; 3], || format!("{}: a probe got {statuses:?}", waste.name));
            }
            is_over.store(true, Relaxed);
            let kept = patient.join().unwrap();
            battery.case(matches!(kept, Ok(1..)), || format!("{}: who keeps their connection: {kept:?}", waste.name));
        });
        battery.case(opened.load(Relaxed) >= CONNECTIONS, || format!("{}: {opened:?} connections were opened", waste.name));
    }
    battery.end(wastes.len() * (probes + 2), &[]);
}

/// What clients at once get within a time: how long each admitted and each refused request took, in seconds.
#[derive(Default)]
struct Load {
    admitted: Vec<f64>,
    refused: Vec<f64>,
    others: Vec<String>,
}

impl Load {
    fn median(times: &mut [f64]) -> f64 {
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

fn load(edge: &Edge, token: &str, clients: usize, seconds: u64) -> Load {
    let until = Instant::now() + Duration::from_secs(seconds);
    let (load, number) = (Mutex::new(Load::default()), AtomicUsize::new(0));
    scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let caller = edge.user(token);
                while Instant::now() < until {
                    let name = format!("{clients}/{}", number.fetch_add(1, Relaxed));
                    let started = Instant::now();
                    let answer = caller.post("/v1/groups", &json!({ "name": name }));
                    let seconds = started.elapsed().as_secs_f64();
                    let mut load = load.lock().unwrap();
                    match answer.status {
                        201 => load.admitted.push(seconds),
                        503 if answer.header("retry-after").is_some() => load.refused.push(seconds),
                        status => load.others.push(format!("{status}: {}", answer.text)),
                    }
                    drop(load);
                    if answer.status == 503 {
                        // Far sooner than it was asked to.
                        sleep(Duration::from_millis(20));
                    }
                }
            });
        }
    });
    load.into_inner().unwrap()
}

#[test]
fn at_three_times_its_capacity_it_does_what_it_can_and_refuses_the_rest_at_once() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_MAX_IN_FLIGHT", "8"), ("NEBULA_POOL_SIZE", "4")]);
    let acme = onboard(&edge, "acme");
    database.raise_limits(acme.id);
    // A capacity that doesn't depend on the machine: four connections, 50 ms each.
    database.slow_inserts("nebula.\"group\"", 0.05);
    let mut battery = Battery::begin("B17 overload", &database);
    let seconds = battery::scaled(3, 30) as u64;
    let alone = load(&edge, &acme.admin.token, 4, seconds);
    let mut threefold = load(&edge, &acme.admin.token, 24, seconds);
    let started = Instant::now();
    while acme.admin.get("/v1/me").status != 200 {}
    battery.case(started.elapsed() < Duration::from_secs(2), || format!("served again after {:?}", started.elapsed()));
    for other in alone.others.iter().chain(&threefold.others) {
        battery.case(false, || other.clone());
    }
    battery.case(alone.refused.is_empty(), || format!("{} refused within the capacity", alone.refused.len()));
    battery.case(!threefold.refused.is_empty(), || "nothing was refused".to_owned());
    let (before, under) = (alone.admitted.len(), threefold.admitted.len());
    battery.case(under * 10 >= before * 8, || format!("{under} admitted under overload, {before} before"));
    let (waited, refused) = (Load::median(&mut threefold.admitted), Load::median(&mut threefold.refused));
    battery.case(refused * 2.0 < waited, || format!("refused after {refused} s, admitted after {waited} s"));
    let made = database.number("select count(*) from nebula.\"group\" where name ~ '^[0-9]+/[0-9]+$'", &[]);
    battery.case(made == (before + under) as i64, || format!("{made} made, {} acknowledged", before + under));
    battery.end(6, &[]);
}
