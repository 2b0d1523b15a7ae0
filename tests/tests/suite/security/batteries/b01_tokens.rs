//! B1. The threat: whoever makes a token or a key without the secret that makes it: by the header, by the claims, by the form, by the signature's padding; and
//! whoever goes on using what has ended. More than 200 forgeries, on both layers, one answer, no connection to an address that a token names; random, truncated and
//! foreign keys by the thousand; refresh tokens used by 64 at once; requests while the signing key is rotated.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac};
use nebula_core::opaque_token::{Kind, OpaqueToken, Secret};
use nebula_tests::{
    Battery, Caller, Database, Signer, battery, onboard, onboard_by_sql, parallel,
    token::{claims_of, unsigned, with},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha384, Sha512};
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::TcpListener,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// What the edge signs with, and the forgeries that it is held against.
struct Forge<'a> {
    database: &'a Database,
    good: String,
    claims: Value,
    tokens: Vec<(String, String)>,
}

impl Forge<'_> {
    fn signer(&self) -> &Signer {
        &self.database.installation.signer
    }

    fn header(&self) -> Value {
        json!({ "alg": "RS256", "typ": "JWT", "kid": self.signer().kid })
    }

    fn add(&mut self, what: impl Into<String>, token: String) {
        self.tokens.push((what.into(), token));
    }

    /// Really signed, over this header and payload.
    fn sign(&mut self, what: impl Into<String>, header: &str, payload: &str) {
        let token = self.signer().sign_parts(header, payload);
        self.add(what, token);
    }

    /// Each member of the header by each wrong value, and each member that others honour.
    fn headers(&mut self, trap: &str) {
        let payload = self.claims.to_string();
        let wrong = [
            json!(null),
            json!(""),
            json!(0),
            json!(true),
            json!([]),
            json!({}),
            json!(["RS256"]),
            json!(" RS256"),
            json!("RS256 "),
            json!("rs256"),
            json!("JWT\u{0}"),
            json!("x".repeat(200)),
        ];
        for name in ["alg", "typ", "kid"] {
            for value in &wrong {
                let mut header = self.header();
                header[name] = value.clone();
                self.sign(format!("{name} is {value:.30}"), &header.to_string(), &payload);
            }
            let removed = with(&self.header(), &json!({ name: null })).to_string();
            self.sign(format!("no {name}"), &removed, &payload);
            let twice = self.header().to_string().replacen('{', &format!("{{\"{name}\":\"RS256\","), 1);
            self.sign(format!("{name} stands twice"), &twice, &payload);
        }
        for algorithm in [
            "none", "None", "nOnE", "HS256", "HS512", "RS1", "RS384", "RS512", "PS256", "ES256", "ES256K", "EdDSA", "RSA-OAEP", "dir",
            "A256GCM",
        ] {
            let header = with(&self.header(), &json!({ "alg": algorithm })).to_string();
            self.sign(format!("alg {algorithm}, really RS256"), &header, &payload);
            self.add(format!("alg {algorithm} without a signature"), format!("{}.", unsigned(&header, &payload)));
        }
        for kid in [
            "unknown",
            "../../../dev/null",
            "/dev/null",
            "' or true --",
            "'; drop table nebula.tenant; --",
            "|id",
            "*",
            "%",
            "0",
            "\u{202e}",
            "AAAA==",
        ] {
            self.sign(format!("kid {kid}"), &with(&self.header(), &json!({ "kid": kid })).to_string(), &payload);
        }
        let jwk = json!({ "kty": "RSA", "e": "AQAB", "n": "AQAB", "kid": self.signer().kid });
        for (name, value) in [
            ("jwk", jwk),
            ("jku", json!(trap)),
            ("x5u", json!(trap)),
            ("x5c", json!(["AAAA"])),
            ("x5t", json!("AAAA")),
            ("x5t#S256", json!("AAAA")),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("crit", json!(["b64"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
            ("enc", json!("A128GCM")),
            ("p2c", json!(1)),
            ("epk", json!({})),
            ("iss", json!("nebula")),
            ("exp", json!(1)),
            ("nonce", json!("x")),
            ("url", json!(trap)),
            ("", json!(1)),
            ("__proto__", json!({})),
            ("ALG", json!("RS256")),
        ] {
            let mut header = self.header();
            header[name] = value.clone();
            self.sign(format!("header has {name} {value:.40}"), &header.to_string(), &payload);
        }
        for (what, header) in [
            ("a list", "[]".to_owned()),
            ("a text", "\"RS256\"".to_owned()),
            ("null", "null".to_owned()),
            ("nothing", String::new()),
            ("no JSON", "{".to_owned()),
            ("followed by junk", format!("{}x", self.header())),
            ("after a BOM", format!("\u{feff}{}", self.header())),
            ("twice", format!("{0}{0}", self.header())),
            ("deep", "[".repeat(1000)),
        ] {
            self.sign(format!("a header that is {what}"), &header, &payload);
        }
    }

    /// Each claim by each wrong value, absent, and twice.
    fn payloads(&mut self) {
        let header = self.header().to_string();
        let claims = self.claims.clone();
        let wrong = [json!(null), json!(0), json!(-1), json!(1.5), json!(true), json!({}), json!([1]), json!({ "$ne": null })];
        let empty = json!("");
        for (name, good) in claims.as_object().unwrap() {
            // A role is any text.
            for value in wrong.iter().chain((name != "role").then_some(&empty)) {
                let changed = with(&claims, &json!({})).as_object().map(|members| {
                    let mut members = members.clone();
                    members.insert(name.clone(), value.clone());
                    Value::Object(members)
                });
                self.sign(format!("{name} is {value}"), &header, &changed.unwrap().to_string());
            }
            self.sign(format!("no {name}"), &header, &with(&claims, &json!({ name: null })).to_string());
            let twice = claims.to_string().replacen('{', &format!("{{\"{name}\":{good},"), 1);
            self.sign(format!("{name} stands twice"), &header, &twice);
            let other_case = with(&with(&claims, &json!({ name: null })), &json!({ name.to_uppercase(): good }));
            self.sign(format!("{name} in capitals"), &header, &other_case.to_string());
            if good.is_string() && name != "role" {
                self.sign(format!("{name} in a list"), &header, &with(&claims, &json!({ name: [good] })).to_string());
                self.sign(
                    format!("{name} with a blank"),
                    &header,
                    &with(&claims, &json!({ name: format!("{} ", good.as_str().unwrap()) })).to_string(),
                );
                self.sign(
                    format!("{name} with a NUL"),
                    &header,
                    &with(&claims, &json!({ name: format!("{}\u{0}", good.as_str().unwrap()) })).to_string(),
                );
            }
        }
        let iat = claims["iat"].as_i64().unwrap();
        for (what, changes) in [
            ("a life of ten years", json!({ "exp": now() + 315_360_000 })),
            ("a second too long a life", json!({ "exp": iat + 901 })),
            ("no life", json!({ "exp": iat })),
            ("an end before the start", json!({ "exp": iat - 1 })),
            ("an issue in the future", json!({ "iat": now() + 3600, "exp": now() + 3700 })),
            ("an overflow", json!({ "iat": i64::MIN, "exp": i64::MAX })),
            ("an end as text", json!({ "exp": (now() + 60).to_string() })),
            ("milliseconds", json!({ "iat": now() * 1000, "exp": now() * 1000 + 60_000 })),
            ("a service's type", json!({ "type": "service" })),
            ("another issuer", json!({ "iss": "https://nebula" })),
            ("a prefix of the issuer", json!({ "iss": "nebul" })),
            ("another audience", json!({ "aud": "nebula2" })),
            ("two audiences", json!({ "aud": ["nebula", "other"] })),
            ("an unknown claim", json!({ "scope": "*" })),
            ("not before", json!({ "nbf": 0 })),
            ("an actor", json!({ "act": { "sub": "x" } })),
            ("another person", json!({ "sub": Uuid::now_v7() })),
            ("another session", json!({ "sid": Uuid::now_v7() })),
            ("another tenant", json!({ "tenantId": Uuid::now_v7() })),
            ("nobody's tenant", json!({ "tenantId": Uuid::nil() })),
        ] {
            self.sign(what, &header, &with(&claims, &changes).to_string());
        }
        for payload in ["", "null", "[]", "{}", "\"x\"", "1", "{", "claims"] {
            self.sign(format!("a payload {payload:?}"), &header, payload);
        }
        for (what, payload) in [
            ("junk after", format!("{claims} x")),
            ("a BOM before", format!("\u{feff}{claims}")),
            ("two objects", format!("{claims}{claims}")),
        ] {
            self.sign(format!("a payload with {what}"), &header, &payload);
        }
        for size in [4_000, 8_000, 60_000, 900_000] {
            self.sign(format!("a role of {size} bytes"), &header, &with(&claims, &json!({ "role": "x".repeat(size) })).to_string());
        }
    }

    /// What the bytes between the dots can look like.
    fn forms(&mut self) {
        let good = self.good.clone();
        let parts = good.split('.').map(str::to_owned).collect::<Vec<_>>();
        let signature = URL_SAFE_NO_PAD.decode(&parts[2]).unwrap();
        for at in 0..3 {
            let with_part = |part: String| {
                let mut parts = parts.clone();
                parts[at] = part;
                parts.join(".")
            };
            let bytes = URL_SAFE_NO_PAD.decode(&parts[at]).unwrap();
            let last = parts[at].len() - 1;
            self.add(format!("part {at} is empty"), with_part(String::new()));
            self.add(format!("part {at} is padded"), with_part(format!("{}=", parts[at])));
            self.add(format!("part {at} is twice padded"), with_part(format!("{}==", URL_SAFE.encode(&bytes))));
            self.add(format!("part {at} has a byte more"), with_part(URL_SAFE_NO_PAD.encode([&bytes[..], b"x"].concat())));
            self.add(format!("part {at} has a byte less"), with_part(URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() - 1])));
            self.add(format!("part {at} is hex"), with_part(hex(&bytes)));
            self.add(format!("part {at} has a character more"), with_part(format!("{}A", parts[at])));
            self.add(format!("part {at} is cut"), with_part(parts[at][..last].to_owned()));
            for odd in ["+", "/", "%2B", " ", "\u{e9}", "*"] {
                self.add(format!("part {at} with {odd:?}"), with_part(format!("{}{odd}{}", &parts[at][..5], &parts[at][6..])));
            }
            if STANDARD.encode(&bytes).trim_end_matches('=') != parts[at] {
                self.add(format!("part {at} in the other alphabet"), with_part(STANDARD.encode(&bytes).trim_end_matches('=').to_owned()));
            }
            // The unused bits of the last character set: the same bytes to a lenient reader.
            let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let value = alphabet.iter().position(|byte| *byte == parts[at].as_bytes()[last]).unwrap();
            let spare = match parts[at].len() % 4 {
                2 => 15,
                3 => 3,
                _ => 0,
            };
            for bits in 1..=spare {
                let other = char::from(alphabet[(value & !spare) | ((value & spare) ^ bits)]);
                self.add(format!("part {at} with spare bits {bits}"), with_part(format!("{}{other}", &parts[at][..last])));
            }
        }
        for byte in (0..signature.len()).step_by(16) {
            let mut flipped = signature.clone();
            flipped[byte] ^= 1;
            self.add(format!("signature byte {byte} flipped"), format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode(flipped)));
        }
        for token in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            "a.b.c".into(),
            parts[0].clone(),
            format!("{}.{}", parts[0], parts[1]),
            format!("{good}."),
            format!(".{good}"),
            format!("{good}.{}", parts[2]),
            format!("{good}.."),
            format!("{}.{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[0], parts[1]),
            format!("{}.{}.{}", parts[1], parts[0], parts[2]),
            good.to_uppercase(),
            good.replace('.', "%2e"),
            good.replace('.', ","),
            format!("{good}\u{0}"),
            format!("{good}\n"),
            format!(" {good}"),
            format!("\"{good}\""),
            format!("JWT {good}"),
            format!("Bearer {good}"),
            json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string(),
            format!("{good},{good}"),
            good.chars().rev().collect(),
        ] {
            self.add(format!("the form {token:.20}…"), token);
        }
    }

    /// Signatures by keys that are nobody's, by secrets that are no keys, and by blocks that no signer would make (Bleichenbacher's and their kin).
    fn signatures(&mut self) {
        let payload = self.claims.to_string();
        let kid = self.signer().kid.clone();
        let claims = self.claims.clone();
        for name in [kid.as_str(), "thief", ""] {
            self.add(format!("a stranger's key called {name:?}"), Signer::stranger(name).sign(&claims));
        }
        let public = self.signer().public_key();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&public));
        for (what, secret) in [
            ("DER", public.clone()),
            ("PEM", pem.clone().into_bytes()),
            ("PEM without its end", pem.trim().as_bytes().to_vec()),
            ("nothing", Vec::new()),
            ("kid", kid.clone().into_bytes()),
        ] {
            let input = unsigned(&with(&self.header(), &json!({ "alg": "HS256" })).to_string(), &payload);
            let disguised = unsigned(&self.header().to_string(), &payload);
            for input in [input, disguised] {
                let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&secret).unwrap();
                mac.update(input.as_bytes());
                self.add(format!("HMAC with the {what}"), format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())));
            }
        }
        let input = unsigned(&self.header().to_string(), &payload);
        let made = rsa(&fs::read_to_string(self.database.installation.keys_dir.join(format!("{kid}.pem"))).unwrap(), &input);
        for (what, signature) in made {
            self.add(format!("signature: {what}"), format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)));
        }
    }
}

