//! `nebula up`: a private Postgres, the edge and a worker, from nothing to a first request. Running it again changes only what differs.

mod cluster;
mod edge;
pub(crate) mod env_file;
mod place;
mod port;
mod process;
mod roles;
mod worker;

pub use cluster::Cluster;
pub use place::Place;
pub use process::Process;

use super::{
    key::{audit, operator, sealing, signing},
    migrate,
    output::{STRONG, note, tell},
    seed,
};
use crate::{auth::KeySource, error::Error};
use env_file::EnvFile;
use serde::Serialize;
use std::{fmt, path::PathBuf};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where everything lives: data, keys, logs, and `env`, to be sourced by a shell.
    #[arg(long, default_value = ".nebula", env = "NEBULA_DIR")]
    dir: PathBuf,
    /// The folder of `initdb`, `pg_ctl` and `postgres` [default: what `pg_config --bindir` says].
    #[arg(long, env = "NEBULA_PG_BINDIR")]
    pg_bindir: Option<PathBuf>,
    /// Start Postgres alone: no database, no edge, no worker.
    #[arg(long, env = "NEBULA_POSTGRES_ONLY")]
    postgres_only: bool,
}

/// Brings everything up and prints how to call it.
pub async fn run(arguments: &Arguments) -> Result<(), Error> {
    let place = Place::prepare(&arguments.dir)?;
    let mut env = EnvFile::read(&place.env_file())?;
    let cluster = Cluster::find(&place, arguments.pg_bindir.clone())?;
    if cluster.create_if_missing()? {
        // A new cluster knows neither the passwords nor the keys of an old one.
        env.clear();
    }
    let port = cluster.start(env.get("PGPORT").and_then(|port| port.parse().ok()))?;
    roles::ensure_superuser(&cluster, port, &mut env).await?;
    if arguments.postgres_only {
        env.set("PGDATABASE", "postgres");
        env.write(&place.env_file())?;
        return tell(&PostgresUp { env_file: place.env_file() });
    }

    let client = roles::ensure_database(&cluster, port, &mut env).await?;
    let migrated = migrate::migrate(&client, migrate::PATIENCE).await?;
    if !migrated.applied.is_empty() {
        note(&migrated.to_string());
    }
    seed::seed(&client).await?;
    roles::ensure_logins(&client, port, &mut env).await?;
    let keys_dir = place.keys_dir();
    if !signing::can_sign(&client, &keys_dir).await? {
        signing::generate(&client, &keys_dir).await?;
    }
    sealing::ensure(&client, &KeySource::Folder(keys_dir.clone())).await?;
    audit::ensure(&client, &keys_dir).await?;
    env.set("NEBULA_KEYS_DIR", &keys_dir.to_string_lossy());
    env.set("NEBULA_STORAGE_URL", &place.storage_url()?);
    if env.get("NEBULA_OPERATOR_KEY").is_none() {
        env.set("NEBULA_OPERATOR_KEY", &operator::issue(&client, None).await?.secret);
    }
    // Written before the edge starts: a key that is shown once must survive whatever fails next.
    env.write(&place.env_file())?;

    let url = edge::ensure_running(&place, &env, &cluster).await?;
    env.set("NEBULA_URL", &url);
    env.write(&place.env_file())?;
    worker::ensure_running(&place, &env, &cluster, &client).await?;
    greet(&place, &env)
}

fn greet(place: &Place, env: &EnvFile) -> Result<(), Error> {
    let value = |name: &str| env.get(name).unwrap_or_default().to_owned();
    tell(&Up { url: value("NEBULA_URL"), operator_key: value("NEBULA_OPERATOR_KEY"), env_file: place.env_file() })
}

/// Where a Postgres alone is up.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostgresUp {
    env_file: PathBuf,
}

impl fmt::Display for PostgresUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres is up: source {}", self.env_file.display())
    }
}

/// How to call what is up.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Up {
    url: String,
    operator_key: String,
    /// To be sourced by a shell.
    env_file: PathBuf,
}

impl fmt::Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Nebula is up at {STRONG}{}{STRONG:#}", self.url)?;
        writeln!(f, "operator's key: {}\n", self.operator_key)?;
        writeln!(f, "  source {}", self.env_file.display())?;
        write!(f, r#"  curl -s -H "Authorization: Bearer $NEBULA_OPERATOR_KEY" "$NEBULA_URL/v1/me""#)
    }
}

/// A secret for a login that no person types: 256 bits, hex.
fn random_secret() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Key("no randomness".to_owned()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
