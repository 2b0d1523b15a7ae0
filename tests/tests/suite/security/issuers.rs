//! Tokens of other issuers, made by another implementation, against the database alone: as a thief of the edge's login would present them.

use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_tests::{
    Database, Handle, Issuer, Tenant,
    http::id,
    issuer::{ALGORITHMS, ISSUER, SECRET, claims, configuration, now, register, replace_keys},
    onboard_by_sql,
    sql_caller::{as_postgrest, call, can},
    token::{claims_of, tenant_of, unsigned, with},
};
use postgres::{error::SqlState, types::Type};
use serde_json::{Value, json};
use std::thread;
use uuid::Uuid;

/// A tenant with a person, Bia, whom the issuer knows as `bia-1`.
struct Scene {
    database: Database,
    acme: Tenant<String>,
    bia: Uuid,
    issuer: Issuer,
}

const EMAIL: &str = "bia@acme.example";

impl Scene {
    fn set(changes: &Value) -> Self {
        let database = Database::new();
        let acme = onboard_by_sql(&database, "acme");
        let bia = id(&acme.does(&mut database.handle(), "users.create", &json!({ "email": EMAIL, "name": "Bia" }), 201));
        let issuer = Issuer::registered(&database, changes);
        Self { database, acme, bia, issuer }
    }

    fn claims(&self) -> Value {
        claims(&self.acme, "bia-1", EMAIL)
    }

    /// `me.read` with these claims, signed ES256.
    fn me(&mut self, claims: &Value) -> nebula_tests::Handled {
        let token = self.issuer.token("ES256", claims);
        self.ask(&token)
    }

    fn ask(&self, token: &str) -> nebula_tests::Handled {
        ask(&mut self.database.handle(), self.acme.id, token)
    }

    /// Provider and subject of every person of the tenant who has one.
    fn links(&self) -> Vec<String> {
        self.database
            .texts("select email || ' ' || auth_provider || ' ' || external_id from nebula.user where external_id is not null", &[])
    }
}

fn ask(handle: &mut Handle, tenant: Uuid, token: &str) -> nebula_tests::Handled {
    handle.call(tenant, token, "me.read", &json!({}))
}

#[test]
fn each_algorithm_opens_the_persons_own_tenant_and_no_other() {
    let mut scene = Scene::set(&json!({}));
    let zeta = onboard_by_sql(&scene.database, "zeta");
    for alg in ["RS256", "ES256", "EdDSA", "HS256"] {
        let token = scene.issuer.token(alg, &scene.claims());
        let me = scene.ask(&token).data(200);
        assert_eq!((id(&me["actor"]), id(&me["tenant"])), (scene.bia, scene.acme.id), "{alg}");
        ask(&mut scene.database.handle(), zeta.id, &token).refused(401, "INVALID_TOKEN");
        ask(&mut scene.database.handle(), Uuid::now_v7(), &token).refused(401, "INVALID_TOKEN");
    }
    assert_eq!(scene.links(), [format!("{EMAIL} {ISSUER} bia-1")]);
}

#[test]
fn the_first_login_links_by_verified_address_and_later_ones_go_by_the_subject() {
    let mut scene = Scene::set(&json!({}));
    scene.me(&with(&scene.claims(), &json!({ "email": "BIA@Acme.Example" }))).data(200);
    let trail = scene.database.texts(
        "select action || ' ' || actor_type || ' ' || (actor_user_id = entity_id)::text from nebula.audit_log where metadata ->> 'outcome' = 'linked'",
        &[],
    );
    assert_eq!(trail, ["me.read user true"]);
    // From now on the address is not asked for: it may change on either side, or be missing.
    for changes in [json!({ "email": "other@acme.example" }), json!({ "email": null }), json!({ "email_verified": false })] {
        assert_eq!(id(&scene.me(&with(&scene.claims(), &changes)).data(200)["actor"]), scene.bia, "{changes}");
    }
    // Whoever else has that address there is somebody else here.
    scene.me(&with(&scene.claims(), &json!({ "sub": "bia-2" }))).refused(401, "INVALID_TOKEN");
    assert_eq!(scene.links(), [format!("{EMAIL} {ISSUER} bia-1")]);
    assert_eq!(scene.database.number("select count(*) from nebula.audit_log where metadata ->> 'outcome' = 'linked'", &[]), 1);
}

