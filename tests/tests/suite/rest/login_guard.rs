//! Who guesses passwords is slowed down, and learns nothing by it.

use nebula_tests::{
    Answer, Caller, Database, Edge, Handle, Tenant,
    handle::request,
    onboard, onboard_by_sql, parallel,
    story::{PASSWORD, log_in, proof},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

const WRONG: &str = "not the password";
/// A key that no password of these tests derives to.
const WRONG_KEY: &str = "d3Jvbmcga2V5IG9mIDMyIGJ5dGVzLCBzaG9ydCBvZiA=";

fn guess(edge: &Edge, slug: &str, email: &str, password: &str) -> Answer {
    let request = edge.anonymous().request("POST", "/v1/auth/login").header("X-Request-Id", "one-and-the-same");
    request.json(&json!({ "tenant": slug, "email": email, "password": password })).send()
}

/// A login as the edge would pass it on.
fn attempt(handle: &mut Handle, tenant: Uuid, slug: &str, email: &str, ip: &str, key: &Value) -> nebula_tests::Handled {
    let mut request = request("auth.login", None, &json!({ "tenant": slug, "email": email, "password": { "key": key } }));
    request["ip"] = json!(ip);
    handle.send(tenant, &request)
}

/// Lets every wait end, and nothing else.
fn let_the_waits_end(database: &Database) {
    database.execute("update nebula.login_failure set blocked_until = now() - interval '1 second' where blocked_until is not null");
}

fn failures(database: &Database) -> Vec<i64> {
    let rows = database.superuser().query("select failures::bigint from nebula.login_failure order by 1", &[]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What an answer tells that is not of this one moment.
fn told(answer: &Answer) -> (u16, String, BTreeSet<String>) {
    let names = answer.headers.keys().map(|name| name.as_str().to_owned()).collect();
    (answer.status, answer.text.clone(), names)
}

#[test]
fn the_wait_grows_from_a_second_to_five_minutes_and_ends_by_the_clock() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let waits = "select coalesce(round(extract(epoch from blocked_until - last_failed_at)), 0)::bigint from nebula.login_failure order by failures desc limit 1";
    let mut seen = Vec::new();
    for number in 1..=16 {
        // From another address each time: this is about the account.
        let refused = attempt(&mut handle, acme.id, "acme", &acme.admin_email, &format!("198.51.100.{number}"), &json!(WRONG_KEY));
        refused.refused(401, "INVALID_CREDENTIALS");
        seen.push(database.number(waits, &[]));
        let_the_waits_end(&database);
    }
    assert_eq!(seen, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    // An hour without one starts anew.
    database.execute("update nebula.login_failure set last_failed_at = now() - interval '61 minutes'");
    attempt(&mut handle, acme.id, "acme", &acme.admin_email, "198.51.100.99", &json!(WRONG_KEY)).refused(401, "INVALID_CREDENTIALS");
    assert_eq!(database.number("select max(failures)::bigint from nebula.login_failure", &[]), 1);
    assert_eq!(database.number("select count(*) from nebula.login_failure where blocked_until > now()", &[]), 0);
}

#[test]
fn while_it_waits_not_even_the_right_password_is_looked_at_and_the_edge_derives_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for _ in 0..5 {
        guess(&edge, "acme", &acme.admin_email, WRONG).refused(401, "INVALID_CREDENTIALS");
    }
    database.execute("update nebula.login_failure set blocked_until = now() + interval '100 seconds' where blocked_until is not null");
    let blocked = |email: &str, password: &str| {
        let answer = guess(&edge, "acme", email, password);
        assert_eq!(answer.refused(429, "RATE_LIMITED"), json!({ "policy": "login-failures" }));
        let seconds = answer.header("retry-after").unwrap().parse::<u32>().unwrap();
        assert!((80..=100).contains(&seconds), "{seconds}");
        answer
    };
    // Right or wrong, in whatever letters: the same words.
    let right = blocked(&acme.admin_email, PASSWORD);
    for (email, password) in [
        (acme.admin_email.as_str(), WRONG),
        ("ADMIN@acme.example", PASSWORD),
        (" admin@acme.example ", PASSWORD),
        ("admin@ACME.example", WRONG),
    ] {
        assert_eq!(told(&blocked(email, password)), told(&right));
    }
    assert_eq!(failures(&database), [5, 5], "who waits is not counted");
    // The challenge says no before there is a salt to derive with, and the database itself looks at no proof.
    let challenge: Value = database
        .connect("nebula_edge")
        .query_one("select nebula.login_challenge('acme', $1, '127.0.0.1')::text", &[&acme.admin_email])
        .map(|row| serde_json::from_str(row.get(0)).unwrap())
        .unwrap();
    assert_eq!(challenge.as_object().unwrap().keys().collect::<Vec<_>>(), ["refused"]);
    let forced = attempt(&mut database.handle(), acme.id, "acme", &acme.admin_email, "203.0.113.77", &proof()["key"]);
    assert_eq!(forced.refused(429, "RATE_LIMITED"), json!({ "policy": "login-failures" }));
    assert!(forced.context["retryAfterSeconds"].as_i64().unwrap() > 80);
    assert_eq!(database.number("select count(*) from nebula.session where tenant_id = $1", &[&acme.id]), 1, "that of the onboarding");
    // The session that is there goes on; another account, too.
    acme.admin.get("/v1/me").data(200);
    guess(&edge, "acme", "other@acme.example", WRONG).refused(401, "INVALID_CREDENTIALS");
    let_the_waits_end(&database);
    log_in(&edge, "acme", &acme.admin_email).0.get("/v1/me").data(200);
}

#[test]
fn the_unknown_are_made_to_wait_like_the_known() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    acme.person("bia");
    let suspended = acme.person("sam");
    acme.admin.patch(&format!("/v1/users/{suspended}/status"), &json!({ "status": "suspenso" })).data(200);
    let mut stories = BTreeSet::new();
    for (slug, email) in [
        ("acme", "admin@acme.example"),
        ("acme", "nobody@acme.example"),
        ("acme", "bia@acme.example"),
        ("acme", "sam@acme.example"),
        ("nowhere", "admin@acme.example"),
    ] {
        // One address for each, so that its count is the account's.
        database.execute("delete from nebula.login_failure");
        let mut story = Vec::new();
        for _ in 0..5 {
            story.push(told(&guess(&edge, slug, email, WRONG)));
        }
        assert_eq!(failures(&database), [5, 5], "{slug} {email}");
        database.execute("update nebula.login_failure set blocked_until = now() + interval '60 seconds' where blocked_until is not null");
        let blocked = guess(&edge, slug, email, WRONG);
        blocked.refused(429, "RATE_LIMITED");
        story.push(told(&blocked));
        stories.insert(story);
    }
    assert_eq!(stories.len(), 1, "{stories:#?}");
}

#[test]
fn of_64_guesses_at_once_five_are_looked_at() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    for (email, key) in [(acme.admin_email.clone(), WRONG_KEY), ("nobody@acme.example".to_owned(), WRONG_KEY)] {
        let answers = parallel(64, 16, |number| {
            attempt(&mut database.handle(), acme.id, "acme", &email, &format!("192.0.2.{number}"), &json!(key)).status
        });
        let looked_at = answers.iter().filter(|status| **status == 401).count();
        let counted = database.number("select max(failures)::bigint from nebula.login_failure", &[]);
        assert_eq!(usize::try_from(counted).unwrap(), looked_at, "each that was looked at is counted");
        // A second may pass and let a sixth in; never two at a time.
        assert!((5..=7).contains(&looked_at), "{email}: {looked_at} of 64");
        assert_eq!(answers.iter().filter(|status| **status == 429).count(), 64 - looked_at);
        database.execute("delete from nebula.login_failure");
    }
}

