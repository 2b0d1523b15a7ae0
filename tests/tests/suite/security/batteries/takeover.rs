//! What docs/security/edge-takeover.md says: all that the edge's database credential can do if the edge were taken over, counted and not remembered. What is new here has
//! to be written there.

use nebula_tests::{Battery, Database, handle::request, onboard_by_sql};
use serde_json::json;
use std::{collections::BTreeSet, fs, path::Path};

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/security/edge-takeover.md")).unwrap()
}

/// The list under a heading: what stands in backticks at the start of each item.
fn listed(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split(&format!("## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap();
    section.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next()).map(str::to_owned).collect()
}

fn set(list: Vec<String>) -> BTreeSet<String> {
    list.into_iter().collect()
}

#[test]
fn the_edges_credential_may_do_what_the_page_says_and_nothing_else() {
    let database = Database::new();
    let mut battery = Battery::begin("takeover", &database);
    let page = page();
    let functions = set(database.texts(
        "select p.oid::regprocedure::text from pg_proc p where p.pronamespace <> 'pg_catalog'::regnamespace and p.pronamespace <> 'information_schema'::regnamespace \
         and has_function_privilege('nebula_edge', p.oid, 'execute') and has_schema_privilege('nebula_edge', p.pronamespace, 'usage')",
        &[],
    ));
    battery.case(functions == listed(&page, "Functions that it may call"), || format!("functions: {functions:?}"));
    // Any privilege on any relation or column of the product or the application.
    let relations = database.texts(
        "select c.oid::regclass || ' ' || v from pg_class c cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) v \
         where c.relnamespace not in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) and c.relkind in ('r', 'p', 'v', 'm', 'f') \
           and c.relnamespace::regnamespace::text !~ '^pg_toast' and has_table_privilege('nebula_edge', c.oid, v) \
         union all select c.oid::regclass || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
         where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'v') and has_column_privilege('nebula_edge', c.oid, a.attnum, 'select, insert, update, references') \
         union all select c.oid::regclass::text from pg_class c where case when c.relkind = 'S' then has_sequence_privilege('nebula_edge', c.oid, 'usage, select, update') else false end",
        &[],
    );
    battery.case(relations.is_empty(), || format!("relations: {relations:?}"));
    let schemas = set(database.texts(
        "select nspname || ' ' || v from pg_namespace cross join unnest(array['create', 'usage']) v where nspname !~ '^pg_' and nspname <> 'information_schema' and has_schema_privilege('nebula_edge', oid, v)",
        &[],
    ));
    battery.case(schemas == listed(&page, "Schemas"), || format!("schemas: {schemas:?}"));
    let wide = set(database.texts(
        "select 'database ' || v from unnest(array['create', 'temporary', 'connect']) v where has_database_privilege('nebula_edge', current_database(), v) \
         union all select 'language ' || lanname from pg_language where lanpltrusted and has_language_privilege('nebula_edge', oid, 'usage') \
         union all select 'tablespace ' || spcname from pg_tablespace where has_tablespace_privilege('nebula_edge', oid, 'create') \
         union all select 'foreign server ' || srvname from pg_foreign_server where has_server_privilege('nebula_edge', oid, 'usage') \
         union all select 'role ' || rolname from pg_roles where rolname <> 'nebula_edge' and pg_has_role('nebula_edge', oid, 'member') \
         union all select 'attribute ' || a from pg_roles cross join lateral unnest(array[ \
             case when rolsuper then 'superuser' end, case when rolbypassrls then 'bypassrls' end, case when rolcreaterole then 'createrole' end, \
             case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end, case when rolinherit then 'inherit' end]) a \
         where rolname = 'nebula_edge' and a is not null",
        &[],
    ));
    battery.case(wide == listed(&page, "Privileges of the database"), || format!("privileges: {wide:?}"));
    battery.end(4, &[]);
}

/// Every attempt of the table "What it was seen to do", made by the credential itself.
#[test]
fn what_the_page_says_that_it_can_and_cannot_do_is_so() {
    let database = Database::new();
    let mut battery = Battery::begin("takeover attempts", &database);
    let page = page();
    let (acme, zeta) = (onboard_by_sql(&database, "acme"), onboard_by_sql(&database, "zeta"));
    let mut handle = database.handle();
    let before = database.digests();
    // Without a credential nothing is told of a tenant, and nothing changes.
    for tenant in [acme.id, zeta.id] {
        for operation in ["users.list", "me.read", "audit.list", "config.read"] {
            let answer = handle.send(tenant, &request(operation, None, &json!({})));
            battery.case(answer.status == 401, || format!("{operation}: {answer:?}"));
        }
    }
    assert_eq!(database.digests(), before);
    let can = listed(&page, "What it can do all the same");
    let cannot = listed(&page, "What it was refused");
    assert!(can.len() >= 6 && cannot.len() >= 20, "{} and {}", can.len(), cannot.len());
    for (statements, is_allowed) in [(can, true), (cannot, false)] {
        for sql in statements {
            let mut client = database.connect("nebula_edge");
            let outcome = client.batch_execute(&format!("begin; {sql}; rollback"));
            battery.case(outcome.is_ok() == is_allowed, || format!("{sql}: {outcome:?}"));
        }
    }
    battery.end(30, &[]);
}
