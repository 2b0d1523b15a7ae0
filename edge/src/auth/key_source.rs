//! Where this machine has its sealing keys: files of the folder, or a list in the environment or in one file.

use super::sealing::{self, SealingKey};
use crate::{
    config::{Config, Secret},
    error::Error,
};
use std::{collections::BTreeMap, fs, path::PathBuf};

/// A place of sealing keys.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// `sealing-<version>.key` each.
    Folder(PathBuf),
    /// `1:<base64>,2:<base64>`.
    List(Secret),
    /// A file with such a list, lines or commas between them.
    ListFile(PathBuf),
}

impl KeySource {
    /// What the settings say: the list, else its file, else the folder.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        match (&config.sealing_keys, &config.sealing_keys_file) {
            (Some(list), _) => Self::List(list.clone()),
            (None, Some(file)) => Self::ListFile(file.clone()),
            (None, None) => Self::Folder(config.keys_dir.clone()),
        }
    }
}

/// Every sealing key of this machine.
pub struct LocalKeys(BTreeMap<u16, SealingKey>);

impl LocalKeys {
    /// Reads them all.
    pub fn load(source: &KeySource) -> Result<Self, Error> {
        match source {
            KeySource::Folder(folder) => {
                let versions = sealing::FILES.versions(folder)?;
                versions.into_iter().map(|version| sealing::load(folder, version)).collect()
            }
            KeySource::List(list) => parse(list.reveal()),
            KeySource::ListFile(file) => parse(Secret::from(fs::read_to_string(file).map_err(Error::file(file))?).reveal()),
        }
    }

    #[must_use]
    pub fn get(&self, version: u16) -> Option<&SealingKey> {
        self.0.get(&version)
    }

    pub fn newest_first(&self) -> impl DoubleEndedIterator<Item = &SealingKey> {
        self.0.values().rev()
    }
}

impl FromIterator<SealingKey> for LocalKeys {
    fn from_iter<I: IntoIterator<Item = SealingKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.version, key)).collect())
    }
}

/// A list of keys. A refusal says which entry it was and repeats nothing of it.
pub(crate) fn parse(list: &str) -> Result<LocalKeys, Error> {
    let mut keys = BTreeMap::new();
    let entries = list.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    for (place, entry) in entries.enumerate() {
        let unreadable = || Error::SealingKey(format!("entry {} of the list is not `<version>:<32 bytes as standard base64>`", place + 1));
        let (version, text) = entry.split_once(':').ok_or_else(unreadable)?;
        let version = version.parse().ok().filter(|version| *version > 0).ok_or_else(unreadable)?;
        let key = sealing::parse(version, text).ok_or_else(unreadable)?;
        if keys.insert(version, key).is_some() {
            return Err(Error::SealingKey(format!("version {version} stands twice in the list")));
        }
    }
    Ok(LocalKeys(keys))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};

    fn entry(version: u16) -> String {
        format!("{version}:{}", STANDARD.encode([7; 32]))
    }

    fn versions(source: &KeySource) -> Vec<u16> {
        LocalKeys::load(source).unwrap().newest_first().map(|key| key.version).collect()
    }

    #[test]
    fn a_list_is_read_from_the_environment_and_from_a_file() {
        let list = format!("{}, {}\n{}\n", entry(2), entry(10), entry(1));
        assert_eq!(versions(&KeySource::List(Secret::from(list.clone()))), [10, 2, 1]);
        let file = std::env::temp_dir().join(format!("nebula-list-{}", uuid::Uuid::now_v7()));
        fs::write(&file, list).unwrap();
        assert_eq!(versions(&KeySource::ListFile(file.clone())), [10, 2, 1]);
        fs::remove_file(file).unwrap();
        assert!(versions(&KeySource::Folder("/nonexistent/nebula".into())).is_empty());
        assert!(versions(&KeySource::List(Secret::from(String::new()))).is_empty());
    }

    #[test]
    fn a_refused_list_repeats_no_key() {
        let junk = STANDARD.encode([7; 31]);
        for list in [
            junk.clone(),
            format!("0:{junk}"),
            format!("1:{junk}"),
            format!("x:{junk}"),
            format!("{},{}", entry(1), entry(1)),
            "65536:".to_owned(),
        ] {
            let refusal = LocalKeys::load(&KeySource::List(Secret::from(list.clone()))).err().unwrap().to_string();
            assert!(!refusal.contains("Bwc") && (refusal.contains("entry 1") || refusal.contains("twice")), "{refusal}");
        }
    }
}
