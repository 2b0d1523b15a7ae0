//! How an exposed function fails: with a code of ours, without a word of Postgres', and without an effect.

use nebula_tests::{
    Caller, Database, Handle, Tenant,
    exposed::{expose, expose_body, expose_orders, open_shop},
    onboard, onboard_by_sql, parallel,
    sql_caller::{bound_login, call},
};
use serde_json::{Value, json};

fn raising(dba: &mut postgres::Client, name: &str, statement: &str) {
    expose_body(dba, name, "", &format!("returns int language plpgsql as $$ begin {statement}; return 1; end $$"));
}

fn outcome(handle: &mut Handle, acme: &Tenant<String>, name: &str) -> (i32, String, Value) {
    let answer = handle.call(acme.id, &acme.admin, &format!("tries.{name}"), &json!({}));
    assert!(!answer.text.contains("CANARY"), "{}", answer.text);
    (answer.status, answer.code().to_owned(), answer.body["error"]["details"].clone())
}

#[test]
fn each_class_of_errors_has_its_status() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    let insert = "insert into shop.orders (customer_name, amount, reference) values";
    for (name, statement) in [
        ("unique", format!("{insert} ('CANARY', 1, 'r'); {insert} ('CANARY', 1, 'r')")),
        (
            "foreign",
            format!(
                "insert into shop.orders (tenant_id, customer_name, amount) values (nebula.current_tenant(), 'CANARY', 1); {insert} ('x', 1, 'y'); delete from shop.orders; perform 1; raise foreign_key_violation using message = 'CANARY'"
            ),
        ),
        ("exclusion", "raise exclusion_violation using message = 'CANARY'".to_owned()),
        ("checked", format!("{insert} ('CANARY', -1, null)")),
        ("not_null", format!("{insert} (null, 1, null)")),
        ("bad_text", "perform 'CANARY'::int".to_owned()),
        ("out_of_range", "perform 99999999999::int".to_owned()),
        ("division", "perform 1 / 0".to_owned()),
        (
            "foreign_tenant",
            "insert into shop.orders (tenant_id, customer_name, amount) values ((select gen_random_uuid()), 'CANARY', 1)".to_owned(),
        ),
        ("privilege", "perform * from nebula.tenant".to_owned()),
        ("missing_row", "declare x int; begin select 1 into strict x where false; end".to_owned()),
        ("missing_column", "execute 'select CANARYx from shop.orders'".to_owned()),
        ("raised", "raise exception 'CANARY'".to_owned()),
        ("serialization", "raise serialization_failure".to_owned()),
        ("deadlock", "raise deadlock_detected".to_owned()),
        ("lock", "raise lock_not_available".to_owned()),
        ("resources", "raise out_of_memory".to_owned()),
        ("commits", "commit".to_owned()),
        ("many_rows", "declare x int; begin select * into strict x from generate_series(1, 2); end".to_owned()),
        ("recursion", "perform shop.recursion()".to_owned()),
    ] {
        raising(&mut dba, name, &statement);
    }
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let validation = json!([{ "field": "", "rule": "function" }]);
    let forbidden = |name: &str| json!({ "toolAction": format!("tries.{name}"), "condition": "insufficient_privilege" });
    for (name, status, code, details) in [
        ("unique", 409, "DUPLICATE_RESOURCE", Value::Null),
        ("foreign", 409, "CONFLICT", Value::Null),
        ("exclusion", 409, "CONFLICT", Value::Null),
        ("checked", 400, "VALIDATION_ERROR", validation.clone()),
        ("not_null", 400, "VALIDATION_ERROR", validation.clone()),
        ("bad_text", 400, "VALIDATION_ERROR", validation.clone()),
        ("out_of_range", 400, "VALIDATION_ERROR", validation.clone()),
        ("division", 400, "VALIDATION_ERROR", validation),
        ("foreign_tenant", 403, "FORBIDDEN_ACTION", forbidden("foreign_tenant")),
        ("privilege", 403, "FORBIDDEN_ACTION", forbidden("privilege")),
        ("missing_row", 404, "NOT_FOUND", Value::Null),
        ("missing_column", 500, "INTERNAL_ERROR", Value::Null),
        ("raised", 500, "INTERNAL_ERROR", Value::Null),
        ("serialization", 503, "SERVICE_UNAVAILABLE", Value::Null),
        ("deadlock", 503, "SERVICE_UNAVAILABLE", Value::Null),
        ("lock", 503, "SERVICE_UNAVAILABLE", Value::Null),
        ("resources", 503, "SERVICE_UNAVAILABLE", Value::Null),
        ("commits", 500, "INTERNAL_ERROR", Value::Null),
        ("many_rows", 500, "INTERNAL_ERROR", Value::Null),
        ("recursion", 500, "INTERNAL_ERROR", Value::Null),
    ] {
        assert_eq!(outcome(&mut handle, &acme, name), (status, code.to_owned(), details), "{name}");
    }
    assert_eq!(database.number("select count(*) from shop.orders", &[]), 0);
    // The DBA finds what is wrong in the log; data stays out of it.
    let log = database.installation.cluster.log();
    assert!(log.contains("tries.missing_column failed in shop.missing_column() with SQLSTATE 42703"), "no line for the DBA");
    assert!(log.contains("tries.raised failed in shop.raised() with SQLSTATE P0001"));
    assert!(!log.contains("CANARY\n") && !log.contains(": CANARY"), "data is in the log");
}

