//! People of other issuers over HTTP, and how their issuer's keys get here.

use nebula_tests::{
    Caller, Database, Edge, Issuer, JwksServer, eventually,
    http::id,
    issuer::{ALGORITHMS, ISSUER, SECRET, claims, configuration, nebula_with, register},
    onboard,
    token::{claims_of, unsigned, with},
};
use serde_json::json;
use std::{fs, process::Command, thread, time::Instant};
use uuid::Uuid;

/// An edge that fetches keys, also from the loopback address.
fn fetching_edge(database: &Database, settings: &[(&str, &str)]) -> Edge {
    let keys_url = database.url("nebula_keys");
    let mut all = vec![("NEBULA_KEYS_DATABASE_URL", keys_url.as_str()), ("NEBULA_ALLOW_LOOPBACK_JWKS", "true")];
    all.extend(settings);
    database.serve_with(&all)
}

fn kids(database: &Database) -> Vec<String> {
    database.texts("select kid from nebula.issuer_key where kid is not null order by 1", &[])
}

#[test]
fn a_person_logs_in_elsewhere_by_each_algorithm() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let mut issuer = Issuer::registered(&database, &json!({}));
    for alg in ["RS256", "ES256", "EdDSA", "HS256"] {
        let name = alg.to_lowercase();
        let person = acme.person(&name);
        let token = issuer.token(alg, &claims(&acme, &format!("sub-{name}"), &format!("{name}@acme.example")));
        for _ in 0..2 {
            let me = edge.user(&token).get("/v1/me").data(200);
            assert_eq!((id(&me["actor"]), id(&me["tenant"])), (person, acme.id), "{alg}: {me}");
        }
        assert_eq!(acme.admin.get(&format!("/v1/users/{person}")).data(200)["authProvider"], ISSUER);
        // Their rights are those of their groups here, whatever the token says.
        let claimed =
            with(&claims(&acme, &format!("sub-{name}"), "x@acme.example"), &json!({ "role": "service_role", "groups": ["ADM_CLIENTE"] }));
        let user = edge.user(&issuer.token(alg, &claimed));
        user.get("/v1/users").forbidden("users.list", "granted");
        let group = acme.group(&name, &["users.list"]);
        acme.admin.post(&format!("/v1/groups/{group}/users/{person}"), &json!({})).data(201);
        user.get("/v1/users").data(200);
    }
    let linked =
        "select count(*) from nebula.audit_log where tenant_id = $1 and metadata ->> 'outcome' = 'linked' and metadata ->> 'issuer' = $2";
    assert_eq!(database.number(linked, &[&acme.id, &ISSUER]), 4, "each is linked once");
}

#[test]
fn what_the_edge_can_refuse_costs_the_database_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let mut issuer = Issuer::registered(&database, &json!({}));
    let good = claims(&acme, "7", &acme.admin_email);
    eventually("the edge knows the issuer", || edge.user(&issuer.token("ES256", &good)).get("/v1/me").status == 200);
    // Only what the database would refuse again is asked: the edge answers while it can't.
    let token = issuer.token("RS256", &good);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let expired = issuer.token("RS256", &with(&good, &json!({ "iat": 1, "exp": 2 })));
    let before = database.row_counts();
    database.execute("alter table nebula.user rename to away");
    edge.user(&forged).get("/v1/me").refused(401, "INVALID_TOKEN");
    edge.user(&expired).get("/v1/me").refused(401, "TOKEN_EXPIRED");
    edge.user(&token).get("/v1/me").refused(500, "DATABASE_ERROR");
    database.execute("alter table nebula.away rename to \"user\"");
    assert_eq!(database.row_counts(), before);
}

#[test]
fn keys_are_fetched_from_where_the_issuer_publishes_them_and_a_rotation_is_picked_up() {
    let database = Database::new();
    let published = JwksServer::start();
    let edge = fetching_edge(&database, &[("NEBULA_JWKS_COOLDOWN_SECONDS", "0")]);
    let acme = onboard(&edge, "acme");
    let mut issuer = Issuer::start();
    published.publish(&issuer.jwks);
    register(&database, &json!({ "jwksUrl": published.url }));
    let claims = claims(&acme, "7", &acme.admin_email);
    let old = issuer.token("ES256", &claims);
    eventually("the edge knows the issuer", || edge.user(&old).get("/v1/me").status == 200);
    assert_eq!(kids(&database), ["ec-1", "ed-1", "rsa-1"]);
    assert!(
        published
            .requests()
            .iter()
            .all(|head| head.starts_with("GET /jwks.json HTTP/1.1") && !head.to_lowercase().contains("authorization"))
    );
    // The first token that the new key signs is good at once.
    let (next, _) = issuer.jose.generate("ES256", "ec-2");
    published.publish(std::slice::from_ref(&next));
    let new = issuer.jose.sign("ec-2", &json!({ "alg": "ES256", "kid": "ec-2" }), &claims);
    edge.user(&new).get("/v1/me").data(200);
    assert_eq!(kids(&database), ["ec-2"]);
    // What the withdrawn key has signed is worth nothing any more.
    edge.user(&old).get("/v1/me").refused(401, "INVALID_TOKEN");
    edge.user(&new).get("/v1/me").data(200);
    // While the issuer is away its keys stay.
    published.answer("503 Service Unavailable", "", "");
    edge.user(&old).get("/v1/me").refused(401, "INVALID_TOKEN");
    edge.user(&new).get("/v1/me").data(200);
}

