//! The command line: what can be asked, and which file answers it.

use crate::{
    command,
    config::{Loaded, Settings, Sources},
    error::{Error, Exit},
    telemetry,
};
use clap::{
    ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// Nebula: the multi-tenant core inside Postgres. This program is its REST edge, its worker and its tool.
#[derive(Debug, Parser)]
#[command(name = "nebula", version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    /// A TOML file of settings; the environment overrides it, and options override both.
    #[arg(long, global = true, env = "NEBULA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Results as JSON on stdout, errors as JSON on stderr.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "Ends with 0 when it is done, 1 when it failed, 2 for a wrong command line or setting, 3 when what it looked for is there (findings), \
    4 when the rules refuse it or there is no such thing, 5 when the database is away.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a private Postgres, the edge and a worker for development, ready to be called.
    Up(command::up::Arguments),
    /// Stops what `up` started; the data stays.
    Down(command::down::Arguments),
    /// How everything is, at a glance: versions, replication, outbox, keys, backup, findings. Ends with 3 where something needs somebody.
    Status(command::status::Arguments),
    /// Serves the REST interface until SIGTERM or SIGINT.
    Serve(command::serve::Arguments),
    /// Asks the edge of this machine whether it answers, for the health check of a container that has no other program.
    Health(command::health::Arguments),
    /// Does what the outbox holds, webhooks above all, until SIGTERM or SIGINT.
    Worker(command::worker::Arguments),
    /// Creates or updates the extension, then applies the migrations that are missing.
    Migrate(command::migrate::Arguments),
    /// Upserts the global catalog, or what one tenant starts with.
    Seed(command::seed::Arguments),
    /// Tenants: find, show, create, suspend.
    Tenant(command::tenant::Arguments),
    /// People of a tenant: find, show, create, invite, suspend, end their sessions.
    User(command::user::Arguments),
    /// Keys: those that sign tokens, those that seal secrets, API keys, operators' keys.
    Key(command::key::Arguments),
    /// Other issuers of tokens (OpenID providers, Supabase Auth), and their keys.
    Issuer(command::issuer::Arguments),
    /// What is wrong with the database, and the SQL that mends it. Ends with 3 where there is an error.
    Doctor(command::doctor::Arguments),
    /// Tries from one made-up tenant what must not reach another, takes it all back, and ends with 3 where something leaked.
    ProveIsolation(command::prove_isolation::Arguments),
    /// Makes a table of the application tenant-safe while it is written to, or goes on where that was interrupted.
    Protect(command::protect::Arguments),
    /// Backups of the whole cluster with pgBackRest, or of a small installation with pg_dump; on the database's machine.
    Backup(command::backup::Arguments),
    /// Restores the whole cluster, as it was at any time, into a new folder. Never over what is there.
    Restore(command::restore::Arguments),
    /// The servers that the connection string names: which takes writes, how far the others are, whether they may send once promoted.
    Standby(command::standby::Arguments),
    /// Writes everything of a tenant into a new file. Secrets are sealed with this machine's newest sealing key.
    Export(command::export::Arguments),
    /// Loads an export in json into this installation: the same tenant, row for row, all or nothing.
    Import(command::import::Arguments),
    /// Lets go of what is too old, once: what the worker does by itself, for where none runs.
    Retention,
    /// The seals of the audit log: makes, exports and checks them. `verify` ends with 3 where something was tampered with.
    Audit(command::audit::Arguments),
    /// People who were anonymised, after a backup was restored.
    Privacy(command::privacy::Arguments),
    /// The effective settings, what is wrong with them, and what there is to set.
    Config(command::config::Arguments),
    /// Prints the OpenAPI document of the database's operations.
    Openapi,
    /// Prints a script with which a shell completes commands and options.
    Completions(command::completions::Arguments),
    /// Writes manual pages.
    Man(command::man::Arguments),
}

/// Reads the command line and runs what it asks for.
pub fn run() -> ExitCode {
    let arguments = std::env::args_os().collect::<Vec<_>>();
    // Asked of the words themselves: a command line that can't be parsed is told of in JSON, too.
    command::start(arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json"));
    match parse(arguments).and_then(|(cli, matches)| start(cli, &matches)) {
        Ok(exit) => exit.into(),
        // Whoever reads has seen enough.
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            command::complain(&error);
            error.exit().into()
        }
    }
}

fn parse(arguments: Vec<OsString>) -> Result<(Cli, ArgMatches), Error> {
    let matches = Cli::command().try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    match parsed.map_err(without_secrets) {
        Ok(parsed) => Ok(parsed),
        // Help and the version are asked for; the rest is said best in clap's own words.
        Err(error) if !error.use_stderr() || !command::is_json() => error.exit(),
        Err(error) => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            Err(Error::Usage(text.split("\n\n").next().unwrap_or_default().trim().replace('\n', " ")))
        }
    }
}

