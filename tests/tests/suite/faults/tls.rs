//! TLS to the database. Threat: somebody between edge and server who reads passwords and data, or answers as if they were the server.

use nebula_tests::{
    Authority, Caller, Edge, Worker,
    cluster::{Cluster, Installation, TEMPLATE, free_port, install, nebula_program},
    eventually, onboard,
};
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

const PASSWORD: &str = "a password of the logins";

/// A server that lets nobody but `postgres` in without TLS.
struct Guarded {
    installation: Installation,
    authority: Authority,
    other: Authority,
    client: String,
}

fn guarded() -> &'static Guarded {
    static GUARDED: OnceLock<Guarded> = OnceLock::new();
    GUARDED.get_or_init(|| {
        let installation = install(Cluster::start(""));
        let cluster = &installation.cluster;
        let (authority, other) = (Authority::new(&cluster.dir, "authority"), Authority::new(&cluster.dir, "other"));
        let own = authority.sign("server", "/CN=the server", "DNS:localhost");
        let client = authority.sign("client", "/CN=by_certificate", "DNS:client");
        cluster.own(&own.key);
        cluster.own(&own.certificate);
        let root = cluster.dir.join("root.crt");
        fs::copy(authority.file(), &root).unwrap();
        cluster.own(&root);
        let mut superuser = cluster.connect("postgres", "postgres");
        superuser
            .batch_execute(&format!(
                "alter database {TEMPLATE} with allow_connections true; \
                 create role by_password superuser login password '{PASSWORD}'; create role by_certificate superuser login; \
                 alter role nebula_edge password '{PASSWORD}'; alter role nebula_worker password '{PASSWORD}'"
            ))
            .unwrap();
        for (name, value) in [
            ("ssl_cert_file", own.certificate.display().to_string()),
            ("ssl_key_file", own.key.display().to_string()),
            ("ssl_ca_file", root.display().to_string()),
            ("ssl", "on".to_owned()),
        ] {
            superuser.batch_execute(&format!("alter system set {name} = '{value}'")).unwrap();
        }
        fs::write(
            cluster.dir.join("data/pg_hba.conf"),
            "hostssl all by_certificate 127.0.0.1/32 cert\n\
             hostssl all nebula_edge,nebula_worker,by_password 127.0.0.1/32 scram-sha-256\n\
             host all nebula_edge,nebula_worker,by_password,by_certificate 127.0.0.1/32 reject\n\
             host all postgres 127.0.0.1/32 trust\nlocal all all trust\n",
        )
        .unwrap();
        cluster.reload();
        let client = format!("sslcert={}&sslkey={}", client.certificate.display(), client.key.display());
        Guarded { installation, authority, other, client }
    })
}

impl Guarded {
    fn url_at(&self, user: &str, host: &str, port: u16, parameters: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("postgresql://{user}:{password}@{host}:{port}/{TEMPLATE}?{parameters}")
    }

    fn url(&self, user: &str, host: &str, parameters: &str) -> String {
        self.url_at(user, host, self.installation.cluster.port, parameters)
    }

    fn verified(&self) -> String {
        format!("sslmode=verify-full&sslrootcert={}&channel_binding=require", self.authority.file())
    }

    /// What a command says to a DBA who connects so: success or the error.
    fn ask(&self, url: &str) -> Result<(), String> {
        let output = Command::new(nebula_program())
            .args(["key", "signing", "list"])
            .env_clear()
            .env("NEBULA_ADMIN_DATABASE_URL", url)
            .env("NEBULA_KEYS_DIR", &self.installation.keys_dir)
            .output()
            .unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

#[test]
fn every_connection_of_edge_and_worker_is_encrypted_and_bound_to_the_servers_certificate() {
    let guarded = guarded();
    let edge = Edge::start(&guarded.installation, &guarded.url("nebula_edge", "localhost", &guarded.verified()), &[]);
    let _worker = Worker::start(&guarded.installation, &guarded.url("nebula_worker", "localhost", &guarded.verified()), &[]);
    edge.operator().get("/v1/tenants").data(200);
    guarded.ask(&guarded.url("by_password", "localhost", &guarded.verified())).unwrap();
    let mut superuser = guarded.installation.cluster.connect("postgres", TEMPLATE);
    let mut plain = |name: &str| {
        let sql = "select count(*) filter (where ssl), count(*) filter (where not ssl) \
                   from pg_stat_ssl join pg_stat_activity using (pid) where application_name = $1";
        let row = superuser.query_one(sql, &[&name]).unwrap();
        (row.get::<_, i64>(0) > 0, row.get::<_, i64>(1))
    };
    for name in ["nebula-edge", "nebula-edge-listener", "nebula-worker"] {
        eventually("it is connected", || plain(name) == (true, 0));
    }
}

#[test]
fn a_certificate_of_another_name_or_authority_is_refused_and_the_log_says_why() {
    let guarded = guarded();
    let (root, other) = (guarded.authority.file(), guarded.other.file());
    for (host, parameters, complaint) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={root}"), "not valid for name"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), "UnknownIssuer"),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}"), "UnknownIssuer"),
        ("localhost", format!("sslmode=require&sslrootcert={other}"), "UnknownIssuer"),
        // The machine's authorities don't know ours.
        ("localhost", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
    ] {
        let error = guarded.ask(&guarded.url("by_password", host, &parameters)).unwrap_err();
        assert!(error.contains("TLS") && error.contains(complaint), "{parameters}: {error}");
    }
    let url = guarded.url("nebula_edge", "localhost", &format!("sslmode=verify-full&sslrootcert={other}"));
    let edge = Edge::start_without_database(&guarded.installation, &url, &[]);
    edge.operator().get("/v1/tenants").refused(503, "SERVICE_UNAVAILABLE");
    eventually("the log says why", || edge.log().contains("UnknownIssuer"));
    assert!(!edge.log().contains("a%20password") && !edge.log().contains(PASSWORD));
}