#[test]
fn the_right_password_clears_the_account_and_not_the_address() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let zeta = onboard_by_sql(&database, "zeta");
    let mut handle = database.handle();
    let home = "198.51.100.50";
    let mut try_at =
        |tenant: &Tenant<String>, email: &str, ip: &str, key: &Value| attempt(&mut handle, tenant.id, &tenant.slug, email, ip, key).status;
    let (wrong, right) = (json!(WRONG_KEY), proof()["key"].clone());
    for _ in 0..4 {
        assert_eq!(try_at(&acme, &acme.admin_email, home, &wrong), 401);
    }
    assert_eq!(try_at(&acme, &acme.admin_email, home, &right), 200);
    assert_eq!(failures(&database), [4], "the address keeps its count");
    // Between guesses at others, a good account of one's own buys nothing: the twentieth wrong one from there is the last free.
    for number in 5..=20 {
        assert_eq!(try_at(&acme, &format!("victim{number}@acme.example"), home, &wrong), 401, "{number}");
        if number < 20 {
            assert_eq!(try_at(&zeta, &zeta.admin_email, home, &right), 200, "{number}");
        }
    }
    database.execute("update nebula.login_failure set blocked_until = now() + interval '60 seconds' where blocked_until is not null");
    for (tenant, email) in [(&acme, "fresh@acme.example"), (&zeta, zeta.admin_email.as_str()), (&acme, acme.admin_email.as_str())] {
        assert_eq!(try_at(tenant, email, home, &right), 429, "{email}");
    }
    // From elsewhere they all get in.
    assert_eq!(try_at(&acme, &acme.admin_email, "198.51.100.51", &right), 200);
    assert_eq!(try_at(&zeta, &zeta.admin_email, "2001:db8::1", &right), 200);
}

