//! Access tokens that are almost right. Each is refused by the edge, and by the database when the edge doesn't look.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use nebula_tests::{
    Caller, Database, Signer, onboard_by_sql,
    token::{claims_of, unsigned, with},
};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn header(signer: &Signer, changes: &Value) -> String {
    with(&json!({ "alg": "RS256", "typ": "JWT", "kid": signer.kid }), changes).to_string()
}

/// What, the token, and the code that it is refused with.
fn forgeries(signer: &Signer, second: &Signer, good: &str) -> Vec<(String, String, &'static str)> {
    let claims = claims_of(good);
    let payload = claims.to_string();
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let mut list = Vec::new();
    let mut add = |what: &str, token: String| list.push((what.to_owned(), token, "INVALID_TOKEN"));

    for algorithm in ["none", "None", "NONE", ""] {
        add(&format!("alg {algorithm}"), format!("{}.", unsigned(&header(signer, &json!({ "alg": algorithm })), &payload)));
        add(
            &format!("alg {algorithm} with the old signature"),
            format!("{}.{signature}", unsigned(&header(signer, &json!({ "alg": algorithm })), &payload)),
        );
    }
    for secret in [
        signer.public_key(),
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(signer.public_key())
        )
        .into_bytes(),
    ] {
        let input = unsigned(&header(signer, &json!({ "alg": "HS256" })), &payload);
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&secret).unwrap();
        mac.update(input.as_bytes());
        add("HS256 with the public key as secret", format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())));
    }
    for (what, changes) in [
        ("another algorithm's name", json!({ "alg": "RS512" })),
        ("a lower-case algorithm", json!({ "alg": "rs256" })),
        ("no typ", json!({ "typ": null })),
        ("another typ", json!({ "typ": "at+jwt" })),
        ("no kid", json!({ "kid": null })),
        ("an empty kid", json!({ "kid": "" })),
        ("an unknown kid", json!({ "kid": "unknown" })),
        ("a kid that is a path", json!({ "kid": "../../../dev/null" })),
        ("a kid that is SQL", json!({ "kid": "' or true --" })),
        ("another key's kid", json!({ "kid": second.kid })),
        ("a critical extension", json!({ "crit": ["exp"], "exp": 1 })),
        ("an embedded key", json!({ "jwk": { "kty": "RSA" } })),
        ("a key's address", json!({ "jku": "https://thief.example/jwks.json" })),
    ] {
        add(what, signer.sign_parts(&header(signer, &changes), &payload));
    }
    for (what, changes) in [
        ("another issuer", json!({ "iss": "someone" })),
        ("another audience", json!({ "aud": "someone" })),
        ("a list of audiences", json!({ "aud": ["nebula"] })),
        ("a service's type", json!({ "type": "service" })),
        ("a life of ten years", json!({ "exp": now() + 315_360_000 })),
        ("a life of a second too much", json!({ "exp": claims["iat"].as_i64().unwrap() + 901 })),
        ("no life at all", json!({ "exp": claims["iat"] })),
        ("an issue in the future", json!({ "iat": now() + 60, "exp": now() + 120 })),
        ("an issue before the epoch", json!({ "iat": -1, "exp": 100 })),
        ("an expiry as text", json!({ "exp": (now() + 60).to_string() })),
        ("a fractional expiry", json!({ "exp": 1.5 })),
        ("an overflowing expiry", json!({ "iat": i64::MIN, "exp": i64::MAX })),
        ("a subject that is no id", json!({ "sub": "admin" })),
        ("a random subject", json!({ "sub": Uuid::now_v7() })),
        ("a random session", json!({ "sid": Uuid::now_v7() })),
        ("an unknown claim", json!({ "scope": "*" })),
        ("another tenant", json!({ "tenantId": Uuid::now_v7() })),
    ] {
        add(what, signer.sign(&with(&claims, &changes)));
    }
    for name in claims.as_object().unwrap().keys() {
        add(&format!("no {name}"), signer.sign(&with(&claims, &json!({ name: null }))));
    }
    let twice = payload.replacen('{', &format!("{{\"tenantId\":\"{}\",", Uuid::now_v7()), 1);
    add("a claim that stands twice", signer.sign_parts(&header(signer, &json!({})), &twice));
    add("a payload that is a list", signer.sign_parts(&header(signer, &json!({})), &json!([claims["iss"], claims["aud"]]).to_string()));
    add("a payload that isn't JSON", signer.sign_parts(&header(signer, &json!({})), "claims"));
    add("an unregistered key under a registered kid", Signer::stranger(&signer.kid).sign(&claims));
    add("an unregistered key", Signer::stranger("thief").sign(&claims));
    add("two parts", format!("{head}.{body}"));
    add("four parts", format!("{good}.{signature}"));
    add("a padded signature", format!("{good}="));
    add("a signature cut short", good[..good.len() - 4].to_owned());
    add("a flipped signature", format!("{head}.{body}.{}", signature.chars().rev().collect::<String>()));
    add("an empty signature", format!("{head}.{body}."));
    add("a token of 5,000 bytes", signer.sign(&with(&claims, &json!({ "role": "x".repeat(5_000) }))));
    let past = with(&claims, &json!({ "iat": now() - 900, "exp": now() - 1 }));
    list.push(("expired".into(), signer.sign(&past), "TOKEN_EXPIRED"));
    list
}

