//! Secret keys in numbered versions, a file each beside the signing keys: `sealing-1.key`, `audit-1.key`; 32 bytes as standard base64 and a line feed, mode 600.

use super::key_folder;
use crate::error::Error;
use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fs, path::Path};
use zeroize::Zeroizing;

pub const KEY_BYTES: usize = 32;

/// The files of one kind of key.
pub struct VersionedFiles {
    /// What their names begin with.
    pub kind: &'static str,
    /// The error of a file that holds no key.
    pub error: fn(String) -> Error,
}

impl VersionedFiles {
    /// Makes a key of this version, which must not be there yet.
    pub fn generate(&self, folder: &Path, version: u16) -> Result<(), Error> {
        let bytes = random().ok_or_else(|| (self.error)("no randomness".to_owned()))?;
        let mut text = Zeroizing::new(String::with_capacity(45));
        STANDARD.encode_string(bytes.as_slice(), &mut text);
        text.push('\n');
        key_folder::write(folder, &self.name(version), text.as_bytes())
    }

    /// The versions of the folder, ascending.
    pub fn versions(&self, folder: &Path) -> Result<Vec<u16>, Error> {
        let mut versions = Vec::new();
        for path in key_folder::list(folder)? {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let number = file.strip_prefix(self.kind).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.strip_suffix(".key"));
            let Some(digits) = number else { continue };
            // One spelling a version: of `sealing-1.key` and `sealing-01.key` nobody could tell which one counts.
            let version = digits.parse().ok().filter(|version| *version > 0 && self.name(*version) == file);
            versions.push(version.ok_or_else(|| (self.error)(format!("{}: the version is not a number from 1 to 65535", path.display())))?);
        }
        versions.sort_unstable();
        Ok(versions)
    }

    /// Reads one version, and makes a key of its bytes; `None` of `parse` is said to be no key.
    pub fn load<K>(&self, folder: &Path, version: u16, parse: impl FnOnce(u16, &[u8]) -> Option<K>) -> Result<K, Error> {
        let path = folder.join(self.name(version));
        let text = Zeroizing::new(fs::read_to_string(&path).map_err(Error::file(&path))?);
        let key = decode(text.trim_end()).and_then(|bytes| parse(version, &bytes));
        key.ok_or_else(|| (self.error)(format!("{}: not 32 bytes as standard base64", path.display())))
    }

    fn name(&self, version: u16) -> String {
        format!("{}-{version}.key", self.kind)
    }
}

/// The bytes of a key as text.
#[must_use]
pub fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

/// The bytes of a new key; `None` without randomness.
#[must_use]
pub fn random() -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(bytes.as_mut_slice()).ok()?;
    Some(bytes)
}