/// Signatures of the right key over the right text in a wrong encoding; and numbers that are no signature.
fn rsa(pem: &str, text: &str) -> Vec<(String, Vec<u8>)> {
    // DigestInfo of RFC 8017, section 9.2.
    const SHA256: [u8; 19] = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    let size = 256;
    let digest = Sha256::digest(text).to_vec();
    let info = [&SHA256[..], &digest].concat();
    let block = |head: &[u8], fill: u8, zero: &[u8], tail: &[u8]| {
        let fills = size - head.len() - zero.len() - tail.len();
        [head, &vec![fill; fills], zero, tail].concat()
    };
    let changed = |at: usize, byte: u8| {
        let mut info = info.clone();
        info[at] = byte;
        block(&[0, 1], 0xff, &[0], &info)
    };
    let short = |fills: usize| {
        let start = [&[0, 1][..], &vec![0xff; fills], &[0], &info].concat();
        [&start[..], &vec![0; size - start.len()]].concat()
    };
    let mut blocks = vec![
        ("type 0", block(&[0, 0], 0, &[0], &info)),
        ("type 2", block(&[0, 2], 0xff, &[0], &info)),
        ("no leading zero", block(&[0, 1], 0xff, &[1], &info)),
        ("fill of zeros", block(&[0, 1], 0, &[0], &info)),
        ("fill of 0xfe", block(&[0, 1], 0xfe, &[0], &info)),
        ("no separator", block(&[0, 1], 0xff, &[], &info)),
        ("two separators", block(&[0, 1], 0xff, &[0, 0], &info)),
        ("no DigestInfo", block(&[0, 1], 0xff, &[0], &digest)),
        ("no digest", block(&[0, 1], 0xff, &[0], &SHA256)),
        ("nothing after the separator", block(&[0, 1], 0xff, &[0], &[])),
        ("another text's digest", block(&[0, 1], 0xff, &[0], &[&SHA256[..], &Sha256::digest("x")].concat())),
        ("the digest's digest", block(&[0, 1], 0xff, &[0], &[&SHA256[..], &Sha256::digest(&digest)].concat())),
        ("a byte after", block(&[0, 1], 0xff, &[0], &[&info[..], &[0]].concat())),
        ("SHA-384 called SHA-256", block(&[0, 1], 0xff, &[0], &[&SHA256[..], &Sha384::digest(text)[..32]].concat())),
        ("SHA-512 called SHA-256", block(&[0, 1], 0xff, &[0], &[&SHA256[..], &Sha512::digest(text)[..32]].concat())),
        ("without NULL", block(&[0, 1], 0xff, &[0], &[&[0x30, 0x2f, 0x30, 0x0b][..], &SHA256[4..15], &[4, 0x20], &digest].concat())),
        ("a long form length", block(&[0, 1], 0xff, &[0], &[&[0x30, 0x81, 0x31][..], &info[2..]].concat())),
        ("an indefinite length", block(&[0, 1], 0xff, &[0], &[&[0x30, 0x80][..], &info[2..], &[0, 0]].concat())),
        (
            "junk in the parameters",
            block(
                &[0, 1],
                0xff,
                &[0],
                &[&[0x30, 0x35, 0x30, 0x11][..], &SHA256[4..15], &[4, 4, 1, 2, 3, 4][..], &[4, 0x20], &digest].concat(),
            ),
        ),
        ("eight bytes of fill, then junk", short(8)),
        ("no fill, then junk", short(0)),
        ("a hundred bytes of fill, then junk", short(100)),
        ("all bytes zero", vec![0; size]),
        ("one", [vec![0; size - 1], vec![1]].concat()),
    ];
    for (at, byte) in SHA256.iter().enumerate() {
        blocks.push(("another byte of DigestInfo", changed(at, byte ^ 1)));
    }
    let asked = json!({ "pem": pem, "text": text, "blocks": blocks.iter().map(|(_, block)| hex(block)).collect::<Vec<_>>() });
    let mut node = Command::new("node")
        .args(["--input-type=module", "-e", include_str!("../../../../js/rsa.mjs")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node: run `make tools`");
    node.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let answer: Value = serde_json::from_slice(&node.wait_with_output().unwrap().stdout).unwrap();
    let signed = answer["blocks"].as_array().unwrap().iter().map(|text| unhex(text.as_str().unwrap()));
    let mut made = blocks.iter().map(|(what, _)| (*what).to_owned()).zip(signed).collect::<Vec<_>>();
    for (what, text) in answer["others"].as_object().unwrap() {
        made.push((what.clone(), unhex(text.as_str().unwrap())));
    }
    let modulus = unhex(answer["modulus"].as_str().unwrap());
    let mut less = modulus.clone();
    *less.last_mut().unwrap() -= 1;
    for (what, number) in [
        ("the modulus", modulus.clone()),
        ("the modulus less one", less),
        ("zero", vec![0; size]),
        ("one", [vec![0; size - 1], vec![1]].concat()),
        ("all ones", vec![0xff; size]),
        ("nothing", vec![]),
        ("one byte", vec![1]),
        ("4096 bytes", vec![1; 512]),
    ] {
        made.push((format!("the number {what}"), number));
    }
    made
}

/// All of them, against a listener that must stay alone.
fn forge(database: &Database, good: &str, trap: &TcpListener) -> Vec<(String, String)> {
    let mut forge = Forge { database, good: good.to_owned(), claims: claims_of(good), tokens: Vec::new() };
    forge.headers(&format!("http://{}/jwks.json", trap.local_addr().unwrap()));
    forge.payloads();
    forge.forms();
    forge.signatures();
    forge.tokens
}

#[test]
fn no_forged_token_is_accepted_on_any_layer_and_none_learns_why() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    let mut handle = database.handle();
    let mut battery = Battery::begin("B1 tokens", &database);
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    let tokens = forge(&database, &acme.admin, &trap);
    assert!(tokens.len() >= 300, "{}", tokens.len());
    let before = database.digests();
    let mut answers = BTreeSet::new();
    for (what, token) in &tokens {
        let by_sql = handle.try_send(acme.id, &nebula_tests::handle::request("users.list", Some(token), &json!({})));
        // What no text column could hold is the statement's error, as for any other text.
        let refused = match &by_sql {
            Ok(answer) => answer.status == 401 && answer.code() == "INVALID_TOKEN",
            Err(error) => error.code().is_some_and(|code| code.code().starts_with("22")),
        };
        battery.case(refused, || format!("database, {what}: {by_sql:?}"));
        let printable =
            token.len() < 16_000 && token.bytes().all(|byte| byte >= 0x20 && byte != 0x7f) && token.trim() == token && !token.is_empty();
        if printable {
            // What the client's own library refuses to send proves nothing about the edge.
            let Ok(answer) = edge.user(token).request("GET", "/v1/me").try_send() else { continue };
            let mut body: Value = serde_json::from_str(&answer.text).unwrap_or(Value::Null);
            if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
                error.remove("requestId");
            }
            // A header of two words is no bearer's token at all; the same status.
            battery.case(answer.status == 401, || format!("edge, {what}: {answer:?}"));
            answers.insert(body.to_string());
        }
    }
    assert!(answers.len() <= 2, "answers that differ tell why: {answers:#?}");
    trap.set_nonblocking(true).unwrap();
    assert!(trap.accept().is_err(), "somebody followed an address that stands in a token");
    assert_eq!(database.digests(), before);
    // The controls: the original, and what is signed again in the same form.
    handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    edge.user(&acme.admin).get("/v1/me").data(200);
    let fresh = database.installation.signer.sign(&with(&claims_of(&acme.admin), &json!({ "jti": Uuid::now_v7(), "role": "" })));
    edge.user(&fresh).get("/v1/me").data(200);
    battery.end(600, &[("the edge's", edge.log())]);
}

