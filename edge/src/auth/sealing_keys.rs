//! Where sealing keys are kept, behind one trait: files today, a key management service when somebody needs one.

use super::sealing::{self, Place, SealingKey};
use crate::error::Error;
use async_trait::async_trait;
use std::{collections::BTreeMap, path::Path};
use zeroize::Zeroizing;

/// Seals with the newest key and opens with any.
#[async_trait]
pub trait SealingKeys: Send + Sync {
    /// The version that seals; `None` where there is no key.
    fn newest(&self) -> Option<u16>;
    /// The version that sealed, and nonce, ciphertext and tag.
    async fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<(u16, Vec<u8>), Error>;
    /// The plain text of what this version sealed in this place.
    async fn open(&self, place: Place<'_>, version: u16, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>;
}

/// Keys of this machine's folder.
pub struct FileKeys(BTreeMap<u16, SealingKey>);

impl FileKeys {
    /// Reads every key of the folder.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let versions = sealing::versions(folder)?;
        let keys = versions.into_iter().map(|version| Ok((version, sealing::load(folder, version)?)));
        Ok(Self(keys.collect::<Result<_, Error>>()?))
    }
}

#[async_trait]
impl SealingKeys for FileKeys {
    fn newest(&self) -> Option<u16> {
        self.0.keys().next_back().copied()
    }

    async fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        let (version, key) = self.0.iter().next_back().ok_or_else(|| Error::SealingKey("none: run `nebula keys generate`".to_owned()))?;
        let sealed = key.seal(place, plain).ok_or_else(|| Error::SealingKey("cannot seal".to_owned()))?;
        Ok((*version, sealed))
    }

    async fn open(&self, place: Place<'_>, version: u16, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let key = self.0.get(&version).ok_or_else(|| Error::SealingKey(format!("version {version} is not on this machine")))?;
        key.open(place, sealed).ok_or_else(|| Error::SealingKey(format!("version {version} does not open what it was given")))
    }
}