#[test]
fn wrong_guesses_at_ones_own_password_count_as_at_a_login() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let change =
        |current: &str| acme.admin.put("/v1/me/password", &json!({ "currentPassword": current, "newPassword": "another good password" }));
    for _ in 0..3 {
        change(WRONG).refused(401, "INVALID_CREDENTIALS");
    }
    for _ in 0..2 {
        guess(&edge, "acme", &acme.admin_email, WRONG).refused(401, "INVALID_CREDENTIALS");
    }
    database.execute("update nebula.login_failure set blocked_until = now() + interval '60 seconds' where blocked_until is not null");
    assert_eq!(change(PASSWORD).refused(429, "RATE_LIMITED"), json!({ "policy": "login-failures" }));
    guess(&edge, "acme", &acme.admin_email, PASSWORD).refused(429, "RATE_LIMITED");
    assert_eq!(failures(&database), [5, 5]);
    // Nothing was changed by the right one that was not looked at; what is no password at all is no guess.
    let_the_waits_end(&database);
    acme.admin.put("/v1/me/password", &json!({ "currentPassword": WRONG, "newPassword": "short" })).invalid("newPassword", "too_short");
    acme.admin.put("/v1/me/password", &json!({ "newPassword": "long enough" })).invalid("currentPassword", "required");
    assert_eq!(failures(&database), [5, 5]);
    change(PASSWORD).empty();
    assert_eq!(failures(&database), [5], "the account is cleared, the address is not");
    guess(&edge, "acme", &acme.admin_email, PASSWORD).refused(401, "INVALID_CREDENTIALS");
    guess(&edge, "acme", &acme.admin_email, "another good password").data(200);
}

#[test]
fn a_guess_that_is_rolled_back_by_the_edges_own_login_leaves_the_limit_of_requests() {
    // A stolen login of the edge can take the guard's count back with its transaction, but not the counter in memory.
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let mut looked_at = 0;
    for _ in 0..80 {
        handle.client.batch_execute("begin").unwrap();
        let status = attempt(&mut handle, acme.id, "acme", &acme.admin_email, "198.51.100.1", &json!(WRONG_KEY)).status;
        handle.client.batch_execute("rollback").unwrap();
        looked_at += i32::from(status == 401);
    }
    // The onboarding logged in once.
    assert_eq!(looked_at, 29);
}
