//! What is known of the newest backup, in a file that `nebula status`, monitoring and people read.

use crate::{config::Config, error::Error};
use serde::{Deserialize, Serialize};
use std::{fmt, fs, path::PathBuf};
use tokio_postgres::Client;

/// `backup-status.json` in `backup_dir`. Times are RFC 3339.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `full`, `diff`, `incr`, or `dump`.
    pub kind: Option<String>,
    pub label: Option<String>,
    pub finished_at: Option<String>,
    /// Of the cluster.
    pub size_bytes: Option<u64>,
    /// When a backup was last restored and compared.
    pub verified_at: Option<String>,
    /// How old the newest data was that a restore would have given back then, beside what is asked for.
    pub rpo_seconds: Option<u64>,
    pub asked_rpo_seconds: Option<u64>,
    /// How long the restore took, beside what is asked for.
    pub rto_seconds: Option<u64>,
    pub asked_rto_seconds: Option<u64>,
    pub tables_compared: Option<usize>,
    /// Of the last thing that was done, making or trying one.
    pub ok: bool,
    /// Why not.
    pub problems: Vec<String>,
}

impl Status {
    pub fn path(config: &Config) -> PathBuf {
        config.backup_dir.join("backup-status.json")
    }

    /// What the file says; nothing where there is none.
    pub fn load(config: &Config) -> Result<Self, Error> {
        let path = Self::path(config);
        match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| Error::Backup(format!("{}: {error}", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::file(path)(error)),
        }
    }

    /// Replaces the file at once: who reads it sees the old one or the new one.
    pub fn save(&self, config: &Config) -> Result<(), Error> {
        let path = Self::path(config);
        let new = path.with_extension("new");
        fs::create_dir_all(&config.backup_dir).map_err(Error::file(&config.backup_dir))?;
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Backup(error.to_string()))?;
        fs::write(&new, format!("{text}\n")).map_err(Error::file(&new))?;
        fs::rename(&new, &path).map_err(Error::file(&path))
    }

    /// Whether nothing but dumps of one database is known.
    pub fn is_of_dumps(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "dump")
    }

    /// Whether what was reached is what is asked for; true where nothing was measured.
    pub fn meets_what_is_asked(&self) -> bool {
        let meets = |reached: Option<u64>, asked: Option<u64>| !matches!((reached, asked), (Some(reached), Some(asked)) if reached > asked);
        meets(self.rpo_seconds, self.asked_rpo_seconds) && meets(self.rto_seconds, self.asked_rto_seconds)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "never".to_owned());
        let seconds = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |seconds| format!("{seconds} s"));
        write!(
            f,
            "newest: {} of {}; verified: {}",
            self.kind.as_deref().unwrap_or("none"),
            text(&self.finished_at),
            text(&self.verified_at)
        )?;
        if self.verified_at.is_some() {
            write!(
                f,
                "; data loss {} of at most {}, restored in {} of at most {}",
                seconds(self.rpo_seconds),
                seconds(self.asked_rpo_seconds),
                seconds(self.rto_seconds),
                seconds(self.asked_rto_seconds)
            )?;
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\nproblem: {problem}"))
    }
}

/// What a restore is to reach.
pub struct Asked {
    pub rpo_seconds: u64,
    pub rto_seconds: u64,
}

impl Asked {
    /// The settings, else the strictest operational profile that an active tenant has, else the default one's.
    pub async fn by(config: &Config, client: &Client) -> Result<Self, Error> {
        let profiles = "select to_regclass('nebula.operational_profile') is not null and to_regclass('nebula.tenant_config') is not null";
        let (mut rpo_hours, mut rto_hours) = (24, 8);
        if client.query_typed_one(profiles, &[]).await?.try_get(0)? {
            let row = client.query_typed_one(include_str!("asked.sql"), &[]).await?;
            rpo_hours = row.try_get::<_, Option<i32>>(0)?.unwrap_or(rpo_hours);
            rto_hours = row.try_get::<_, Option<i32>>(1)?.unwrap_or(rto_hours);
        }
        let seconds = |hours: i32| u64::from(hours.unsigned_abs()) * 3_600;
        Ok(Self {
            rpo_seconds: config.backup_rpo_seconds.unwrap_or(seconds(rpo_hours)),
            rto_seconds: config.backup_rto_seconds.unwrap_or(seconds(rto_hours)),
        })
    }
}
