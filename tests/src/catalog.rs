//! What a database and its cluster are made of, as text to be compared.

use crate::{Database, cluster::postgres_program};
use postgres::Client;
use std::{collections::BTreeMap, process::Command};

/// Whatever makes the schema nebula what it is, one line a thing.
#[must_use]
pub fn description(client: &mut Client) -> Vec<String> {
    lines(client, include_str!("catalog.sql"))
}

/// The same without what depends on the month in which it was made.
#[must_use]
pub fn timeless(client: &mut Client) -> Vec<String> {
    let mut lines = description(client);
    lines.retain(|line| !names_a_month(line.lines().next().unwrap_or_default()));
    lines
}

/// The product's roles, with attributes, settings and memberships among themselves.
#[must_use]
pub fn roles(client: &mut Client) -> Vec<String> {
    lines(
        client,
        "select format('role %s super %s inherit %s createrole %s createdb %s login %s replication %s bypassrls %s limit %s', rolname, rolsuper, rolinherit, \
           rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit) \
         from pg_roles where rolname like 'nebula\\_%' \
         union all \
         select 'setting of ' || s.setrole::regrole || ' ' || setting from pg_db_role_setting s cross join lateral unnest(s.setconfig) setting \
         where s.setdatabase = 0 and s.setrole::regrole::text like 'nebula\\_%' \
         union all \
         select 'member of ' || roleid::regrole || ' ' || member::regrole from pg_auth_members \
         where member::regrole::text like 'nebula\\_%' or (roleid::regrole::text like 'nebula\\_%' and roleid <> 'nebula_app'::regrole) \
         order by 1",
    )
}

/// Row count and a digest of the rows of every table, partitions by themselves.
#[must_use]
pub fn contents(client: &mut Client) -> BTreeMap<String, String> {
    let tables = lines(client, "select oid::regclass::text from pg_class where relnamespace = 'nebula'::regnamespace and relkind = 'r'");
    let digest = |table: String| {
        let sql = format!(
            "select count(*) || ' ' || coalesce(md5(string_agg(t::text, e'\\n' order by t::text collate \"C\")), '') from {table} t"
        );
        let digest = client.query_one(&sql, &[]).unwrap().get(0);
        (table, digest)
    };
    tables.into_iter().map(digest).collect()
}

/// Fails with what only one of them has.
#[track_caller]
pub fn assert_same(after: &[String], before: &[String]) {
    let only = |these: &[String], those: &[String]| these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>();
    let (added, missing) = (only(after, before), only(before, after));
    assert!(added.is_empty() && missing.is_empty(), "only here:\n{}\nonly there:\n{}", added.join("\n"), missing.join("\n"));
    assert!(!after.is_empty());
}

fn lines(client: &mut Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

/// Whether a partition of a month is named: `audit_log_2026_11`.
fn names_a_month(line: &str) -> bool {
    let shape = line.bytes().map(|byte| if byte.is_ascii_digit() { b'9' } else { byte }).collect::<Vec<_>>();
    shape.windows(8).any(|window| window == b"_9999_99")
}

/// The tables of a database as `pg_dump --schema-only` writes them, without what depends on the server's version or on the month.
#[must_use]
pub fn schema(database: &Database) -> String {
    let output = Command::new(postgres_program("pg_dump"))
        .env_clear()
        .args([
            "--no-password",
            "--schema-only",
            "--schema=nebula",
            "--exclude-table=nebula.*_20[0-9][0-9]_[0-9][0-9]",
            &database.url("postgres"),
        ])
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dump = String::from_utf8(output.stdout).unwrap();
    let is_kept = |line: &&str| !["--", "\\", "SET ", "SELECT pg_catalog.set_config"].iter().any(|start| line.starts_with(start));
    let mut schema = String::new();
    for line in dump.lines().filter(is_kept) {
        // One empty line is as good as many.
        if !(line.is_empty() && (schema.is_empty() || schema.ends_with("\n\n"))) {
            schema.push_str(line);
            schema.push('\n');
        }
    }
    schema
}