#[test]
fn no_random_truncated_foreign_or_altered_key_is_accepted() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let mut handle = database.handle();
    let mut battery = Battery::begin("B1 keys", &database);
    let (_, key) = acme.key(&mut handle, &json!({ "name": "k", "profile": "admin" }));
    let (_, theirs) = zeta.key(&mut handle, &json!({ "name": "k", "profile": "admin" }));
    let own = OpaqueToken::parse(&key).unwrap();
    let random = || {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).unwrap();
        Secret(secret)
    };
    let mut keys = (0..battery::scaled(600, 8_000))
        .map(|n| match n % 3 {
            0 => OpaqueToken { secret: random(), ..own }.reveal(),
            1 => OpaqueToken { id: Uuid::now_v7(), secret: random(), ..own }.reveal(),
            _ => OpaqueToken {
                kind: Kind::ApiKey,
                tenant: acme.id,
                id: OpaqueToken::parse(&theirs).unwrap().id,
                secret: OpaqueToken::parse(&theirs).unwrap().secret,
            }
            .reveal(),
        })
        .collect::<Vec<_>>();
    // Each single character another one, each length, each neighbour exchanged.
    for at in 0..key.len() {
        for other in ["0", "f", "A", "-"] {
            if &key[at..=at] != other {
                keys.push(format!("{}{other}{}", &key[..at], &key[at + 1..]));
            }
        }
        keys.push(key[..at].to_owned());
        keys.push(key[at + 1..].to_owned());
    }
    keys.extend([
        theirs.clone(),
        key.to_uppercase(),
        format!("{key}0"),
        format!("{key}{key}"),
        format!("{key}\n"),
        format!(" {key}"),
        hex(&Sha256::digest(&key)),
        acme.refresh_token.clone(),
        acme.invite.clone(),
    ]);
    let before = database.digests();
    for key in &keys {
        let answer = handle.call(acme.id, key, "users.list", &json!({}));
        battery.case(answer.status == 401, || format!("{key}: {answer:?}"));
    }
    assert_eq!(database.digests(), before);
    handle.call(acme.id, &key, "users.list", &json!({})).data(200);
    battery.canary(&key[68..132]);
    battery.end(1_000, &[]);
}

