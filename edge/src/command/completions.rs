//! `nebula completions`: what a shell needs to complete commands and options.

use crate::error::Error;
use clap_complete::{Shell, generate};
use std::io::Write;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(arguments: &Arguments, mut commands: clap::Command) -> Result<(), Error> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut commands, "nebula", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
