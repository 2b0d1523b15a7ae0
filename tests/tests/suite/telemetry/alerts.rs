//! What is written about metrics and what the program shows are the same: the page, the rules, the dashboard, the runbook.

use super::metrics::{edge, worker};
use nebula_tests::{Caller, Database, Receiver, Scrape, eventually, onboard};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs/operations").join(name)).unwrap()
}

/// Words that begin as our metrics do.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("nebula_") || word.starts_with("process_"));
    words.map(str::to_owned).collect()
}

/// Every metric that edge and worker show once something has happened. What pg_stat_statements adds where it is installed is read from the function.
fn shown() -> BTreeSet<String> {
    let database = Database::new();
    database.allow_loopback_webhooks();
    let receiver = Receiver::start();
    let edge = edge(&database);
    let acme = onboard(&edge, "acme");
    acme.admin.get("/v1/nowhere").refused(404, "NOT_FOUND");
    acme.admin.post("/v1/webhooks", &json!({ "url": receiver.url("/"), "events": ["order.paid"] })).data(201);
    let worker = worker(&database);
    database.execute(&format!("select nebula.emit('order.paid', '{{}}', null, '{}')", acme.id));
    let mut names = Scrape::of(&edge).names();
    eventually("the worker has done everything that it counts", || {
        let scrape = Scrape::of(&worker);
        let is_done = scrape.sum("nebula_webhook_request_duration_seconds_count", &[]) >= 1.0
            && scrape.sum("nebula_worker_task_runs_total", &[]) >= 1.0
            && scrape.sum("nebula_task_is_failing", &["task=\"retention\""]) == 0.0
            && scrape.sum("nebula_database_figures_up", &[]) == 1.0;
        names.extend(scrape.names());
        is_done && names.contains("nebula_task_is_failing")
    });
    let of_statements = database.text("select prosrc from pg_proc where oid = 'nebula.metrics_of_statements()'::regprocedure", &[]);
    names.extend(of_statements.split('\'').filter(|word| word.starts_with("nebula_")).map(str::to_owned));
    names
}

/// The metrics that a query asks for: a histogram's parts count as it.
fn of_queries(text: &str, shown: &BTreeSet<String>) -> BTreeSet<String> {
    let base = |name: String| {
        let parts = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|part| name.strip_suffix(part).filter(|base| shown.contains(*base)).map(str::to_owned));
        parts.unwrap_or(name)
    };
    names(text).into_iter().map(base).collect()
}

/// The queries of a rule or dashboard file: lines of YAML and JSON that hold one.
fn queries(text: &str) -> String {
    text.lines()
        .filter(|line| line.trim_start().starts_with("expr:") || line.trim_start().starts_with("\"expr\":"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn alerts() -> BTreeSet<String> {
    page("alerts.yaml").lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

#[test]
fn the_page_names_what_the_program_shows_and_nothing_else() {
    let shown = shown();
    let page = page("metrics.md");
    let documented =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(documented.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "documented and not shown");
    assert_eq!(shown.difference(&documented).collect::<Vec<_>>(), Vec::<&String>::new(), "shown and not documented");

    for file in ["alerts.yaml", "grafana-dashboard.json"] {
        let asked = of_queries(&queries(&self::page(file)), &shown);
        assert!(asked.len() > 15, "{file} was not understood: {asked:?}");
        assert_eq!(asked.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "{file} asks for what is not shown");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&self::page("grafana-dashboard.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 20);
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_a_test() {
    let alerts = alerts();
    assert!(alerts.len() > 20, "{alerts:?}");
    let runbook = page("runbook.md");
    let entries = runbook.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(entries, alerts);
    let tested = page("alerts_test.yaml").lines().filter_map(|line| line.trim().strip_prefix("alertname: ")).map(str::to_owned).collect();
    assert_eq!(alerts.difference(&tested).collect::<Vec<_>>(), Vec::<&String>::new(), "without a test");
    for line in page("alerts.yaml").lines().filter_map(|line| line.trim().strip_prefix("runbook: docs/operations/runbook.md#")) {
        assert!(alerts.iter().any(|alert| alert.to_lowercase() == line), "{line}");
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() {
    let program =
        ["/usr/bin/promtool".into(), root().join("target/promtool/usr/bin/promtool")].into_iter().find(|program| program.exists());
    let program = program.expect("promtool is missing: run `make tools`");
    for arguments in [["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]] {
        let output = Command::new(&program).args(arguments).current_dir(root().join("docs/operations")).output().unwrap();
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
}
