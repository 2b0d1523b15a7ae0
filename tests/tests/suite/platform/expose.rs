//! `nebula.expose`: a SQL function is an operation like any other, at both doors.

use nebula_tests::{
    Caller, Database,
    exposed::{expose, expose_orders, open_shop, try_expose},
    http::id,
    onboard, onboard_by_sql, parallel,
    sql_caller::{bound_login, call, can, why},
};
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn an_exposed_function_answers_as_a_built_in_operation_does() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let edge = database.serve();
    let (acme, other) = (onboard(&edge, "acme"), onboard(&edge, "other"));
    let made = acme.admin.post("/v1/orders", &json!({ "customerName": "Bia", "amount": 12.50 }));
    let order = made.data(201);
    assert_eq!((&order["customerName"], order["tenantId"].as_str()), (&json!("Bia"), Some(acme.id.to_string().as_str())));
    assert!(made.text.contains("\"amount\":12.5,") || made.text.contains("\"amount\":12.50,"), "{}", made.text);
    assert!(made.header("ratelimit").is_some());
    assert_eq!(acme.admin.get(&format!("/v1/orders/{}", id(&order))).data(200), order);
    assert_eq!(acme.admin.get("/v1/orders").data(200), json!([order]));
    // Another tenant's, and one that is nobody's.
    other.admin.get(&format!("/v1/orders/{}", id(&order))).refused(404, "NOT_FOUND");
    other.admin.get(&format!("/v1/orders/{}", Uuid::now_v7())).refused(404, "NOT_FOUND");
    assert_eq!(other.admin.get("/v1/orders").data(200), json!([]));
    edge.anonymous().get("/v1/orders").refused(401, "UNAUTHORIZED");
    acme.admin.delete("/v1/orders").refused(405, "METHOD_NOT_ALLOWED");
    acme.admin.post("/v1/orders", &json!({ "customerName": "Bia" })).invalid("amount", "required");
    acme.admin.post("/v1/orders", &json!({ "customerName": "Bia", "amount": "12" })).invalid("amount", "type");
    acme.admin.post("/v1/orders", &json!({ "customerName": "Bia", "amount": 1, "tenantId": other.id })).invalid("tenantId", "unknown");
    acme.admin.get("/v1/orders/not-an-id").invalid("orderId", "uuid");
}

#[test]
fn it_needs_its_permission() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    expose_orders(&mut dba);
    let (reader, ..) = acme.member(&edge, "rui", &["orders.list"]);
    reader.get("/v1/orders").data(200);
    reader.post("/v1/orders", &json!({ "customerName": "Bia", "amount": 1 })).forbidden("orders.create", "granted");
    let (key, _) = acme.key(&edge, &json!({ "name": "leitora", "profile": "read-only" }));
    key.get("/v1/orders").data(200);
    key.post("/v1/orders", &json!({ "customerName": "Bia", "amount": 1 })).refused(403, "FORBIDDEN_ACTION");
    let (exact, _) = acme.key(&edge, &json!({ "name": "exata", "actions": ["orders.create"] }));
    exact.post("/v1/orders", &json!({ "customerName": "Bia", "amount": 1 })).data(201);
    exact.get("/v1/orders").refused(403, "FORBIDDEN_ACTION");
    // A package without it.
    dba.execute(
        "delete from nebula.package_action where tool_action_id = (select id from nebula.tool_action where key = 'orders.list')",
        &[],
    )
    .unwrap();
    acme.admin.get("/v1/orders").forbidden("orders.list", "in_active_package");
}

