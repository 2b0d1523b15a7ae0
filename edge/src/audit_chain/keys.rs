//! The keys of this machine, held against those that the database has registered.

use super::key::{self, AuditKey};
use crate::error::Error;
use std::{collections::BTreeMap, path::Path};
use tokio_postgres::Row;

/// Keys that seal the audit log, by version.
pub struct AuditKeys {
    local: BTreeMap<u16, AuditKey>,
    registered: BTreeMap<u16, Vec<u8>>,
}

/// Which key each version is, by rows of `(version, fingerprint)`.
pub fn registered(rows: &[Row]) -> Result<BTreeMap<u16, Vec<u8>>, tokio_postgres::Error> {
    rows.iter().map(|row| Ok((u16::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default(), row.try_get(1)?))).collect()
}

impl AuditKeys {
    /// Reads the folder.
    pub fn load(folder: &Path, registered: BTreeMap<u16, Vec<u8>>) -> Result<Self, Error> {
        let local =
            key::FILES.versions(folder)?.into_iter().map(|version| -> Result<_, Error> { Ok((version, key::load(folder, version)?)) });
        Ok(Self { local: local.collect::<Result<_, Error>>()?, registered })
    }

    pub fn local(&self) -> impl DoubleEndedIterator<Item = &AuditKey> {
        self.local.values()
    }

    #[must_use]
    pub fn get(&self, version: i32) -> Option<&AuditKey> {
        self.local.get(&u16::try_from(version).ok()?)
    }

    /// Whether nothing is set up: no key here, and none registered.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.local.is_empty() && self.registered.is_empty()
    }

    /// The highest version known anywhere.
    #[must_use]
    pub fn last_version(&self) -> u16 {
        let last = |map: Option<&u16>| map.copied().unwrap_or(0);
        last(self.local.keys().next_back()).max(last(self.registered.keys().next_back()))
    }

    /// What does not fit: keys of this machine that are registered as others, and registered ones that are not here.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mistaken = self.local.values().filter(|key| self.registered.get(&key.version).is_some_and(|known| *known != key.fingerprint()));
        let mistaken =
            mistaken.map(|key| format!("version {} is registered as another key than audit-{}.key here", key.version, key.version));
        let missing = self.registered.keys().filter(|version| !self.local.contains_key(*version));
        mistaken
            .chain(missing.map(|version| format!("version {version} is registered, and audit-{version}.key is not on this machine")))
            .collect()
    }

    /// The key that seals: the newest that is registered. Where the newest registered one is not here, or another, nothing is sealed: what others seal by then
    /// could not be told from what was tampered with.
    pub fn sealing(&self) -> Result<&AuditKey, Error> {
        if let Some(complaint) = self.complaints().into_iter().next() {
            return Err(Error::AuditKey(complaint));
        }
        let newest = self.local.values().rev().find(|key| self.registered.contains_key(&key.version));
        newest.ok_or_else(|| Error::AuditKey("no key of this machine is registered: run `nebula key audit register`".to_owned()))
    }
}
