//! What happens to a function after it was exposed: from the next statement on, the operation goes by what the function is then.

use nebula_tests::{
    Database, Handle, Tenant,
    exposed::{expose, expose_orders, open_shop},
    onboard_by_sql,
};
use serde_json::{Value, json};

const LIST: &str = "shop.list_orders()";

fn list(handle: &mut Handle, acme: &Tenant<String>) -> (i32, String, Value) {
    let answer = handle.call(acme.id, &acme.admin, "orders.list", &json!({}));
    (answer.status, answer.code().to_owned(), answer.body["error"]["details"]["rule"].clone())
}

#[test]
fn a_function_that_became_unsafe_is_not_called() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let stranger = format!("stranger_{}", database.name);
    dba.batch_execute(&format!(
        "create role {stranger}; grant create on schema shop to {stranger}; revoke execute on all functions in schema shop from public"
    ))
    .unwrap();
    let remade = "create function shop.list_orders() returns setof shop.orders language sql stable as 'select * from shop.orders'";
    for (breaks, rule, mends) in [
        (format!("alter function {LIST} security definer"), "function_refused", format!("alter function {LIST} security invoker")),
        (format!("alter function {LIST} set role = 'postgres'"), "function_refused", format!("alter function {LIST} reset role")),
        (format!("alter function {LIST} owner to {stranger}"), "function_refused", format!("alter function {LIST} owner to postgres")),
        (
            format!("revoke execute on function {LIST} from authenticated"),
            "function_refused",
            format!("grant execute on function {LIST} to authenticated"),
        ),
        (
            "revoke usage on schema shop from authenticated".to_owned(),
            "function_refused",
            "grant usage on schema shop to authenticated".to_owned(),
        ),
        (
            format!("alter function {LIST} rename to listed_orders"),
            "function_missing",
            "alter function shop.listed_orders() rename to list_orders".to_owned(),
        ),
        ("alter schema shop rename to store".to_owned(), "function_missing", "alter schema store rename to shop".to_owned()),
        (format!("drop function {LIST}"), "function_missing", format!("{remade}; grant execute on function {LIST} to authenticated")),
        (
            format!(
                "drop function {LIST}; create function shop.list_orders() returns setof shop.orders language sql security definer as 'select * from shop.orders'; grant execute on function {LIST} to authenticated"
            ),
            "function_refused",
            format!("drop function {LIST}; {remade}; grant execute on function {LIST} to authenticated"),
        ),
        (
            format!("drop function {LIST}; create procedure shop.list_orders() language sql as 'select 1'"),
            "function_refused",
            format!("drop procedure {LIST}; {remade}; grant execute on function {LIST} to authenticated"),
        ),
        (
            format!(
                "drop function {LIST}; create function shop.list_orders() returns void language sql as 'select'; grant execute on function {LIST} to authenticated"
            ),
            "function_refused",
            format!("drop function {LIST}; {remade}; grant execute on function {LIST} to authenticated"),
        ),
    ] {
        assert_eq!(list(&mut handle, &acme).0, 200, "before {breaks}");
        dba.batch_execute(&breaks).unwrap();
        assert_eq!(list(&mut handle, &acme), (503, "SERVICE_UNAVAILABLE".to_owned(), json!(rule)), "{breaks}");
        // Other operations go on, and the document leaves it out.
        handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200);
        let document: Value = serde_json::from_str(&database.text("select nebula.openapi()::text", &[])).unwrap();
        assert!(document["paths"]["/v1/orders"]["get"].is_null(), "{breaks}");
        dba.batch_execute(&mends).unwrap();
    }
    assert_eq!(list(&mut handle, &acme).0, 200);
}

#[test]
fn another_owners_function_of_the_same_signature_is_not_called_until_it_is_exposed() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let thief = format!("thief_{}", database.name);
    dba.batch_execute(&format!(
        "create role {thief}; grant create, usage on schema shop to {thief}; drop function {LIST}; set role {thief}; \
         create function shop.list_orders() returns setof shop.orders language sql as 'select * from shop.orders'; reset role"
    ))
    .unwrap();
    assert_eq!(list(&mut handle, &acme), (503, "SERVICE_UNAVAILABLE".to_owned(), json!("function_refused")));
    expose(&mut dba, LIST, "orders.list", "GET", "/v1/orders", "");
    assert_eq!(list(&mut handle, &acme).0, 200);
}

