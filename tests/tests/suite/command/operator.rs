//! Who is on call: tenants, people and keys by an operator's key, with the rules and the audit of the REST API.

use super::{bare, ends_with, err, json, operate, out};
use nebula_tests::{Caller, Database, onboard, onboard_by_sql, story::log_in};
use serde_json::{Value, json};

#[track_caller]
fn does(database: &Database, arguments: &[&str]) -> Value {
    json(&operate(database, &[arguments, &["--json"]].concat()))["data"].clone()
}

#[test]
fn a_tenant_is_created_found_suspended_and_let_in_again() {
    let database = Database::new();
    let edge = database.serve();
    let made = does(
        &database,
        &["tenant", "create", "norte", "Norte", "--package", "base", "--admin-email", "ana@norte.example", "--admin-name", "Ana"],
    );
    assert!(made["invite"]["token"].as_str().unwrap().starts_with("nbi_"));
    let id = made["tenant"]["id"].as_str().unwrap();
    let slugs = does(&database, &["tenant", "list", "--search", "nor"]);
    assert_eq!(slugs.as_array().unwrap().iter().map(|tenant| &tenant["slug"]).collect::<Vec<_>>(), ["norte"]);
    for name in [id, "norte", "NORTE"] {
        let shown = does(&database, &["tenant", "show", name]);
        assert_eq!(
            (&shown["id"], &shown["users"], &shown["apiKeys"], &shown["profile"]),
            (&json!(id), &json!(1), &json!(0), &json!("mvp"))
        );
    }
    let key = database.installation.operator_key.clone();
    let guest = |path: &str| edge.key(&key).request("GET", path).header("X-Tenant-Id", id).send();
    guest("/v1/users").data(200);
    let suspended = does(&database, &["tenant", "suspend", "norte", "--reason", "não pagou"]);
    assert_eq!((&suspended["status"], &suspended["suspendedReason"]), (&json!("suspenso"), &json!("não pagou")));
    guest("/v1/users").refused(403, "TENANT_SUSPENDED");
    let refused = operate(&database, &["user", "list", "norte", "--json"]);
    ends_with(&refused, 4);
    assert!(err(&refused).contains("TENANT_SUSPENDED") && err(&refused).contains("nebula tenant reactivate"), "{}", err(&refused));
    assert_eq!(does(&database, &["tenant", "reactivate", "norte"])["status"], "ativo");
    guest("/v1/users").data(200);
    assert_eq!(does(&database, &["tenant", "assign", "norte", "pro", "--expires-at", "2099-01-01T00:00:00Z"])["packageKey"], "pro");
    assert_eq!(does(&database, &["tenant", "unassign", "norte", "pro"])["status"], "unassigned");
    let again = operate(
        &database,
        &["tenant", "create", "norte", "Norte", "--package", "base", "--admin-email", "a@n.example", "--admin-name", "A", "--json"],
    );
    ends_with(&again, 4);
    assert!(err(&again).contains("DUPLICATE_RESOURCE"), "{}", err(&again));
}

#[test]
fn a_persons_sessions_are_seen_and_ended_and_both_audit_logs_tell() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (bia, bia_id, _) = acme.member(&edge, "bia", &[]);
    let (who, address) = (["acme", "bia@acme.example"], "bia@acme.example");
    assert_eq!(does(&database, &["user", "show", who[0], who[1]])["id"], bia_id.to_string());
    let listed = operate(&database, &["user", "list", "acme", "--search", "bia"]);
    assert!(out(&listed).starts_with("email ") && out(&listed).contains(address), "{}", out(&listed));
    assert_eq!(does(&database, &["user", "sessions", who[0], who[1]]).as_array().unwrap().len(), 1);
    ends_with(&operate(&database, &["user", "end-sessions", who[0], who[1]]), 0);
    bia.get("/v1/me").refused(401, "INVALID_TOKEN");
    assert_eq!(does(&database, &["user", "sessions", who[0], who[1]]), json!([]));

    let (bia, _) = log_in(&edge, "acme", address);
    assert_eq!(does(&database, &["user", "suspend", who[0], who[1], "--reason", "roubo"])["status"], "suspenso");
    bia.get("/v1/me").refused(403, "USER_SUSPENDED");
    assert_eq!(does(&database, &["user", "reactivate", who[0], who[1]])["status"], "ativo");
    let (bia, _) = log_in(&edge, "acme", address);
    bia.get("/v1/me").data(200);

    let dora = does(&database, &["user", "create", "acme", "dora@acme.example", "Dora"]);
    let invite = does(&database, &["user", "invite", "acme", dora["id"].as_str().unwrap()]);
    assert!(invite["token"].as_str().unwrap().starts_with("nbi_"));
    ends_with(&operate(&database, &["user", "suspend", "acme", &acme.admin_email]), 4);

    // Who it was: the operator's key, in the log of either tenant.
    let key = database.text("select id::text from nebula.api_key where name = 'harness'", &[]);
    for action in ["users.sessions.revoke", "users.status", "users.create", "users.invite"] {
        let tenants = database.texts(
            "select distinct t.slug from nebula.audit_log l join nebula.tenant t on t.id = l.tenant_id \
             where l.action = $1 and l.actor_api_key_id = $2::text::uuid order by 1",
            &[&action, &key],
        );
        assert_eq!(tenants, ["acme", "platform"], "{action}");
    }
    let client = "select count(*)::text from nebula.audit_log where user_agent like 'nebula-cli/%'";
    assert_ne!(database.text(client, &[]), "0");
}

