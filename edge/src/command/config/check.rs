//! Whether settings make sense, before anything is started with them.

use super::super::output::{BAD, DOUBTFUL, GOOD, plain, tell};
use crate::{
    auth::{self, KeySource, LocalKeys},
    config::{Config, DatabaseUrl, Loaded, Problem, Severity, Source, nearest, readable_by_others},
    db,
    error::{Error, Exit},
    storage, telemetry,
};
use serde::Serialize;
use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Also connect by each connection string that is given, and see whose login it is and what it finds.
    #[arg(long)]
    connect: bool,
    /// Ends with 3 where there is a warning, too.
    #[arg(long)]
    strict: bool,
}

/// What is wrong.
#[derive(Serialize)]
struct Checked {
    problems: Vec<Problem>,
    connections: Vec<Connection>,
}

/// Where a connection string leads.
#[derive(Serialize)]
struct Connection {
    setting: &'static str,
    login: String,
    #[serde(rename = "serverVersion")]
    server_version: String,
}

pub async fn run(arguments: &Arguments, loaded: Loaded, file: Option<&Path>, commands: &clap::Command) -> Result<Exit, Error> {
    let Loaded { config, sources, mut problems } = loaded;
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    problems.extend(unknown_variables(commands, variables));
    problems.extend(judge_files(&config, sources.values(), file));
    let mut connections = Vec::new();
    if arguments.connect {
        connect(&config, &mut problems, &mut connections).await;
    }
    let has_findings = problems.iter().any(|problem| arguments.strict || problem.is_error());
    tell(&Checked { problems, connections })?;
    Ok(if has_findings { Exit::Findings } else { Exit::Done })
}

/// Variables that look like ours and are nobody's.
pub fn unknown_variables(commands: &clap::Command, given: impl Iterator<Item = String>) -> Vec<Problem> {
    let mut known = vec!["NEBULA_URL".to_owned()];
    collect_variables(commands, &mut known);
    let unknown = given.filter(|name| name.starts_with("NEBULA_") && !known.contains(name));
    let told = |name: String| {
        let problem = Problem::error(&name, "there is no variable of this name");
        match nearest(&name, known.iter().map(String::as_str)) {
            Some(near) => problem.hint(format!("did you mean {near}?")),
            None => problem.hint("nebula config reference lists all"),
        }
    };
    unknown.map(told).collect()
}

fn collect_variables(command: &clap::Command, known: &mut Vec<String>) {
    known.extend(command.get_arguments().filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned)));
    command.get_subcommands().for_each(|command| collect_variables(command, known));
}

/// Files that settings name: there, readable, and nobody else's to read.
fn judge_files<'a>(config: &Config, sources: impl Iterator<Item = &'a Source>, file: Option<&Path>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut private = Vec::new();
    for source in sources {
        match source {
            Source::Credential(path) => private.push(path.clone()),
            // By the variable or the option of a file: the value of the setting is what was in there.
            Source::Environment(name) => private.extend(std::env::var_os(name).filter(|_| name.ends_with("_FILE")).map(PathBuf::from)),
            _ => {}
        }
    }
    private.extend(config.sealing_keys_file.clone());
    // It may hold connection strings.
    private.extend(file.map(Path::to_owned));
    private.sort();
    private.dedup();
    for path in private {
        if let Some(mode) = readable_by_others(&path) {
            let problem = Problem::warning(&path.display().to_string(), format!("everybody on this machine may read it (mode {mode:03o})"));
            problems.push(problem.hint(format!("chmod o= {}", path.display())));
        }
    }
    if config.keys_dir.is_dir() && readable_by_others(&config.keys_dir).is_some() {
        let problem = Problem::warning("keys_dir", "others may look into it");
        problems.push(problem.hint(format!("chmod 700 {}", config.keys_dir.display())));
    }
    if let Err(error) = auth::load_all(&config.keys_dir) {
        problems.push(Problem::error("keys_dir", error.to_string()));
    }
    if let Err(error) = LocalKeys::load(&KeySource::of(config)) {
        problems.push(
            Problem::error("sealing_keys", error.to_string())
                .hint("`<version>:<32 bytes as standard base64>`, commas or lines between them"),
        );
    }
    // Opening a folder makes it, which is for who uses it to do.
    let is_folder_to_come =
        config.storage_url.as_deref().and_then(|url| url.strip_prefix("file://")).is_some_and(|path| !Path::new(path).exists());
    if !is_folder_to_come && let Err(error) = storage::open(config) {
        problems.push(Problem::error("storage_url", error.to_string()));
    }
    if !telemetry::is_level(&config.log_level) {
        problems.push(
            Problem::error("log_level", "is not a level or filter").hint("error, warn, info, debug, or a filter as `tracing` reads it"),
        );
    }
    problems
}

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection strings, and the role that each login has or inherits.
async fn connect(config: &Config, problems: &mut Vec<Problem>, connections: &mut Vec<Connection>) {
    let urls = [
        ("database_url", &config.database_url, Some("nebula_edge")),
        ("notify_database_url", &config.notify_database_url, Some("nebula_edge")),
        ("keys_database_url", &config.keys_database_url, Some("nebula_keys")),
        ("worker_database_url", &config.worker_database_url, Some("nebula_worker")),
        ("admin_database_url", &config.admin_database_url, None),
    ];
    for (name, url, role) in urls {
        let Some(url) = url.as_ref() else { continue };
        let tried = tokio::time::timeout(PATIENCE, look(name, url, role)).await;
        match tried.unwrap_or_else(|_| Err(Error::Unavailable("no answer within 5 s".to_owned()))) {
            Ok((connection, found)) => {
                connections.push(connection);
                problems.extend(found);
            }
            Err(error) => {
                let problem = Problem::error(name, error.to_string());
                problems.push(Problem { hint: error.hint().map(Into::into), ..problem });
            }
        }
    }
}

