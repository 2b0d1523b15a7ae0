//! Tools, actions, packages: the platform writes, everyone reads.

use nebula_tests::{
    Caller, Database, Edge, User, onboard,
    story::{accept, tenant_body},
};
use serde_json::{Value, json};

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

#[test]
fn a_tool_that_is_sold_is_suspended_and_refuses_at_once_and_comes_back() {
    let database = Database::new();
    let edge = database.serve();
    let other_edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    operator.post("/v1/catalog/tools", &json!({ "key": "crm", "name": "CRM" })).data(201);
    for (key, kind) in [("crm.list", "read"), ("crm.create", "write")] {
        operator.post("/v1/catalog/tools/crm/actions", &json!({ "key": key, "name": key, "kind": kind })).data(201);
    }
    operator.post("/v1/catalog/packages", &json!({ "key": "sales", "name": "Vendas" })).data(201);
    for key in ["crm.list", "crm.create"] {
        operator.post("/v1/catalog/packages/sales/actions", &json!({ "actionKey": key })).data(201);
    }
    operator.post(&format!("/v1/tenants/{}/packages/sales/assign", acme.id), &json!({})).data(200);
    let may = |action: &str| {
        let sees =
            |edge: &Edge| edge.user(&acme.admin.token).get("/v1/me").data(200)["actions"].as_array().unwrap().contains(&json!(action));
        let (here, there) = (sees(&edge), sees(&other_edge));
        assert_eq!(here, there, "{action}");
        here
    };
    assert!(may("crm.list") && may("crm.create"));
    for (path, both) in
        [("/v1/catalog/tools/crm", true), ("/v1/catalog/tools/crm/actions/crm.list", false), ("/v1/catalog/packages/sales", true)]
    {
        let suspended = operator.patch(path, &json!({ "status": "suspenso" })).data(200);
        assert_eq!(suspended["status"], "suspenso");
        assert!(!may("crm.list"), "{path}");
        assert_eq!(may("crm.create"), !both, "{path}");
        // What the product itself does is not touched.
        acme.admin.get("/v1/users").data(200);
        operator.patch(path, &json!({ "status": "ativo" })).data(200);
        assert!(may("crm.list") && may("crm.create"), "{path}");
    }
    let audited = database.number(
        "select count(*) from nebula.audit_log where action like 'catalog.%.update' and metadata -> 'changed' = '[\"status\"]'",
        &[],
    );
    assert_eq!(audited, 6);
}

#[test]
fn what_would_take_the_product_away_is_refused() {
    let database = Database::new();
    let edge = database.serve();
    let operator = edge.operator();
    let tools = operator.get("/v1/catalog/tools?limit=200").data(200);
    // What this version does; the catalog knows some that a later one will do.
    let done = database.texts("select r ->> 'operation' from json_array_elements(nebula.routes()) r union select 'tenants.act_as'", &[]);
    let before = database.digests();
    for tool in tools.as_array().unwrap() {
        let path = format!("/v1/catalog/tools/{}", tool["key"].as_str().unwrap());
        let actions = operator.get(&format!("{path}/actions?limit=200")).data(200);
        let is_done = |action: &Value| done.iter().any(|done| action["key"] == done.as_str());
        if !actions.as_array().unwrap().iter().any(is_done) {
            continue;
        }
        assert_eq!(
            operator.patch(&path, &json!({ "status": "suspenso" })).refused(409, "CONFLICT"),
            json!({ "rule": "product_action" }),
            "{path}"
        );
        for action in actions.as_array().unwrap().iter().filter(|action| is_done(action)) {
            let path = format!("{path}/actions/{}", action["key"].as_str().unwrap());
            for body in [json!({ "status": "suspenso" }), json!({ "kind": "read" }), json!({ "kind": "admin", "name": "X" })] {
                let answer = operator.patch(&path, &body);
                assert_eq!((answer.status, answer.code().as_str()), (409, "CONFLICT"), "{path} {body}: {}", answer.text);
            }
        }
    }
    assert_eq!(
        operator.patch("/v1/catalog/packages/platform", &json!({ "status": "suspenso" })).refused(409, "CONFLICT"),
        json!({ "rule": "platform_tenant" })
    );
    assert_eq!(database.digests(), before);
    // Names and descriptions are free; a package that customers have bought may end.
    operator.patch("/v1/catalog/tools/users", &json!({ "name": "Pessoas", "description": "" })).data(200);
    operator.patch("/v1/catalog/tools/users/actions/users.list", &json!({ "name": "Ver pessoas", "status": "ativo" })).data(200);
    operator.patch("/v1/catalog/packages/platform", &json!({ "name": "Plataforma" })).data(200);
    operator.patch("/v1/catalog/packages/pro", &json!({ "status": "suspenso" })).data(200);
}

#[test]
fn updates_of_the_catalog_are_the_platforms_and_must_change_something_known() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let operator = edge.operator();
    operator.post("/v1/catalog/tools", &json!({ "key": "crm", "name": "CRM" })).data(201);
    operator.post("/v1/catalog/tools/crm/actions", &json!({ "key": "crm.list", "name": "L", "kind": "read" })).data(201);
    operator.post("/v1/catalog/packages", &json!({ "key": "sales", "name": "Vendas" })).data(201);
    for (path, operation) in [
        ("/v1/catalog/tools/crm", "catalog.tools.update"),
        ("/v1/catalog/tools/crm/actions/crm.list", "catalog.actions.update"),
        ("/v1/catalog/packages/sales", "catalog.packages.update"),
    ] {
        acme.admin.patch(path, &json!({ "name": "X" })).forbidden(operation, "platform_only");
        operator.patch(path, &json!({})).invalid("", "nothing_to_change");
        operator.patch(path, &json!({ "status": "deleted" })).invalid("status", "enum");
        operator.patch(path, &json!({ "name": "" })).invalid("name", "empty");
        operator.patch(path, &json!({ "key": "other" })).invalid("key", "unknown");
        operator.patch(path, &json!({ "name": "x\u{202e}y" })).invalid("name", "control_character");
        let (whole, last) = path.rsplit_once('/').unwrap();
        operator.patch(&format!("{whole}/nothing"), &json!({ "name": "X" })).refused(404, "NOT_FOUND");
        operator.patch(&format!("{whole}/{}", last.to_uppercase()), &json!({ "name": "X" })).refused(400, "VALIDATION_ERROR");
        let changed = operator.patch(path, &json!({ "name": " Novo ", "description": "linha\nduas" })).data(200);
        assert_eq!((&changed["name"], &changed["description"]), (&json!("Novo"), &json!("linha\nduas")));
        // Of what is left out nothing changes.
        let again = operator.patch(path, &json!({ "description": "" })).data(200);
        assert_eq!((&again["name"], &again["description"], &again["status"]), (&json!("Novo"), &json!(""), &json!("ativo")));
    }
    // An action belongs to its tool.
    operator.patch("/v1/catalog/tools/users/actions/crm.list", &json!({ "name": "X" })).refused(404, "NOT_FOUND");
    operator.patch("/v1/catalog/tools/crm/actions/crm.list", &json!({ "kind": "owner" })).invalid("kind", "enum");
    assert_eq!(operator.patch("/v1/catalog/tools/crm/actions/crm.list", &json!({ "kind": "admin" })).data(200)["kind"], "admin");
}
