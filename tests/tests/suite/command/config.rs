//! Settings: where they come from, what is wrong with them, and that no secret is told.

use super::{allow, bare, ends_with, err, file, json, out};
use nebula_tests::{Database, Edge, eventually};
use std::fs;

const CANARY: &str = "hunter22canary";

fn problems(output: &std::process::Output) -> Vec<(String, String)> {
    let told: serde_json::Value = serde_json::from_str(&out(output)).unwrap();
    let problems = told["problems"].as_array().unwrap().iter();
    problems.map(|problem| (problem["setting"].as_str().unwrap().to_owned(), problem["severity"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn the_effective_settings_are_told_with_their_sources_and_without_secrets() {
    let database = Database::new();
    let settings = file(&database, "settings.toml", "pool_size = 7\nmax_in_flight = 9\n");
    let url = format!("postgresql://nebula_edge:{CANARY}@127.0.0.1:1/nebula");
    let keys = format!("1:{CANARY}");
    let variables = [
        ("NEBULA_DATABASE_URL", url.as_str()),
        ("NEBULA_SEALING_KEYS", &keys),
        ("NEBULA_MAX_IN_FLIGHT", "8"),
        ("NEBULA_OPERATOR_KEY", CANARY),
    ];
    let settings = settings.to_str().unwrap();
    let told = bare(&["config", "--config", settings, "--drain-seconds", "3", "--json"], &variables);
    let shown = json(&told);
    let of = |name: &str| {
        let found = shown["settings"].as_array().unwrap().iter().find(|setting| setting["name"] == name).unwrap();
        (found["value"].to_string(), found["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("pool_size"), ("7".to_owned(), settings.to_owned()));
    assert_eq!(of("max_in_flight"), ("8".to_owned(), "NEBULA_MAX_IN_FLIGHT".to_owned()));
    assert_eq!(of("drain_seconds"), ("3".to_owned(), "--drain-seconds".to_owned()));
    assert_eq!(of("pool_wait_ms"), ("2000".to_owned(), "default".to_owned()));
    assert_eq!(of("database_url").0, "\"postgresql://nebula_edge@127.0.0.1:1/nebula\"");
    assert_eq!(of("sealing_keys").0, "\"[redacted]\"");
    let plain = bare(&["config", "show", "--config", settings], &variables);
    assert!(out(&plain).contains("pool_size ") && out(&plain).contains(settings));
    for output in [told, plain] {
        assert!(!(out(&output) + &err(&output)).contains(CANARY));
    }
}

#[test]
fn an_unknown_member_is_refused_with_the_nearest_known_one() {
    let database = Database::new();
    let settings = file(&database, "settings.toml", "pool_sise = 7\n");
    let refused = database.nebula(&["migrate", "--config", settings.to_str().unwrap()], &[]);
    ends_with(&refused, 2);
    assert!(err(&refused).contains("pool_sise") && err(&refused).contains("did you mean pool_size?"), "{}", err(&refused));
    let checked = database.nebula(&["config", "check", "--json", "--config", settings.to_str().unwrap()], &[]);
    ends_with(&checked, 3);
    assert_eq!(problems(&checked), [("pool_sise".to_owned(), "error".to_owned())]);
}

#[test]
fn a_value_out_of_its_range_starts_nothing() {
    let database = Database::new();
    for (variable, value) in [("NEBULA_POOL_SIZE", "0"), ("NEBULA_REQUEST_TIMEOUT_MS", "0"), ("NEBULA_WORKER_LEASE_SECONDS", "100000")] {
        let refused = database.nebula(&["migrate"], &[(variable, value)]);
        ends_with(&refused, 2);
        assert!(err(&refused).contains(variable), "{}", err(&refused));
    }
}

#[test]
fn an_unknown_variable_is_an_error_of_the_check_and_a_warning_of_the_edge() {
    let database = Database::new();
    let checked = database.nebula(&["config", "check", "--json"], &[("NEBULA_POOL_SISE", CANARY)]);
    ends_with(&checked, 3);
    assert_eq!(problems(&checked), [("NEBULA_POOL_SISE".to_owned(), "error".to_owned())]);
    assert!(out(&checked).contains("did you mean NEBULA_POOL_SIZE?") && !out(&checked).contains(CANARY));
    let edge = Edge::start(database.installation, &database.url("nebula_edge"), &[("NEBULA_POOL_SISE", CANARY)]);
    eventually("the edge has warned", || edge.log().contains("NEBULA_POOL_SISE"));
    assert!(edge.log().contains("WARN") && !edge.log().contains(CANARY), "{}", edge.log());
}

#[test]
fn a_secret_is_read_from_a_file_that_variable_option_or_member_name() {
    let database = Database::new();
    let url = file(&database, "url", &format!("{}\n", database.url("postgres")));
    let url = url.to_str().unwrap();
    let settings = file(&database, "settings.toml", &format!("admin_database_url_file = '{url}'\n"));
    ends_with(&bare(&["seed"], &[("NEBULA_ADMIN_DATABASE_URL_FILE", url)]), 0);
    ends_with(&bare(&["seed", "--admin-database-url-file", url], &[]), 0);
    ends_with(&bare(&["seed", "--config", settings.to_str().unwrap()], &[]), 0);
    let folder = database.installation.cluster.dir.join(format!("{}-credentials", database.name));
    fs::create_dir(&folder).unwrap();
    fs::copy(url, folder.join("admin_database_url")).unwrap();
    ends_with(&bare(&["seed"], &[("CREDENTIALS_DIRECTORY", folder.to_str().unwrap())]), 0);
}

#[test]
fn a_secret_given_twice_or_in_a_file_that_is_none_is_refused_and_not_quoted() {
    let database = Database::new();
    let url = file(&database, "url", CANARY);
    let twice = database.nebula(&["seed"], &[("NEBULA_ADMIN_DATABASE_URL_FILE", url.to_str().unwrap())]);
    ends_with(&twice, 2);
    assert!(err(&twice).contains("given twice"), "{}", err(&twice));
    for variables in [("NEBULA_ADMIN_DATABASE_URL_FILE", url.to_str().unwrap()), ("NEBULA_ADMIN_DATABASE_URL", CANARY)] {
        for arguments in [&["seed"][..], &["seed", "--json"]] {
            let refused = bare(arguments, &[variables]);
            ends_with(&refused, 2);
            assert!(!err(&refused).contains(CANARY), "{}", err(&refused));
        }
    }
    let missing = bare(&["seed"], &[("NEBULA_ADMIN_DATABASE_URL_FILE", "/nonexistent/url")]);
    ends_with(&missing, 2);
    assert!(err(&missing).contains("/nonexistent/url"), "{}", err(&missing));
}

#[test]
fn a_file_that_everybody_may_read_is_warned_of() {
    let database = Database::new();
    let url = file(&database, "url", &database.url("postgres"));
    let variables = [("NEBULA_ADMIN_DATABASE_URL_FILE", url.to_str().unwrap())];
    ends_with(&bare(&["config", "check", "--strict"], &variables), 0);
    allow(&url, 0o644);
    let checked = bare(&["config", "check", "--json"], &variables);
    ends_with(&checked, 0);
    assert_eq!(problems(&checked), [(url.to_str().unwrap().to_owned(), "warning".to_owned())]);
    ends_with(&bare(&["config", "check", "--strict"], &variables), 3);
}

#[test]
fn connecting_shows_whose_login_each_connection_string_has() {
    let database = Database::new();
    let (edge, worker, admin) = (database.url("nebula_edge"), database.url("nebula_worker"), database.url("postgres"));
    let connect = ["config", "check", "--connect", "--json"];
    let right = database.nebula(&connect, &[("NEBULA_DATABASE_URL", &edge), ("NEBULA_WORKER_DATABASE_URL", &worker)]);
    ends_with(&right, 0);
    let logins =
        json(&right)["connections"].as_array().unwrap().iter().map(|c| c["login"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(logins, ["nebula_edge", "nebula_worker", "postgres"]);
    for (variable, url, message) in [
        ("NEBULA_DATABASE_URL", admin.as_str(), "superuser"),
        ("NEBULA_WORKER_DATABASE_URL", &edge, "has not the role nebula_worker"),
        ("NEBULA_DATABASE_URL", &format!("postgresql://nebula_edge:{CANARY}@127.0.0.1:1/nebula"), "error connecting"),
    ] {
        let wrong = database.nebula(&connect, &[(variable, url)]);
        ends_with(&wrong, 3);
        assert!(out(&wrong).contains(message) && !out(&wrong).contains(CANARY), "{}", out(&wrong));
    }
}

#[test]
fn what_a_platform_calls_its_variables_is_not_taken_for_ours() {
    let database = Database::new();
    let refused = bare(&["migrate"], &[("DATABASE_URL", &database.url("postgres"))]);
    ends_with(&refused, 2);
    assert!(
        err(&refused).contains("NEBULA_ADMIN_DATABASE_URL is not set") && err(&refused).contains("DATABASE_URL is not read"),
        "{}",
        err(&refused)
    );
}