#[test]
fn keys_are_made_revoked_reinstated_and_rotated_by_name() {
    let database = Database::new();
    let edge = database.serve();
    let _ = onboard(&edge, "acme");
    let made = does(&database, &["key", "api", "create", "acme", "loja", "--profile", "read-only"]);
    let secret = made["secret"].as_str().unwrap().to_owned();
    edge.key(&secret).get("/v1/users").data(200);
    assert_eq!(does(&database, &["key", "api", "list", "acme"])[0]["name"], "loja");
    assert_eq!(does(&database, &["key", "api", "revoke", "acme", "loja", "--reason", "vazou"])["status"], "suspenso");
    edge.key(&secret).get("/v1/users").refused(401, "INVALID_TOKEN");
    assert_eq!(does(&database, &["key", "api", "reinstate", "acme", "loja"])["status"], "ativo");
    edge.key(&secret).get("/v1/users").data(200);
    let rotated = does(&database, &["key", "api", "rotate", "acme", "loja"]);
    edge.key(&secret).get("/v1/users").refused(401, "INVALID_TOKEN");
    edge.key(rotated["secret"].as_str().unwrap()).get("/v1/users").data(200);
    ends_with(&operate(&database, &["key", "api", "revoke", "acme", "outra"]), 4);
    ends_with(&operate(&database, &["key", "api", "create", "acme", "nada"]), 2);
}

#[test]
fn an_operators_key_is_issued_by_the_administrator_and_revoked_by_another_operator() {
    let database = Database::new();
    let issued = database.nebula(&["key", "operator", "issue", "--name", "ana"], &[]);
    ends_with(&issued, 0);
    let key = out(&issued).trim().to_owned();
    let url = database.url("nebula_edge");
    let ana = |arguments: &[&str]| bare(arguments, &[("NEBULA_DATABASE_URL", &url), ("NEBULA_OPERATOR_KEY", &key)]);
    ends_with(&ana(&["tenant", "list"]), 0);
    ends_with(&database.nebula(&["key", "operator", "issue", "--name", "ana"], &[]), 4);
    let names = does(&database, &["key", "operator", "list"]);
    assert!(names.as_array().unwrap().iter().any(|key| key["name"] == "ana") && !names.to_string().contains(&key));
    assert_eq!(does(&database, &["key", "operator", "revoke", "ana", "--reason", "saiu"])["status"], "suspenso");
    let refused = ana(&["tenant", "list", "--json"]);
    ends_with(&refused, 4);
    assert!(
        err(&refused).contains("INVALID_TOKEN") && err(&refused).contains("key operator issue") && !err(&refused).contains(&key),
        "{}",
        err(&refused)
    );
}

#[test]
fn a_key_that_may_not_is_refused_and_nothing_is_done() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let of_acme = acme.admin.post("/v1/api-keys", &json!({ "name": "admin", "profile": "admin" })).data(201);
    let reader = does(&database, &["key", "api", "create", "platform", "leitor", "--profile", "read-only"]);
    let reader = reader["secret"].as_str().unwrap();
    let url = database.url("nebula_edge");
    let with = |key: &str, arguments: &[&str]| bare(arguments, &[("NEBULA_DATABASE_URL", &url), ("NEBULA_OPERATOR_KEY", key)]);
    for (key, arguments) in [
        (of_acme["secret"].as_str().unwrap(), &["tenant", "list"][..]),
        (reader, &["tenant", "suspend", "acme"]),
        (reader, &["user", "suspend", "acme", "admin@acme.example"]),
        ("nbk_short", &["tenant", "list"]),
        (&database.installation.operator_key.replace("nbk_0", "nbk_1"), &["tenant", "list"]),
    ] {
        let refused = with(key, arguments);
        ends_with(&refused, 4);
        assert!(!err(&refused).contains(key), "{}", err(&refused));
    }
    acme.admin.get("/v1/me").data(200);
    let nobody = bare(&["tenant", "list"], &[("NEBULA_DATABASE_URL", &url)]);
    ends_with(&nobody, 2);
    assert!(err(&nobody).contains("NEBULA_OPERATOR_KEY is not set") && err(&nobody).contains("key operator issue"), "{}", err(&nobody));
}

#[test]
fn a_long_list_is_read_page_by_page() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    database.execute(&format!(
        "insert into nebula.user (tenant_id, email, name) select '{acme}', 'p' || n || '@acme.example', 'P' from generate_series(1, 450) n",
        acme = acme.id
    ));
    assert_eq!(does(&database, &["user", "list", "acme", "--limit", "1000"]).as_array().unwrap().len(), 451);
    let some = json(&operate(&database, &["user", "list", "acme", "--limit", "250", "--json"]));
    assert_eq!((some["data"].as_array().unwrap().len(), &some["meta"]["hasMore"]), (250, &json!(true)));
}