#[test]
fn a_function_refuses_with_any_4xx_and_says_what_it_means_to_say() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    for (name, statement) in [
        ("plain", "raise sqlstate 'PT409' using message = 'CANARY'"),
        ("said", r#"raise sqlstate 'PT422' using message = 'CANARY', detail = '{"details": {"rule": "out_of_stock", "left": 0}}'"#),
        ("coded", r#"raise sqlstate 'PT409' using detail = '{"code": "DUPLICATE_RESOURCE", "details": {"field": "reference"}}'"#),
        ("wrong_code", r#"raise sqlstate 'PT404' using detail = '{"code": "TENANT_SUSPENDED"}'"#),
        ("no_json", "raise sqlstate 'PT403' using detail = 'CANARY'"),
        ("gone", "raise sqlstate 'PT410'"),
        ("server", "raise sqlstate 'PT500'"),
        ("success", "raise sqlstate 'PT200'"),
        ("redirect", "raise sqlstate 'PT302'"),
        (
            "long",
            "raise sqlstate 'PT400' using detail = json_build_object('details', json_build_object('a', repeat('CANARY', 1000)))::text",
        ),
    ] {
        raising(&mut dba, name, statement);
    }
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    for (name, status, code, details) in [
        ("plain", 409, "CONFLICT", Value::Null),
        ("said", 422, "VALIDATION_ERROR", json!({ "rule": "out_of_stock", "left": 0 })),
        ("coded", 409, "DUPLICATE_RESOURCE", json!({ "field": "reference" })),
        ("wrong_code", 404, "NOT_FOUND", Value::Null),
        ("no_json", 403, "FORBIDDEN_ACTION", Value::Null),
        ("gone", 410, "NOT_FOUND", Value::Null),
        ("server", 500, "INTERNAL_ERROR", Value::Null),
        ("success", 500, "INTERNAL_ERROR", Value::Null),
        ("redirect", 500, "INTERNAL_ERROR", Value::Null),
        ("long", 400, "VALIDATION_ERROR", Value::Null),
    ] {
        assert_eq!(outcome(&mut handle, &acme, name), (status, code.to_owned(), details), "{name}");
    }
    // The same at the other door.
    let login = bound_login(&database, &acme, &json!({ "name": "aplicação", "profile": "write" }));
    let mut client = database.connect(&login);
    assert_eq!(
        call(&mut client, "tries.said", &json!({})).unwrap_err().is("PT422", "VALIDATION_ERROR"),
        json!({ "rule": "out_of_stock", "left": 0 })
    );
    assert_eq!(call(&mut client, "tries.gone", &json!({})).unwrap_err().is("PT410", "NOT_FOUND"), Value::Null);
}

#[test]
fn a_refused_call_leaves_nothing() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose(
        &mut dba,
        "shop.create_order(text,numeric,text)",
        "orders.create",
        "POST",
        "/v1/orders",
        "event => 'order.created', per_month => 100",
    );
    let write = "insert into shop.orders (customer_name, amount) values ('x', 1)";
    raising(&mut dba, "writes_then_raises", &format!("{write}; raise sqlstate 'PT409'"));
    expose_body(
        &mut dba,
        "writes_too_much",
        "",
        &format!("returns text language plpgsql as $$ begin {write}; return repeat('x', 9000000); end $$"),
    );
    dba.batch_execute(&format!("create function shop.writes_and_finds_nothing(id uuid) returns shop.orders language plpgsql as $$ begin {write}; return null; end $$")).unwrap();
    expose(&mut dba, "shop.writes_and_finds_nothing(uuid)", "tries.nothing", "POST", "/v1/tries/{id}/nothing", "");
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let keyed =
        |operation: &str, body: Value| json!({ "operation": operation, "credential": acme.admin, "body": body, "idempotencyKey": "k" });
    handle.send(acme.id, &keyed("tries.writes_then_raises", json!({}))).refused(409, "CONFLICT");
    handle.send(acme.id, &keyed("orders.create", json!({ "customerName": "x", "amount": -1 }))).refused(400, "VALIDATION_ERROR");
    let long = handle.send(acme.id, &keyed("tries.writes_too_much", json!({})));
    assert_eq!(long.refused(400, "VALIDATION_ERROR"), json!([{ "field": "", "rule": "answer_too_long" }]));
    handle.send(acme.id, &keyed("tries.nothing", json!({ "id": acme.id }))).refused(404, "NOT_FOUND");
    handle.client.batch_execute("select nebula.flush()").unwrap();
    for nothing in [
        "select count(*) from shop.orders",
        "select count(*) from nebula.idempotency_key",
        "select count(*) from nebula.outbox where type = 'order.created'",
        "select coalesce(sum(count), 0)::bigint from nebula.quota_usage",
        "select count(*) from nebula.usage_metrics u join nebula.tool_action a on a.id = u.tool_action_id where a.key ~ '^(orders|tries)'",
    ] {
        assert_eq!(database.number(nothing, &[]), 0, "{nothing}");
    }
    // The key is not used up.
    handle.send(acme.id, &keyed("orders.create", json!({ "customerName": "x", "amount": 1 }))).data(200);
}

#[test]
fn what_takes_too_long_is_cut_off_and_can_be_tried_again() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    raising(&mut dba, "loops", "insert into shop.orders (customer_name, amount) values ('x', 1); loop end loop");
    dba.batch_execute(&format!("alter role nebula_edge in database {} set statement_timeout = '400ms'", database.name)).unwrap();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let cut = acme.admin.request("POST", "/v1/tries/loops").key("k").json(&json!({})).send();
    cut.refused(503, "SERVICE_UNAVAILABLE");
    assert!(cut.header("retry-after").is_some());
    assert_eq!(database.number("select count(*) from shop.orders", &[]), 0);
    acme.admin.get("/v1/me").data(200);
    dba.batch_execute(&format!("alter role nebula_edge in database {} reset statement_timeout", database.name)).unwrap();
}