/// A connection string that can't be read is not repeated: it holds a password, and a service's complaints end in a log.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    if error.get(ContextKind::InvalidArg).is_some_and(|argument| argument.to_string().contains("database-url")) {
        error.insert(ContextKind::InvalidValue, ContextValue::String("[redacted]".to_owned()));
    }
    error
}

fn start(cli: Cli, matches: &ArgMatches) -> Result<Exit, Error> {
    let name = match &cli.command {
        Command::Worker(arguments) if arguments.adopt => "adopt",
        _ => matches.subcommand_name().unwrap_or_default(),
    };
    let file = cli.config;
    let sources = Sources {
        command: name,
        file: file.as_deref(),
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        is_option: &|name| matches.value_source(name) == Some(ValueSource::CommandLine),
    };
    let loaded = Loaded::read(cli.settings, &sources);
    // What needs no settings, and what is there for settings that are wrong.
    match cli.command {
        Command::Config(arguments) => return in_runtime(command::config::run(&arguments, loaded, file.as_deref(), &Cli::command())),
        Command::Completions(arguments) => return command::completions::run(&arguments, Cli::command()).map(|()| Exit::Done),
        Command::Man(arguments) => return command::man::run(&arguments, Cli::command()).map(|()| Exit::Done),
        Command::Up(arguments) => return in_runtime(done(command::up::run(&arguments))),
        Command::Down(arguments) => return in_runtime(done(command::down::run(&arguments))),
        _ => {}
    }
    let warnings = loaded.problems.iter().filter(|problem| !problem.is_error()).cloned().collect::<Vec<_>>();
    let config = loaded.into_config()?;
    if matches!(cli.command, Command::Serve(_) | Command::Worker(_)) {
        telemetry::start_log(&config.log_level)?;
        let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for problem in warnings.into_iter().chain(command::config::unknown_variables(&Cli::command(), variables)) {
            tracing::warn!("setting {}: {}", problem.setting, problem.message);
        }
    }
    in_runtime(async {
        match cli.command {
            Command::Doctor(arguments) => return command::doctor::run(&arguments, &config).await,
            Command::Status(arguments) => return command::status::run(&arguments, &config).await,
            Command::ProveIsolation(arguments) => return command::prove_isolation::run(&arguments, &config).await,
            Command::Serve(arguments) => command::serve::run(&arguments, config).await,
            Command::Health(arguments) => command::health::run(&arguments, &config).await,
            Command::Worker(arguments) => command::worker::run(&arguments, config).await,
            Command::Migrate(arguments) => command::migrate::run(&arguments, &config).await,
            Command::Seed(arguments) => command::seed::run(&arguments, &config).await,
            Command::Tenant(arguments) => command::tenant::run(&arguments, &config).await,
            Command::User(arguments) => command::user::run(&arguments, &config).await,
            Command::Key(arguments) => command::key::run(&arguments, &config).await,
            Command::Issuer(arguments) => command::issuer::run(&arguments, &config).await,
            Command::Protect(arguments) => command::protect::run(&arguments, &config).await,
            Command::Backup(arguments) => return command::backup::run(&arguments, &config).await,
            Command::Restore(arguments) => command::restore::run(&arguments, &config).await,
            Command::Standby(arguments) => command::standby::run(&arguments, &config).await,
            Command::Export(arguments) => command::export::run(&arguments, &config).await,
            Command::Import(arguments) => command::import::run(&arguments, &config).await,
            Command::Retention => command::retention::run(&config).await,
            Command::Audit(arguments) => return command::audit::run(&arguments, &config).await,
            Command::Privacy(arguments) => command::privacy::run(&arguments, &config).await,
            Command::Openapi => command::openapi::run(&config).await,
            Command::Up(_) | Command::Down(_) | Command::Config(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
        }?;
        Ok(Exit::Done)
    })
}

fn in_runtime(work: impl Future<Output = Result<Exit, Error>>) -> Result<Exit, Error> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn done(work: impl Future<Output = Result<(), Error>>) -> Result<Exit, Error> {
    work.await.map(|()| Exit::Done)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_connection_string_that_is_refused_is_not_repeated() {
        let refused = Cli::try_parse_from(["nebula", "--database-url", "postgresql://e:hunter22@h/d?sslmode=x", "config"]);
        let text = refused.map(drop).map_err(|error| without_secrets(error).to_string()).unwrap_err();
        assert!(text.contains("--database-url") && !text.contains("hunter22"), "{text}");
    }
}
