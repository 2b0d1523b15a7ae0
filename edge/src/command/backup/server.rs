//! What the server says of itself: where its files and programs are.

use crate::{command::os_user::OsUser, config::Config, db, error::Error};
use serde::Deserialize;
use std::path::PathBuf;
use tokio_postgres::Client;

/// The cluster that is backed up, which runs on this machine.
pub struct Server {
    pub client: Client,
    pub facts: Facts,
    /// Who its files belong to.
    pub user: OsUser,
}

/// Its settings, as far as they matter here.
#[derive(Debug, Deserialize)]
pub struct Facts {
    pub data_directory: PathBuf,
    /// The folder of its programs.
    pub programs: PathBuf,
    pub port: u16,
    /// The first one; empty where it has none.
    pub socket_directory: PathBuf,
    pub superuser: String,
    pub database: String,
    pub preloaded: String,
    pub archive_mode: String,
    pub archive_command: String,
}

impl Server {
    /// Connects as the administrator, who is to be a superuser, on the server's machine.
    pub async fn find(config: &Config) -> Result<Self, Error> {
        let client = db::connect_admin(config.require_admin_database_url()?).await?;
        let text = db::scalar_text(&client, include_str!("server.sql"), &[]).await?;
        let facts: Facts =
            serde_json::from_str(&text).map_err(|error| Error::Backup(format!("what the server says of itself: {error}")))?;
        if !facts.data_directory.join("PG_VERSION").exists() {
            return Err(Error::Backup(format!(
                "{} is not on this machine, or not for you to read: backups run where the database does, as its user or as root",
                facts.data_directory.display()
            )));
        }
        let user = OsUser::owner_of(&facts.data_directory)?;
        Ok(Self { client, facts, user })
    }
}
