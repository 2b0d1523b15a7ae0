//! `nebula status`.

use super::{ends_with, file, json, out};
use nebula_tests::Database;
use std::fs;

#[test]
fn everything_is_told_at_a_glance() {
    let database = Database::new();
    let status = json(&database.nebula(&["status", "--json", "--quick"], &[]));
    assert_eq!(status["programVersion"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["database"]["name"], &status["database"]["migrationsPending"]), (&database.name.as_str().into(), &0.into()));
    assert_eq!(status["keys"]["canSignHere"], true);
    assert_eq!(status["replication"]["isStandby"], false);
    assert!(status["outbox"]["due"].is_number() && status["backup"].is_null() && status["findings"].is_null());
    let text = out(&database.nebula(&["status", "--quick"], &[]));
    for line in ["program", "database", "replication", "outbox", "sessions", "keys", "backup", "findings"] {
        assert!(text.lines().any(|told| told.starts_with(line)), "{line}: {text}");
    }
    assert!(text.contains("backup       unknown") && text.contains("all is well"), "{text}");
}

#[test]
fn what_needs_somebody_is_told_with_the_command_and_ends_with_3() {
    let database = Database::new();
    database.execute("insert into nebula.outbox (type, payload, available_at) values ('x.y', '{}', now() - interval '1 hour')");
    let waiting = database.nebula(&["status", "--quick"], &[]);
    ends_with(&waiting, 3);
    assert!(out(&waiting).contains("does a worker run?") && out(&waiting).contains("1 due"), "{}", out(&waiting));
    database.execute("update nebula.signing_key set status = 'revoked'");
    let keyless = database.nebula(&["status", "--quick", "--json"], &[]);
    ends_with(&keyless, 3);
    assert!(out(&keyless).contains("nebula key signing generate"), "{}", out(&keyless));
}

#[test]
fn the_last_backup_is_told_as_it_was_written() {
    let database = Database::new();
    let folder = file(&database, "x", "").with_extension("backup");
    fs::create_dir(&folder).unwrap();
    let write = |is_ok: bool| {
        let text = format!(r#"{{"kind": "full", "finished_at": "2026-01-02T03:04:05Z", "verified_at": null, "ok": {is_ok}}}"#);
        fs::write(folder.join("backup-status.json"), text).unwrap();
        database.nebula(&["status", "--quick"], &[("NEBULA_BACKUP_DIR", folder.to_str().unwrap())])
    };
    let good = write(true);
    ends_with(&good, 0);
    assert!(out(&good).contains("full, finished 2026-01-02T03:04:05Z, verified never"), "{}", out(&good));
    ends_with(&write(false), 3);
}