async fn look(name: &'static str, url: &DatabaseUrl, role: Option<&str>) -> Result<(Connection, Vec<Problem>), Error> {
    const WHO: &str = "select r.rolname::text, r.rolsuper or r.rolbypassrls, pg_catalog.current_setting('server_version'), \
                       coalesce((select pg_catalog.pg_has_role(r.oid, other.oid, 'member') from pg_catalog.pg_roles other where other.rolname = $1), false) \
                       from pg_catalog.pg_roles r where r.rolname = current_user";
    let client = db::connect_admin(url).await?;
    let row = client.query_typed_one(WHO, &[(&role, tokio_postgres::types::Type::TEXT)]).await?;
    let (login, is_strong, has_role) = (row.try_get::<_, String>(0)?, row.try_get::<_, bool>(1)?, row.try_get::<_, bool>(3)?);
    let mut found = Vec::new();
    if let Some(role) = role {
        if is_strong {
            found.push(
                Problem::error(name, format!("{login} is a superuser or bypasses row security"))
                    .hint(format!("a login of role {role} is enough")),
            );
        } else if !has_role {
            found.push(
                Problem::error(name, format!("{login} has not the role {role}"))
                    .hint(format!("alter role {role} with login password '…', or grant {role} to {login}")),
            );
        }
    }
    if matches!(role, None | Some("nebula_edge")) {
        match db::readiness(&client).await {
            Ok(readiness) if readiness.is_outdated() => {
                found.push(Problem::error(name, "the database is older than this program").hint("`nebula migrate` brings it up to date"));
            }
            Ok(_) => {}
            Err(error) => {
                let problem = Problem::error(name, error.to_string());
                found.push(Problem { hint: error.hint().map(Into::into), ..problem });
            }
        }
    }
    Ok((Connection { setting: name, login, server_version: row.try_get(2)? }, found))
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Problem { severity, setting, message, hint } in &self.problems {
            let (style, word) = match severity {
                Severity::Error => (BAD, "error  "),
                Severity::Warning => (DOUBTFUL, "warning"),
            };
            writeln!(f, "{style}{word}{style:#} {}: {}", plain(setting), plain(message))?;
            if let Some(hint) = hint {
                writeln!(f, "        hint: {}", plain(hint))?;
            }
        }
        for Connection { setting, login, server_version } in &self.connections {
            writeln!(f, "{setting}: connected as {login}, Postgres {server_version}")?;
        }
        let errors = self.problems.iter().filter(|problem| problem.is_error()).count();
        let warnings = self.problems.len() - errors;
        let style = if errors > 0 {
            BAD
        } else if warnings > 0 {
            DOUBTFUL
        } else {
            GOOD
        };
        write!(f, "{style}{errors} errors, {warnings} warnings{style:#}")
    }
}
