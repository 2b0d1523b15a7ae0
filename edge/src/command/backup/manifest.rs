//! What the data was at a named point of the WAL: what a restore to that point must give back.

use super::comparison::{self, Members, Tables};
use crate::{command::output::note, config::Config, db, error::Error};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, error::SqlState, types::Type};

/// How long others may wait for us, and we for others, at a time.
const LOCK_TIMEOUT: &str = "2s";
const PATIENCE: Duration = Duration::from_secs(120);

/// The note of a point, beside the repository.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The newest backup then.
    pub label: String,
    /// The restore point's name.
    pub point: String,
    /// RFC 3339.
    pub taken_at: String,
    /// Which one was read.
    pub database: String,
    pub tables: Tables,
    /// What the doctor found wrong, so that a restored database isn't blamed for it.
    pub errors: Vec<String>,
}

impl Manifest {
    /// Makes a restore point and reads what the data is there. Writers wait for no longer than it takes to name the point; what is read then is what a
    /// transaction sees that began at it.
    pub async fn take(config: &Config, label: &str) -> Result<Self, Error> {
        let url = config.require_admin_database_url()?;
        let (locker, reader) = (db::connect_admin(url).await?, db::connect_admin(url).await?);
        comparison::prepare(&reader).await?;
        let names = comparison::names(&reader, Members::Included).await?;
        let taken_at = Timestamp::now();
        let point = format!("nebula-{}", taken_at.as_microsecond());
        let deadline = Instant::now() + PATIENCE;
        loop {
            match begin(&locker, &reader, &names, &point).await {
                Ok(()) => break,
                Err(error) if is_about_a_lock(&error) && Instant::now() < deadline => {
                    locker.batch_execute("rollback").await?;
                    reader.batch_execute("rollback").await?;
                    sleep(Duration::from_millis(500)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Self::read(&reader, label, point, taken_at, &names).await
    }

    /// What a session's transaction sees, which is ended then.
    async fn read(reader: &Client, label: &str, point: String, taken_at: Timestamp, names: &[String]) -> Result<Self, Error> {
        let tables = comparison::contents(reader, names).await?;
        reader.batch_execute("commit").await?;
        let database = db::scalar_text(reader, "select pg_catalog.current_database()", &[]).await?;
        let errors = errors(reader).await?;
        Ok(Self { label: label.to_owned(), point, taken_at: taken_at.to_string(), database, tables, errors })
    }

    /// What a dump will hold that is made of the snapshot `dump` is given.
    pub async fn of_dump(config: &Config, label: &str, dump: impl FnOnce(&str) -> Result<(), Error>) -> Result<Self, Error> {
        let reader = db::connect_admin(config.require_admin_database_url()?).await?;
        comparison::prepare(&reader).await?;
        reader.batch_execute("begin isolation level repeatable read read only").await?;
        let snapshot = db::scalar_text(&reader, "select pg_catalog.pg_export_snapshot()", &[]).await?;
        let names = comparison::names(&reader, Members::LeftOut).await?;
        let taken_at = Timestamp::now();
        dump(&snapshot)?;
        Self::read(&reader, label, String::new(), taken_at, &names).await
    }

    /// That of a dump.
    pub fn beside(dump: &Path) -> Result<Self, Error> {
        load(&note_of(dump))
    }

    /// Writes it beside a dump.
    pub fn save_beside(&self, dump: &Path) -> Result<(), Error> {
        self.write(&note_of(dump))
    }

    fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Backup(error.to_string()))?;
        fs::write(path, text).map_err(Error::file(path))
    }

    /// How long ago it was, in seconds.
    pub fn age_seconds(&self) -> u64 {
        let taken_at = self.taken_at.parse::<Timestamp>().unwrap_or(Timestamp::UNIX_EPOCH);
        u64::try_from(Timestamp::now().duration_since(taken_at).as_secs()).unwrap_or(0)
    }

    /// Compares what a restored database holds: how many tables, and what is wrong.
    pub async fn compare(&self, restored: &Client) -> Result<(usize, Vec<String>), Error> {
        comparison::prepare(restored).await?;
        let members = if self.point.is_empty() { Members::LeftOut } else { Members::Included };
        let tables = comparison::contents(restored, &comparison::names(restored, members).await?).await?;
        let mut problems = comparison::differences(&self.tables, &tables);
        let errors = errors(restored).await?;
        problems.extend(errors.into_iter().filter(|error| !self.errors.contains(error)).map(|error| format!("doctor: {error}")));
        Ok((tables.len(), problems))
    }

    /// Keeps it; those of backups that are gone are removed.
    pub fn save(&self, config: &Config, labels: &[String]) -> Result<(), Error> {
        let folder = folder(config);
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        for (path, manifest) in all(&folder)? {
            if !labels.contains(&manifest.label) {
                fs::remove_file(&path).map_err(Error::file(&path))?;
            }
        }
        self.write(&folder.join(format!("{}.json", self.point)))
    }

    /// The newest one.
    pub fn newest(config: &Config) -> Result<Self, Error> {
        let folder = folder(config);
        let newest = all(&folder)?.into_iter().map(|(_, manifest)| manifest).max_by(|a, b| a.point.cmp(&b.point));
        newest.ok_or_else(|| Error::Backup(format!("nothing is noted in {}: run `nebula backup run`", folder.display())))
    }
}

fn folder(config: &Config) -> PathBuf {
    config.backup_dir.join("manifests")
}

fn note_of(dump: &Path) -> PathBuf {
    let mut path = dump.as_os_str().to_owned();
    path.push(".json");
    PathBuf::from(path)
}

fn load(path: &Path) -> Result<Manifest, Error> {
    let text = fs::read_to_string(path).map_err(Error::file(path))?;
    serde_json::from_str(&text).map_err(|error| Error::Backup(format!("{}: {error}", path.display())))
}

fn all(folder: &Path) -> Result<Vec<(PathBuf, Manifest)>, Error> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut manifests = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let manifest = load(&path)?;
        manifests.push((path, manifest));
    }
    Ok(manifests)
}

/// While every table is locked against writers, one transaction begins and the point is named: neither sees more than the other.
async fn begin(locker: &Client, reader: &Client, names: &[String], point: &str) -> Result<(), tokio_postgres::Error> {
    locker.batch_execute(&format!("begin; set local lock_timeout = '{LOCK_TIMEOUT}'")).await?;
    if !names.is_empty() {
        locker.batch_execute(&format!("lock table only {} in share mode", names.join(", only "))).await?;
    }
    reader.batch_execute("begin isolation level repeatable read read only; select pg_catalog.pg_current_snapshot()").await?;
    locker.query_typed("select pg_catalog.pg_create_restore_point($1)", &[(&point, Type::TEXT)]).await?;
    locker.batch_execute("commit").await
}

fn is_about_a_lock(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED)
}

/// The doctor's errors, where there is a Nebula.
async fn errors(client: &Client) -> Result<Vec<String>, Error> {
    let statement = "select rule || ': ' || object from nebula.doctor() where severity = 'error' order by 1";
    let rows = match client.query_typed(statement, &[]).await {
        Ok(rows) => rows,
        Err(error) if error.code().is_some_and(|code| *code == SqlState::INVALID_SCHEMA_NAME || *code == SqlState::UNDEFINED_FUNCTION) => {
            note("there is no Nebula in this database: the doctor is not asked");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}
