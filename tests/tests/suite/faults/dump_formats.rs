//! B11: whatever `pg_dump` can write gives back the same database, an application's protected tables in it, on the same server and on the next major version.

use nebula_tests::{
    catalog::contents,
    cluster::{Cluster, postgres_programs},
    shop::Shop,
};
use postgres::Client;
use serde_json::json;
use std::{collections::BTreeMap, path::Path, process::Command};

/// What an application has of the product in its own schemas. Whoever adds to the product what a dump must carry adds a line.
const APPLICATION: &[&str] = &[
    nebula_tests::shop::PROTECT,
    "create sequence public.ticket start 41; select nextval('public.ticket')",
    "create table public.notes (id bigint generated always as identity, tenant_id uuid, text text); \
     insert into public.notes (tenant_id, text) select tenant_id, 'linha' || chr(10) || 'ação' || n from public.customers, generate_series(1, 3) n; \
     select nebula.protect('public.notes', grant_to => '{nebula_app}', package => 'pro')",
];

fn shop() -> Shop {
    let shop = Shop::new();
    for sql in APPLICATION {
        shop.database.execute(sql);
    }
    // Something that happened, so that a trigger that fires again would be seen.
    shop.as_acme()
        .batch_execute("insert into public.orders (customer_id, total) values (2, 7); update public.orders set total = total + 1")
        .unwrap();
    shop.database.wait_until_deserted();
    shop
}

#[track_caller]
fn run(programs: &Path, program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(programs.join(program)).env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Everything of a database that a dump is for: the product's rows, the application's, what comes next of each sequence, and the extension's version.
fn all_of(client: &mut Client) -> BTreeMap<String, String> {
    let mut all = contents(client);
    let rows = |client: &mut Client, sql: &str| client.query(sql, &[]).unwrap();
    for row in
        rows(client, "select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')")
    {
        let table: String = row.get(0);
        let digest = format!("select count(*) || ' ' || md5(string_agg(t::text, ' ' order by t::text collate \"C\")) from {table} t");
        all.insert(table, client.query_one(&digest, &[]).unwrap().get(0));
    }
    for row in rows(client, "select 'sequence ' || schemaname || '.' || sequencename, last_value::text from pg_sequences") {
        all.insert(row.get(0), row.get::<_, Option<String>>(1).unwrap_or_default());
    }
    for row in rows(client, "select 'extension ' || extname, extversion from pg_extension") {
        all.insert(row.get(0), row.get(1));
    }
    all
}

/// The database as text, without the random words by which psql tells its own commands.
fn text(programs: &Path, url: &str) -> Vec<String> {
    let dump = run(programs, "pg_dump", &[url]);
    dump.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")).map(str::to_owned).collect()
}

#[track_caller]
fn goes_on(shop: &Shop, copy: &Cluster, database: &str) {
    let mut acme = copy.connect(&shop.acme_login, database);
    let mut superuser = copy.connect("postgres", database);
    let greatest: i64 = superuser.query_one("select max(id) from public.orders", &[]).unwrap().get(0);
    let audited = "select count(*) from nebula.audit_log where entity_type like '%orders%'";
    let before: i64 = superuser.query_one(audited, &[]).unwrap().get(0);
    let next: i64 = acme.query_one("insert into public.orders (customer_id, total) values (2, 8) returning id", &[]).unwrap().get(0);
    assert_eq!(next, greatest + 1);
    assert_eq!(superuser.query_one("select nextval('public.ticket')", &[]).unwrap().get::<_, i64>(0), 42);
    let after: i64 = superuser.query_one(audited, &[]).unwrap().get(0);
    assert_eq!(after, before + 1, "what is written from now on is audited once");
    // Tenants still don't see each other.
    let foreign: i64 = acme.query_one("select count(*) from public.orders where tenant_id <> $1", &[&shop.acme.id]).unwrap().get(0);
    assert_eq!(foreign, 0);
    let own: i64 = acme.query_one("select count(*) from public.orders", &[]).unwrap().get(0);
    assert!(own > 0);
    let migrated: serde_json::Value = superuser.query_one("select nebula.migrate()::jsonb", &[]).unwrap().get(0);
    assert_eq!(migrated["applied"], json!([]));
}

/// Dumps in this format, restores beside the original, compares.
#[track_caller]
fn comes_back(format: &str, jobs: &[&str]) {
    let shop = shop();
    let (cluster, programs) = (&shop.database.installation.cluster, postgres_programs());
    let original = shop.database.url("postgres");
    let copy = format!("{}_{format}", shop.database.name);
    let file = cluster.dir.join(&copy).display().to_string();
    cluster.connect("postgres", "postgres").batch_execute(&format!("create database {copy} template template0")).unwrap();
    let url = cluster.url("postgres", &copy);
    run(&programs, "pg_dump", &[&["--format", format, "--file", &file], jobs, &[original.as_str()]].concat());
    if format == "plain" {
        run(&programs, "psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-f", &file, &url]);
    } else {
        run(&programs, "pg_restore", &[&["--exit-on-error", "--dbname", &url], jobs, &[file.as_str()]].concat());
    }
    assert_eq!(all_of(&mut cluster.connect("postgres", &copy)), all_of(&mut shop.database.superuser()));
    assert_eq!(text(&programs, &url), text(&programs, &original), "a dump of the copy is the dump of the original");
    goes_on(&shop, cluster, &copy);
    cluster.connect("postgres", "postgres").batch_execute(&format!("drop database {copy} with (force)")).unwrap();
}

