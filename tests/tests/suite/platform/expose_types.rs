//! Arguments and results: each type of Postgres has one form in JSON, both ways, and the OpenAPI document says which.

use nebula_tests::{
    Caller, Database, Handle, Tenant, conformity,
    exposed::{expose, expose_body, open_shop},
    onboard, onboard_by_sql,
};
use serde_json::{Value, json};

struct Tries {
    handle: Handle,
    acme: Tenant<String>,
}

impl Tries {
    fn of(database: &Database) -> Self {
        Self { handle: database.handle(), acme: onboard_by_sql(database, "acme") }
    }

    /// Sends this body as it is written; the body that comes back, as it is written.
    #[track_caller]
    fn send(&mut self, name: &str, body: &str) -> nebula_tests::Handled {
        let request = format!("{{\"operation\":\"tries.{name}\",\"credential\":\"{}\",\"body\":{body}}}", self.acme.admin);
        let sql = "select status, body::text, context::text from nebula.handle($1, $2::text::json)";
        let row = self.handle.client.query_one(sql, &[&self.acme.id, &request]).unwrap();
        let text: Option<String> = row.get(1);
        let text = text.unwrap_or_default();
        let context: String = row.get(2);
        nebula_tests::Handled {
            status: row.get(0),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            context: serde_json::from_str(&context).unwrap(),
            text,
        }
    }

    #[track_caller]
    fn echoes(&mut self, name: &str, sent: &str, came: &str) {
        let answer = self.send(name, &format!("{{\"value\":{sent}}}"));
        assert_eq!((answer.status, answer.text.as_str()), (200, format!("{{\"data\":{came}}}").as_str()), "{name} {sent}");
    }

    #[track_caller]
    fn refuses(&mut self, name: &str, sent: &str, field: &str, rule: &str) {
        let answer = self.send(name, &format!("{{\"value\":{sent}}}"));
        assert_eq!(answer.refused(400, "VALIDATION_ERROR"), json!([{ "field": field, "rule": rule }]), "{name} {sent}");
    }
}

const TYPES: &str = "\
    create type shop.mood as enum ('sad', 'it''s ok', 'happy'); \
    create domain shop.positive as integer check (value > 0); \
    create domain shop.code as varchar(3) not null; \
    create type shop.line as (product_name varchar(5), unit_price numeric, photo bytea, tags text[]); \
    create type shop.basket as (lines shop.line[], mood shop.mood);";

/// A function for each type that gives back what it takes.
fn echo(dba: &mut postgres::Client, name: &str, kind: &str) {
    expose_body(dba, name, &format!("value {kind}"), &format!("returns {kind} language sql as 'select value'"));
}

