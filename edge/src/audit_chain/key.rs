//! The keys that seal the audit log: `audit-<version>.key` beside the other keys of this machine, 32 bytes as standard base64 and a line feed, mode 600. They
//! never enter the database: whoever has all of that can't make a seal.

use crate::{auth::key_folder, error::Error};
use aws_lc_rs::{hmac, rand};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fs, path::Path};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// A key that seals. `Debug` is left out on purpose.
pub struct AuditKey {
    pub version: u16,
    key: hmac::Key,
}

impl AuditKey {
    /// A key of 32 bytes; `None` for any other length.
    #[must_use]
    pub fn new(version: u16, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == KEY_BYTES).then(|| Self { version, key: hmac::Key::new(hmac::HMAC_SHA256, bytes) })
    }

    /// What tells it apart, and nothing about it: HMAC-SHA256 of a fixed text.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.begin("nebula.audit_key").finish()
    }

    /// Begins what is sealed; the label keeps one kind of thing from being taken for another.
    #[must_use]
    pub fn begin(&self, label: &str) -> Sealing {
        let mut sealing = Sealing(hmac::Context::with_key(&self.key));
        sealing.bytes(label.as_bytes());
        sealing
    }
}

/// What is being sealed: every part with its length before it, so that no two lists of parts are the same bytes.
pub struct Sealing(hmac::Context);

impl Sealing {
    pub fn bytes(&mut self, part: &[u8]) -> &mut Self {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// Nothing is a byte 0, something a byte 1 and the part.
    pub fn optional(&mut self, part: Option<&[u8]>) -> &mut Self {
        match part {
            None => self.0.update(&[0]),
            Some(part) => {
                self.0.update(&[1]);
                self.bytes(part);
            }
        }
        self
    }

    /// Eight bytes, the highest first.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.0.update(&number.to_be_bytes());
        self
    }

    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.sign().as_ref().try_into().unwrap_or_default()
    }
}

/// Makes a key of this version, which must not be there yet.
pub fn generate(folder: &Path, version: u16) -> Result<(), Error> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| Error::AuditKey("no randomness".to_owned()))?;
    let mut text = Zeroizing::new(String::with_capacity(45));
    STANDARD.encode_string(bytes.as_slice(), &mut text);
    text.push('\n');
    key_folder::write(folder, &name(version), text.as_bytes())
}

/// The versions of the folder, ascending.
pub fn versions(folder: &Path) -> Result<Vec<u16>, Error> {
    let mut versions = Vec::new();
    for path in key_folder::list(folder)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(digits) = file.strip_prefix("audit-").and_then(|rest| rest.strip_suffix(".key")) else { continue };
        // One spelling a version, as with sealing keys.
        let version = digits.parse().ok().filter(|version| *version > 0 && name(*version) == file);
        versions.push(version.ok_or_else(|| Error::AuditKey(format!("{}: the version is not a number from 1 to 65535", path.display())))?);
    }
    versions.sort_unstable();
    Ok(versions)
}

/// Reads one version.
pub fn load(folder: &Path, version: u16) -> Result<AuditKey, Error> {
    let path = folder.join(name(version));
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(Error::file(&path))?);
    let bytes = STANDARD.decode(text.trim_end()).ok().map(Zeroizing::new);
    let key = bytes.and_then(|bytes| AuditKey::new(version, &bytes));
    key.ok_or_else(|| Error::AuditKey(format!("{}: not 32 bytes as standard base64", path.display())))
}

fn name(version: u16) -> String {
    format!("audit-{version}.key")
}