#[test]
fn an_address_that_is_not_verified_links_nobody() {
    let mut scene = Scene::set(&json!({}));
    let before = scene.database.digests();
    for changes in [
        json!({ "email_verified": false }),
        json!({ "email_verified": null }),
        json!({ "email_verified": "no" }),
        json!({ "email_verified": null, "user_metadata": { "email_verified": true, "email": EMAIL } }),
        json!({ "email": null }),
        json!({ "email": "" }),
        json!({ "email": "nobody@acme.example" }),
        json!({ "email": format!("{EMAIL}\u{0}") }),
        json!({ "email": format!("{EMAIL}, {}", scene.acme.admin_email) }),
        json!({ "email": [EMAIL] }),
    ] {
        scene.me(&with(&scene.claims(), &changes)).refused(401, "INVALID_TOKEN");
    }
    assert_eq!(scene.database.digests(), before);
    // Where neither a claim nor a DBA says that addresses are verified, none counts.
    register(&scene.database, &json!({ "emailVerifiedClaim": null }));
    scene.me(&scene.claims()).refused(401, "INVALID_TOKEN");
    register(&scene.database, &json!({ "emailVerifiedClaim": null, "trustsEmail": true }));
    scene.me(&with(&scene.claims(), &json!({ "email_verified": null }))).data(200);
}

#[test]
fn a_person_who_is_linked_elsewhere_or_gone_is_not_linked() {
    let mut scene = Scene::set(&json!({}));
    for state in [
        "auth_provider = 'https://other.example', external_id = 'x', deleted_at = null",
        "auth_provider = 'https://other.example', external_id = null, deleted_at = null",
        "auth_provider = 'internal', external_id = null, deleted_at = now()",
    ] {
        scene.database.execute(&format!("update nebula.user set {state} where email = '{EMAIL}'"));
        scene.me(&scene.claims()).refused(401, "INVALID_TOKEN");
    }
    scene.database.execute(&format!("update nebula.user set deleted_at = null where email = '{EMAIL}'"));
    scene.me(&scene.claims()).data(200);
    // Anonymised: the link is worth nothing.
    scene.database.execute(&format!("update nebula.user set deleted_at = now() where email = '{EMAIL}'"));
    scene.me(&scene.claims()).refused(401, "INVALID_TOKEN");
}

