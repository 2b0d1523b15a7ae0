//! An application of a DBA's, in a schema of its own: a table that is tenant-safe, and functions that can be exposed.

use crate::{Database, sql_caller::SqlRefusal};
use postgres::Client;
use serde_json::Value;

/// Makes the schema `shop` with `orders` and `create_order`.
pub fn open_shop(database: &Database) -> Client {
    let mut dba = database.superuser();
    dba.batch_execute(
        "create schema shop; \
         grant usage on schema shop to authenticated; \
         create table shop.orders ( \
           id uuid primary key default gen_random_uuid(), \
           tenant_id uuid not null default nebula.current_tenant() references nebula.tenant (id), \
           customer_name text not null, \
           amount numeric not null constraint positive check (amount > 0), \
           reference text, \
           unique (tenant_id, reference) \
         ); \
         alter table shop.orders enable row level security; \
         alter table shop.orders force row level security; \
         create policy tenant_isolation on shop.orders using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant()); \
         grant select, insert, update, delete on shop.orders to authenticated; \
         create function shop.create_order(p_customer_name text, p_amount numeric, p_reference text default null) returns shop.orders language sql as $$ \
           insert into shop.orders (customer_name, amount, reference) values (p_customer_name, p_amount, p_reference) returning * $$; \
         create function shop.get_order(p_order_id uuid) returns shop.orders language sql stable as $$ select * from shop.orders where id = p_order_id $$; \
         create function shop.list_orders() returns setof shop.orders language sql stable as $$ select * from shop.orders order by customer_name $$",
    )
    .unwrap();
    dba
}

/// Exposes a function with these further arguments, for everybody with the package `pro`; the route.
pub fn try_expose(dba: &mut Client, function: &str, action: &str, method: &str, path: &str, more: &str) -> Result<Value, SqlRefusal> {
    let sql = format!(
        "select nebula.expose($1::text::regprocedure, $2, $3, $4, package => 'pro'{}{more})::text",
        if more.is_empty() { "" } else { ", " }
    );
    let row = dba.query_one(&sql, &[&function, &action, &method, &path])?;
    Ok(serde_json::from_str(row.get(0)).unwrap())
}

/// The same, which must succeed.
#[track_caller]
pub fn expose(dba: &mut Client, function: &str, action: &str, method: &str, path: &str, more: &str) -> Value {
    try_expose(dba, function, action, method, path, more).unwrap_or_else(|refused| panic!("{function}: {refused:?}"))
}

/// Exposes the shop's three functions.
pub fn expose_orders(dba: &mut Client) {
    expose(dba, "shop.create_order(text,numeric,text)", "orders.create", "POST", "/v1/orders", "success => 201, event => 'order.created'");
    expose(dba, "shop.get_order(uuid)", "orders.read", "GET", "/v1/orders/{order_id}", "");
    expose(dba, "shop.list_orders()", "orders.list", "GET", "/v1/orders", "");
}

/// Makes a function in the schema `shop` and exposes it by `POST /v1/tries/<name>` as `tries.<name>`.
#[track_caller]
pub fn expose_body(dba: &mut Client, name: &str, arguments: &str, rest: &str) {
    dba.batch_execute(&format!("create or replace function shop.{name}({arguments}) {rest}")).unwrap();
    let signature: String = dba
        .query_one("select oid::regprocedure::text from pg_proc where pronamespace = 'shop'::regnamespace and proname = $1", &[&name])
        .unwrap()
        .get(0);
    expose(dba, &signature, &format!("tries.{name}"), "POST", &format!("/v1/tries/{name}"), "");
}
