//! `nebula`: the REST edge of Nebula and its command line.
//!
//! Imports flow one way: config ← db ← auth ← issuers ← http ← command.

mod auth;
mod cli;
mod command;
mod config;
mod db;
mod error;
mod http;
mod issuers;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
