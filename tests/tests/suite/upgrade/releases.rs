//! What was released stays what it was, and what is to be released keeps to the rules of migrations.

use nebula_tests::{Previous, catalog, cluster::workspace, previous};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn run(program: &str, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(folder).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

#[track_caller]
fn holds_sums(folder: &str) -> Vec<String> {
    let folder = workspace().join(folder);
    let output = run("sha256sum", &folder, &["--check", "--strict", "--quiet", "SHA256SUMS"]);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    sums.lines().map(|line| line.split_once("  ").unwrap().1.to_owned()).collect()
}

#[test]
fn released_migrations_and_snapshots_are_never_changed() {
    let held = holds_sums("sql/releases");
    for file in fs::read_dir(workspace().join("sql/releases")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(file == "SHA256SUMS" || held.contains(&file), "{file} is not in SHA256SUMS");
    }
    let released = held.iter().filter_map(|file| file.strip_prefix("../migrations/")).collect::<Vec<_>>();
    assert!(released.len() >= 21);
    // What comes later has a later number.
    for file in migrations() {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(released.contains(&name.as_str()) || released.iter().all(|old| **old < *name), "{name} comes before a released one");
    }
    assert!(holds_sums("tests/upgrade/releases").iter().any(|file| *file == format!("nebula-{}.tar.xz", previous::VERSION)));
}

#[test]
fn the_snapshot_of_the_release_before_is_what_it_makes() {
    if !previous::runs_here() {
        return;
    }
    let made = catalog::schema(&Previous::start("fsync = off").database);
    let committed = fs::read_to_string(workspace().join(format!("sql/releases/schema-{}.sql", previous::VERSION))).unwrap();
    let differs = committed.lines().zip(made.lines()).find(|(committed, made)| committed != made);
    assert!(committed == made, "{differs:?}");
}

fn migrations() -> Vec<PathBuf> {
    let mut files = fs::read_dir(workspace().join("sql/migrations")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.sort();
    files
}

/// Squawk, by the rules of `.squawk.toml`.
fn lint(files: &[PathBuf]) -> Output {
    let squawk = workspace().join("target/python/bin/squawk");
    assert!(squawk.exists(), "{} is missing: run `make tools`", squawk.display());
    let files = files.iter().map(|file| file.to_str().unwrap()).collect::<Vec<_>>();
    run(squawk.to_str().unwrap(), workspace(), &[&["--config", ".squawk.toml", "--reporter", "gcc"], &files[..]].concat())
}

#[test]
fn migrations_have_no_warning() {
    let files = migrations();
    assert!(files.len() >= 21);
    let output = lint(&files);
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_would_lock_rewrite_or_break_older_callers_is_warned_of() {
    let file = std::env::temp_dir().join(format!("nebula-lint-{}.sql", std::process::id()));
    for (statement, rule) in [
        ("alter table nebula.tenant add column region text not null", "adding-required-field"),
        ("create index idx_tenant_region on nebula.tenant (region)", "require-concurrent-index-creation"),
        ("alter table nebula.tenant add constraint ck_tenant_region check (region <> '')", "constraint-missing-not-valid"),
        (
            "alter table nebula.session add constraint fk_session_x foreign key (x_id) references nebula.x (id)",
            "adding-foreign-key-constraint",
        ),
        ("alter table nebula.tenant rename column name to label", "renaming-column"),
        ("alter table nebula.tenant rename to customer", "renaming-table"),
        ("alter table nebula.tenant alter column name type bytea using name::bytea", "changing-column-type"),
        ("alter table nebula.tenant drop column name", "ban-drop-column"),
        ("drop table nebula.tenant", "ban-drop-table"),
        ("alter table nebula.tenant alter column name set not null", "adding-not-nullable-field"),
        ("alter table nebula.tenant add constraint uq_tenant_name unique (name)", "disallowed-unique-constraint"),
    ] {
        fs::write(&file, format!("{statement};\n")).unwrap();
        let output = lint(std::slice::from_ref(&file));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && said.contains(rule), "{statement}: {said}");
    }
    fs::remove_file(&file).unwrap();
}
