//! Tools, actions, packages: the platform writes, everyone reads.

use nebula_tests::{
    Caller, Database, User, onboard,
    story::{accept, tenant_body},
};
use serde_json::json;

#[test]
fn the_platform_adds_a_tool_an_action_and_a_package_that_then_opens_it() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    operator.post("/v1/catalog/tools", &json!({ "key": "orders", "name": "Pedidos" })).data(201);
    let action = json!({ "key": "orders.create", "name": "Criar pedido", "kind": "write" });
    assert_eq!(operator.post("/v1/catalog/tools/orders/actions", &action).data(201)["kind"], "write");
    operator.post("/v1/catalog/packages", &json!({ "key": "shop", "name": "Loja" })).data(201);
    operator.post("/v1/catalog/packages/shop/actions", &json!({ "actionKey": "orders.create" })).data(201);
    for (path, body) in [
        ("/v1/catalog/tools", json!({ "key": "orders", "name": "X" })),
        ("/v1/catalog/tools/orders/actions", action.clone()),
        ("/v1/catalog/packages", json!({ "key": "shop", "name": "X" })),
        ("/v1/catalog/packages/shop/actions", json!({ "actionKey": "orders.create" })),
    ] {
        operator.post(path, &body).refused(409, "DUPLICATE_RESOURCE");
    }
    let actions = || acme.admin.get("/v1/me").data(200)["actions"].clone();
    assert!(!actions().as_array().unwrap().contains(&json!("orders.create")));
    operator.post(&format!("/v1/tenants/{}/packages/shop/assign", acme.id), &json!({})).data(200);
    assert!(actions().as_array().unwrap().contains(&json!("orders.create")));
    operator.delete("/v1/catalog/packages/shop/actions/orders.create").empty();
    assert!(!actions().as_array().unwrap().contains(&json!("orders.create")));
    operator.delete("/v1/catalog/packages/shop/actions/orders.create").refused(404, "NOT_FOUND");
}

#[test]
fn tenants_read_the_catalog_and_write_nothing() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    for path in [
        "/v1/catalog/tools",
        "/v1/catalog/tools/users",
        "/v1/catalog/tools/users/actions",
        "/v1/catalog/packages",
        "/v1/catalog/packages/base",
    ] {
        acme.admin.get(path).data(200);
    }
    acme.admin.get("/v1/catalog/tools/nothing").refused(404, "NOT_FOUND");
    acme.admin.get("/v1/catalog/tools/NOTHING").invalid("toolKey", "key");
    acme.admin.get("/v1/catalog/packages/nothing").refused(404, "NOT_FOUND");
    acme.admin.post("/v1/catalog/tools", &json!({ "key": "mine", "name": "X" })).forbidden("catalog.tools.create", "platform_only");
    edge.anonymous().get("/v1/catalog/tools").refused(401, "UNAUTHORIZED");
    let package = acme.admin.get("/v1/catalog/packages/pro").data(200);
    assert!(package["actions"].as_array().unwrap().contains(&json!("users.create")));
}

#[test]
fn an_action_that_joins_a_package_is_at_once_the_administrators_of_all_who_have_it() {
    let database = Database::new();
    let edge = database.serve();
    let operator = edge.operator();
    let [acme, zeta] = ["acme", "zeta"].map(|slug| {
        let made = operator.post("/v1/tenants", &tenant_body(slug, "base")).data(201);
        accept(&edge, slug, made["admin"]["email"].as_str().unwrap(), made["invite"]["token"].as_str().unwrap()).0
    });
    let pro = onboard(&edge, "pro");
    operator.post("/v1/catalog/tools", &json!({ "key": "orders", "name": "Pedidos" })).data(201);
    operator.post("/v1/catalog/tools/orders/actions", &json!({ "key": "orders.list", "name": "Listar pedidos", "kind": "read" })).data(201);
    let may = |caller: &User| caller.get("/v1/me").data(200)["actions"].as_array().unwrap().contains(&json!("orders.list"));
    assert!(!may(&acme) && !may(&zeta));
    operator.post("/v1/catalog/packages/base/actions", &json!({ "actionKey": "orders.list" })).data(201);
    assert!(may(&acme) && may(&zeta) && !may(&pro.admin));
    // Theirs to hand on, and only theirs.
    let holders = "select distinct g.name from nebula.group_permission gp join nebula.group g on g.tenant_id = gp.tenant_id and g.id = gp.group_id \
                   join nebula.tool_action a on a.id = gp.tool_action_id where a.key = 'orders.list'";
    assert_eq!(database.texts(holders, &[]), ["ADM_CLIENTE"]);
    acme.post("/v1/api-keys", &json!({ "name": "k", "actions": ["orders.list"] })).data(201);
    operator.delete("/v1/catalog/packages/base/actions/orders.list").empty();
    assert!(!may(&acme) && !may(&zeta));
}