#[test]
fn of_64_refreshes_at_once_one_rotates_round_after_round_and_an_old_token_ends_the_family() {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.1/32")]);
    let acme = onboard(&edge, "acme");
    let mut battery = Battery::begin("B1 refresh", &database);
    let mut token = acme.refresh_token.clone();
    let count = "select count(*) from nebula.refresh_token where tenant_id = $1";
    let first = token.clone();
    for round in 0..battery::scaled(3, 100) {
        let before = database.number(count, &[&acme.id]);
        let answers = parallel(64, 16, |n| {
            let request =
                edge.anonymous().request("POST", "/v1/auth/refresh").header("x-forwarded-for", format!("2001:db8:{round:x}:{n:x}::1"));
            request.json(&json!({ "refreshToken": token })).send()
        });
        let next = answers
            .iter()
            .map(|answer| answer.json()["data"]["refreshToken"].as_str().unwrap_or_default().to_owned())
            .collect::<BTreeSet<_>>();
        battery.case(answers.iter().all(|answer| answer.status == 200) && next.len() == 1, || format!("round {round}: {next:?}"));
        battery.case(database.number(count, &[&acme.id]) == before + 1, || format!("round {round}: more than one rotation"));
        token = next.into_iter().next().unwrap();
    }
    // The thief comes back with the first one, after its window.
    database.execute("update nebula.refresh_token set revoked_at = revoked_at - interval '1 minute' where revoked_at is not null");
    let again = |token: &str| edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": token })).status;
    let reused = again(&first);
    battery.case(reused == 401, || format!("the first token again: {reused}"));
    for _ in 0..3 {
        let status = again(&token);
        battery.case(status == 401, || format!("the newest token of a family that was reused: {status}"));
    }
    let status = acme.admin.get("/v1/me").status;
    battery.case(status == 401, || format!("the family's access token: {status}"));
    battery.end(9, &[("the edge's", edge.log())]);
}

