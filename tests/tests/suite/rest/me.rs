//! The caller about themselves.

use nebula_tests::{
    Caller, Database, User,
    http::id,
    onboard,
    story::{accept, log_in},
};
use serde_json::json;

#[test]
fn a_person_without_any_grant_sees_themselves_and_nothing_else() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (bia, bia_id, _) = acme.member(&edge, "bia", &[]);
    let me = bia.get("/v1/me").data(200);
    assert_eq!(
        (&me["actor"]["id"], &me["actor"]["email"], &me["actor"]["type"]),
        (&json!(bia_id), &json!("bia@acme.example"), &json!("user"))
    );
    assert_eq!(bia.patch("/v1/me", &json!({ "name": "Beatriz" })).data(200)["name"], "Beatriz");
    bia.patch("/v1/me", &json!({ "email": "x@acme.example" })).refused(400, "VALIDATION_ERROR");
    bia.get("/v1/users").forbidden("users.list", "granted");
    bia.get(&format!("/v1/users/{bia_id}")).forbidden("users.read", "granted");
}

#[test]
fn sessions_are_listed_and_the_others_ended() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (second, _) = log_in(&edge, "acme", &acme.admin_email);
    assert_eq!(acme.admin.get("/v1/me/sessions").data(200).as_array().unwrap().len(), 2);
    acme.admin.delete("/v1/me/sessions").empty();
    second.get("/v1/me").refused(401, "INVALID_TOKEN");
    assert_eq!(acme.admin.get("/v1/me/sessions").data(200).as_array().unwrap().len(), 1);
}

#[test]
fn a_key_has_neither_name_nor_sessions_to_change() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    key.patch("/v1/me", &json!({ "name": "X" })).forbidden("me.update", "users_only");
    key.get("/v1/me/sessions").forbidden("me.sessions.list", "users_only");
    key.delete("/v1/me/sessions").forbidden("me.sessions.revoke", "users_only");
}

#[test]
fn what_is_about_oneself_is_among_ones_actions_also_without_a_group() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let bia = acme.person("bia");
    let invite = acme.admin.post(&format!("/v1/users/{bia}/invite"), &json!({})).data(201);
    let (bia, _) = accept(&edge, "acme", "bia@acme.example", invite["token"].as_str().unwrap());
    let me = bia.get("/v1/me").data(200);
    assert_eq!(me["groups"], json!([]));
    let about_oneself = database
        .texts("select r ->> 'operation' from json_array_elements(nebula.routes()) r where r ->> 'operation' like 'me.%' order by 1", &[]);
    assert!(about_oneself.contains(&"me.read".to_owned()) && about_oneself.contains(&"me.sessions.revoke".to_owned()));
    assert_eq!(me["actions"], json!(about_oneself));
}

#[test]
fn who_has_the_same_rights_is_told_the_same_and_of_nobody_else() {
    let database = Database::new();
    // One backend, which keeps what it has told.
    let edge = database.serve_with(&[("NEBULA_POOL_SIZE", "1")]);
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let (bia, ..) = acme.member(&edge, "clerk", &["users.list", "groups.list"]);
    let (zoe, ..) = zeta.member(&edge, "clerk", &["users.list", "groups.list"]);
    database.execute("update nebula.\"group\" set name = 'Clerks' where name like 'group of %'");
    let told = |user: &User| user.get("/v1/me").data(200);
    for _ in 0..2 {
        let (of_bia, of_zoe) = (told(&bia), told(&zoe));
        assert_eq!((&of_bia["tenant"]["slug"], &of_zoe["tenant"]["slug"]), (&json!("acme"), &json!("zeta")));
        assert_eq!((&of_bia["actor"]["email"], &of_zoe["actor"]["email"]), (&json!("clerk@acme.example"), &json!("clerk@zeta.example")));
        assert_eq!((&of_bia["actions"], &of_bia["groups"]), (&of_zoe["actions"], &of_zoe["groups"]));
        assert_ne!(of_bia["actions"], told(&acme.admin)["actions"]);
    }
    // The platform's own are nobody else's, whatever their group grants.
    let own = edge.operator().get("/v1/me").data(200);
    assert!(own["actions"].as_array().unwrap().contains(&json!("tenants.create")));
    assert!(!told(&acme.admin)["actions"].as_array().unwrap().contains(&json!("tenants.create")));
    // A change in one tenant is seen there at once, and nowhere else.
    let before = told(&zoe);
    let taken = "delete from nebula.group_permission where tenant_id = $1 and tool_action_id = (select id from nebula.tool_action where key = 'groups.list') \
                 and group_id in (select group_id from nebula.user_group where tenant_id = $1 and user_id = $2)";
    let bia_id = id(&told(&bia)["actor"]);
    assert_eq!(database.superuser().execute(taken, &[&acme.id, &bia_id]).unwrap(), 1);
    assert!(!told(&bia)["actions"].as_array().unwrap().contains(&json!("groups.list")));
    assert_eq!(told(&zoe), before);
}
