//! B3. The threat: SQL of a tenant's own login, or of a person behind PostgREST, that reads or changes another tenant's rows. `security::sql_callers` tries 1,800 tricks
//! by name; here statements are generated, of every shape, predicate and table, and each must see and touch exactly what an oracle says: what the superuser
//! finds among the tenant's own rows.

use super::super::sql_callers::arena::{ATTACKERS, Arena, CANARY};
use nebula_tests::{Battery, battery};
use postgres::SimpleQueryMessage;

const TABLES: [&str; 7] = ["orders", "line", "event", "event_2026", "parent", "child", "orders_view"];

/// On `t`, without a look at other tables, so that the oracle means the same by it.
const PREDICATES: [&str; 20] = [
    "true",
    "t.tenant_id = '{zeta}'",
    "t.tenant_id <> '{acme}'",
    "not (t.tenant_id = '{acme}')",
    "t.tenant_id in ('{acme}', '{zeta}')",
    "t.tenant_id = any (array['{zeta}'::uuid, null])",
    "t.tenant_id is distinct from '{acme}' or true",
    "t.tenant_id = '{zeta}' or t.note like '%'",
    "t.note like 'k%'",
    "t.note ~ '.'",
    "t.note > ''",
    "(t.tenant_id, t.note) > ('00000000-0000-0000-0000-000000000000', '')",
    "t.note between '' and 'zzzz'",
    "t::text like '%a%'",
    "to_jsonb(t) ->> 'note' is not null",
    "length(md5(t.note)) = 32",
    "coalesce(nullif(t.note, 'x'), 'y') <> ''",
    "t.tenant_id::text ~ '^[0-9a-f]'",
    "case when t.tenant_id = '{zeta}' then true else t.note is not null end",
    "t.note = any (string_to_array('kanarien' || 'vogel 1,acme 1', ','))",
];

/// Each answers notes.
const SHAPES: [&str; 20] = [
    "select t.note from {table} t where {p}",
    "with c as materialized (select * from {table}) select t.note from c t where {p}",
    "with c as not materialized (select * from {table}) select t.note from c t where {p}",
    "select t.note from (select * from {table} offset 0) t where {p}",
    "select t.note from {table} t join {table} u on u.note = t.note and u.tenant_id = t.tenant_id where {p}",
    "select t.note from {table} t left join {table} u on u.tenant_id <> t.tenant_id where {p}",
    "select t.note from {table} t where {p} union select t.note from {table} t where {p}",
    "select t.note from {table} t where {p} intersect select note from {table}",
    "select unnest(array_agg(t.note)) from {table} t where {p}",
    "select e.note from jsonb_to_recordset((select jsonb_agg(t) from {table} t where {p})) e (note text)",
    "select t.note from generate_series(1, 2) g, lateral (select * from {table}) t where {p}",
    "select t.note from {table} t where {p} order by t.note desc limit 1000",
    "select distinct on (t.note) t.note from {table} t where {p}",
    "select max(t.note) over (partition by t.note) from {table} t where {p}",
    "select t.note from {table} t where {p} group by t.note having count(*) > 0",
    "select (json_populate_record(null::{table}, to_json(t))).note from {table} t where {p}",
    "select t.note from {table} t where {p} and exists (select from {table} u where u.tenant_id = t.tenant_id)",
    "update {table} t set note = t.note where {p} returning t.note",
    "delete from {table} t where {p} returning t.note",
    "with u as (update {table} t set note = t.note where {p} returning t.note) select note from u",
];

#[test]
fn every_generated_statement_sees_exactly_what_the_oracle_says() {
    let arena = Arena::new();
    let mut battery = Battery::begin("B3 generated", &arena.supabase.database);
    let filled = |text: &str| text.replace("{zeta}", &arena.zeta.id.to_string()).replace("{acme}", &arena.acme.id.to_string());
    let mut superuser = arena.supabase.database.superuser();
    let notes = |client: &mut postgres::Client, sql: &str| -> Result<Vec<String>, String> {
        let messages = client.simple_query(sql).map_err(|error| format!("{error:?}"))?;
        let mut notes = messages
            .iter()
            .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0).map(str::to_owned) } else { None })
            .collect::<Vec<_>>();
        notes.sort();
        notes.dedup();
        Ok(notes)
    };
    let step = battery::scaled(4, 1);
    for attacker in ATTACKERS {
        let (mut client, _) = arena.session(attacker);
        let prologue = arena.prologue(attacker).unwrap_or_else(|| "begin".to_owned());
        let mut turn = 0;
        for table in TABLES {
            for predicate in PREDICATES {
                let predicate = filled(predicate);
                let sql =
                    format!("select t.note from (select * from public.{table} where tenant_id = '{}') t where {predicate}", arena.acme.id);
                let oracle = if attacker.is_acmes() { notes(&mut superuser, &sql).unwrap() } else { Vec::new() };
                for shape in SHAPES {
                    turn += 1;
                    if turn % step != 0 {
                        continue;
                    }
                    let sql = shape.replace("{table}", &format!("public.{table}")).replace("{p}", &predicate);
                    client.batch_execute(&prologue).unwrap();
                    let seen = notes(&mut client, &sql);
                    client.batch_execute("rollback").unwrap();
                    let holds = match &seen {
                        Ok(seen) => *seen == oracle,
                        // Nobody may be refused instead.
                        Err(error) => !attacker.is_acmes() && !error.contains(CANARY),
                    };
                    battery.case(holds, || format!("{attacker:?}: {sql}: {seen:?} where the oracle says {oracle:?}"));
                }
            }
        }
    }
    battery.end(2_000, &[]);
}