#[test]
fn a_new_body_and_new_types_count_at_the_next_call() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute("create type shop.size as enum ('s'); create function shop.measure(size shop.size) returns text language sql as 'select size::text'").unwrap();
    expose(&mut dba, "shop.measure(shop.size)", "sizes.measure", "POST", "/v1/sizes", "");
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let mut measure = |size: &str| handle.call(acme.id, &acme.admin, "sizes.measure", &json!({ "size": size }));
    assert_eq!(measure("s").data(200), "s");
    measure("m").refused(400, "VALIDATION_ERROR");
    dba.batch_execute("alter type shop.size add value 'm'").unwrap();
    assert_eq!(measure("m").data(200), "m");
    dba.batch_execute("create or replace function shop.measure(size shop.size) returns text language sql as $$ select 'new ' || size $$")
        .unwrap();
    assert_eq!(measure("s").data(200), "new s");
    dba.batch_execute("alter table shop.orders add column note_text text default 'x'").unwrap();
    expose(&mut dba, LIST, "orders.list", "GET", "/v1/orders", "");
    expose(&mut dba, "shop.create_order(text,numeric,text)", "orders.create", "POST", "/v1/orders", "");
    let made = acme.does(&mut handle, "orders.create", &json!({ "customerName": "x", "amount": 1 }), 200);
    assert_eq!(made["noteText"], "x");
    dba.batch_execute("alter table shop.orders rename column note_text to remark").unwrap();
    let listed = acme.does(&mut handle, "orders.list", &json!({}), 200);
    assert_eq!((&listed[0]["remark"], &listed[0]["noteText"]), (&json!("x"), &Value::Null));
    dba.batch_execute("alter table shop.orders drop column remark").unwrap();
    let listed = acme.does(&mut handle, "orders.list", &json!({}), 200);
    assert!(listed[0].get("remark").is_none());
}

#[test]
fn what_was_exposed_in_a_transaction_that_rolled_back_was_never_there() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let mut transaction = dba.transaction().unwrap();
    transaction.execute("select nebula.expose('shop.list_orders()', 'orders.list', 'GET', '/v1/orders')", &[]).unwrap();
    let routes: String = transaction.query_one("select nebula.routes()::text", &[]).unwrap().get(0);
    assert!(routes.contains("orders.list"));
    transaction.rollback().unwrap();
    let routes: String = dba.query_one("select nebula.routes()::text", &[]).unwrap().get(0);
    assert!(!routes.contains("orders.list"));
}

#[test]
fn a_row_that_nobody_could_have_exposed_harms_nothing() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let row = |action: &str, method: &str, path: &str, options: &str| {
        format!(
            "insert into nebula.operation (action, api_version, method, path, kind, function_signature, function_name, function_owner, options) \
             values ('{action}', 1, '{method}', '{path}', 'read', 'shop.list_orders()', 'list_orders', 'postgres', '{options}')"
        )
    };
    let good = r#"{"success": 200}"#;
    for statement in [
        row("users.list", "GET", "/v1/mine", good),
        row("mine.users", "GET", "/v1/users", good),
        row("mine.shadow", "GET", "/v1/users/{x}", good),
        row("mine.broken", "GET", "/v1/{broken", good),
        row("mine.wild", "GET", "/{*rest}", good),
        row("mine.options", "GET", "/v1/options", "{}"),
        row("mine.conflict", "GET", "/v1/orders/{other}", good),
        row("mine.strange", "GET", "/v1/str/ange/", good),
    ] {
        dba.batch_execute(&statement).unwrap();
    }
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    assert_eq!(list(&mut handle, &acme).0, 200);
    assert_eq!(handle.call(acme.id, &acme.admin, "users.list", &json!({})).data(200)[0]["email"], acme.admin_email);
    let edge = database.serve();
    use nebula_tests::Caller;
    edge.user(&acme.admin).get("/v1/orders").data(200);
    edge.user(&acme.admin).get("/v1/users").data(200);
    let _ = edge.anonymous().get("/v1/openapi.json").json();
}