#[test]
fn many_first_logins_at_once_are_one_link() {
    let mut scene = Scene::set(&json!({}));
    let other =
        id(&scene.acme.does(&mut scene.database.handle(), "users.create", &json!({ "email": "eva@acme.example", "name": "Eva" }), 201));
    // One subject under two addresses: one of the two people, and the same one ever after.
    let tokens = [EMAIL, "eva@acme.example"].map(|email| scene.issuer.token("ES256", &with(&scene.claims(), &json!({ "email": email }))));
    let answers = thread::scope(|scope| {
        let askers = (0..8).map(|number| {
            scope.spawn({
                let (scene, tokens) = (&scene, &tokens);
                move || id(&scene.ask(&tokens[number % 2]).data(200)["actor"])
            })
        });
        askers.collect::<Vec<_>>().into_iter().map(|asker| asker.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(answers.iter().all(|user| *user == answers[0]) && [scene.bia, other].contains(&answers[0]), "{answers:?}");
    assert_eq!(scene.links().len(), 1);
}

#[test]
fn the_tenant_is_the_one_that_the_issuer_names() {
    let mut scene = Scene::set(&json!({}));
    let zeta = onboard_by_sql(&scene.database, "zeta");
    for tenant in [
        json!(zeta.id),
        json!(Uuid::now_v7()),
        json!("acme"),
        json!(null),
        json!([scene.acme.id]),
        json!(scene.acme.id.simple().to_string()),
    ] {
        let changes =
            json!({ "app_metadata": { "tenantId": tenant }, "tenantId": scene.acme.id, "user_metadata": { "tenantId": scene.acme.id } });
        scene.me(&with(&scene.claims(), &changes)).refused(401, "INVALID_TOKEN");
    }
    // In the tenant that it does name there is nobody of that address.
    let token = scene.issuer.token("ES256", &with(&scene.claims(), &json!({ "app_metadata": { "tenantId": zeta.id } })));
    ask(&mut scene.database.handle(), zeta.id, &token).refused(401, "INVALID_TOKEN");
    let nowhere = Uuid::now_v7();
    let token = scene.issuer.token("ES256", &with(&scene.claims(), &json!({ "app_metadata": { "tenantId": nowhere } })));
    ask(&mut scene.database.handle(), nowhere, &token).refused(401, "INVALID_TOKEN");
    assert_eq!(scene.links(), Vec::<String>::new());
}

#[test]
fn an_issuer_of_one_tenant_speaks_for_nobody_elsewhere() {
    let mut scene = Scene::set(&json!({ "audience": "elsewhere" }));
    let zeta = onboard_by_sql(&scene.database, "zeta");
    register(&scene.database, &json!({ "tenantClaim": null, "tenantId": scene.acme.id }));
    scene.me(&with(&scene.claims(), &json!({ "app_metadata": null }))).data(200);
    // Whatever the token says of tenants.
    let token = scene.issuer.token("ES256", &with(&claims(&zeta, "zeta-admin", &zeta.admin_email), &json!({ "tenantId": zeta.id })));
    ask(&mut scene.database.handle(), zeta.id, &token).refused(401, "INVALID_TOKEN");
    scene.ask(&token).refused(401, "INVALID_TOKEN");
    let error = scene.database.superuser().query_typed(
        "select nebula.register_issuer($1::text::json)",
        &[(&configuration(&json!({ "tenantClaim": null, "tenantId": Uuid::now_v7() })).to_string(), Type::TEXT)],
    );
    assert!(error.unwrap_err().as_db_error().unwrap().message().contains("no such tenant"));
}

#[test]
fn what_is_taken_away_counts_at_the_next_statement() {
    let mut scene = Scene::set(&json!({}));
    let token = scene.issuer.token("RS256", &scene.claims());
    let (mut warm, mut open) = (scene.database.handle(), scene.database.handle());
    open.client.batch_execute("begin isolation level read committed").unwrap();
    let tenant = scene.acme.id;
    let mut both = |status: i32, code: &str| {
        for handle in [&mut warm, &mut open] {
            let answer = ask(handle, tenant, &token);
            assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
        }
    };
    both(200, "");
    let set_status = |status: &str| {
        scene.acme.does(&mut scene.database.handle(), "users.status", &json!({ "id": scene.bia, "status": status }), 200);
    };
    set_status("suspenso");
    both(403, "USER_SUSPENDED");
    set_status("ativo");
    both(200, "");
    register(&scene.database, &json!({ "isActive": false }));
    both(401, "INVALID_TOKEN");
    register(&scene.database, &json!({}));
    both(200, "");
    register(&scene.database, &json!({ "algorithms": ["ES256", "EdDSA", "HS256"] }));
    both(401, "INVALID_TOKEN");
    register(&scene.database, &json!({}));
    assert_eq!(replace_keys(&scene.database, &scene.issuer.jwks), 1);
    both(200, "");
    assert_eq!(replace_keys(&scene.database, &scene.issuer.jwks[1..]), 1);
    both(401, "INVALID_TOKEN");
    assert_eq!(replace_keys(&scene.database, &scene.issuer.jwks), 1);
    both(200, "");
    scene.database.execute("update nebula.user set external_id = 'other' where external_id = 'bia-1'");
    both(401, "INVALID_TOKEN");
    scene.database.execute("update nebula.user set external_id = 'bia-1' where external_id = 'other'");
    both(200, "");
    scene.database.execute("update nebula.tenant set status = 'suspenso' where slug = 'acme'");
    both(403, "TENANT_SUSPENDED");
    scene.database.execute("update nebula.tenant set status = 'ativo' where slug = 'acme'");
    scene.database.superuser().query_one("select nebula.remove_issuer($1)", &[&ISSUER]).unwrap();
    both(401, "INVALID_TOKEN");
    open.client.batch_execute("rollback").unwrap();
    assert_eq!(scene.database.number("select count(*) from nebula.issuer_key", &[]), 0);
}

#[test]
fn a_suspended_person_is_told_so_and_not_linked() {
    let mut scene = Scene::set(&json!({}));
    scene.acme.does(&mut scene.database.handle(), "users.status", &json!({ "id": scene.bia, "status": "suspenso" }), 200);
    scene.me(&scene.claims()).refused(403, "USER_SUSPENDED");
    assert_eq!(scene.links(), Vec::<String>::new());
}

/// What, the token, and the code that it is refused with.
fn forgeries(scene: &mut Scene) -> Vec<(String, String, &'static str)> {
    let good = scene.claims();
    let payload = good.to_string();
    let mut list = Vec::new();
    let rsa = json!({ "alg": "RS256", "typ": "JWT", "kid": "rsa-1" });
    let hs = json!({ "alg": "HS256", "typ": "JWT" });
    for (what, changes) in [
        ("another issuer", json!({ "iss": "https://other.example" })),
        ("an issuer that looks alike", json!({ "iss": format!("{ISSUER}/") })),
        ("this installation's name", json!({ "iss": "nebula" })),
        ("the name of those who have passwords here", json!({ "iss": "internal" })),
        ("no issuer", json!({ "iss": null })),
        ("another audience", json!({ "aud": "anon" })),
        ("no audience", json!({ "aud": null })),
        ("no subject", json!({ "sub": null })),
        ("an empty subject", json!({ "sub": "" })),
        ("a subject that is a number", json!({ "sub": 7 })),
        ("another subject of no address", json!({ "sub": "x", "email": null })),
        ("no expiry", json!({ "exp": null })),
        ("a life of ten years", json!({ "exp": now() + 315_360_000 })),
        ("a life of a second too much", json!({ "exp": now() + 86_401, "iat": now() })),
        ("a life of ten years that began ten years ago", json!({ "iat": now() - 315_360_000 })),
        ("an issue in the future", json!({ "iat": now() + 120, "exp": now() + 600 })),
        ("a time that has not come", json!({ "nbf": now() + 120 })),
        ("an expiry before the issue", json!({ "iat": now(), "exp": now() - 1 })),
        ("no tenant", json!({ "app_metadata": null })),
    ] {
        let claims = with(&good, &changes);
        for alg in ["RS256", "HS256"] {
            list.push((format!("{what}, {alg}"), scene.issuer.token(alg, &claims), "INVALID_TOKEN"));
        }
    }
    // Supabase's own keys are signed with the same secret.
    for role in ["anon", "service_role"] {
        let key = json!({ "role": role, "iss": "supabase", "iat": now(), "exp": now() + 315_360_000 });
        list.push((format!("the {role} key"), scene.issuer.jose.sign_with_secret(SECRET, &hs, &key), "INVALID_TOKEN"));
    }
    for alg in ["RS256", "HS256"] {
        let past = with(&good, &json!({ "iat": now() - 3600, "exp": now() - 1 }));
        list.push((format!("expired, {alg}"), scene.issuer.token(alg, &past), "TOKEN_EXPIRED"));
    }
    let mut add = |what: &str, token: String| list.push((what.to_owned(), token, "INVALID_TOKEN"));
    let jose = &mut scene.issuer.jose;
    for (what, changes) in [
        ("an unknown kid", json!({ "kid": "unknown" })),
        ("another algorithm's kid", json!({ "kid": "ec-1" })),
        ("an empty kid", json!({ "kid": "" })),
        ("another typ", json!({ "typ": "logout+jwt" })),
        ("a key's address", json!({ "jku": "https://evil.example/jwks" })),
        ("a certificate's address", json!({ "x5u": "https://evil.example/cert" })),
        ("an embedded key", json!({ "jwk": scene.issuer.jwks[0] })),
        ("an unknown member", json!({ "nonce": "x" })),
    ] {
        add(what, jose.sign("rsa-1", &with(&rsa, &changes), &good));
    }
    jose.generate("RS256", "stranger");
    for kid in ["rsa-1", "stranger"] {
        add("a stranger's key", jose.sign("stranger", &with(&rsa, &json!({ "kid": kid })), &good));
    }
    for alg in ["RS384", "RS512", "PS256"] {
        jose.generate(alg, alg);
        add(alg, jose.sign(alg, &json!({ "alg": alg, "kid": "rsa-1" }), &good));
    }
    for secret in [scene.issuer.rsa_pem.trim(), &scene.issuer.rsa_pem, "another-secret-jwt-token-with-at-least-32-characters", "rsa-1"] {
        for header in [&hs, &with(&hs, &json!({ "kid": "rsa-1" }))] {
            add("HS256 with what is public as secret", jose.sign_with_secret(secret, header, &good));
        }
    }
    for alg in ["none", "None", "", "hs256", "HS384"] {
        add("no algorithm of ours", format!("{}.", unsigned(&json!({ "alg": alg, "typ": "JWT" }).to_string(), &payload)));
        add(
            "no algorithm of ours",
            format!("{}.AAAA", unsigned(&json!({ "alg": alg, "typ": "JWT", "kid": "rsa-1" }).to_string(), &payload)),
        );
    }
    for alg in ["RS256", "ES256", "EdDSA", "HS256"] {
        let token = scene.issuer.token(alg, &good);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let head = signed.split_once('.').unwrap().0;
        let swapped = with(&good, &json!({ "sub": "admin", "email": scene.acme.admin_email })).to_string();
        add("a payload that was swapped", format!("{head}.{}.{signature}", unsigned("", &swapped).trim_start_matches('.')));
        add("a flipped signature", format!("{signed}.{}", signature.chars().rev().collect::<String>()));
        add("a signature cut short", token[..token.len() - 4].to_owned());
        add("an empty signature", format!("{signed}."));
        add("no signature", signed.to_owned());
        add("a padded token", format!("{token}="));
        add("a token twice", format!("{token}.{signature}"));
        add("a large token", scene.issuer.token(alg, &with(&good, &json!({ "filler": "x".repeat(8192) }))));
    }
    list
}

#[test]
fn an_almost_right_token_is_refused_by_the_database_and_changes_nothing() {
    let mut scene = Scene::set(&json!({}));
    let list = forgeries(&mut scene);
    assert!(list.len() > 90, "{}", list.len());
    let before = scene.database.digests();
    let mut handle = scene.database.handle();
    for (what, token, code) in &list {
        let answer = ask(&mut handle, scene.acme.id, token);
        assert_eq!((answer.status, answer.code()), (401, *code), "{what}: {answer:?}");
        assert!(answer.context.get("actorId").is_none(), "{what}: {answer:?}");
    }
    assert_eq!(scene.database.digests(), before);
    scene.me(&scene.claims()).data(200);
}

#[test]
fn an_almost_right_token_is_refused_by_the_edge_with_the_same_word() {
    use nebula_tests::Caller;
    let mut scene = Scene::set(&json!({}));
    let list = forgeries(&mut scene);
    let edge = scene.database.serve();
    for (what, token, code) in &list {
        let answer = edge.user(token).get("/v1/me");
        assert_eq!((answer.status, answer.code().as_str()), (401, *code), "{what}: {answer:?}");
        assert!(answer.json()["error"].get("details").is_none(), "{what}: says why");
    }
    edge.user(&scene.issuer.token("HS256", &scene.claims())).get("/v1/me").data(200);
}

#[test]
fn a_signature_of_one_issuer_is_worth_nothing_under_anothers_name() {
    let mut scene = Scene::set(&json!({}));
    register(&scene.database, &json!({ "issuer": "https://second.example" }));
    for alg in ["RS256", "ES256", "EdDSA", "HS256"] {
        let token = scene.issuer.token(alg, &with(&scene.claims(), &json!({ "iss": "https://second.example" })));
        scene.ask(&token).refused(401, "INVALID_TOKEN");
    }
    // Linked by the one, known to the other by the same subject: that is somebody else.
    scene.me(&scene.claims()).data(200);
    let jwks = json!({ "keys": scene.issuer.jwks }).to_string();
    let sql = "select nebula.replace_issuer_keys('https://second.example', $1::text::json)";
    scene.database.superuser().query_typed(sql, &[(&jwks, Type::TEXT)]).unwrap();
    scene.me(&with(&scene.claims(), &json!({ "iss": "https://second.example" }))).refused(401, "INVALID_TOKEN");
}

#[track_caller]
fn refused(handle: &mut Handle, sql: &str) {
    let error = handle.client.batch_execute(sql).expect_err(sql);
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error:?}");
}

const ATTEMPTS: [&str; 5] = [
    "select secret from nebula.issuer_key",
    "select * from nebula.issuer",
    "select nebula.register_issuer('{}')",
    "select nebula.set_issuer_secret('https://id.example/auth/v1', 'super-secret-jwt-token-with-at-least-32-characters-long')",
    "select nebula.remove_issuer('https://id.example/auth/v1')",
];

#[test]
fn the_edges_login_can_neither_read_a_secret_nor_register_a_key() {
    let scene = Scene::set(&json!({}));
    let mut handle = scene.database.handle();
    for sql in ATTEMPTS {
        refused(&mut handle, sql);
    }
    refused(&mut handle, "select nebula.replace_issuer_keys('https://id.example/auth/v1', '{\"keys\":[]}')");
    refused(&mut handle, "select nebula.issuer_state()");
    refused(&mut handle, "set role nebula_keys");
    let state: String = handle.client.query_one("select nebula.edge_state()::text", &[]).unwrap().get(0);
    let issuers = serde_json::from_str::<Value>(&state).unwrap()["issuers"].take();
    let names = issuers[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names, ["algorithms", "audience", "issuer", "keys", "maxLifetimeSeconds", "tenantClaim"]);
    for secret in [SECRET, &STANDARD.encode(SECRET), "secret"] {
        assert!(!issuers.to_string().contains(secret), "{secret}: {issuers}");
    }
    // Nor what works for every tenant.
    let privileges = "select count(*) from (values ('nebula_platform'), ('nebula_edge'), ('nebula_keys'), ('nebula_worker'), ('nebula_app'), \
                      ('authenticated'), ('authenticator'), ('anon')) r (name), (values ('nebula.issuer'), ('nebula.issuer_key')) t (name) \
                      where has_any_column_privilege(r.name, t.name, 'select, insert, update') or has_table_privilege(r.name, t.name, 'delete, truncate')";
    assert_eq!(scene.database.number(privileges, &[]), 0);
}

#[test]
fn the_login_for_keys_replaces_published_keys_and_does_nothing_else() {
    let scene = Scene::set(&json!({}));
    let mut keys = Handle::new(scene.database.connect("nebula_keys"));
    let callable = scene.database.texts(
        "select p.oid::regprocedure::text from pg_proc p \
         where p.pronamespace = 'nebula'::regnamespace and has_function_privilege('nebula_keys', p.oid, 'execute') order by 1",
        &[],
    );
    assert_eq!(callable, ["nebula.issuer_state()", "nebula.replace_issuer_keys(text,json)"]);
    for sql in ATTEMPTS {
        refused(&mut keys, sql);
    }
    refused(&mut keys, "set role nebula_edge");
    refused(&mut keys, "create table public.mine ()");
    let state: String = keys.client.query_one("select nebula.issuer_state()::text", &[]).unwrap().get(0);
    assert!(state.contains("rsa-1") && !state.contains(SECRET) && !state.contains(&scene.acme.id.to_string()), "{state}");
    // Keys that were registered by hand are out of its reach, as is an issuer that is suspended.
    let replace = "select nebula.replace_issuer_keys('https://id.example/auth/v1', '{\"keys\":[]}')";
    refused(&mut keys, replace);
    register(&scene.database, &json!({ "jwksUrl": "https://id.example/jwks", "isActive": false }));
    refused(&mut keys, replace);
    register(&scene.database, &json!({ "jwksUrl": "https://id.example/jwks" }));
    keys.client.batch_execute(replace).unwrap();
    assert_eq!(scene.database.number("select count(*) from nebula.issuer_key where kid is not null", &[]), 0);
    assert_eq!(scene.database.number("select count(*) from nebula.issuer_key where secret is not null", &[]), 1, "the secret is a DBA's");
    for (jwks, complaint) in [("[]", "no JSON object"), ("{}", "no JSON object"), ("{\"keys\":[],\"keys\":[]}", "no JSON object")] {
        let error = keys.client.batch_execute(&format!("select nebula.replace_issuer_keys('{ISSUER}', '{jwks}')")).expect_err(jwks);
        let error = error.as_db_error().unwrap();
        assert!(error.code().code() == "22023" && error.message().contains(complaint) && error.detail().is_none(), "{error:?}");
    }
}

#[test]
fn registering_is_closed_and_says_what_is_wrong() {
    let database = Database::new();
    let mut superuser = database.superuser();
    let mut register = |configuration: &str| {
        let sql = "select nebula.register_issuer($1::text::json)";
        superuser.query_typed(sql, &[(&configuration, Type::TEXT)]).map(|rows| rows[0].get::<_, bool>(0))
    };
    assert!(register(&configuration(&json!({})).to_string()).unwrap());
    assert!(!register(&configuration(&json!({})).to_string()).unwrap(), "again changes nothing");
    let before = database.digests();
    for (changes, complaint) in [
        (json!({ "issuer": "nebula" }), "this installation's own"),
        (json!({ "issuer": "internal" }), "reserved"),
        (json!({ "secret": "x" }), "unknown field"),
        (json!({ "algorithms": ["none"] }), "unknown variant"),
        (json!({ "jwksUrl": "http://id.example/jwks" }), "https"),
        (json!({ "emailVerifiedClaim": "user_metadata.email_verified" }), "editable_by_the_user"),
        (json!({ "maxLifetimeSeconds": 315_360_000 }), "maxLifetimeSeconds"),
        (json!({ "tenantId": Uuid::nil() }), "either tenantClaim or tenantId"),
    ] {
        let error = register(&configuration(&changes).to_string()).expect_err(complaint);
        let error = error.as_db_error().unwrap();
        assert!(error.code().code() == "22023" && error.message().contains(complaint), "{error:?}");
    }
    for secret in ["", "short", &"x".repeat(31), &"x".repeat(1025)] {
        let error = database.superuser().query_one("select nebula.set_issuer_secret($1, $2)", &[&ISSUER, &secret]).unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains("32 to 1024"), "{error:?}");
    }
    assert_eq!(database.digests(), before);
    // A secret is set once, is never kept for an algorithm that is not used, and is not for issuers without it.
    let set =
        || database.superuser().query_one("select nebula.set_issuer_secret($1, $2)", &[&ISSUER, &SECRET]).map(|row| row.get::<_, bool>(0));
    assert_eq!((set().unwrap(), set().unwrap()), (true, false));
    assert!(register(&configuration(&json!({ "algorithms": ["RS256"] })).to_string()).unwrap());
    assert_eq!(database.number("select count(*) from nebula.issuer_key", &[]), 0);
    assert!(set().unwrap_err().as_db_error().unwrap().message().contains("HS256"));
    // What is written down names columns, no values.
    let trail = database.texts("select metadata::text from nebula.audit_log where entity_type in ('issuer', 'issuer_key')", &[]);
    assert!(trail.len() >= 3 && trail.iter().all(|metadata| !metadata.contains(SECRET) && !metadata.contains("super")), "{trail:?}");
}

#[test]
fn postgrests_claims_are_read_by_the_same_rules() {
    let scene = Scene::set(&json!({}));
    let zeta = onboard_by_sql(&scene.database, "zeta");
    let mut authenticator = scene.database.connect("authenticator");
    let claims = scene.claims();
    // Nobody yet: asking whether links nobody.
    assert!(!can(&mut as_postgrest(&mut authenticator, &claims), "me.read"));
    for changes in [json!({ "email_verified": false }), json!({ "email": "nobody@acme.example" })] {
        let mut request = as_postgrest(&mut authenticator, &with(&claims, &changes));
        call(&mut request, "me.read", &json!({})).unwrap_err().is("PT401", "UNAUTHORIZED");
    }
    {
        // Nor does what may not write.
        let mut request = as_postgrest(&mut authenticator, &claims);
        request.batch_execute("set transaction read only").unwrap();
        call(&mut request, "me.read", &json!({})).unwrap_err().is("PT401", "UNAUTHORIZED");
    }
    assert_eq!(scene.links(), Vec::<String>::new());
    {
        let mut request = as_postgrest(&mut authenticator, &claims);
        assert_eq!(id(&call(&mut request, "me.read", &json!({})).unwrap()["data"]["actor"]), scene.bia);
        assert!(can(&mut request, "me.read"));
        request.commit().unwrap();
    }
    assert_eq!(scene.links(), [format!("{EMAIL} {ISSUER} bia-1")]);
    assert!(can(&mut as_postgrest(&mut authenticator, &claims), "me.read"));
    for changes in [
        json!({ "iss": "https://other.example" }),
        json!({ "iss": "internal" }),
        json!({ "aud": "anon" }),
        json!({ "aud": null }),
        json!({ "sub": "bia-2" }),
        json!({ "sub": "bia-2", "email": scene.acme.admin_email, "email_verified": false }),
        json!({ "app_metadata": { "tenantId": zeta.id } }),
        json!({ "app_metadata": null, "tenantId": scene.acme.id }),
    ] {
        let mut request = as_postgrest(&mut authenticator, &with(&claims, &changes));
        assert!(!can(&mut request, "me.read"), "{changes}");
        call(&mut request, "me.read", &json!({})).expect_err(&changes.to_string()).is("PT401", "UNAUTHORIZED");
    }
    // In the session of any other login it is a setting like any other.
    let mut superuser = scene.database.superuser();
    superuser.execute("select set_config('request.jwt.claims', $1, false)", &[&claims.to_string()]).unwrap();
    assert!(!can(&mut superuser, "me.read"));
    register(&scene.database, &json!({ "isActive": false }));
    assert!(!can(&mut as_postgrest(&mut authenticator, &claims), "me.read"));
}

#[test]
fn an_operator_of_the_platform_is_linked_like_everybody() {
    let mut scene = Scene::set(&json!({}));
    let platform = tenant_of(&scene.database.installation.operator_key);
    scene
        .database
        .execute(&format!("insert into nebula.user (tenant_id, email, name) values ('{platform}', 'ops@platform.example', 'Ops')"));
    let token = scene.issuer.token(
        "ES256",
        &with(&scene.claims(), &json!({ "sub": "ops", "email": "ops@platform.example", "app_metadata": { "tenantId": platform } })),
    );
    let mut handle = scene.database.handle();
    assert_eq!(id(&ask(&mut handle, platform, &token).data(200)["tenant"]), platform);
    // Without a group there they may no more than anybody.
    handle.call(platform, &token, "tenants.list", &json!({})).refused(403, "FORBIDDEN_ACTION");
}

#[test]
fn keys_of_every_type_come_and_go_by_their_names() {
    let mut scene = Scene::set(&json!({ "algorithms": ["RS256", "ES256"] }));
    let kids =
        |scene: &Scene| scene.database.texts("select kid || ' ' || alg from nebula.issuer_key where kid is not null order by kid", &[]);
    assert_eq!(kids(&scene), ["ec-1 ES256", "rsa-1 RS256"], "of algorithms that are configured");
    let nameless = with(&scene.issuer.jwks[1], &json!({ "kid": null, "alg": null, "use": null }));
    assert_eq!(replace_keys(&scene.database, &[nameless]), 3);
    assert_eq!(kids(&scene).len(), 1);
    // By its thumbprint, or without a name where it is the only one.
    let token = scene.issuer.jose.sign("ec-1", &json!({ "alg": "ES256" }), &scene.claims());
    scene.ask(&token).data(200);
    let (second, _) = scene.issuer.jose.generate("ES256", "ec-2");
    assert_eq!(replace_keys(&scene.database, &[scene.issuer.jwks[1].clone(), second]), 3);
    scene.ask(&token).refused(401, "INVALID_TOKEN");
    // The same name with another key.
    let (other, _) = scene.issuer.jose.generate("ES256", "other");
    assert_eq!(replace_keys(&scene.database, &[with(&other, &json!({ "kid": "ec-1" }))]), 2);
    scene.me(&scene.claims()).refused(401, "INVALID_TOKEN");
    let (_, kid) = ALGORITHMS[1];
    let token = scene.issuer.jose.sign("other", &json!({ "alg": "ES256", "kid": kid }), &scene.claims());
    scene.ask(&token).data(200);
    assert_eq!(claims_of(&token)["sub"], "bia-1");
}