#[test]
fn an_almost_right_token_is_refused_by_the_database_and_changes_nothing() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let second = Signer::stranger("second");
    database.superuser().query_one("select nebula.register_signing_key($1, $2)", &[&second.kid, &second.public_key()]).unwrap();
    let mut handle = database.handle();
    handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
    let before = database.digests();
    for (what, token, code) in forgeries(&database.installation.signer, &second, &acme.admin) {
        let answer = handle.call(acme.id, &token, "users.create", &json!({ "email": "x@acme.example", "name": "X" }));
        assert_eq!((answer.status, answer.code()), (401, code), "{what}: {answer:?}");
    }
    assert_eq!(database.digests(), before);
}

#[test]
fn an_almost_right_token_is_refused_by_the_edge_in_the_envelope() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    edge.user(&acme.admin).get("/v1/me").data(200);
    for (what, token, code) in forgeries(&database.installation.signer, &Signer::stranger("second"), &acme.admin) {
        let answer = edge.user(&token).get("/v1/me");
        assert_eq!((answer.status, answer.code().as_str()), (401, code), "{what}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
        assert!(answer.json()["error"].get("details").is_none(), "{what}: says why");
    }
}

#[test]
fn a_registered_key_of_another_session_or_user_opens_only_what_it_names() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let signer = &database.installation.signer;
    let (hers, theirs) = (claims_of(&acme.admin), claims_of(&zeta.admin));
    let mut handle = database.handle();
    // Signed by the edge's own key: even so, a session belongs to one person of one tenant.
    for changes in [json!({ "sub": theirs["sub"] }), json!({ "sid": theirs["sid"] }), json!({ "sub": theirs["sub"], "sid": theirs["sid"] })]
    {
        handle.call(acme.id, &signer.sign(&with(&hers, &changes)), "users.list", &json!({})).refused(401, "INVALID_TOKEN");
    }
    // Role and groups inform clients: they decide nothing.
    let (_, reader) = acme.key(&mut handle, &json!({ "name": "r", "actions": ["users.list"] }));
    handle.call(acme.id, &reader, "users.create", &json!({ "email": "y@acme.example", "name": "Y" })).refused(403, "FORBIDDEN_ACTION");
    let me = handle
        .call(acme.id, &signer.sign(&with(&hers, &json!({ "role": "SUPERUSER", "groups": ["platform"] }))), "me.read", &json!({}))
        .data(200);
    assert_eq!(me["groups"], json!(["ADM_CLIENTE"]));
    handle
        .call(acme.id, &signer.sign(&with(&hers, &json!({ "role": "platform", "groups": ["platform"] }))), "tenants.list", &json!({}))
        .refused(403, "FORBIDDEN_ACTION");
}

#[test]
fn a_credential_is_read_from_one_place_and_in_one_form() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    let anonymous = edge.anonymous();
    let (_, key) = acme.key(&mut database.handle(), &json!({ "name": "k", "profile": "admin" }));
    let ask = |headers: &[(&str, &str)]| {
        headers.iter().fold(anonymous.request("GET", "/v1/users"), |request, (name, value)| request.header(name, value)).send()
    };
    let bearer = |credential: &str| format!("Bearer {credential}");
    ask(&[("authorization", &bearer(&key))]).data(200);
    ask(&[("x-api-key", &key)]).data(200);
    ask(&[("authorization", &format!("bearer {}", acme.admin))]).data(200);
    ask(&[("x-api-key", &key), ("authorization", &bearer(&key))]).data(200);
    ask(&[]).refused(401, "UNAUTHORIZED");
    for headers in [
        &[("authorization", bearer(&acme.admin)), ("x-api-key", key.clone())][..],
        &[("authorization", bearer(&acme.admin)), ("authorization", bearer(&acme.admin))],
        &[("x-api-key", acme.admin.clone())],
        &[("authorization", format!("Basic {key}"))],
        &[("authorization", key.clone())],
        &[("authorization", "Bearer".into())],
        &[("authorization", "Bearer  ".into())],
        &[("x-api-key", key.to_uppercase())],
        &[("x-api-key", format!("{key}0"))],
        &[("x-api-key", key[..key.len() - 1].to_owned())],
        &[("x-api-key", acme.refresh_token.clone())],
        &[("authorization", bearer(&acme.refresh_token))],
    ] {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
        let answer = ask(&headers);
        assert_eq!(answer.status, 401, "{headers:?}: {answer:?}");
    }
    // Never from the URL, where logs would keep it.
    assert_eq!(anonymous.get(&format!("/v1/users?access_token={}", acme.admin)).code(), "UNAUTHORIZED");
    assert_eq!(anonymous.get(&format!("/v1/users?apikey={key}")).code(), "UNAUTHORIZED");
}

