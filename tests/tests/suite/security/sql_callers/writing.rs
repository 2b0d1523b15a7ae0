//! To write into another tenant, or to learn from what writing answers.

use super::arena::{Arena, Attempt, attempt};

fn writes() -> Vec<Attempt> {
    let mut attempts = [
        ("insert", vec!["insert into public.orders (tenant_id, note) values ('{zeta}', 'x')"]),
        ("insert several", vec!["insert into public.orders (tenant_id, note) values (nebula.current_tenant(), 'a'), ('{zeta}', 'b')"]),
        ("insert from a query", vec!["insert into public.orders (tenant_id, note) select '{zeta}', note || ' 2' from public.orders"]),
        ("insert of null", vec!["insert into public.orders (tenant_id, note) values (null, 'x')"]),
        ("insert returning", vec!["insert into public.orders (tenant_id, note) values ('{zeta}', 'x') returning *"]),
        ("insert of another's key", vec!["insert into public.orders (id, note) values ('{zetas_order}', 'same id')", "insert into public.orders (tenant_id, id, note) values ('{zeta}', '{zetas_order}', 'x')"]),
        ("insert on conflict do nothing", vec!["insert into public.orders (tenant_id, id, note) values ('{zeta}', '{zetas_order}', 'x') on conflict do nothing"]),
        ("insert on conflict do update", vec!["insert into public.orders (tenant_id, id, note) values ('{zeta}', '{zetas_order}', 'x') on conflict (tenant_id, id) do update set note = 'x' returning *"]),
        ("upsert that moves a row", vec!["insert into public.orders (note) values ('acme 1') on conflict (tenant_id, note) do update set tenant_id = '{zeta}'"]),
        ("upsert that shows the old row", vec!["insert into public.orders (note) values ('acme 1') on conflict (tenant_id, note) do update set note = orders.note returning note"]),
        ("insert through a view", vec!["insert into public.orders_view (tenant_id, note) values ('{zeta}', 'x')"]),
        ("insert into a partition", vec!["insert into public.event_2026 values ('{zeta}', '2026-02-02', 'x')", "insert into public.event values ('{zeta}', '2026-02-02', 'x')"]),
        ("insert into a child", vec!["insert into public.child values ('{zeta}', 'x', 'x')"]),
        ("a line of another's order", vec!["insert into public.line (order_id, note) values ('{zetas_order}', 'x')", "insert into public.line (tenant_id, order_id, note) values ('{zeta}', '{zetas_order}', 'x')"]),
        ("update everything", vec!["update public.orders set amount = 7 where true"]),
        ("update another's", vec!["update public.orders set amount = 7 where tenant_id = '{zeta}' returning *", "update public.orders set amount = 7 where id = '{zetas_order}' returning *"]),
        ("give a row away", vec!["update public.orders set tenant_id = '{zeta}' where true", "update public.orders set tenant_id = '{zeta}' where note = 'acme 2' returning *"]),
        ("update from", vec!["update public.orders o set note = x.note from public.orders x where x.tenant_id <> o.tenant_id returning o.note", "update public.orders o set amount = 7 from public.line l where l.order_id = o.id and o.tenant_id = '{zeta}'"]),
        ("update through a view", vec!["update public.orders_view set amount = 7 where true", "update public.orders_view set tenant_id = '{zeta}' where true"]),
        ("update of a partition key", vec!["update public.event set at = '2026-06-06' where at = '2030-01-01'", "update public.event_rest set tenant_id = '{zeta}' where true"]),
        ("update that fails on another's row", vec!["update public.orders set amount = 1 / (amount - 999) where true", "update public.orders set note = note::integer where true"]),
        ("update of a child through its parent", vec!["update public.parent set note = 'x' where true", "update public.child set extra = 'x' where tenant_id = '{zeta}'"]),
        ("update with a default", vec!["update public.orders set tenant_id = default where true"]),
        ("delete everything", vec!["delete from public.line where true", "delete from public.orders where tenant_id = '{zeta}'"]),
        ("delete by id", vec!["delete from public.orders where id = '{zetas_order}' returning *"]),
        ("delete using", vec!["delete from public.orders o using public.line l where l.order_id = o.id and o.tenant_id <> nebula.current_tenant()"]),
        ("delete through a foreign key", vec!["delete from public.orders where tenant_id <> nebula.current_tenant()"]),
        ("delete through a view", vec!["delete from public.orders_view where tenant_id = '{zeta}'"]),
        ("delete of a partition", vec!["delete from public.event_rest where tenant_id = '{zeta}'", "delete from public.event where tenant_id = '{zeta}'"]),
        ("truncate", vec!["truncate nebula.user cascade", "truncate only nebula.tenant", "truncate public.line", "truncate public.event_2026"]),
        ("merge that updates", vec!["merge into public.orders o using (values ('{zetas_order}'::uuid)) v (id) on o.id = v.id when matched then update set amount = 7"]),
        ("merge that inserts", vec!["merge into public.orders o using (values ('{zeta}'::uuid, 'merged')) v (tenant_id, note) on false when not matched then insert (tenant_id, note) values (v.tenant_id, v.note)"]),
        ("merge that deletes", vec!["merge into public.orders o using public.orders x on o.tenant_id <> x.tenant_id when matched then delete", "merge into public.orders o using (select 1) x on true when matched and o.tenant_id = '{zeta}' then delete"]),
        ("merge that gives away", vec!["merge into public.orders o using (select 1) x on o.note = 'acme 2' when matched then update set tenant_id = '{zeta}'"]),
        ("merge that tells", vec!["merge into public.orders o using (values ('{zeta}'::uuid, '{zetas_order}'::uuid)) v (t, i) on o.tenant_id = v.t and o.id = v.i when matched then do nothing when not matched then insert (tenant_id, id, note) values (v.t, v.i, 'x')"]),
        ("writes in a CTE", vec!["with w as (update public.orders set amount = 7 where tenant_id = '{zeta}' returning *) select * from w", "with d as (delete from public.line where tenant_id = '{zeta}' returning *) insert into public.orders (note) select note from d"]),
        ("where current of", vec!["begin", "declare c cursor for select * from public.orders for update", "fetch last from c", "delete from public.orders where current of c and tenant_id = '{zeta}'", "rollback"]),
        ("a lock", vec!["lock table nebula.user in access exclusive mode", "lock table nebula.api_key in row exclusive mode"]),
        ("create table as", vec!["create table public.stolen as select * from public.orders", "select note from public.stolen"]),
        ("maintenance", vec!["vacuum nebula.user", "analyze nebula.user", "cluster nebula.user", "reindex table nebula.user"]),
        ("comments", vec!["comment on table public.orders is 'mine'", "comment on function nebula.current_tenant() is 'mine'"]),
        ("columns", vec!["alter table public.orders add column x text default 'x'", "alter table public.orders rename to o", "alter table public.orders alter column tenant_id drop not null"]),
        ("constraints", vec!["alter table public.orders add constraint c check (public.total() > 0)", "alter table public.orders drop constraint orders_pkey cascade", "set constraints all deferred"]),
        ("detach a partition", vec!["alter table public.event detach partition public.event_rest", "alter table public.event attach partition public.child default"]),
        ("inheritance", vec!["create table public.heir () inherits (public.orders)", "alter table public.child no inherit public.parent"]),
        ("kill others", vec!["select pg_terminate_backend(pid) from pg_stat_activity where usename = 'nebula_edge'", "select pg_cancel_backend(pid) from pg_stat_activity where usename = 'supabase_admin'"]),
        ("reload and switch", vec!["select pg_reload_conf()", "select pg_switch_wal()", "alter system set log_statement = 'all'", "checkpoint"]),
    ]
    .iter()
    .map(|(name, steps)| attempt(name, steps))
    .collect::<Vec<_>>();
    // Of two values, one that is there: the answers may not differ.
    attempts.push(attempt(
        "whether an order of the other tenant exists, by a line of it",
        &["do $$ declare a text; b text; begin \
             begin insert into public.line (order_id) values ('{zetas_order}'); exception when others then a := sqlstate; end; \
             begin insert into public.line (order_id) values (gen_random_uuid()); exception when others then b := sqlstate; end; \
             if a is distinct from b then raise notice 'kanarien%', 'vogel'; end if; end $$"],
    ));
    attempts.push(attempt(
        "whether a note of the other tenant exists, by uniqueness",
        &["do $$ declare a text; b text; begin \
             begin insert into public.orders (tenant_id, note) values ('{zeta}', 'kanarien' || 'vogel 1'); exception when others then a := sqlstate; end; \
             begin insert into public.orders (tenant_id, note) values ('{zeta}', 'nothing of that'); exception when others then b := sqlstate; end; \
             if a is distinct from b then raise notice 'kanarien%', 'vogel'; end if; end $$"],
    ));
    attempts
}

#[test]
fn no_statement_changes_another_tenant() {
    let mut arena = Arena::new();
    arena.make_all(&writes());
    arena.judge("writing", 220);
}
