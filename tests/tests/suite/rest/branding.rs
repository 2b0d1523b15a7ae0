//! How a tenant's tools look.

use nebula_tests::{Caller, Database, onboard};
use serde_json::{Value, json};

fn events(database: &Database) -> Vec<String> {
    database.texts("select payload ->> 'data' from nebula.outbox where type = 'branding.changed' order by created_at, id", &[])
}

#[test]
fn it_is_all_null_until_it_is_set_and_setting_replaces_all_of_it() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let nothing = json!({ "logoUrl": null, "primaryColor": null, "secondaryColor": null, "domain": null, "updatedAt": null });
    assert_eq!(acme.admin.get("/v1/branding").data(200), nothing);
    let all = json!({ "logoUrl": "https://cdn.acme.com/logo.svg?v=1", "primaryColor": "#A1b2C3", "secondaryColor": "#000000", "domain": "app.acme.com.br" });
    let set = acme.admin.put("/v1/branding", &all).data(200);
    assert_eq!((&set["primaryColor"], &set["logoUrl"], &set["domain"]), (&json!("#a1b2c3"), &all["logoUrl"], &all["domain"]));
    assert!(set["updatedAt"].is_string());
    assert_eq!(acme.admin.get("/v1/branding").data(200), set);
    // What is left out, or null, is taken away.
    let less = acme.admin.put("/v1/branding", &json!({ "domain": "acme.com", "primaryColor": null })).data(200);
    assert_eq!(
        (&less["logoUrl"], &less["primaryColor"], &less["secondaryColor"], &less["domain"]),
        (&Value::Null, &Value::Null, &Value::Null, &json!("acme.com"))
    );
    assert_eq!(zeta.admin.get("/v1/branding").data(200), nothing);
    assert_eq!(database.number("select count(*) from nebula.tenant_branding", &[]), 1);
    let told = events(&database);
    assert_eq!(told.len(), 2);
    assert_eq!(serde_json::from_str::<Value>(&told[1]).unwrap()["domain"], "acme.com");
    let audited = "select count(*) from nebula.audit_log where entity_type = 'tenant_branding' and metadata -> 'changed' @> $1 and action = 'branding.update'";
    assert_eq!(
        (database.number(audited, &[&json!([])]), database.number(audited, &[&json!(["domain", "logo_url", "primary_color"])])),
        (2, 1)
    );
}

#[test]
fn what_is_no_colour_domain_or_https_address_is_refused_and_changes_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let (viewer, ..) = acme.member(&edge, "viewer", &["branding.read"]);
    let before = database.digests();
    let long = format!("https://acme.com/{}", "x".repeat(2048));
    let long_label = format!("{}.com", "a".repeat(64));
    let long_domain = format!("{}com", "a.".repeat(126));
    for (field, values) in [
        (
            "primaryColor",
            vec!["", "red", "#12345", "#1234567", "123456", "#12345g", "#１２３４５６", " #123456", "#123456\n", "rgb(0,0,0)"],
        ),
        ("secondaryColor", vec!["#", "#abcde\u{301}", "url(#x)"]),
        (
            "domain",
            vec![
                "",
                "acme",
                "acme.com.",
                ".acme.com",
                "acme..com",
                "Acme.com",
                "-a.com",
                "a-.com",
                "acme.c",
                "acme.1om",
                "10.0.0.1",
                "a_b.com",
                "é.com",
                "acme.com/x",
                "acme.com:80",
                "a b.com",
                "*.acme.com",
                &long_label,
                &long_domain,
            ],
        ),
        (
            "logoUrl",
            vec![
                "",
                "acme.com/logo",
                "http://acme.com/x",
                "javascript:alert(1)",
                "data:image/png;base64,AA==",
                "ftp://acme.com",
                "https://",
                "https://u:p@acme.com/x",
                "https://acme.com/#f",
                "https://acme.com/a b",
                "https://acme.com/\t",
                "//acme.com/x",
                "https:acme",
                &long,
            ],
        ),
    ] {
        for value in values {
            let details = acme.admin.put("/v1/branding", &json!({ field: value })).refused(400, "VALIDATION_ERROR");
            assert_eq!(details[0]["field"], field, "{value}");
            assert_ne!(details[0]["rule"], "invalid", "{field} {value}: a rule without a name");
        }
        for value in [json!(7), json!(true), json!([]), json!({})] {
            acme.admin.put("/v1/branding", &json!({ field: value })).invalid(field, "type");
        }
    }
    acme.admin.put("/v1/branding", &json!({ "tenantId": acme.id })).invalid("tenantId", "unknown");
    acme.admin.put("/v1/branding", &json!({ "logo_url": null })).invalid("logo_url", "unknown");
    acme.admin.put("/v1/branding", &json!({ "updatedAt": null })).invalid("updatedAt", "unknown");
    acme.admin.get("/v1/branding?x=1").invalid("x", "unknown");
    assert_eq!(database.digests(), before);
    viewer.get("/v1/branding").data(200);
    viewer.put("/v1/branding", &json!({})).forbidden("branding.update", "granted");
    edge.anonymous().get("/v1/branding").refused(401, "UNAUTHORIZED");
    assert!(events(&database).is_empty());
}
