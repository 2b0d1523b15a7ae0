//! Exports of a tenant: made by a worker or by a DBA's command, and read by a library that isn't ours to trust.

use crate::{Database, cluster::nebula_program};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{Cursor, Read},
    path::PathBuf,
    process::{Command, Output},
};

/// What is in the file, by name.
pub struct Archive(pub BTreeMap<String, String>);

impl Archive {
    /// Reads every entry; checksums are the library's business.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let files = (0..archive.len()).map(|index| {
            let mut file = archive.by_index(index).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().unwrap().into_owned(), text)
        });
        Self(files.collect())
    }

    #[must_use]
    pub fn manifest(&self) -> Value {
        serde_json::from_str(&self.0["manifest.json"]).unwrap()
    }

    /// The rows of a table in json.
    #[must_use]
    pub fn rows(&self, table: &str) -> Vec<Value> {
        self.0[&format!("{table}.ndjson")].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The records of a table in CSV, by the names of its columns.
    #[must_use]
    pub fn records(&self, table: &str) -> Vec<BTreeMap<String, String>> {
        csv::Reader::from_reader(self.0[&format!("{table}.csv")].as_bytes()).deserialize().map(|record| record.unwrap()).collect()
    }
}

impl Database {
    /// Where this database's files are.
    #[must_use]
    pub fn storage(&self) -> PathBuf {
        self.installation.cluster.dir.join(format!("storage-{}", self.name))
    }

    /// The same as a setting.
    #[must_use]
    pub fn storage_url(&self) -> String {
        format!("file://{}", self.storage().display())
    }

    /// `nebula …` on this database, however it ends.
    #[must_use]
    pub fn nebula(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        Command::new(nebula_program())
            .env_clear()
            .env("NEBULA_ADMIN_DATABASE_URL", self.url("postgres"))
            .env("NEBULA_KEYS_DIR", &self.installation.keys_dir)
            .envs(settings.iter().copied())
            .args(arguments)
            .current_dir("/")
            .output()
            .unwrap()
    }

    /// Has a worker do the exports that wait.
    #[track_caller]
    pub fn run_exports(&self) {
        let _worker = self.work_with(&[("NEBULA_STORAGE_URL", &self.storage_url())]);
        self.settle();
    }

    /// `nebula export`: where the file is.
    #[track_caller]
    #[must_use]
    pub fn export(&self, tenant: &str, format: &str) -> PathBuf {
        let file = self.installation.cluster.dir.join(format!("{}-{tenant}-{}.zip", self.name, uuid::Uuid::now_v7()));
        let output = self.nebula(&["export", tenant, "--format", format, "--output", file.to_str().unwrap()], &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        file
    }
}
