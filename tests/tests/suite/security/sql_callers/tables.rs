//! Every table of the product by every verb: nothing for anybody. And what SQL callers do see, by the oracle's count.

use super::arena::{ATTACKERS, Arena, Attacker, Attempt, attempt};

#[test]
fn no_table_of_the_product_is_anybodys_by_any_verb() {
    let mut arena = Arena::new();
    let relations = arena.supabase.database.texts(
        "select c.oid::regclass::text from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S') \
         and not c.relispartition order by 1",
        &[],
    );
    assert!(relations.len() > 40, "{relations:?}");
    let attempts = relations
        .iter()
        .map(|table| {
            let steps = [
                format!("select * from {table}"),
                format!("select case when count(*) > 0 then 'kanarien' || 'vogel' end from {table}"),
                format!("insert into {table} default values"),
                format!("delete from {table} where true"),
                format!("truncate {table}"),
                format!("copy {table} to stdout"),
                format!("lock table {table} in access share mode"),
                format!("create temp view v as select * from {table}"),
                format!("select nextval('{table}')"),
            ];
            attempt(&format!("{table} by nine verbs"), &steps.each_ref().map(String::as_str))
        })
        .collect::<Vec<Attempt>>();
    arena.make_all(&attempts);
    arena.judge("the product's tables", 200);
}

#[test]
fn each_verb_reaches_exactly_the_rows_of_the_own_tenant() {
    let arena = Arena::new();
    let tables = ["orders", "line", "event", "event_2026", "parent", "child"];
    for attacker in ATTACKERS {
        for table in tables {
            let oracle = if attacker.is_acmes() {
                arena.supabase.database.number(&format!("select count(*) from public.{table} where tenant_id = $1"), &[&arena.acme.id])
            } else {
                0
            };
            for (verb, sql) in [
                ("select", format!("select 1 from public.{table}")),
                ("update", format!("update public.{table} set note = note where true")),
                ("delete", format!("delete from public.{table} where true")),
            ] {
                let (mut client, _) = arena.session(attacker);
                let touched = arena.within(attacker, &mut client, &sql);
                // Who has no context may be refused instead; what may be seen is the same nothing.
                assert_eq!(touched.unwrap_or(0), oracle, "{attacker:?}: {verb} of {table}");
            }
        }
    }
    assert!(Attacker::Bound.is_acmes());
}
