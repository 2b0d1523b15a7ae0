//! `nebula issuer`: other issuers of tokens, and their keys.

use super::output::{Table, note, tell};
use crate::{
    config::Config,
    db::{self, IssuerState, scalar_text},
    error::Error,
    issuers::{Renewed, renew_over},
};
use serde::Serialize;
use std::{
    fmt,
    io::Read,
    path::{Path, PathBuf},
};
use tokio_postgres::{Client, types::Type};
use zeroize::Zeroizing;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists the registered issuers with the names of their keys.
    List,
    /// Registers an issuer by a JSON file, or changes it, and fetches its keys if it publishes them.
    Add {
        /// The configuration; `-` reads standard input.
        file: PathBuf,
        /// A file with the secret that is shared with an issuer of HS256 tokens; a line feed at its end is not part of it.
        #[arg(long, value_name = "FILE", env = "NEBULA_ISSUER_SECRET_FILE")]
        secret_file: Option<PathBuf>,
        /// A file with the issuer's JWKS, for one that publishes none that can be reached.
        #[arg(long, value_name = "FILE", env = "NEBULA_ISSUER_JWKS_FILE")]
        jwks_file: Option<PathBuf>,
    },
    /// Fetches and registers keys once, of every active issuer or of this one: for cron, where `serve` is not to do it.
    Sync { issuer: Option<String> },
    /// Removes an issuer with its keys: nothing that it signs counts any more.
    Remove { issuer: String },
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    if let Action::Sync { issuer } = &arguments.action {
        // The narrower login is enough, where there is one.
        let url = config.keys_database_url.as_ref().map_or_else(|| config.require_admin_database_url(), Ok)?;
        return sync(&db::connect_admin(url).await?, issuer.as_deref(), config).await;
    }
    let client = db::connect_admin(config.require_admin_database_url()?).await?;
    match &arguments.action {
        Action::List => tell(&Listed { issuers: db::issuer_state(&client).await? }),
        Action::Add { file, secret_file, jwks_file } => add(&client, file, secret_file.as_deref(), jwks_file.as_deref(), config).await,
        Action::Remove { issuer } => {
            let is_removed: bool = client.query_typed_one("select nebula.remove_issuer($1)", &[(issuer, Type::TEXT)]).await?.try_get(0)?;
            if is_removed { tell(&Removed { issuer }) } else { Err(Error::NotFound { what: "issuer", name: issuer.clone() }) }
        }
        Action::Sync { .. } => Ok(()),
    }
}

/// Every registered issuer.
#[derive(Serialize)]
struct Listed {
    issuers: Vec<IssuerState>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["issuer", "status", "audience", "algorithms", "keys from", "keys"]);
        for issuer in &self.issuers {
            let secret = issuer.has_secret.then_some("a secret");
            let keys = issuer.kids.iter().map(String::as_str).chain(secret).collect::<Vec<_>>();
            let keys = if keys.is_empty() { "no keys".to_owned() } else { keys.join(", ") };
            let url = issuer.jwks_url.as_deref().unwrap_or("keys by hand").to_owned();
            table.row([issuer.issuer.clone(), issuer.status.clone(), issuer.audience.clone(), issuer.algorithms.join(","), url, keys]);
        }
        write!(f, "{table}")
    }
}

/// An issuer that is there no more.
#[derive(Serialize)]
struct Removed<'a> {
    issuer: &'a str,
}

impl fmt::Display for Removed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is removed", self.issuer)
    }
}

/// An issuer that was registered or changed.
#[derive(Serialize)]
struct Registered<'a> {
    issuer: &'a str,
}

impl fmt::Display for Registered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is registered", self.issuer)
    }
}

/// Issuers whose keys were fetched.
#[derive(Serialize)]
struct Synced {
    issuers: Vec<SyncedIssuer>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SyncedIssuer {
    issuer: String,
    keys_changed: i32,
}

impl fmt::Display for Synced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.issuers.iter().try_for_each(|synced| writeln!(f, "{}: {} keys changed", synced.issuer, synced.keys_changed))
    }
}

/// All or nothing: an issuer without the keys that were given with it would only look registered.
async fn add(client: &Client, file: &Path, secret_file: Option<&Path>, jwks_file: Option<&Path>, config: &Config) -> Result<(), Error> {
    let configuration = read(file)?;
    let parsed = nebula_core::issuer::Config::parse(&configuration).map_err(|refused| Error::Issuer(refused.to_string()))?;
    let issuer = parsed.issuer.as_str();
    let secret = secret_file.map(read).transpose()?.map(Zeroizing::new);
    let jwks = jwks_file.map(read).transpose()?;
    // Where the server logs statements with their parameters, the secret stays out of it, as far as this login may say so.
    let _ = client.batch_execute("set log_parameter_max_length = 0; set log_parameter_max_length_on_error = 0").await;
    client.batch_execute("begin").await?;
    scalar_text(client, "select nebula.register_issuer($1::text::json)::text", &[(&configuration, Type::TEXT)]).await?;
    if let Some(secret) = &secret {
        let secret = secret.strip_suffix('\n').unwrap_or(secret.as_str());
        scalar_text(client, "select nebula.set_issuer_secret($1, $2)::text", &[(&issuer, Type::TEXT), (&secret, Type::TEXT)]).await?;
    }
    if let Some(jwks) = jwks {
        db::replace_issuer_keys(client, issuer, jwks).await?;
    }
    client.batch_execute("commit").await?;
    if parsed.jwks_url.is_some() && parsed.is_active {
        return sync(client, Some(issuer), config).await;
    }
    tell(&Registered { issuer })
}

async fn sync(client: &Client, issuer: Option<&str>, config: &Config) -> Result<(), Error> {
    let renewed = renew_over(client, issuer, config.allow_loopback_jwks).await?;
    if let Some(issuer) = issuer.filter(|_| renewed.is_empty()) {
        return Err(Error::Issuer(format!("{issuer} is not registered, not active or publishes no keys")));
    }
    let (mut failed, mut issuers) = (0, Vec::new());
    for Renewed { issuer, outcome } in renewed {
        match outcome {
            Ok(keys_changed) => issuers.push(SyncedIssuer { issuer, keys_changed }),
            Err(error) => {
                failed += 1;
                note(&format!("{issuer}: {error}"));
            }
        }
    }
    if !issuers.is_empty() {
        tell(&Synced { issuers })?;
    }
    if failed == 0 { Ok(()) } else { Err(Error::Issuer(format!("{failed} not renewed; the keys that were registered stay"))) }
}

fn read(path: &Path) -> Result<String, Error> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).map_err(Error::file(path))
}