#[test]
fn keys_are_fetched_by_the_interval_too() {
    let database = Database::new();
    let published = JwksServer::start();
    let issuer = Issuer::start();
    register(&database, &json!({ "jwksUrl": published.url }));
    published.publish(&issuer.jwks);
    let _edge = fetching_edge(&database, &[("NEBULA_JWKS_REFRESH_SECONDS", "1")]);
    eventually("the keys are there", || kids(&database).len() == 3);
    published.publish(&issuer.jwks[..1]);
    eventually("the withdrawn ones are gone", || kids(&database) == ["rsa-1"]);
    // Keys that stay the same are written down once.
    let written = "select count(*) from nebula.audit_log where entity_type = 'issuer_key'";
    let before = (published.count(), database.number(written, &[]));
    eventually("it was asked again", || published.count() > before.0 + 1);
    assert_eq!(database.number(written, &[]), before.1);
}

#[test]
fn a_thousand_tokens_of_unknown_keys_cause_one_fetch() {
    let database = Database::new();
    let published = JwksServer::start();
    let issuer = Issuer::start();
    published.publish(&issuer.jwks);
    register(&database, &json!({ "jwksUrl": published.url }));
    let edge = fetching_edge(&database, &[]);
    let acme = onboard(&edge, "acme");
    eventually("the keys are there", || kids(&database).len() == 3);
    let before = published.count();
    let payload = claims(&acme, "7", &acme.admin_email).to_string();
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    let header = json!({ "alg": "RS256", "kid": Uuid::now_v7() }).to_string();
                    let token = format!("{}.{}", unsigned(&header, &payload), "A".repeat(342));
                    edge.user(&token).get("/v1/me").refused(401, "INVALID_TOKEN");
                }
            });
        }
    });
    let allowed = 1 + usize::try_from(started.elapsed().as_secs() / 30).unwrap();
    let fetched = published.count() - before;
    assert!((1..=allowed).contains(&fetched), "{fetched} fetches");
}

#[test]
fn tokens_of_nobody_cause_no_fetch() {
    let database = Database::new();
    let published = JwksServer::start();
    let mut issuer = Issuer::start();
    published.publish(&issuer.jwks);
    register(&database, &json!({ "jwksUrl": published.url }));
    let edge = fetching_edge(&database, &[("NEBULA_JWKS_COOLDOWN_SECONDS", "0")]);
    let acme = onboard(&edge, "acme");
    eventually("the keys are there", || kids(&database).len() == 3);
    let before = published.count();
    let good = claims(&acme, "7", &acme.admin_email);
    let unknown = json!({ "alg": "RS256", "kid": "unknown" });
    for (header, changes) in [
        (&unknown, json!({ "iss": "https://other.example" })),
        (&unknown, json!({ "aud": "other" })),
        (&unknown, json!({ "exp": 1, "iat": 0 })),
        (&json!({ "alg": "RS256", "kid": "unknown", "jku": published.url }), json!({})),
        (&json!({ "alg": "RS512", "kid": "unknown" }), json!({})),
        (&json!({ "alg": "HS256", "kid": "unknown" }), json!({})),
    ] {
        let token = format!("{}.AAAA", unsigned(&header.to_string(), &with(&good, &changes).to_string()));
        assert_eq!(edge.user(&token).get("/v1/me").status, 401, "{header} {changes}");
    }
    assert_eq!(published.count(), before);
    edge.user(&issuer.token("RS256", &good)).get("/v1/me").data(200);
}

