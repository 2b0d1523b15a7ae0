//! The command line, as a person at a terminal or a script has it.

mod config;
mod generated;
mod operator;
mod output;
mod status;

use nebula_tests::{Database, cluster::nebula_program};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// `nebula …` with these variables and no others.
fn bare(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(nebula_program()).args(arguments).env_clear().envs(variables.iter().copied()).current_dir("/").output().unwrap()
}

/// `nebula …` as an operator, with the edge's login.
fn operate(database: &Database, arguments: &[&str]) -> Output {
    let url = database.url("nebula_edge");
    bare(arguments, &[("NEBULA_DATABASE_URL", &url), ("NEBULA_OPERATOR_KEY", &database.installation.operator_key)])
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What was told as JSON, where it went well.
#[track_caller]
fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{} {}", output.status, err(output));
    serde_json::from_str(&out(output)).unwrap_or_else(|error| panic!("{error}: {}", out(output)))
}

#[track_caller]
fn ends_with(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", out(output), err(output));
}

/// A new file of this run, for its owner alone.
fn file(database: &Database, name: &str, text: &str) -> PathBuf {
    let path = database.installation.cluster.dir.join(format!("{}-{name}", database.name));
    fs::write(&path, text).unwrap();
    allow(&path, 0o600);
    path
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
