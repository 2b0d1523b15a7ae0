//! How everything is told: text or JSON, colours for terminals alone, an exit code that says what happened, and what to do next.

use super::{bare, ends_with, err, file, operate, out};
use nebula_tests::{Database, cluster::nebula_program, onboard_by_sql};
use serde_json::Value;
use std::process::Command;

/// Everything that tells something and needs no more than a database.
const TELLING: [&[&str]; 17] = [
    &["status"],
    &["doctor"],
    &["migrate"],
    &["seed"],
    &["tenant", "list"],
    &["tenant", "show", "platform"],
    &["user", "list", "platform"],
    &["key", "signing", "list"],
    &["key", "sealing", "list"],
    &["key", "sealing", "register"],
    &["key", "api", "list", "platform"],
    &["key", "operator", "list"],
    &["issuer", "list"],
    &["config"],
    &["config", "check", "--connect"],
    &["openapi"],
    &["prove-isolation", "--schema", "public"],
];

#[test]
fn every_command_speaks_json_and_tells_pipes_no_colours_and_nobody_a_secret() {
    let database = Database::new();
    let key = &database.installation.operator_key;
    for command in TELLING {
        for extra in [&[][..], &["--json"]] {
            let output = database.nebula(&[command, extra].concat(), &[("NEBULA_OPERATOR_KEY", key), ("TERM", "xterm-256color")]);
            assert!(matches!(output.status.code(), Some(0 | 3)), "{command:?}: {} {}", output.status, err(&output));
            let said = out(&output) + &err(&output);
            assert!(!said.contains('\u{1b}'), "{command:?}: {said}");
            assert!(!said.contains(key.as_str()), "{command:?} tells the operator's key");
            if !extra.is_empty() {
                serde_json::from_str::<Value>(&out(&output)).unwrap_or_else(|error| panic!("{command:?}: {error}: {said}"));
                assert!(err(&output).lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{command:?}: {said}");
            }
        }
    }
}

#[test]
fn colours_are_for_terminals_and_not_where_no_color_is_set() {
    let database = Database::new();
    let program = nebula_program().display().to_string();
    // `script` gives it a terminal.
    let on_a_terminal = |environment: &[(&str, &str)]| {
        let output = Command::new("script")
            .args(["-qec", &format!("{program} status"), "/dev/null"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TERM", "xterm-256color")
            .env("NEBULA_ADMIN_DATABASE_URL", database.url("postgres"))
            .env("NEBULA_KEYS_DIR", &database.installation.keys_dir)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let coloured = on_a_terminal(&[]);
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    let plain = on_a_terminal(&[("NO_COLOR", "1")]);
    assert!(plain.contains("database") && !plain.contains("\u{1b}["), "{plain}");
}

#[test]
fn the_exit_code_says_what_happened() {
    let database = Database::new();
    let _ = onboard_by_sql(&database, "acme");
    let taken = file(&database, "taken.zip", "");
    ends_with(&database.nebula(&["seed"], &[]), 0);
    ends_with(&database.nebula(&["export", "acme", "--output", taken.to_str().unwrap()], &[]), 1);
    ends_with(&database.nebula(&["tenant"], &[]), 2);
    ends_with(&database.nebula(&["migrate", "--nonsense"], &[]), 2);
    ends_with(&bare(&["migrate"], &[]), 2);
    database.execute("create schema app; create table app.orders (id uuid primary key, tenant_id uuid)");
    ends_with(&database.nebula(&["doctor", "--schema", "app", "--rule", "rls_disabled_on_tenant_table"], &[]), 3);
    ends_with(&operate(&database, &["tenant", "show", "nobody"]), 4);
    ends_with(&database.nebula(&["export", "nobody", "--output", "/nonexistent/file"], &[]), 4);
    ends_with(&bare(&["migrate"], &[("NEBULA_ADMIN_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/nebula")]), 5);
}

#[test]
fn an_error_is_json_with_code_message_and_what_to_do_next() {
    let database = Database::new();
    let error = |output: &std::process::Output| {
        assert!(out(output).is_empty());
        serde_json::from_str::<Value>(&err(output)).unwrap_or_else(|error| panic!("{error}: {}", err(output)))["error"].clone()
    };
    for (output, code, exit) in [
        (bare(&["--json", "migrate"], &[]), "setting_missing", 2),
        (bare(&["nonsense", "--json"], &[]), "usage", 2),
        (
            bare(&["migrate", "--json"], &[("NEBULA_ADMIN_DATABASE_URL", "postgresql://postgres@127.0.0.1:1/nebula")]),
            "database_unavailable",
            5,
        ),
        (bare(&["tenant", "list", "--json"], &[("NEBULA_DATABASE_URL", &database.url("nebula_edge"))]), "setting_missing", 2),
        (operate(&database, &["tenant", "show", "nobody", "--json"]), "not_found", 4),
        (operate(&database, &["user", "show", "platform", "nobody@nowhere.example", "--json"]), "not_found", 4),
        (database.nebula(&["export", "nobody", "--output", "/tmp/never", "--json"], &[]), "not_found", 4),
    ] {
        ends_with(&output, exit);
        let error = error(&output);
        assert_eq!(error["code"], code, "{error}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()) && error["hint"].is_string(), "{error}");
    }
    let plain = err(&bare(&["migrate"], &[]));
    assert!(plain.starts_with("nebula: NEBULA_ADMIN_DATABASE_URL is not set\n  hint: "), "{plain}");
}

#[test]
fn who_reads_only_the_beginning_gets_no_error() {
    let database = Database::new();
    let script = format!("{} openapi | head -n 1", nebula_program().display());
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .env("NEBULA_ADMIN_DATABASE_URL", database.url("postgres"))
        .output()
        .unwrap();
    ends_with(&output, 0);
    assert_eq!((out(&output).trim(), err(&output).as_str()), ("{", ""));
}
