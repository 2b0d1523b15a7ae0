//! `nebula backup verify`: a backup is good once it was restored.

use super::{
    PgBackRest, dump,
    manifest::Manifest,
    scratch::Scratch,
    server::Server,
    status::{Asked, Status},
};
use crate::{
    auth::KeySource,
    command::{
        key::sealing,
        os_user::OsUser,
        output::{note, tell},
    },
    config::Config,
    db,
    error::{Error, Exit},
};
use jiff::Timestamp;
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio_postgres::Client;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A file of `nebula backup dump` instead: it is restored into a new cluster.
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// With --dump: the folder of Postgres' programs, with Nebula's files installed beside them.
    #[arg(long, env = "NEBULA_PG_BINDIR", value_name = "DIR")]
    pg_bindir: Option<PathBuf>,
    /// How long restoring may take before it is given up.
    #[arg(long, default_value_t = 4 * 3_600, value_name = "SECONDS")]
    patience_seconds: u64,
}

/// What was found.
struct Finding {
    rto: Duration,
    tables: usize,
    problems: Vec<String>,
}

pub async fn run(arguments: &Arguments, config: &Config) -> Result<Exit, Error> {
    let (asked, rpo_seconds, found) = match &arguments.dump {
        None => {
            let server = Server::find(config).await?;
            let asked = Asked::by(config, &server.client).await?;
            (asked, exposure(&server.client).await?, try_out(arguments, config, &server).await)
        }
        Some(file) => {
            let noted = Manifest::beside(file)?;
            let asked = Asked::by(config, &db::connect_admin(config.require_admin_database_url()?).await?).await?;
            (asked, noted.age_seconds(), try_out_dump(arguments, config, file, &noted).await)
        }
    };
    let (rto, tables, problems) = match found {
        Ok(Finding { rto, tables, problems }) => (Some(rto), tables, problems),
        Err(error) => (None, 0, vec![error.to_string()]),
    };
    let known = Status::load(config)?;
    let status = Status {
        verified_at: Some(Timestamp::now().to_string()),
        rpo_seconds: Some(rpo_seconds),
        asked_rpo_seconds: Some(asked.rpo_seconds),
        // A second that has begun counts.
        rto_seconds: rto.map(|rto| rto.as_secs() + 1),
        asked_rto_seconds: Some(asked.rto_seconds),
        tables_compared: Some(tables),
        ok: problems.is_empty(),
        problems,
        ..known.clone()
    };
    // What is known of the cluster's backups stays, where one database's file is tried beside them.
    if arguments.dump.is_none() || known.is_of_dumps() {
        status.save(config)?;
    }
    tell(&status)?;
    Ok(if status.ok && status.meets_what_is_asked() { Exit::Done } else { Exit::Findings })
}

/// How old the newest data is that the archive has: what would be lost if this machine were gone now, in seconds. 0 where nothing was written since.
async fn exposure(client: &Client) -> Result<u64, Error> {
    let seconds: f64 = client.query_typed_one(include_str!("exposure.sql"), &[]).await?.try_get(0)?;
    // Rounded up: a loss is not made smaller.
    Ok(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX).as_secs())
}

async fn try_out(arguments: &Arguments, config: &Config, server: &Server) -> Result<Finding, Error> {
    let noted = Manifest::newest(config)?;
    let pgbackrest = PgBackRest::new(config, &server.user);
    let mut scratch = Scratch::make(&config.backup_dir, &server.user, &server.facts.programs)?;
    note("restoring …");
    let started = Instant::now();
    let target = ["--type=name".to_owned(), format!("--target={}", noted.point), "--target-action=promote".to_owned()];
    pgbackrest.restore(&scratch.data(), &target)?;
    let patience = Duration::from_secs(arguments.patience_seconds);
    scratch.start(&server.facts.preloaded, patience)?;
    let client = scratch.connect(&server.facts.superuser, &server.facts.database, patience).await?;
    let rto = started.elapsed();
    note("comparing …");
    let (tables, problems) = noted.compare(&client).await?;
    tell_of_keys(config, &client).await?;
    Ok(Finding { rto, tables, problems })
}

/// The file goes into a new cluster of the same programs. Nothing of it is read as another user than the one who runs this.
async fn try_out_dump(arguments: &Arguments, config: &Config, file: &Path, noted: &Manifest) -> Result<Finding, Error> {
    let programs = arguments.pg_bindir.clone().ok_or(Error::Missing("--pg-bindir, the folder of initdb and pg_restore"))?;
    let user = OsUser::for_postgres()?;
    let mut scratch = Scratch::make(&std::env::temp_dir(), &user, &programs)?;
    note("restoring …");
    let started = Instant::now();
    scratch.create()?;
    let patience = Duration::from_secs(arguments.patience_seconds);
    scratch.start("", patience)?;
    drop(scratch.connect("postgres", "postgres", patience).await?);
    let program = |name: &str| {
        let mut command = Command::new(programs.join(name));
        command.arg("-h").arg(scratch.dir()).args(["-p", "5432", "-U", "postgres", "-d", "postgres"]);
        command
    };
    // Roles that a new cluster has already are complained of, and stay.
    let ourselves = OsUser::ourselves();
    ourselves.run(program("psql").args(["-X", "-q", "-f"]).arg(dump::roles_of(file)))?;
    ourselves.run(program("pg_restore").args(["--create", "--exit-on-error"]).arg(file))?;
    let client = scratch.connect("postgres", &noted.database, patience).await?;
    let rto = started.elapsed();
    note("comparing …");
    let (tables, problems) = noted.compare(&client).await?;
    tell_of_keys(config, &client).await?;
    Ok(Finding { rto, tables, problems })
}

/// Sealing keys are in no backup of a database. Those of this machine may not be all, so this is told and no verdict.
async fn tell_of_keys(config: &Config, client: &Client) -> Result<(), Error> {
    match sealing::load(client, &KeySource::of(config)).await {
        Ok(keys) => keys.complaints().iter().for_each(|complaint| note(&format!("the sealing keys, which are in no backup: {complaint}"))),
        Err(error) => note(&format!("the sealing keys, which are in no backup, can't be compared here: {error}")),
    }
    Ok(())
}