#[test]
fn without_a_login_for_keys_the_edge_fetches_nothing() {
    let database = Database::new();
    let published = JwksServer::start();
    let mut issuer = Issuer::start();
    published.publish(&issuer.jwks);
    register(&database, &json!({ "jwksUrl": published.url }));
    let edge = database.serve_with(&[("NEBULA_ALLOW_LOOPBACK_JWKS", "true"), ("NEBULA_JWKS_REFRESH_SECONDS", "1")]);
    let acme = onboard(&edge, "acme");
    let token = issuer.token("RS256", &claims(&acme, "7", &acme.admin_email));
    edge.user(&token).get("/v1/me").refused(401, "INVALID_TOKEN");
    assert_eq!((published.count(), kids(&database).len()), (0, 0));
    // A cron job brings them.
    let settings = [("NEBULA_KEYS_DATABASE_URL", &*database.url("nebula_keys")), ("NEBULA_ALLOW_LOOPBACK_JWKS", "true")];
    assert_eq!(nebula_with(&settings, &["issuer", "sync"]).unwrap(), format!("{ISSUER}: 3 keys changed"));
    assert_eq!(nebula_with(&settings, &["issuer", "sync", ISSUER]).unwrap(), format!("{ISSUER}: 0 keys changed"));
    eventually("the edge knows the keys", || edge.user(&token).get("/v1/me").status == 200);
}

#[test]
fn a_fetch_leads_nowhere_else_and_is_bounded() {
    let database = Database::new();
    let (published, elsewhere) = (JwksServer::start(), JwksServer::start());
    let issuer = Issuer::start();
    register(&database, &json!({ "jwksUrl": published.url }));
    let keys_url = database.url("nebula_keys");
    let sync = |more: &[(&str, &str)]| {
        let mut settings = vec![("NEBULA_KEYS_DATABASE_URL", keys_url.as_str()), ("NEBULA_ALLOW_LOOPBACK_JWKS", "true")];
        settings.extend(more);
        nebula_with(&settings, &["issuer", "sync"])
    };
    // From now on a proxy of the environment would answer, with keys.
    elsewhere.publish(&issuer.jwks);
    let proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let proxy = elsewhere.url.trim_end_matches("/jwks.json");
    assert_eq!(sync(&proxies.map(|name| (name, proxy))).unwrap(), format!("{ISSUER}: 0 keys changed"));
    for (status, headers, body, complaint) in [
        ("302 Found", format!("location: {}\r\n", elsewhere.url), String::new(), "status is 302"),
        ("308 Permanent Redirect", format!("location: {}\r\n", elsewhere.url), String::new(), "status is 308"),
        ("500 Internal Server Error", String::new(), json!({ "keys": issuer.jwks }).to_string(), "status is 500"),
        ("200 OK", String::new(), format!("{{\"keys\":[{}]}}", " ".repeat(262_144)), "too large"),
        ("200 OK", String::new(), "<html>".to_owned(), "no JSON object"),
        ("200 OK", String::new(), "{\"keys\":[],\"keys\":[]}".to_owned(), "no JSON object"),
        ("200 OK", "content-encoding: gzip\r\n".to_owned(), "\u{1f}not gzip".to_owned(), "no JSON object"),
    ] {
        published.answer(status, &headers, &body);
        let error = sync(&[]).expect_err(status);
        assert!(error.contains(complaint) && error.contains("stay"), "{status}: {error}");
    }
    assert_eq!((elsewhere.count(), kids(&database).len()), (0, 0));
    // Plain http is for the loopback address, and only where it is allowed.
    let plain = nebula_with(&[("NEBULA_KEYS_DATABASE_URL", &keys_url)], &["issuer", "sync"]).unwrap_err();
    assert!(plain.contains("NEBULA_ALLOW_LOOPBACK_JWKS"), "{plain}");
    // A server that says nothing is left after five seconds.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    register(&database, &json!({ "jwksUrl": format!("http://{}/jwks", silent.local_addr().unwrap()) }));
    let started = Instant::now();
    assert!(sync(&[]).unwrap_err().contains("within 5 s"));
    assert!(started.elapsed().as_secs() < 9);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let database = Database::new();
    let mut issuer = Issuer::start();
    let dir = &database.installation.cluster.dir;
    let (cert, key) = (dir.join(format!("{}.crt", database.name)), dir.join(format!("{}.key", database.name)));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-out"])
        .arg(&cert)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let read = |path| fs::read_to_string(path).unwrap();
    let port = issuer.jose.serve(&read(&cert), &read(&key), &json!({ "keys": issuer.jwks }).to_string());
    let keys_url = database.url("nebula_keys");
    let sync = |roots: &[(&str, &str)]| {
        let mut settings = vec![("NEBULA_KEYS_DATABASE_URL", keys_url.as_str())];
        settings.extend(roots);
        nebula_with(&settings, &["issuer", "sync"])
    };
    register(&database, &json!({ "jwksUrl": format!("https://localhost:{port}/jwks") }));
    let unknown = sync(&[]).unwrap_err();
    assert!(unknown.contains("certificate") || unknown.contains("root"), "{unknown}");
    let roots = [("SSL_CERT_FILE", cert.to_str().unwrap())];
    assert_eq!(sync(&roots).unwrap(), format!("{ISSUER}: 3 keys changed"));
    // The right certificate under another name.
    register(&database, &json!({ "jwksUrl": format!("https://127.0.0.1:{port}/jwks") }));
    let misnamed = sync(&roots).unwrap_err();
    assert!(misnamed.contains("certificate"), "{misnamed}");
}