#[test]
fn a_plain_dump_comes_back_in_one_transaction() {
    comes_back("plain", &[]);
}

#[test]
fn a_custom_dump_comes_back() {
    comes_back("custom", &[]);
}

#[test]
fn a_directory_dump_comes_back_by_several_jobs() {
    comes_back("directory", &["--jobs", "2"]);
}

#[test]
fn a_tar_dump_comes_back() {
    comes_back("tar", &[]);
}

/// Restores into a new server of these programs, whose roles come from `pg_dumpall --globals-only`.
fn comes_back_on_another_server(programs: &Path) {
    let shop = shop();
    let cluster = &shop.database.installation.cluster;
    let other = Cluster::prepare_with(|_| programs.to_owned(), "");
    other.start_again();
    let file = |name: &str| cluster.dir.join(format!("{}-{name}", shop.database.name)).display().to_string();
    let (globals, data) = (file("globals.sql"), file("data.dump"));
    run(programs, "pg_dumpall", &["--globals-only", "--file", &globals, "--dbname", &cluster.url("postgres", "postgres")]);
    run(programs, "pg_dump", &["--format", "custom", "--file", &data, &shop.database.url("postgres")]);
    // "role postgres already exists" is the one error that a list of roles has.
    run(programs, "psql", &["-X", "-q", "-f", &globals, &other.url("postgres", "postgres")]);
    other.connect("postgres", "postgres").batch_execute("create database restored template template0").unwrap();
    run(programs, "pg_restore", &["--exit-on-error", "--dbname", &other.url("postgres", "restored"), &data]);
    assert_eq!(all_of(&mut other.connect("postgres", "restored")), all_of(&mut shop.database.superuser()));
    let roles = |cluster: &Cluster| nebula_tests::catalog::roles(&mut cluster.connect("postgres", "postgres"));
    nebula_tests::catalog::assert_same(&roles(&other), &roles(cluster));
    goes_on(&shop, &other, "restored");
}

#[test]
fn with_its_roles_it_comes_back_on_a_new_server() {
    comes_back_on_another_server(&postgres_programs());
}

/// 15 to 17, as Supabase's users go.
#[test]
#[ignore = "runs on 15 beside an installed 17: make test-versions"]
fn what_was_dumped_from_15_comes_back_on_17() {
    let newer = postgres_programs().display().to_string().replace("postgres-15/lib/postgresql/15", "postgres-17/lib/postgresql/17");
    let newer = Path::new(&newer);
    assert!(newer != postgres_programs(), "this is not a run on 15");
    assert!(newer.join("../../../../share/postgresql/17/extension/nebula.control").exists(), "run make install PG=17 first");
    comes_back_on_another_server(newer);
}
