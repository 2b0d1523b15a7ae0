//! `env`: what a client needs, as shell exports; also the memory of `up` between runs.

use crate::error::Error;
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Names and values, written as `export NAME='value'`.
#[derive(Default)]
pub struct EnvFile(BTreeMap<String, String>);

impl EnvFile {
    /// Reads the file; a missing one is empty, and a line of another form is dropped.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self(text.lines().filter_map(parse).collect())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::file(path)(error)),
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All pairs, sorted by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Replaces the file in one step, readable by its owner alone from the first moment.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let temporary = path.with_extension("new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::file(temporary)(error)),
            _ => {}
        }
        let text: String = self.pairs().map(|(name, value)| line(name, value) + "\n").collect();
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&temporary, path))
            .map_err(Error::file(path))
    }
}

/// A pair as a shell reads it, without the line feed.
pub(crate) fn line(name: &str, value: &str) -> String {
    format!("export {name}='{}'", value.replace('\'', r"'\''"))
}

pub(crate) fn parse(line: &str) -> Option<(String, String)> {
    let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
    let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
    Some((name.to_owned(), value.replace(r"'\''", "'")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn values_come_back_as_they_were_and_nobody_else_reads_them() {
        let path = std::env::temp_dir().join(format!("nebula-env-{}", uuid::Uuid::now_v7()));
        let mut file = EnvFile::default();
        file.set("A", "it's $HOME `x`");
        file.set("B", "");
        file.write(&path).unwrap();
        file.write(&path).unwrap();
        let read = EnvFile::read(&path).unwrap();
        assert_eq!(read.pairs().collect::<Vec<_>>(), [("A", "it's $HOME `x`"), ("B", "")]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(path).unwrap();
    }
}
