//! `nebula.doctor()`: each rule finds what it is for, and its remedy mends it and breaks nothing. The cases are in `doctor/cases.sql`.

use nebula_tests::{
    Database, Library,
    cluster::{Cluster, Installation, TEMPLATE, install, nebula_program, postgres_program},
};
use postgres::Client;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        OnceLock, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Severity, rule, object, remedy.
type Finding = [String; 4];

/// Rules without a case, and why.
const WITHOUT_A_CASE: [(&str, &str); 6] = [
    ("idle_in_transaction", "needs a session: a test of its own"),
    ("long_transaction", "needs a session: a test of its own"),
    ("library_not_preloaded", "needs a restart: a test of its own"),
    ("connections_without_tls", "needs certificates; that it is told, a test of its own"),
    ("trust_authentication", "this cluster trusts everybody; that it is told, a test of its own"),
    ("postgres_too_old", "the installation refuses such a server"),
];

/// A cluster of its own: these tests change roles and settings of the whole server.
fn installation() -> &'static Installation {
    static MADE: OnceLock<Installation> = OnceLock::new();
    MADE.get_or_init(|| {
        install(Cluster::start("synchronous_commit = on\nmax_prepared_transactions = 5\nwal_level = logical\nautovacuum_naptime = '1h'"))
    })
}

/// Who changes the whole server is alone with it.
static SERVER: RwLock<()> = RwLock::new(());

fn database() -> Database {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let installation = installation();
    let name = format!("doctor_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    installation.cluster.connect("postgres", "postgres").batch_execute(&format!("create database {name} template {TEMPLATE}")).unwrap();
    let database = Database { name, installation };
    database.adopt();
    database
}

fn findings_as(client: &mut Client, arguments: &str) -> Vec<Finding> {
    let rows = client.query(&format!("select severity, rule, object, remedy from nebula.doctor({arguments})"), &[]).unwrap();
    rows.iter().map(|row| [0, 1, 2, 3].map(|column| row.get(column))).collect()
}

fn findings(database: &Database) -> Vec<Finding> {
    findings_as(&mut database.superuser(), "patience => '1 second'")
}

/// Each statement by itself, as a person at `psql` runs them.
fn psql(database: &Database, sql: &str) -> Output {
    let mut program = Command::new(postgres_program("psql"))
        .env_clear()
        .env("PGOPTIONS", "-c statement_timeout=60s -c client_min_messages=error")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &database.url("postgres")])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    program.wait_with_output().unwrap()
}

#[derive(Default)]
struct Case {
    rule: String,
    object: String,
    breaks: String,
    by_hand: Option<String>,
    undone_by: String,
}

/// What stands before and after each case, and the cases.
fn cases(database: &str) -> (String, String, Vec<Case>) {
    let text = include_str!("doctor/cases.sql").replace(":\"database\"", database).replace(":database", database);
    let (mut before, mut after, mut cases) = (String::new(), String::new(), Vec::<Case>::new());
    for section in text.split("\n--- ").skip(1) {
        let (head, body) = section.split_once('\n').unwrap();
        let body = body.to_owned();
        match head {
            "before each" => before = body,
            "after each" => after = body,
            "by hand" => cases.last_mut().unwrap().by_hand = Some(body),
            "undone by" => cases.last_mut().unwrap().undone_by = body,
            _ => {
                let (rule, object) = head.split_once(": ").unwrap();
                cases.push(Case { rule: rule.to_owned(), object: object.to_owned(), breaks: body, ..Case::default() });
            }
        }
    }
    (before, after, cases)
}

/// Number, name and severity of each rule, as the library has it.
fn rules(database: &Database) -> Vec<[String; 3]> {
    let rules: Value = serde_json::from_str(&database.text("select nebula.doctor_rules()::text", &[])).unwrap();
    let text = |rule: &Value, member: &str| rule[member].as_str().unwrap().to_owned();
    rules.as_array().unwrap().iter().map(|rule| ["number", "rule", "severity"].map(|member| text(rule, member))).collect()
}

fn is_of_the_server(case: &Case) -> bool {
    ["role ", "setting ", "binding of mighty", "replication slot ", "prepared "].iter().any(|start| case.object.starts_with(start))
        || case.breaks.contains("create role")
}

