//! The program `nebula`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nebula_edge::run()
}