#[test]
fn what_demands_tls_takes_no_less_and_what_only_prefers_it_gets_it() {
    let guarded = guarded();
    let error = guarded.ask(&guarded.url("by_password", "localhost", "sslmode=disable")).unwrap_err();
    assert!(error.contains("28000"), "{error}");
    for parameters in ["sslmode=require", "sslmode=prefer", "", &format!("sslmode=verify-ca&sslrootcert={}", guarded.authority.file())] {
        // No name of the certificate is asked for in these.
        guarded.ask(&guarded.url("by_password", "127.0.0.1", parameters)).unwrap_or_else(|error| panic!("{parameters}: {error}"));
    }
    // A server without TLS.
    let plain = Cluster::start("");
    let url = |parameters: &str| format!("postgresql://postgres@127.0.0.1:{}/postgres?{parameters}", plain.port);
    let error = guarded.ask(&url("sslmode=require")).unwrap_err();
    assert!(error.contains("server does not support TLS"), "{error}");
    let error = guarded.ask(&url("sslmode=prefer")).unwrap_err();
    assert!(error.contains("nebula"), "it was let in, and found no extension: {error}");
}

#[test]
fn a_client_shows_its_certificate_where_the_server_asks_for_it() {
    let guarded = guarded();
    guarded
        .ask(&guarded.url(
            "by_certificate",
            "localhost",
            &format!("{}&{}", guarded.verified().replace("require", "prefer"), guarded.client),
        ))
        .unwrap();
    let error = guarded.ask(&guarded.url("by_certificate", "localhost", "sslmode=require")).unwrap_err();
    assert!(error.contains("database"), "{error}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused_at_the_start() {
    let guarded = guarded();
    for parameters in ["sslmode=verify-ful", "sslrootcert=system", "sslmode=require&sslcert=/nowhere.crt"] {
        let error = guarded.ask(&guarded.url("by_password", "localhost", parameters)).unwrap_err();
        assert!(error.contains("connection string") && !error.contains("a%20password"), "{parameters}: {error}");
    }
    let error = guarded.ask(&guarded.url("by_password", "localhost", "sslmode=verify-full&sslrootcert=/nowhere/root.crt")).unwrap_err();
    assert!(error.contains("/nowhere/root.crt"), "{error}");
}

/// Passes everything on and remembers how each connection began: Postgres' number of an SSL request, or of something that goes in the clear.
fn relay(port: u16) -> (u16, Arc<Mutex<Vec<u32>>>) {
    let (own, beginnings) = (free_port(), Arc::new(Mutex::new(Vec::new())));
    let listener = TcpListener::bind(("127.0.0.1", own)).unwrap();
    thread::spawn({
        let beginnings = Arc::clone(&beginnings);
        move || {
            for client in listener.incoming() {
                let Ok(mut client) = client else { return };
                let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let mut first = [0; 8];
                if client.read_exact(&mut first).is_err() {
                    continue;
                }
                beginnings.lock().unwrap().push(u32::from_be_bytes(first[4..].try_into().unwrap()));
                server.write_all(&first).unwrap();
                let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
                thread::spawn(move || {
                    let _ = std::io::copy(&mut client, &mut server);
                    let _ = server.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (own, beginnings)
}

#[test]
fn a_statement_is_cancelled_over_tls_too() {
    const SSL_REQUEST: u32 = 80_877_103;
    let guarded = guarded();
    let (port, beginnings) = relay(guarded.installation.cluster.port);
    let url = guarded.url_at("nebula_edge", "localhost", port, &guarded.verified());
    let edge = Edge::start(&guarded.installation, &url, &[("NEBULA_REQUEST_TIMEOUT_MS", "1500")]);
    let acme = onboard(&edge, "cancelled");
    let mut superuser = guarded.installation.cluster.connect("postgres", TEMPLATE);
    superuser
        .batch_execute(
            "create function public.stall() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$; \
             create trigger stall after insert on nebula.\"group\" for each statement execute function public.stall()",
        )
        .unwrap();
    let before = beginnings.lock().unwrap().len();
    let started = Instant::now();
    acme.admin.post("/v1/groups", &json!({ "name": "Stalled" })).refused(503, "SERVICE_UNAVAILABLE");
    assert!(started.elapsed() < Duration::from_secs(5));
    eventually("the statement is cancelled", || {
        superuser.query("select from pg_stat_activity where wait_event = 'PgSleep'", &[]).unwrap().is_empty()
    });
    superuser.batch_execute("drop function public.stall() cascade").unwrap();
    let beginnings = beginnings.lock().unwrap();
    assert!(beginnings.len() > before, "the request to cancel went another way");
    assert!(beginnings.iter().all(|number| *number == SSL_REQUEST), "something went in the clear: {beginnings:?}");
}