#[test]
fn what_only_reads_can_not_write_and_takes_no_transaction_id() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "create function shop.sneak(way text) returns int language plpgsql as $$ \
         begin \
           if way = 'back' then perform set_config('transaction_read_only', 'off', true); end if; \
           if way = 'session' then perform set_config('transaction_read_only', 'off', false); end if; \
           if way = 'set' then set transaction read write; end if; \
           if way = 'nested' then begin perform set_config('transaction_read_only', 'off', true); exception when others then null; end; end if; \
           if way <> 'read' then insert into shop.orders (customer_name, amount) values ('x', 1); end if; \
           return (select count(*) from shop.orders); \
         end $$; \
         create function shop.calls_writer() returns int language sql stable as $$ select shop.sneak('write') $$",
    )
    .unwrap();
    expose(&mut dba, "shop.sneak(text)", "sneaks.read", "GET", "/v1/sneaks/{way}", "");
    expose(&mut dba, "shop.calls_writer()", "sneaks.list", "GET", "/v1/sneaks", "");
    expose(&mut dba, "shop.sneak(text)", "sneaks.find", "POST", "/v1/sneaks/find", "kind => 'read'");
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    for way in ["write", "back", "session", "set", "nested"] {
        handle.call(acme.id, &acme.admin, "sneaks.read", &json!({ "way": way })).refused(500, "INTERNAL_ERROR");
        let request = json!({ "operation": "sneaks.find", "credential": acme.admin, "body": { "way": way } });
        handle.send(acme.id, &request).refused(500, "INTERNAL_ERROR");
    }
    handle.call(acme.id, &acme.admin, "sneaks.list", &json!({})).refused(500, "INTERNAL_ERROR");
    assert_eq!(database.number("select count(*) from shop.orders", &[]), 0);
    let read = |handle: &mut Handle| handle.call(acme.id, &acme.admin, "sneaks.read", &json!({ "way": "read" })).data(200);
    read(&mut handle);
    let next = || database.number("select (txid_snapshot_xmax(txid_current_snapshot()))::bigint", &[]);
    // Other tests' databases are of the same cluster: in this transaction, none is taken.
    let mut transaction = handle.client.transaction().unwrap();
    transaction
        .execute(
            "select nebula.handle($1, $2::text::json)",
            &[&acme.id, &json!({ "operation": "sneaks.read", "credential": acme.admin, "query": { "way": "read" } }).to_string()],
        )
        .unwrap();
    let id: Option<String> = transaction.query_one("select pg_current_xact_id_if_assigned()::text", &[]).unwrap().get(0);
    assert_eq!(id, None);
    // And the transaction itself may still write.
    let read_only: String = transaction.query_one("show transaction_read_only", &[]).unwrap().get(0);
    assert_eq!(read_only, "off");
    let _ = next();
}

#[test]
fn races_end_with_one_winner_and_answers_for_the_others() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_orders(&mut dba);
    let acme = onboard_by_sql(&database, "acme");
    let outcomes = parallel(24, 6, |_| {
        let answer = database.handle().call(
            acme.id,
            &acme.admin,
            "orders.create",
            &json!({ "customerName": "x", "amount": 1, "reference": "same" }),
        );
        (answer.status, answer.code().to_owned())
    });
    assert_eq!(outcomes.iter().filter(|(status, _)| *status == 201).count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|(status, code)| *status == 201 || code == "DUPLICATE_RESOURCE"), "{outcomes:?}");
    assert_eq!(database.number("select count(*) from shop.orders", &[]), 1);
}
