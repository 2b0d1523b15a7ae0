//! The command line: what can be asked, and which file answers it.

use crate::{
    command,
    config::{Config, Settings},
    error::Error,
    telemetry,
};
use clap::{Parser, Subcommand};
use std::{io::Write, path::PathBuf, process::ExitCode};

/// Nebula: the multi-tenant core inside Postgres. This program is its REST edge and its tool.
#[derive(Debug, Parser)]
#[command(name = "nebula", version, propagate_version = true)]
struct Cli {
    /// A TOML file of settings; the environment overrides it, and options override both.
    #[arg(long, global = true, env = "NEBULA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the REST interface until SIGTERM or SIGINT.
    Serve(command::serve::Arguments),
    /// Does what the outbox holds, webhooks above all, until SIGTERM or SIGINT.
    Worker(command::worker::Arguments),
    /// Creates or updates the extension, then applies the migrations that are missing.
    Migrate(command::migrate::Arguments),
    /// Upserts the global catalog, or what one tenant starts with.
    Seed(command::seed::Arguments),
    /// The keys that access tokens are signed with, and those that seal.
    Keys(command::keys::Arguments),
    /// Other issuers of tokens (OpenID providers, Supabase Auth), and their keys.
    Issuers(command::issuers::Arguments),
    /// People who were anonymised, after a backup was restored.
    Privacy(command::privacy::Arguments),
    /// What is wrong with the database, and the SQL that mends it. Ends with 2 where there is an error.
    Doctor(command::doctor::Arguments),
    /// Tries from one made-up tenant what must not reach another, takes it all back, and ends with 2 where something leaked.
    ProveIsolation(command::prove_isolation::Arguments),
    /// A tenant into a file, and from a file into this installation.
    Tenant(command::tenant::Arguments),
    /// Makes a table of the application tenant-safe while it is written to, or goes on where that was interrupted.
    Protect(command::protect::Arguments),
    /// Lets go of what is too old, once: what the worker does by itself, for where none runs.
    Retention,
    /// The seals of the audit log: makes, exports and checks them. `verify` ends with 2 where something was tampered with.
    Audit(command::audit::Arguments),
    /// Starts a private Postgres, the edge and a worker for development, ready to be called.
    Up(command::up::Arguments),
    /// Stops what `up` started; the data stays.
    Down(command::down::Arguments),
    /// Prints the effective settings, secrets redacted.
    Config,
}

/// Reads the command line and runs what it asks for.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            // Nothing is left to do when even stderr is gone.
            let _ = writeln!(std::io::stderr(), "nebula: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<ExitCode, Error> {
    let config = Config::load(cli.config.as_deref(), cli.settings)?;
    if matches!(cli.command, Command::Serve(_) | Command::Worker(_)) {
        telemetry::start(&config.log_level)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => command::serve::run(&arguments, config).await,
            Command::Worker(arguments) => command::worker::run(&arguments, config).await,
            Command::Migrate(arguments) => command::migrate::run(&arguments, &config).await,
            Command::Seed(arguments) => command::seed::run(&arguments, &config).await,
            Command::Keys(arguments) => command::keys::run(&arguments, &config).await,
            Command::Issuers(arguments) => command::issuers::run(&arguments, &config).await,
            Command::Doctor(arguments) => return command::doctor::run(&arguments, &config).await,
            Command::ProveIsolation(arguments) => return command::prove_isolation::run(&arguments, &config).await,
            Command::Audit(arguments) => return command::audit::run(&arguments, &config).await,
            Command::Tenant(arguments) => command::tenant::run(&arguments, &config).await,
            Command::Protect(arguments) => command::protect::run(&arguments, &config).await,
            Command::Retention => command::retention::run(&config).await,
            Command::Privacy(arguments) => command::privacy::run(&arguments, &config).await,
            Command::Up(arguments) => command::up::run(&arguments).await,
            Command::Down(arguments) => command::down::run(&arguments).await,
            Command::Config => command::config::run(&config),
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
