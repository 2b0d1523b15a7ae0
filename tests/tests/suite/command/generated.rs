//! What is made of the declarations: completions and manual pages.

use super::{bare, ends_with, err, json, out};
use nebula_tests::Database;
use std::{fs, process::Command};

#[test]
fn shells_get_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = bare(&["completions", shell], &[]);
        ends_with(&script, 0);
        for word in ["end-sessions", "prove-isolation", "admin-database-url-file", "operator"] {
            assert!(out(&script).contains(word), "{shell} lacks {word}");
        }
    }
    let script = bare(&["completions", "bash"], &[]);
    let file = std::env::temp_dir().join(format!("nebula-completions-{}", uuid::Uuid::now_v7()));
    fs::write(&file, script.stdout).unwrap();
    let complete = format!(
        "source {}; COMP_WORDS=(nebula key op); COMP_CWORD=2; _nebula nebula op key; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    let completed = Command::new("bash").args(["--norc", "-c", &complete]).output().unwrap();
    fs::remove_file(file).unwrap();
    assert_eq!(String::from_utf8_lossy(&completed.stdout).trim(), "operator", "{}", err(&completed));
    ends_with(&bare(&["completions", "nosuchshell"], &[]), 2);
}

#[test]
fn every_command_has_a_manual_page_that_reads_without_warnings() {
    let database = Database::new();
    let folder = database.installation.cluster.dir.join(format!("{}-man", database.name));
    let written = json(&bare(&["man", folder.to_str().unwrap(), "--json"], &[]));
    assert!(written["pages"].as_array().unwrap().len() > 40, "{written}");
    for page in ["nebula.1", "nebula-serve.1", "nebula-user-end-sessions.1", "nebula-key-operator-issue.1", "nebula-config-check.1"] {
        let text = fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page}");
        assert!(text.contains(env!("CARGO_PKG_VERSION")), "{page}");
    }
    assert!(fs::read_to_string(folder.join("nebula.1")).unwrap().contains("NEBULA_ADMIN_DATABASE_URL_FILE"));
    assert!(!fs::read_to_string(folder.join("nebula-serve.1")).unwrap().contains("NEBULA_WORKER_LEASE_SECONDS"));
}