#[test]
fn one_key_has_one_effect_however_many_come_at_once() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let body = json!({ "customerName": "Bia", "amount": 1 });
    let answers = parallel(32, 8, |_| acme.admin.request("POST", "/v1/orders").key("k-1").json(&body).send());
    let first = &answers[0].text;
    assert!(answers.iter().all(|answer| answer.status == 201 && answer.text == *first), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none()).count(), 1);
    assert_eq!(database.number("select count(*) from shop.orders", &[]), 1);
    let reused = acme.admin.request("POST", "/v1/orders").key("k-1").json(&json!({ "customerName": "Bia", "amount": 2 })).send();
    reused.refused(422, "IDEMPOTENCY_KEY_REUSED");
    // A difference that a double doesn't see is one.
    let precise = |amount: &str| format!("{{\"customerName\":\"Bia\",\"amount\":{amount}}}");
    acme.admin.request("POST", "/v1/orders").key("k-2").body("application/json", precise("0.1000000000000000000001")).send().data(201);
    let other = acme.admin.request("POST", "/v1/orders").key("k-2").body("application/json", precise("0.1000000000000000000002")).send();
    other.refused(422, "IDEMPOTENCY_KEY_REUSED");
}

#[test]
fn what_it_did_is_audited_told_and_counted() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let order = acme.does(&mut handle, "orders.create", &json!({ "customerName": "Bia", "amount": 1 }), 201);
    acme.does(&mut handle, "orders.list", &json!({}), 200);
    let audited = dba
        .query("select actor_type, metadata ->> 'outcome' from nebula.audit_log where tenant_id = $1 and action = 'orders.create' and entity_type = 'operation'", &[&acme.id])
        .unwrap();
    assert_eq!(
        audited.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(String, String)>>(),
        [("user".to_owned(), "done".to_owned())]
    );
    assert_eq!(database.number("select count(*) from nebula.audit_log where tenant_id = $1 and action = 'orders.list'", &[&acme.id]), 0);
    let event: Value = dba
        .query_one("select payload -> 'data' from nebula.outbox where tenant_id = $1 and type = 'order.created'", &[&acme.id])
        .unwrap()
        .get(0);
    assert_eq!(event, order);
    handle.client.batch_execute("select nebula.flush()").unwrap();
    let counted = "select count(*) from nebula.usage_metrics u join nebula.tool_action a on a.id = u.tool_action_id \
                   where u.tenant_id = $1 and a.key in ('orders.create', 'orders.list') and u.count = 1";
    assert_eq!(database.number(counted, &[&acme.id]), 2);
}

#[test]
fn limits_that_the_dba_gives_count_and_a_refused_call_uses_nothing_up() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let create = "shop.create_order(text,numeric,text)";
    expose(&mut dba, create, "orders.create", "POST", "/v1/orders", "per_month => 2");
    expose(&mut dba, create, "orders.import", "POST", "/v1/orders/imported", "per_minute => 1");
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let mut call =
        |operation: &str, amount: i32| handle.call(acme.id, &acme.admin, operation, &json!({ "customerName": "Bia", "amount": amount }));
    call("orders.create", -1).refused(400, "VALIDATION_ERROR");
    call("orders.create", 1).data(200);
    call("orders.create", 1).data(200);
    assert_eq!(call("orders.create", 1).refused(429, "QUOTA_EXCEEDED")["perMonth"], 2);
    call("orders.import", 1).data(200);
    assert_eq!(call("orders.import", 1).refused(429, "RATE_LIMITED")["policy"], "orders.import");
    // A tenant's own number comes before the DBA's.
    dba.batch_execute(&format!(
        "insert into nebula.tenant_tool_override (tenant_id, tool_action_id, limits) select '{}', id, '{{\"perMonth\": 3}}' from nebula.tool_action where key = 'orders.create'",
        acme.id
    ))
    .unwrap();
    call("orders.create", 1).data(200);
    assert_eq!(call("orders.create", 1).refused(429, "QUOTA_EXCEEDED")["perMonth"], 3);
}