/// A new key joins, and everybody uses its tokens at once, at two edges that may not have heard of it; then the one before it retires.
#[test]
fn no_request_fails_while_the_signing_key_is_rotated() {
    let database = Database::new();
    let edges = [database.serve(), database.serve()];
    let acme = onboard(&edges[0], "acme");
    database.raise_limits(acme.id);
    let mut battery = Battery::begin("B1 rotation", &database);
    let claims = claims_of(&acme.admin.token);
    let rotations = battery::scaled(2, 12);
    let (token, is_over, asked) = (Mutex::new(acme.admin.token.clone()), AtomicBool::new(false), AtomicUsize::new(0));
    let failed = thread::scope(|scope| {
        let clients = (0..8)
            .map(|n| {
                let (edges, token, is_over, asked) = (&edges, &token, &is_over, &asked);
                scope.spawn(move || {
                    let mut failed = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let token = token.lock().unwrap().clone();
                        let answer = edges[n % 2].user(&token).get("/v1/me");
                        asked.fetch_add(1, Ordering::Relaxed);
                        if answer.status != 200 {
                            failed.push(answer.text);
                        }
                        thread::sleep(Duration::from_millis(5));
                    }
                    failed
                })
            })
            .collect::<Vec<_>>();
        for rotation in 0..rotations {
            let next = Signer::stranger(&format!("rotation-{rotation}"));
            let mut superuser = database.superuser();
            superuser.query_one("select nebula.register_signing_key($1, $2)", &[&next.kid, &next.public_key()]).unwrap();
            *token.lock().unwrap() = next.sign(&with(&claims, &json!({ "jti": Uuid::now_v7() })));
            if rotation > 0 {
                superuser.query_one("select nebula.retire_signing_key($1)", &[&format!("rotation-{}", rotation - 1)]).unwrap();
            }
            // An edge reads its keys again for unknown ones every three seconds at most; nobody rotates more often.
            thread::sleep(Duration::from_millis(3_200));
        }
        is_over.store(true, Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    let asked = asked.into_inner();
    for n in 0..asked {
        battery.case(n >= failed.len(), || failed[n].clone());
    }
    battery.end(battery::scaled(500, 5_000), &[]);
}
