//! The keys that seal the audit log. They never enter the database: whoever has all of that can't make a seal.

use crate::{
    auth::{KEY_BYTES, VersionedFiles},
    error::Error,
};
use aws_lc_rs::hmac;
use std::path::Path;

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

/// Where the keys of this machine are.
pub const FILES: VersionedFiles = VersionedFiles { kind: "audit", error: Error::AuditKey };

/// Reads one version.
pub fn load(folder: &Path, version: u16) -> Result<AuditKey, Error> {
    FILES.load(folder, version, AuditKey::new)
}