#[test]
fn a_sql_caller_gets_what_a_client_gets() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let acme = onboard_by_sql(&database, "acme");
    let login = bound_login(&database, &acme, &json!({ "name": "aplicação", "profile": "write" }));
    let mut client = database.connect(&login);
    let made = call(&mut client, "orders.create", &json!({ "customerName": "Bia", "amount": 7 })).unwrap();
    assert_eq!(made["data"]["customerName"], "Bia");
    let listed = call(&mut client, "orders.list", &json!({})).unwrap();
    assert_eq!(listed["data"], json!([made["data"]]));
    let read = call(&mut client, "orders.read", &json!({ "orderId": made["data"]["id"] })).unwrap();
    assert_eq!(read, made);
    assert!(can(&mut client, "orders.create"));
    assert_eq!(why(&mut client, "orders.create")["allowed"], true);
    let refused = |client: &mut postgres::Client, input: Value| call(client, "orders.create", &input).unwrap_err();
    assert_eq!(
        refused(&mut client, json!({ "customerName": "Bia", "amount": "7" })).is("PT400", "VALIDATION_ERROR"),
        json!([{ "field": "amount", "rule": "type" }])
    );
    refused(&mut client, json!({ "customerName": "Bia", "amount": -7 })).is("PT400", "VALIDATION_ERROR");
    // The same answer through the other door.
    let mut handle = database.handle();
    let http = handle.call(acme.id, &acme.admin, "orders.list", &json!({}));
    assert_eq!(http.body["data"], listed["data"]);
    // The login itself may not reach the table's rows by the function's privileges, nor the wrapper.
    let direct = client.query("select nebula.run_exposed('select ''x'', 1', '{}', 'pg_catalog', false, 1, 1, false)", &[]).unwrap_err();
    assert_eq!(direct.code().map(|code| code.code().to_owned()).as_deref(), Some("42501"));
}

#[test]
fn inside_of_it_nebula_knows_the_caller_and_nested_operations_are_theirs() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "create function shop.who(out tenant uuid, out actor json, out may boolean) language sql stable as $$ \
           select nebula.current_tenant(), nebula.current_actor(), nebula.can('users.create') $$; \
         create function shop.hire(name text) returns json language sql as $$ \
           select nebula.call('users.create', jsonb_build_object('email', name || '@shop.example', 'name', name))::json $$; \
         create function shop.again() returns json language sql as $$ select nebula.call('shop.again')::json $$",
    )
    .unwrap();
    expose(&mut dba, "shop.who()", "shop.who", "GET", "/v1/who", "");
    expose(&mut dba, "shop.hire(text)", "shop.hire", "POST", "/v1/hires", "");
    expose(&mut dba, "shop.again()", "shop.again", "POST", "/v1/again", "");
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let told = handle.call(acme.id, &acme.admin, "shop.who", &json!({})).data(200);
    assert_eq!(
        (told["tenant"].as_str(), told["actor"]["id"].as_str(), &told["may"]),
        (Some(acme.id.to_string().as_str()), Some(acme.admin_id.to_string().as_str()), &json!(true))
    );
    let hired = acme.does(&mut handle, "shop.hire", &json!({ "name": "caio" }), 200);
    assert_eq!(hired["data"]["email"], "caio@shop.example");
    // The inner refusal is the outer one, with its code.
    let twice = handle.call(acme.id, &acme.admin, "shop.hire", &json!({ "name": "caio" }));
    assert_eq!(twice.refused(409, "DUPLICATE_RESOURCE"), json!({ "field": "email" }));
    let (_, key) = acme.key(&mut handle, &json!({ "name": "contratante", "actions": ["shop.hire"] }));
    let forbidden = handle.call(acme.id, &key, "shop.hire", &json!({ "name": "davi" }));
    assert_eq!(forbidden.refused(403, "FORBIDDEN_ACTION")["toolAction"], "users.create");
    handle.call(acme.id, &acme.admin, "shop.again", &json!({})).refused(409, "CONFLICT");
}

