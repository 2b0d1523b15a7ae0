//! A tenant's switches, and what the platform set for it.

use nebula_tests::{Caller, Database, onboard};
use serde_json::{Map, Value, json};

#[test]
fn flags_are_the_tenants_and_are_set_all_at_once() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let nothing = json!({ "flags": {}, "limits": {}, "profile": "mvp", "updatedAt": null });
    assert_eq!(acme.admin.get("/v1/config").data(200), nothing);
    let set = acme.admin.put("/v1/config", &json!({ "flags": { "beta": true, "new.menu": false } })).data(200);
    assert_eq!((&set["flags"], &set["profile"], &set["limits"]), (&json!({ "beta": true, "new.menu": false }), &json!("mvp"), &json!({})));
    assert_eq!(acme.admin.get("/v1/config").data(200), set);
    assert_eq!(acme.admin.put("/v1/config", &json!({ "flags": { "other": true } })).data(200)["flags"], json!({ "other": true }));
    assert_eq!(zeta.admin.get("/v1/config").data(200), nothing);
    assert_eq!(database.number("select count(*) from nebula.outbox where type = 'config.changed' and tenant_id = $1", &[&acme.id]), 2);
    let changed = "select count(*) from nebula.audit_log where entity_type = 'tenant_config' and tenant_id = $1 and metadata -> 'changed' = '[\"flags\"]'";
    assert_eq!(database.number(changed, &[&acme.id]), 1);
    assert!(!database.texts("select metadata::text from nebula.audit_log", &[]).join("").contains("new.menu"));
}

#[test]
fn the_profile_is_the_platforms_to_set() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (key, _) = acme.key(&edge, &json!({ "name": "k", "profile": "admin" }));
    for profile in ["standard", "enterprise"] {
        acme.admin.put("/v1/config", &json!({ "flags": {}, "profile": profile })).forbidden("config.update", "platform_only");
        key.put("/v1/config", &json!({ "flags": {}, "profile": profile })).forbidden("config.update", "platform_only");
        let acting = edge.operator().request("PUT", "/v1/config").header("x-tenant-id", acme.id.to_string());
        assert_eq!(acting.json(&json!({ "flags": {}, "profile": profile })).send().data(200)["profile"], profile);
        // Repeating what is there is no change, leaving it out neither.
        acme.admin.put("/v1/config", &json!({ "flags": {}, "profile": profile })).data(200);
        assert_eq!(acme.admin.put("/v1/config", &json!({ "flags": { "beta": true } })).data(200)["profile"], profile);
        // Nor does the tenant go back by itself.
        acme.admin.put("/v1/config", &json!({ "flags": {}, "profile": "mvp" })).forbidden("config.update", "platform_only");
    }
}

#[test]
fn what_is_no_configuration_is_refused_and_changes_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (viewer, ..) = acme.member(&edge, "viewer", &["config.read"]);
    let before = database.digests();
    let many = (0..101).map(|number| (format!("flag-{number}"), json!(true))).collect::<Map<_, _>>();
    for (body, field, rule) in [
        (json!({}), "flags", "required"),
        (json!({ "flags": null }), "flags", "type"),
        (json!({ "flags": [] }), "flags", "type"),
        (json!({ "flags": { "beta": "true" } }), "flags.beta", "type"),
        (json!({ "flags": { "beta": null } }), "flags.beta", "type"),
        (json!({ "flags": { "beta": 1 } }), "flags.beta", "type"),
        (json!({ "flags": many }), "flags", "too_long"),
        (json!({ "flags": {}, "profile": "gold" }), "profile", "enum"),
        (json!({ "flags": {}, "profile": "MVP" }), "profile", "enum"),
        (json!({ "flags": {}, "status": "ativo" }), "status", "unknown"),
        (json!({ "flags": {}, "tenantId": acme.id }), "tenantId", "unknown"),
    ] {
        acme.admin.put("/v1/config", &body).invalid(field, rule);
    }
    for name in ["", "B", "Beta", "1st", "a b", "é", "beta.", ".beta", "x\u{0}y", &"x".repeat(101)] {
        let details = acme.admin.put("/v1/config", &json!({ "flags": { name: true } })).refused(400, "VALIDATION_ERROR");
        assert!(details[0]["field"].as_str().unwrap().starts_with("flags") || details[0]["field"] == "body", "{name}: {details}");
    }
    assert_eq!(database.digests(), before);
    viewer.get("/v1/config").data(200);
    viewer.put("/v1/config", &json!({ "flags": {} })).forbidden("config.update", "granted");
    // A hundred fit.
    let hundred = (0..100).map(|number: usize| (format!("flag-{number}"), json!(number.is_multiple_of(2)))).collect::<Map<_, _>>();
    assert_eq!(acme.admin.put("/v1/config", &json!({ "flags": hundred })).data(200)["flags"], Value::Object(hundred));
}