#[test]
fn each_type_comes_back_as_it_went_in() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(TYPES).unwrap();
    for (name, kind) in [
        ("t", "text"),
        ("b", "boolean"),
        ("i2", "smallint"),
        ("i4", "integer"),
        ("i8", "bigint"),
        ("n", "numeric"),
        ("f4", "real"),
        ("f8", "double precision"),
        ("u", "uuid"),
        ("d", "date"),
        ("tz", "timestamptz"),
        ("ts", "timestamp"),
        ("ti", "time"),
        ("iv", "interval"),
        ("j", "json"),
        ("jb", "jsonb"),
        ("by", "bytea"),
        ("mo", "shop.mood"),
        ("po", "shop.positive"),
        ("co", "shop.code"),
        ("li", "shop.line"),
        ("ba", "shop.basket"),
        ("at", "text[]"),
        ("ai", "bigint[]"),
        ("ab", "bytea[]"),
        ("al", "shop.line[]"),
        ("vc", "varchar"),
    ] {
        echo(&mut dba, name, kind);
    }
    let mut tries = Tries::of(&database);
    for (name, sent, came) in [
        ("t", r#""a\"b\\ ç 日本 $1 '; --""#, r#""a\"b\\ ç 日本 $1 '; --""#),
        ("t", "null", "null"),
        ("b", "false", "false"),
        ("i2", "-32768", "-32768"),
        ("i4", "5.0", "5"),
        ("i8", "9223372036854775807", "9223372036854775807"),
        (
            "n",
            "123456789012345678901234567890.123456789012345678901234567890",
            "123456789012345678901234567890.123456789012345678901234567890",
        ),
        ("n", "0.10", "0.10"),
        ("n", "1e3", "1000"),
        ("f4", "1.5", "1.5"),
        ("f8", "0.1", "0.1"),
        ("u", r#""01890c5e-7b4a-7c3e-9f00-1a2b3c4d5e6f""#, r#""01890c5e-7b4a-7c3e-9f00-1a2b3c4d5e6f""#),
        ("d", r#""2024-02-29""#, r#""2024-02-29""#),
        ("tz", r#""2026-01-01T00:00:00.5-03:00""#, r#""2026-01-01T03:00:00.5+00:00""#),
        ("ts", r#""2026-01-01T00:00:00""#, r#""2026-01-01T00:00:00""#),
        ("ti", r#""23:59:59.25""#, r#""23:59:59.25""#),
        ("iv", r#""P1DT2H""#, r#""P1DT2H""#),
        ("j", r#"{"b":[1.10,null,"x"]}"#, r#"{"b":[1.10,null,"x"]}"#),
        ("jb", r#"[1.10, {}]"#, r#"[1.10, {}]"#),
        ("by", r#""AP8=""#, r#""AP8=""#),
        ("mo", r#""it's ok""#, r#""it's ok""#),
        ("po", "7", "7"),
        ("co", r#""abc""#, r#""abc""#),
        (
            "li",
            r#"{"productName":"café","photo":"AP8=","tags":["a,b","\"}",null]}"#,
            r#"{"productName":"café","unitPrice":null,"photo":"AP8=","tags":["a,b","\"}",null]}"#,
        ),
        ("li", "null", "null"),
        ("at", r#"["a","NULL","","{}"]"#, r#"["a","NULL","","{}"]"#),
        ("at", "[]", "[]"),
        ("ai", "[1,null,9223372036854775807]", "[1,null,9223372036854775807]"),
        ("ab", r#"["AP8=",null]"#, r#"["AP8=", null]"#),
        ("al", "[]", "[]"),
    ] {
        tries.echoes(name, sent, came);
    }
    let basket = r#"{"value":{"lines":[{"productName":"pão","unitPrice":1.50},{"photo":"AP8="}],"mood":"sad"}}"#;
    assert_eq!(
        tries.send("ba", basket).data(200),
        json!({
            "lines": [{ "productName": "pão", "unitPrice": 1.5, "photo": null, "tags": null }, { "productName": null, "unitPrice": null, "photo": "AP8=", "tags": null }],
            "mood": "sad",
        })
    );
    // A picture of more than one line of base64.
    let long = format!("\"{}\"", "QUJD".repeat(100));
    tries.echoes("by", &long, &long);
    for (name, sent, field, rule) in [
        ("t", "1", "value", "type"),
        ("t", r#""a\u0000""#, "value", "control_character"),
        ("b", "\"true\"", "value", "type"),
        ("b", "1", "value", "type"),
        ("i2", "32768", "value", "range"),
        ("i4", "1.5", "value", "type"),
        ("i8", "9223372036854775808", "value", "range"),
        ("n", "\"1\"", "value", "type"),
        ("n", "1e401", "value", "range"),
        ("f4", "1e39", "value", "range"),
        ("u", r#""{01890c5e-7b4a-7c3e-9f00-1a2b3c4d5e6f}""#, "value", "uuid"),
        ("d", r#""today""#, "value", "date"),
        ("tz", r#""2026-01-01T00:00:00""#, "value", "date-time"),
        ("tz", r#""now""#, "value", "date-time"),
        ("ts", r#""infinity""#, "value", "date-time"),
        ("iv", r#""1 day""#, "value", "duration"),
        ("by", r#""\\xff""#, "value", "base64"),
        ("mo", r#""angry""#, "value", "enum"),
        ("po", "0", "value", "function"),
        ("co", r#""abcd""#, "value", "too_long"),
        ("co", "null", "value", "type"),
        ("li", r#"{"productName":"longer than five"}"#, "value.productName", "too_long"),
        ("li", r#"{"product_name":"x"}"#, "value.product_name", "unknown"),
        ("li", r#"[1]"#, "value", "type"),
        ("al", r#"[{"unitPrice":"1"}]"#, "value[0].unitPrice", "type"),
        ("ai", r#"[[1]]"#, "value[0]", "type"),
        ("at", r#"{"a":1}"#, "value", "type"),
    ] {
        tries.refuses(name, sent, field, rule);
    }
}

#[test]
fn results_of_every_shape_are_json() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    for (name, arguments, rest) in [
        ("nothing", "", "returns void language sql as 'select'"),
        ("scalars", "", "returns setof int language sql as 'values (1), (2)'"),
        ("one_column", "", "returns table (order_id int) language sql as 'values (1), (null)'"),
        ("columns", "", "returns table (order_id int, \"Total\" numeric) language sql as 'values (1, 1.10)'"),
        ("outs", "in a int, out b_c int, inout d int", "language sql as 'select a, d + 1'"),
        ("one_out", "out result_value int", "language sql as 'select 1'"),
        ("no_rows", "", "returns setof shop.orders language sql as 'select * from shop.orders where false'"),
        ("no_row", "", "returns shop.orders language sql as 'select * from shop.orders where false'"),
        ("json_list", "", "returns setof json language sql as $$values ('{\"a_b\": 1}'::json), (null)$$"),
        ("numeric_nan", "", "returns numeric language sql as $$select 'NaN'::numeric$$"),
        ("variadic_sum", "variadic numbers int[]", "returns bigint language sql as 'select sum(n) from unnest(numbers) n'"),
        ("strict_one", "a int, b int default 2", "returns int language sql strict as 'select a + b'"),
        (
            "defaults",
            "a int default 1, b text default 'it''s', c timestamptz default '2026-01-01T00:00:00Z'",
            "returns text language sql as 'select a || b || (c is not null)'",
        ),
    ] {
        expose_body(&mut dba, name, arguments, rest);
    }
    let mut tries = Tries::of(&database);
    let nothing = tries.send("nothing", "{}");
    assert_eq!((nothing.status, nothing.text.as_str()), (204, ""));
    for (name, body, expected) in [
        ("scalars", "{}", json!([1, 2])),
        ("one_column", "{}", json!([{ "orderId": 1 }, { "orderId": null }])),
        ("columns", "{}", json!([{ "orderId": 1, "Total": 1.1 }])),
        ("outs", r#"{"a":1,"d":2}"#, json!({ "bC": 1, "d": 3 })),
        ("one_out", "{}", json!({ "resultValue": 1 })),
        ("no_rows", "{}", json!([])),
        ("no_row", "{}", Value::Null),
        ("json_list", "{}", json!([{ "a_b": 1 }, null])),
        ("numeric_nan", "{}", json!("NaN")),
        ("variadic_sum", r#"{"numbers":[1,2,3]}"#, json!(6)),
        ("strict_one", r#"{"a":1}"#, json!(3)),
        ("defaults", "{}", json!("1it'strue")),
        ("defaults", r#"{"b":"x"}"#, json!("1xtrue")),
    ] {
        assert_eq!(tries.send(name, body).data(200), expected, "{name}");
    }
    // Null reaches no strict function; what is missing is not null.
    assert_eq!(tries.send("strict_one", r#"{"a":null}"#).refused(400, "VALIDATION_ERROR"), json!([{ "field": "a", "rule": "type" }]));
    assert_eq!(tries.send("strict_one", "{}").refused(400, "VALIDATION_ERROR"), json!([{ "field": "a", "rule": "required" }]));
    assert_eq!(tries.send("defaults", r#"{"d":1}"#).refused(400, "VALIDATION_ERROR"), json!([{ "field": "d", "rule": "unknown" }]));
    assert_eq!(tries.send("defaults", "[]").refused(400, "VALIDATION_ERROR"), json!([{ "field": "body", "rule": "type" }]));
}

#[test]
fn a_list_is_bounded_and_says_so() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(
        "create function shop.numbers(up_to int) returns setof int language sql stable as 'select generate_series(1, up_to)'",
    )
    .unwrap();
    expose(&mut dba, "shop.numbers(int)", "numbers.list", "GET", "/v1/numbers", "max_rows => 3");
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    // A query is text.
    assert_eq!(acme.does(&mut handle, "numbers.list", &json!({ "upTo": "3" }), 200), json!([1, 2, 3]));
    let refused = handle.call(acme.id, &acme.admin, "numbers.list", &json!({ "upTo": "4" }));
    assert_eq!(refused.refused(400, "VALIDATION_ERROR"), json!([{ "field": "", "rule": "too_many_rows" }]));
    let refused = handle.call(acme.id, &acme.admin, "numbers.list", &json!({ "upTo": "four" }));
    assert_eq!(refused.refused(400, "VALIDATION_ERROR"), json!([{ "field": "upTo", "rule": "type" }]));
}

#[test]
fn of_overloaded_functions_the_exposed_one_is_called() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    expose_body(&mut dba, "pick", "a text, b int default 7", "returns text language sql as $$select 'right ' || b$$");
    dba.batch_execute(
        "create function shop.pick(a text) returns text language sql security definer as $$select 'wrong'$$; \
         create function shop.pick(a varchar, b bigint) returns text language sql security definer as $$select 'wrong'$$",
    )
    .unwrap();
    let mut tries = Tries::of(&database);
    assert_eq!(tries.send("pick", r#"{"a":"x"}"#).data(200), "right 7");
    assert_eq!(tries.send("pick", r#"{"a":"x","b":1}"#).data(200), "right 1");
    // One that Postgres can't tell apart ends the operation, and is not called instead.
    dba.batch_execute(
        "create function shop.pick(a text, b int, c int default 1) returns text language sql security definer as $$select 'wrong'$$",
    )
    .unwrap();
    tries.send("pick", r#"{"a":"x","b":1}"#).refused(500, "INTERNAL_ERROR");
    assert!(database.installation.cluster.log().contains("tries.pick failed in shop.pick(text,integer) with SQLSTATE 42725"));
}

#[test]
fn the_document_describes_arguments_and_answers() {
    let database = Database::new();
    let mut dba = open_shop(&database);
    dba.batch_execute(TYPES).unwrap();
    dba.batch_execute("create function shop.fill(p_basket shop.basket, p_count shop.positive default 1) returns setof shop.line language sql as 'select l.* from unnest((p_basket).lines) l'").unwrap();
    expose(
        &mut dba,
        "shop.fill(shop.basket,shop.positive)",
        "baskets.fill",
        "POST",
        "/v1/baskets",
        "summary_en => 'Fills a basket', summary_pt => 'Enche um cesto'",
    );
    dba.batch_execute("create function shop.find(order_id uuid, mood shop.mood default null) returns shop.basket language sql stable as 'select null::shop.basket'").unwrap();
    expose(&mut dba, "shop.find(uuid,shop.mood)", "baskets.find", "GET", "/v1/baskets/{order_id}", "");
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    let document = edge.anonymous().get("/v1/openapi.json").json();
    let fill = &document["paths"]["/v1/baskets"]["post"];
    assert_eq!((&fill["summary"], &fill["x-kind"], &fill["tags"]), (&json!("Fills a basket"), &json!("write"), &json!(["baskets"])));
    let body = &fill["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!((&body["required"], &body["properties"]["count"]["type"]), (&json!(["basket"]), &json!(["integer", "null"])));
    assert_eq!(body["properties"]["basket"]["properties"]["mood"]["enum"], json!(["sad", "it's ok", "happy", null]));
    let find = &document["paths"]["/v1/baskets/{orderId}"]["get"];
    let parameters = find["parameters"].as_array().unwrap();
    let order_id = parameters.iter().find(|parameter| parameter["name"] == "orderId").unwrap();
    assert_eq!((&order_id["in"], &order_id["schema"]["format"]), (&json!("path"), &json!("uuid")));
    let answer = acme.admin.post("/v1/baskets", &json!({ "basket": { "lines": [{ "productName": "pão" }] } }));
    let schema = document.pointer("/paths/~1v1~1baskets/post/responses/200/content/application~1json/schema").unwrap();
    assert_eq!(conformity::differences(&document, schema, &json!({ "data": answer.data(200) })), Vec::<String>::new());
    // The committed document is a fresh installation's.
    assert!(!include_str!("../../../../docs/openapi.json").contains("baskets"));
}