#[test]
fn a_version_of_the_api_stands_beside_the_other_and_the_old_one_says_that_it_goes() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute("create function shop.create_order_2(customer text, amount numeric, currency text) returns text language sql as $$ select customer || currency $$").unwrap();
    let create = "shop.create_order(text,numeric,text)";
    expose(&mut dba, create, "orders.create", "POST", "/v1/orders", "success => 201");
    let second = expose(&mut dba, "shop.create_order_2(text,numeric,text)", "orders.create", "POST", "/v2/orders", "");
    assert_eq!((&second["operation"], &second["action"]), (&json!("orders.create.v2"), &json!("orders.create")));
    let old = "success => 201, deprecated_at => '2026-01-01T00:00:00Z', sunset_at => '2027-01-01T00:00:00Z'";
    assert_eq!(expose(&mut dba, create, "orders.create", "POST", "/v1/orders", old)["version"], 2);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let first = acme.admin.post("/v1/orders", &json!({ "customerName": "Bia", "amount": 1 }));
    first.data(201);
    assert_eq!((first.header("deprecation"), first.header("sunset")), (Some("@1767225600"), Some("Fri, 01 Jan 2027 00:00:00 GMT")));
    let body = json!({ "customer": "Bia", "amount": 1, "currency": "BRL" });
    let second = acme.admin.post("/v2/orders", &body);
    assert_eq!((second.data(200), second.header("deprecation")), (json!("BiaBRL"), None));
    let document = edge.anonymous().get("/v1/openapi.json").json();
    let post = |path: &str| document["paths"][path]["post"].clone();
    assert_eq!((&post("/v1/orders")["operationId"], &post("/v1/orders")["deprecated"]), (&json!("orders.create"), &json!(true)));
    assert_eq!(
        (&post("/v2/orders")["operationId"], &post("/v2/orders")["x-permission"]),
        (&json!("orders.create.v2"), &json!("orders.create"))
    );
    // One permission for both.
    let (member, ..) = acme.member(&edge, "rui", &["orders.create"]);
    member.post("/v2/orders", &body).data(200);
    // By its own name each; by the action's name alone the newest that there is.
    dba.execute("select nebula.unexpose(method => 'POST', path => '/v1/orders')", &[]).unwrap();
    let login = {
        let tenant = onboard_by_sql(&database, "norte");
        bound_login(&database, &tenant, &json!({ "name": "aplicação", "profile": "write" }))
    };
    assert_eq!(call(&mut database.connect(&login), "orders.create", &body).unwrap()["data"], "BiaBRL");
    assert_eq!(call(&mut database.connect(&login), "orders.create.v2", &body).unwrap()["data"], "BiaBRL");
}

#[test]
fn the_same_again_changes_nothing_and_a_change_is_a_version_with_a_history() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let create = "shop.create_order(text,numeric,text)";
    let first = expose(&mut dba, create, "orders.create", "POST", "/v1/orders", "");
    let counts = "select (select count(*) from nebula.audit_log) + (select count(*) from nebula.operation_version)";
    let before = database.number(counts, &[]);
    assert_eq!(expose(&mut dba, create, "orders.create", "POST", "/v1/orders", ""), first);
    assert_eq!(database.number(counts, &[]), before);
    let changed = expose(&mut dba, create, "orders.create", "PUT", "/v1/orders/{customer_name}", "success => 201");
    assert_eq!((&changed["version"], &changed["path"]), (&json!(2), &json!("/v1/orders/{customerName}")));
    dba.execute("select nebula.unexpose('orders.create')", &[]).unwrap();
    assert_eq!(expose(&mut dba, create, "orders.create", "POST", "/v1/orders", "")["version"], 4);
    let history = dba
        .query("select version, status::text, definition ->> 'method', changed_by from nebula.operation_version order by version", &[])
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect::<Vec<(i32, String, String, String)>>();
    let row = |version, status: &str, method: &str| (version, status.to_owned(), method.to_owned(), "postgres".to_owned());
    assert_eq!(history, [row(1, "ativo", "POST"), row(2, "ativo", "PUT"), row(3, "suspenso", "PUT"), row(4, "ativo", "POST")]);
    let refused = dba.execute("update nebula.operation_version set version = 9", &[]).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501");
}