#[test]
fn expired_and_foreign_api_keys_are_refused() {
    let database = Database::new();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let mut handle = database.handle();
    let (key_id, key) = acme.key(&mut handle, &json!({ "name": "k", "profile": "admin", "expiresAt": "2099-01-01T00:00:00Z" }));
    handle.call(acme.id, &key, "users.list", &json!({})).data(200);
    handle.call(zeta.id, &key, "users.list", &json!({})).refused(401, "INVALID_TOKEN");
    database.superuser().execute("update nebula.api_key set expires_at = now() - interval '1 second' where id = $1", &[&key_id]).unwrap();
    handle.call(acme.id, &key, "users.list", &json!({})).refused(401, "TOKEN_EXPIRED");
    let edge = database.serve();
    edge.key(&key).get("/v1/users").refused(401, "TOKEN_EXPIRED");
}

#[test]
fn a_rotated_signing_key_verifies_until_it_is_revoked_and_then_at_once_no_more() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    let user = edge.user(&acme.admin);
    user.get("/v1/me").data(200);
    // A new key joins: old tokens still work, and the new ones do at once.
    let next = Signer::stranger("next");
    database.superuser().query_one("select nebula.register_signing_key($1, $2)", &[&next.kid, &next.public_key()]).unwrap();
    let renewed = next.sign(&claims_of(&acme.admin));
    edge.user(&renewed).get("/v1/me").data(200);
    user.get("/v1/me").data(200);
    let jwks = edge.anonymous().get("/.well-known/jwks.json").json();
    assert!(jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == "next"), "{jwks}");
    let kid = &database.installation.signer.kid;
    database.superuser().query_one("select nebula.retire_signing_key($1)", &[kid]).unwrap();
    user.get("/v1/me").data(200);
    database.superuser().query_one("select nebula.revoke_signing_key($1)", &[kid]).unwrap();
    user.get("/v1/me").refused(401, "INVALID_TOKEN");
    edge.user(&renewed).get("/v1/me").data(200);
}

#[test]
fn a_revoked_signing_key_stays_revoked() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let signer = &database.installation.signer;
    let mut superuser = database.superuser();
    superuser.query_one("select nebula.revoke_signing_key($1)", &[&signer.kid]).unwrap();
    let is_retired: bool = superuser.query_one("select nebula.retire_signing_key($1)", &[&signer.kid]).unwrap().get(0);
    assert!(!is_retired);
    let is_new: bool =
        superuser.query_one("select nebula.register_signing_key($1, $2)", &[&signer.kid, &signer.public_key()]).unwrap().get(0);
    assert!(!is_new);
    assert_eq!(database.texts("select status from nebula.signing_key where kid = $1", &[&signer.kid]), ["revoked"]);
    database.handle().call(acme.id, &acme.admin, "users.list", &json!({})).refused(401, "INVALID_TOKEN");
}

#[test]
fn bytes_that_are_no_usable_key_are_not_registered() {
    let database = Database::new();
    let good = Signer::stranger("good").public_key();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64::engine::general_purpose::STANDARD.encode(&good));
    // P-256's generator, as the public key that it is.
    let elliptic = "3059301306072a8648ce3d020106082a8648ce3d030107034200\
        046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
        4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    let elliptic = (0..elliptic.len()).step_by(2).map(|at| u8::from_str_radix(&elliptic[at..at + 2], 16).unwrap()).collect();
    let mut superuser = database.superuser();
    let before = database.digests();
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("junk", vec![0xff; 294]),
        ("a key cut short", good[..good.len() - 1].to_vec()),
        ("PEM", pem.into_bytes()),
        ("another kind of key", elliptic),
    ] {
        let error = superuser.query_one("select nebula.register_signing_key('bad', $1)", &[&bytes]).expect_err(what);
        assert_eq!(error.code().map(postgres::error::SqlState::code), Some("22023"), "{what}: {error:?}");
    }
    assert_eq!(database.digests(), before);
    let is_new: bool = superuser.query_one("select nebula.register_signing_key('bad', $1)", &[&good]).unwrap().get(0);
    assert!(is_new);
}

#[test]
fn a_key_with_bytes_after_it_is_not_registered() {
    // The edge reads DER strictly: such a key would verify in the database and be missing from `/.well-known/jwks.json`.
    let database = Database::new();
    let padded = [&Signer::stranger("padded").public_key()[..], &[0]].concat();
    let outcome = database.superuser().query_one("select nebula.register_signing_key('padded', $1)", &[&padded]);
    let state = outcome.err().and_then(|error| error.code().map(|state| state.code().to_owned()));
    assert_eq!(state.as_deref(), Some("22023"));
}