/// Breaks something, finds it, does what the finding says, and finds it no more; and nothing that was whole is broken then.
fn hold(database: &Database, before: &str, after: &str, case: &Case) -> Vec<String> {
    let (_reading, _writing) = if is_of_the_server(case) {
        (None, Some(SERVER.write().unwrap_or_else(std::sync::PoisonError::into_inner)))
    } else {
        (Some(SERVER.read().unwrap_or_else(std::sync::PoisonError::into_inner)), None)
    };
    let what = format!("{}: {}", case.rule, case.object);
    let mut failures = Vec::new();
    let mut does = |step: &str, sql: &str| {
        let output = psql(database, sql);
        if !output.status.success() {
            failures.push(format!("{what}: {step}: {}\n{sql}", String::from_utf8_lossy(&output.stderr)));
        }
    };
    let is_it = |finding: &&Finding| finding[1] == case.rule && finding[2] == case.object;
    does("prepare", before);
    does("break", &case.breaks);
    let broken = findings(database);
    if let Some(finding) = broken.iter().find(is_it) {
        if case.by_hand.is_some() || !finding[3].starts_with("--") {
            does("remedy", case.by_hand.as_deref().unwrap_or(&finding[3]));
        } else {
            does("remedy is a comment", "select 1 / 0");
        }
        let mended = findings(database);
        if mended.iter().any(|finding| is_it(&finding)) {
            failures.push(format!("{what}: is still there after\n{}", finding[3]));
        }
        let worse = |finding: &&Finding| finding[0] != "info" && !broken.iter().any(|known| known[1..3] == finding[1..3]);
        failures.extend(mended.iter().filter(worse).map(|new| format!("{what}: the remedy made {new:?}")));
    } else {
        let near = broken.iter().filter(|finding| finding[1] == case.rule || finding[1] == "rule_not_run").collect::<Vec<_>>();
        failures.push(format!("{what}: not found, but {near:?}"));
    }
    let mut does = |step: &str, sql: &str| {
        let output = psql(database, sql);
        if !output.status.success() {
            failures.push(format!("{what}: {step}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    };
    does("clean up", after);
    does("undo", &case.undone_by);
    failures
}

/// The cases of the rules whose numbers begin so.
#[track_caller]
fn hold_area(areas: &[&str]) {
    let database = database();
    let (before, after, cases) = cases(&database.name);
    let rules = rules(&database);
    let number = |case: &Case| rules.iter().find(|rule| rule[1] == case.rule).map_or("", |rule| &rule[0]);
    let cases = cases.iter().filter(|case| areas.iter().any(|area| number(case).starts_with(area))).collect::<Vec<_>>();
    assert!(cases.len() > 5, "{}", cases.len());
    let failures = cases.iter().flat_map(|case| hold(&database, &before, &after, case)).collect::<Vec<_>>();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn policies_views_and_functions_of_the_application_are_found_and_mended() {
    hold_area(&["01", "02"]);
}

#[test]
fn keys_indexes_and_upkeep_of_the_application_are_found_and_mended() {
    hold_area(&["03"]);
}

#[test]
fn privileges_of_callers_and_nebulas_own_objects_are_found_and_mended() {
    hold_area(&["04", "05"]);
}

#[test]
fn rows_of_the_installation_and_the_server_are_found_and_mended() {
    hold_area(&["06", "07"]);
}

#[test]
fn protected_tables_are_looked_after() {
    hold_area(&["08"]);
}

#[test]
fn every_rule_has_a_case() {
    let database = database();
    let known = rules(&database).into_iter().map(|[_, rule, _]| rule).collect::<BTreeSet<_>>();
    assert!(known.len() > 100, "{known:?}");
    let mut tried = cases(&database.name).2.into_iter().map(|case| case.rule).collect::<BTreeSet<_>>();
    tried.extend(WITHOUT_A_CASE.map(|(rule, _)| rule.to_owned()));
    assert_eq!(tried, known);
}

#[test]
fn a_fresh_installation_has_no_error_and_no_warning() {
    let database = database();
    let _alone = SERVER.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let found = findings(&database);
    let told = found.iter().filter(|finding| finding[0] != "info").map(|finding| finding[1].as_str()).collect::<BTreeSet<_>>();
    // This cluster lets everybody in without a password, and is told so.
    assert_eq!(told, BTreeSet::from(["trust_authentication"]), "{found:#?}");
    let noted = found.iter().filter(|finding| finding[0] == "info").map(|finding| finding[1].as_str()).collect::<BTreeSet<_>>();
    assert!(noted.is_subset(&BTreeSet::from(["connections_without_tls", "library_not_preloaded", "temporary_granted"])), "{noted:?}");
    assert!(noted.contains("connections_without_tls") && noted.contains("library_not_preloaded"), "{noted:?}");
}

#[test]
fn a_preloaded_library_is_no_finding() {
    let database = Database::with(Library::Preloaded);
    let found = findings_as(&mut database.superuser(), "rules => '{library_not_preloaded}'");
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn it_reads_only_and_takes_no_lock_that_a_writer_waits_for() {
    let database = database();
    database.execute("create table public.notes (id bigint generated always as identity primary key)");
    let counts = database.row_counts();
    let mut session = database.superuser();
    session.batch_execute("begin transaction read only").unwrap();
    let found = findings_as(&mut session, "");
    assert!(!found.iter().any(|finding| finding[1] == "rule_not_run"), "{found:?}");
    let locks = session
        .query(
            "select distinct mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation' \
             and mode not in ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')",
            &[],
        )
        .unwrap();
    assert!(locks.is_empty(), "{:?}", locks[0].get::<_, String>(0));
    session.batch_execute("commit").unwrap();
    assert_eq!(database.row_counts(), counts);
}

#[test]
fn a_table_that_somebody_holds_exclusively_stops_neither_the_others_rules_nor_the_doctor() {
    let database = database();
    database.execute("create schema app; create table app.orders (id uuid primary key, tenant_id uuid); create view app.seen as select * from app.orders");
    let mut holder = database.superuser();
    holder.batch_execute("begin; lock table app.orders, app.seen in access exclusive mode").unwrap();
    let mut session = database.superuser();
    session.batch_execute("set statement_timeout = '60s'").unwrap();
    let found = findings_as(&mut session, "");
    assert!(found.iter().any(|finding| finding[1] == "rls_disabled_on_tenant_table" && finding[2] == "app.orders"), "{found:?}");
    let stopped = found.iter().filter(|finding| finding[1] == "rule_not_run").collect::<Vec<_>>();
    assert!(stopped.len() <= 2, "{stopped:?}");
    holder.batch_execute("rollback").unwrap();
}

#[test]
fn sessions_that_forgot_their_transaction_are_found_and_ended() {
    let database = database();
    let mut idle = database.superuser();
    idle.batch_execute("begin; select 1").unwrap();
    let pid: i32 = idle.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    let mut sleeper = database.superuser();
    let sleeping: i32 = sleeper.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    let asleep = std::thread::spawn(move || sleeper.batch_execute("select pg_sleep(600)"));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let mut session = database.superuser();
    for (rule, pid) in [("idle_in_transaction", pid), ("long_transaction", sleeping)] {
        let arguments = format!("rules => '{{{rule}}}', patience => '0.1 seconds'");
        let found = findings_as(&mut session, &arguments);
        let finding = found.iter().find(|finding| finding[2] == format!("session {pid}")).unwrap_or_else(|| panic!("{rule}: {found:?}"));
        session.batch_execute(&finding[3]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        let left = findings_as(&mut session, &arguments);
        assert!(!left.iter().any(|finding| finding[2] == format!("session {pid}")), "{left:?}");
    }
    assert!(asleep.join().unwrap().is_err());
    assert!(
        findings_as(&mut session, "rules => '{idle_in_transaction, long_transaction}'").is_empty(),
        "nobody has been waiting for five minutes"
    );
}

#[test]
fn what_it_is_asked_for_is_what_it_looks_at() {
    let database = database();
    database.execute("create schema one; create table one.orders (id uuid primary key, tenant_id uuid); create schema auth; create table auth.two (id uuid primary key, tenant_id uuid)");
    let mut session = database.superuser();
    let mut objects = |arguments: &str| {
        let found = findings_as(&mut session, &format!("rules => '{{rls_disabled_on_tenant_table}}'{arguments}"));
        found.into_iter().map(|finding| finding[2].clone()).collect::<Vec<_>>()
    };
    assert_eq!(objects(""), ["one.orders"], "Supabase's own schemas are left to it");
    assert_eq!(objects(", schemas => '{auth}'"), ["auth.two"]);
    assert_eq!(objects(", schemas => '{auth, one}'"), ["auth.two", "one.orders"]);
    assert!(objects(", schemas => '{public}'").is_empty());
    for (arguments, code) in [("rules => '{no_such_rule}'", "22023"), ("schemas => '{no_such_schema}'", "3F000")] {
        let error = session.query(&format!("select from nebula.doctor({arguments})"), &[]).unwrap_err();
        assert_eq!(error.code().unwrap().code(), code, "{error:?}");
    }
}

#[test]
fn nobody_calls_it_but_dbas_and_its_readers_run_what_is_compiled_in() {
    let database = database();
    for role in ["nebula_edge", "nebula_worker", "nebula_keys", "authenticator"] {
        for call in [
            "nebula.doctor()",
            "nebula.doctor_as_owner('issuer_secret_weak')",
            "nebula.doctor_as_platform('dead_jobs')",
            "nebula.doctor_rules()",
        ] {
            let error = database.connect(role).query(&format!("select {call}"), &[]).unwrap_err();
            assert_eq!(error.code().unwrap().code(), "42501", "{role} {call}: {error:?}");
        }
    }
    // A rule of another reader, and a statement instead of a name, are no rules.
    for call in
        ["doctor_as_owner('dead_jobs')", "doctor_as_owner('setting_weak')", "doctor_as_platform('select secret from nebula.installation')"]
    {
        let error = database.superuser().query(&format!("select * from nebula.{call}"), &[]).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "22004", "{call}: {error:?}");
    }
}

/// As on Supabase, whose DBA is no superuser: the rules about rows are asked with the installation's rights, and what only a superuser may read is told.
#[test]
fn a_dba_who_is_no_superuser_sees_what_concerns_nebula() {
    let database = database();
    let _alone = SERVER.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name = format!("{}_of_dba", database.name);
    database.execute("do $$ begin create role doctor_dba login; exception when duplicate_object then null; end $$");
    let mut postgres = installation().cluster.connect("postgres", "postgres");
    postgres.batch_execute(&format!("create database {name} owner doctor_dba")).unwrap();
    let owned = Database { name, installation: installation() };
    let mut dba = owned.connect("doctor_dba");
    dba.batch_execute("create extension nebula; select nebula.migrate(); create table public.orders (id uuid primary key, tenant_id uuid)")
        .unwrap();
    let found = findings_as(&mut dba, "");
    let rules = found.iter().map(|finding| finding[1].as_str()).collect::<BTreeSet<_>>();
    for rule in ["rls_disabled_on_tenant_table", "signing_key_missing", "catalog_not_seeded", "sealing_key_none"] {
        assert!(rules.contains(rule), "{rule} is not in {rules:?}");
    }
    let refused = found.iter().filter(|finding| finding[1] == "rule_not_run").map(|finding| [&finding[0], &finding[2]]).collect::<Vec<_>>();
    assert_eq!(refused, [["info", "trust_authentication"], ["info", "password_md5"], ["info", "library_not_preloaded"]]);
    assert!(!rules.iter().any(|rule| rule.starts_with("nebula_")), "{found:#?}");
    drop(dba);
    drop(owned);
    postgres.batch_execute("drop role doctor_dba").unwrap();
}

fn nebula_doctor(database: &Database, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(nebula_program())
        .env_clear()
        .env("NEBULA_ADMIN_DATABASE_URL", database.url("postgres"))
        .arg("doctor")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_command_ends_with_the_worst_finding() {
    let database = database();
    let rule = |rule: &'static str| vec!["--schema", "app", "--rule", rule];
    let and = |mut arguments: Vec<&'static str>, more: &[&'static str]| {
        arguments.extend(more);
        arguments
    };
    database.execute("create schema app; create table app.orders (id uuid primary key, tenant_id uuid)");
    let (code, text) = nebula_doctor(&database, &rule("rls_disabled_on_tenant_table"));
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("app.orders")
            && text.contains("> alter table app.orders enable row level security;")
            && text.ends_with("1 errors, 0 warnings, 0 notes\n"),
        "{text}"
    );
    assert_eq!(nebula_doctor(&database, &rule("tenant_index_missing")).0, 0);
    assert_eq!(nebula_doctor(&database, &and(rule("tenant_index_missing"), &["--strict"])).0, 3);
    assert_eq!(nebula_doctor(&database, &and(rule("tenant_column_without_foreign_key"), &["--strict"])).0, 0);
    let (code, json) = nebula_doctor(&database, &and(rule("rls_disabled_on_tenant_table"), &["--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json[0]["severity"].as_str(), json[0]["object"].as_str()), (3, Some("error"), Some("app.orders")));
    assert!(json[0]["remedy"].as_str().unwrap().starts_with("create policy"), "{json}");
}

/// Each rule's file begins with what it is for; the page repeats it.
#[test]
fn every_rule_says_what_it_is_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("sql/doctor");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    let names = files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
    let compiled = rules(&database()).into_iter().map(|[number, rule, _]| format!("{number}_{rule}")).collect::<BTreeSet<_>>();
    assert_eq!(names, compiled);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("-- ") && text.lines().next().unwrap().len() > 40, "{} doesn't begin with what it is for", file.display());
    }
}