#[test]
fn unexpose_takes_back_what_expose_gave_and_leaves_the_action() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "revoke execute on all functions in schema shop from public; create function shop.open() returns int language sql as 'select 1'",
    )
    .unwrap();
    expose_orders(&mut dba);
    expose(&mut dba, "shop.open()", "orders.open", "POST", "/v1/open", "");
    let acme = onboard_by_sql(&database, "acme");
    let may = |dba: &mut postgres::Client, function: &str| -> bool {
        dba.query_one("select has_function_privilege('authenticated', $1, 'execute')", &[&function]).unwrap().get(0)
    };
    let mut handle = database.handle();
    acme.does(&mut handle, "orders.list", &json!({}), 200);
    assert!(may(&mut dba, "shop.create_order(text,numeric,text)"));
    let gone: i32 = dba.query_one("select nebula.unexpose('orders.create')", &[]).unwrap().get(0);
    assert_eq!(gone, 1);
    assert!(!may(&mut dba, "shop.create_order(text,numeric,text)"));
    handle.call(acme.id, &acme.admin, "orders.create", &json!({ "customerName": "Bia", "amount": 1 })).refused(404, "NOT_FOUND");
    acme.does(&mut handle, "orders.list", &json!({}), 200);
    // What everybody could execute before stays so.
    let granted = "select count(*) from pg_proc, aclexplode(proacl) a where proname = 'open' and a.grantee = 'authenticated'::regrole";
    assert_eq!(database.number(granted, &[]), 1);
    dba.execute("select nebula.unexpose(method => 'POST', path => '/v1/open')", &[]).unwrap();
    assert!(may(&mut dba, "shop.open()"));
    assert_eq!(database.number(granted, &[]), 0);
    assert_eq!(database.text("select status::text from nebula.tool_action where key = 'orders.create'", &[]), "suspenso");
    assert_eq!(database.number("select count(*) from nebula.group_permission p join nebula.tool_action a on a.id = p.tool_action_id where a.key = 'orders.create'", &[]), 2);
    assert_eq!(dba.query_one("select nebula.unexpose('orders.create')", &[]).unwrap().get::<_, i32>(0), 0);
    expose(&mut dba, "shop.create_order(text,numeric,text)", "orders.create", "POST", "/v1/orders", "success => 201");
    acme.does(&mut handle, "orders.create", &json!({ "customerName": "Bia", "amount": 1 }), 201);
    // An action that was there before is not expose's to suspend.
    dba.batch_execute("insert into nebula.tool_action (tool_id, key, name, kind) select id, 'orders.older', 'x', 'write' from nebula.tool where key = 'orders'").unwrap();
    expose(&mut dba, "shop.open()", "orders.older", "POST", "/v1/older", "");
    dba.execute("select nebula.unexpose('orders.older')", &[]).unwrap();
    assert_eq!(database.text("select status::text from nebula.tool_action where key = 'orders.older'", &[]), "ativo");
}

#[test]
fn a_function_is_exposed_by_its_owner_or_a_superuser() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let (owner, stranger) = (format!("owner_{}", database.name), format!("stranger_{}", database.name));
    dba.batch_execute(&format!(
        "create role {owner} login; create role {stranger} login; grant usage on schema nebula to {owner}, {stranger}; \
         grant execute on all functions in schema nebula to nebula_app; revoke execute on all functions in schema nebula from nebula_app; \
         alter function shop.create_order(text,numeric,text) owner to {owner}; grant usage on schema shop to {owner}, {stranger}"
    ))
    .unwrap();
    let expose_sql = "select nebula.expose('shop.create_order(text,numeric,text)', 'orders.create', 'POST', '/v1/orders')";
    // Not without the grant on nebula.expose itself.
    let refused = database.connect(&owner).batch_execute(expose_sql).unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501");
    let grant = "grant execute on function nebula.expose(regprocedure, text, text, text, text, text, text, integer, text, text, integer, integer, integer, text, timestamptz, timestamptz), nebula.unexpose(text, text, text) to";
    dba.batch_execute(&format!("{grant} {owner}, {stranger}; revoke execute on all functions in schema shop from public")).unwrap();
    let refused = database.connect(&stranger).batch_execute(expose_sql).unwrap_err();
    let error = refused.as_db_error().unwrap();
    assert_eq!(error.code().code(), "42501");
    assert!(error.message().contains("belongs to") && error.hint().is_some(), "{error:?}");
    let mut owners = database.connect(&owner);
    owners.batch_execute(expose_sql).unwrap();
    let may: bool = dba
        .query_one("select has_function_privilege('authenticated', 'shop.create_order(text,numeric,text)', 'execute')", &[])
        .unwrap()
        .get(0);
    assert!(may);
    let refused = database.connect(&stranger).batch_execute("select nebula.unexpose('orders.create')").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501");
    owners.batch_execute("select nebula.unexpose('orders.create')").unwrap();
}