#[test]
fn an_issuer_is_added_listed_and_removed_by_commands() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let mut issuer = Issuer::start();
    let file = |name: &str, text: &str| {
        let path = database.installation.cluster.dir.join(format!("{}-{name}", database.name));
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let admin_url = database.url("postgres");
    let run = |arguments: &[&str]| {
        nebula_with(
            &[("NEBULA_ADMIN_DATABASE_URL", &admin_url), ("NEBULA_ALLOW_LOOPBACK_JWKS", "true")],
            &[&["issuer"], arguments].concat(),
        )
    };
    let (config, secret) = (file("issuer.json", &configuration(&json!({})).to_string()), file("secret", &format!("{SECRET}\n")));
    let jwks = file("jwks.json", &json!({ "keys": issuer.jwks }).to_string());
    run(&["add", &config, "--secret-file", &secret, "--jwks-file", &jwks]).unwrap();
    let listed = run(&["list"]).unwrap();
    assert!(listed.contains(ISSUER) && listed.contains("ec-1, ed-1, rsa-1, a secret") && !listed.contains(SECRET), "{listed}");
    for alg in ["HS256", "EdDSA"] {
        let token = issuer.token(alg, &claims(&acme, "7", &acme.admin_email));
        eventually("the edge knows the issuer", || edge.user(&token).get("/v1/me").status == 200);
    }
    // An issuer that publishes its keys has them fetched as it is added.
    let published = JwksServer::start();
    published.publish(&issuer.jwks[..1]);
    let config = file("published.json", &configuration(&json!({ "jwksUrl": published.url, "algorithms": ["RS256"] })).to_string());
    assert_eq!(run(&["add", &config]).unwrap(), format!("{ISSUER}: 0 keys changed"), "the other algorithms' went with their algorithms");
    assert_eq!(kids(&database), ["rsa-1"]);
    assert_eq!(database.number("select count(*) from nebula.issuer_key where secret is not null", &[]), 0);
    // What is wrong is said, and changes nothing.
    let before = database.digests();
    let broken = file("broken.json", &configuration(&json!({ "tenantClaim": "user_metadata.tenantId" })).to_string());
    assert!(run(&["add", &broken]).unwrap_err().contains("editable_by_the_user"));
    let short = file("short", "short");
    let config = file("issuer.json", &configuration(&json!({})).to_string());
    assert!(run(&["add", &config, "--secret-file", &short]).unwrap_err().contains("32 to 1024"));
    assert!(run(&["remove", "https://other.example"]).unwrap_err().contains("there is none"));
    assert!(run(&["sync", "https://other.example"]).unwrap_err().contains("not registered"));
    assert_eq!(database.digests(), before);
    let token = issuer.token("RS256", &claims(&acme, "7", &acme.admin_email));
    eventually("the edge knows the key", || edge.user(&token).get("/v1/me").status == 200);
    run(&["remove", ISSUER]).unwrap();
    edge.user(&token).get("/v1/me").refused(401, "INVALID_TOKEN");
    assert_eq!(run(&["list"]).unwrap(), "none");
}

#[test]
fn our_own_logins_go_on_beside_other_issuers() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let mut issuer = Issuer::registered(&database, &json!({}));
    let token = issuer.token("RS256", &claims(&acme, "7", &acme.admin_email));
    eventually("the edge knows the issuer", || edge.user(&token).get("/v1/me").status == 200);
    // The same person, by their password; its session is none of the other issuer's.
    assert_eq!(id(&acme.admin.get("/v1/me").data(200)["actor"]), acme.admin_id);
    assert_eq!(acme.admin.get("/v1/me/sessions").data(200).as_array().unwrap().len(), 1);
    edge.user(&token).get("/v1/me/sessions").data(200);
    // With the claims of ours, signed by them.
    let ours = claims_of(&acme.admin.token);
    for (alg, kid) in ALGORITHMS {
        let forged = issuer.jose.sign(kid, &json!({ "alg": alg, "typ": "JWT", "kid": kid }), &ours);
        edge.user(&forged).get("/v1/me").refused(401, "INVALID_TOKEN");
    }
    edge.user(&token).post("/v1/groups", &json!({ "name": "made by the linked administrator" })).data(201);
}
