//! The isolation prover. SQL shapes are in `sql/functions/prover.sql`.
#![allow(unsafe_code)]

use crate::platform::prover;
use pgrx::pg_extern;

#[pg_extern(sql = false)]
fn run_prover(options: &str) {
    prover::run(&serde_json::from_str(options).unwrap_or_default());
}

#[pg_extern(sql = false)]
fn take_proof() -> Option<String> {
    prover::proof()
}

#[pg_extern(sql = false)]
fn prover_attempt(who: &str, role: &str, mode: &str, statement: &str) -> String {
    prover::attempt(who, role, mode, statement)
}