#[test]
fn the_platforms_service_account_uses_it_in_another_tenant() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let operator = database.installation.operator_key.clone();
    let platform = nebula_tests::token::tenant_of(&operator);
    let request = json!({ "operation": "orders.create", "credential": operator, "tenantHeader": acme.id, "body": { "customerName": "Bia", "amount": 1 } });
    let made = handle.send(platform, &request).data(201);
    assert_eq!(made["tenantId"].as_str(), Some(acme.id.to_string().as_str()));
}

#[test]
fn a_dump_gives_operations_back_without_exposing_again() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    drop(dba);
    let copy = database.restored("operations");
    let acme = onboard_by_sql(&copy, "acme");
    let mut handle = copy.handle();
    acme.does(&mut handle, "orders.create", &json!({ "customerName": "Bia", "amount": 1 }), 201);
    assert_eq!(acme.does(&mut handle, "orders.list", &json!({}), 200).as_array().unwrap().len(), 1);
    assert!(try_expose(&mut copy.superuser(), "shop.list_orders()", "orders.again", "GET", "/v1/orders", "").is_err());
}

#[test]
fn it_writes_into_a_protected_table_with_the_callers_rights_and_shares_its_actions() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "create table shop.items (id uuid primary key default gen_random_uuid(), title text not null); \
         select nebula.protect('shop.items', resource => 'items', package => 'pro', grant_to => '{authenticated}'); \
         create function shop.add_item(title text) returns shop.items language sql as $$ insert into shop.items (title) values (title) returning * $$; \
         create function shop.list_items() returns setof shop.items language sql stable as $$ select * from shop.items $$",
    )
    .unwrap();
    expose(&mut dba, "shop.add_item(text)", "items.create", "POST", "/v1/items", "success => 201");
    expose(&mut dba, "shop.list_items()", "items.read", "GET", "/v1/items", "");
    let edge = database.serve();
    let (acme, other) = (onboard(&edge, "acme"), onboard(&edge, "other"));
    let item = acme.admin.post("/v1/items", &json!({ "title": "mesa" })).data(201);
    assert_eq!(item["tenantId"].as_str(), Some(acme.id.to_string().as_str()));
    assert_eq!(acme.admin.get("/v1/items").data(200), json!([item]));
    assert_eq!(other.admin.get("/v1/items").data(200), json!([]));
    // The function gives the row back: whoever may not read it may not have it made by it.
    let (writer, ..) = acme.member(&edge, "rui", &["items.create"]);
    assert_eq!(
        writer.post("/v1/items", &json!({ "title": "cadeira" })).refused(403, "FORBIDDEN_ACTION")["condition"],
        "insufficient_privilege"
    );
    let (both, ..) = acme.member(&edge, "eva", &["items.create", "items.read"]);
    both.post("/v1/items", &json!({ "title": "cadeira" })).data(201);
    let audited = "select count(*) from nebula.audit_log where tenant_id = $1 and action = 'items.create' and actor_type = 'user' and metadata ->> 'verb' = 'insert'";
    assert_eq!(database.number(audited, &[&acme.id]), 2);
    // The table still goes by the action.
    dba.batch_execute("select nebula.unexpose('items.create')").unwrap();
    assert_eq!(database.text("select status::text from nebula.tool_action where key = 'items.create'", &[]), "ativo");
}

#[test]
fn a_grant_for_some_resources_counts_for_those_in_the_path() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let create = || id(&acme.admin.post("/v1/orders", &json!({ "customerName": "Bia", "amount": 1 })).data(201));
    let (one, two) = (create(), create());
    let (member, _, group) = acme.member(&edge, "rui", &[]);
    let permissions = json!({ "permissions": [{ "action": "orders.read", "constraints": { "resourceIds": [one] } }] });
    acme.admin.post(&format!("/v1/groups/{group}/permissions"), &permissions).data(201);
    member.get(&format!("/v1/orders/{one}")).data(200);
    member.get(&format!("/v1/orders/{two}")).forbidden("orders.read", "constraints_hold");
}
