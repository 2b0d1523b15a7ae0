//! Where a person is logged in, seen and ended by who looks after them.

use nebula_tests::{Caller, Database, onboard, story::log_in};
use serde_json::json;
use uuid::Uuid;

#[test]
fn an_administrator_sees_where_a_person_is_logged_in_and_ends_it_at_once() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (bia, bia_id, _) = acme.member(&edge, "bia", &[]);
    let (elsewhere, _) = log_in(&edge, "acme", "bia@acme.example");
    let sessions = acme.admin.get(&format!("/v1/users/{bia_id}/sessions?limit=1"));
    assert!(sessions.json()["meta"]["hasMore"].as_bool().unwrap());
    let session = sessions.data(200)[0].clone();
    assert!(session["createdAt"].is_string() && session["ip"] == "127.0.0.1", "{session}");

    acme.admin.delete(&format!("/v1/users/{bia_id}/sessions")).empty();
    bia.get("/v1/me").refused(401, "INVALID_TOKEN");
    elsewhere.get("/v1/me").refused(401, "INVALID_TOKEN");
    acme.admin.get("/v1/me").data(200);
    assert_eq!(acme.admin.get(&format!("/v1/users/{bia_id}/sessions")).data(200), json!([]));
    let (again, _) = log_in(&edge, "acme", "bia@acme.example");
    again.get("/v1/me").data(200);

    let logs = acme.admin.get("/v1/audit-logs?action=users.sessions.revoke").data(200);
    let told = logs.as_array().unwrap().iter().find(|log| log["metadata"]["outcome"] == "sessions_revoked").unwrap().clone();
    assert_eq!((&told["entityId"], &told["metadata"]["count"]), (&json!(bia_id), &json!(2)));
}

#[test]
fn nobody_sees_or_ends_sessions_without_the_permission_or_in_another_tenant() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let (reader, ..) = acme.member(&edge, "leitora", &["users.list", "users.read", "users.status"]);
    for id in [acme.admin_id, zeta.admin_id, Uuid::now_v7()] {
        let path = format!("/v1/users/{id}/sessions");
        reader.get(&path).forbidden("users.sessions.list", "granted");
        reader.delete(&path).forbidden("users.sessions.revoke", "granted");
        if id != acme.admin_id {
            acme.admin.get(&path).refused(404, "NOT_FOUND");
            acme.admin.delete(&path).refused(404, "NOT_FOUND");
        }
    }
    zeta.admin.get("/v1/me").data(200);
}
