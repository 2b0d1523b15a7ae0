//! Who seals and opens, behind one trait: keys of this machine today, a key management service when somebody needs one.
//!
//! A version counts where the database has registered it as this very key: two machines with different keys of one number would seal what the other can't open.

use super::{
    key_source::LocalKeys,
    sealing::{Place, SealingKey},
};
use crate::error::Error;
use async_trait::async_trait;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Seals with the newest key and opens with any.
#[async_trait]
pub trait SealingKeys: Send + Sync {
    /// The version that seals; `None` where none may.
    fn newest(&self) -> Option<u16>;
    /// The version that sealed, and nonce, ciphertext and tag.
    async fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<(u16, Vec<u8>), Error>;
    /// The plain text of what this version sealed in this place.
    async fn open(&self, place: Place<'_>, version: u16, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error>;
    /// A keyed digest: equal for equal parts, as long as the oldest key stays, and useless to whoever has no key.
    async fn digest(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error>;
}

/// Fingerprints of the keys that the database has registered, by version.
pub type Registered = BTreeMap<u16, Vec<u8>>;

/// Keys of this machine, held against what is registered.
pub struct RegisteredKeys {
    local: LocalKeys,
    registered: Registered,
}

impl RegisteredKeys {
    #[must_use]
    pub fn new(local: LocalKeys, registered: Registered) -> Self {
        Self { local, registered }
    }

    /// Whether the key is the registered one of its version; `None` where that version isn't registered.
    fn is_registered(&self, key: &SealingKey) -> Option<bool> {
        self.registered.get(&key.version).map(|fingerprint| fingerprint == key.fingerprint())
    }

    fn is_mistaken(&self, key: &SealingKey) -> Result<(), Error> {
        if self.is_registered(key) == Some(false) { Err(mistaken(key.version)) } else { Ok(()) }
    }

    /// The key that seals. One that isn't registered yet is passed over: that is how a new one is brought to every machine first.
    fn sealing(&self) -> Result<&SealingKey, Error> {
        for key in self.local.newest_first() {
            self.is_mistaken(key)?;
            if self.is_registered(key) == Some(true) {
                return Ok(key);
            }
        }
        Err(Error::SealingKey(
            "no key of this machine is registered: run `nebula key signing generate`, or `nebula key sealing register`".to_owned(),
        ))
    }

    /// What an operator should mend.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mistaken = self.local.newest_first().filter_map(|key| self.is_mistaken(key).err());
        // Older ones may have been removed on purpose, when they sealed nothing any more.
        let newest = self.local.newest_first().next().map_or(u16::MAX, |key| key.version);
        let missing = self.registered.keys().filter(|version| **version > newest);
        let missing = missing.map(|version| Error::SealingKey(format!("version {version} is registered and not on this machine")));
        let mut complaints = mistaken.chain(missing).map(|error| error.to_string()).collect::<Vec<_>>();
        if complaints.is_empty() {
            complaints.extend(self.sealing().err().map(|error| error.to_string()));
        }
        complaints
    }
}

fn mistaken(version: u16) -> Error {
    Error::SealingKey(format!(
        "version {version} of this machine is another key than the registered one: nothing is sealed or opened with it"
    ))
}

#[async_trait]
impl SealingKeys for RegisteredKeys {
    fn newest(&self) -> Option<u16> {
        self.sealing().ok().map(|key| key.version)
    }

    async fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        let key = self.sealing()?;
        let sealed = key.seal(place, plain).ok_or_else(|| Error::SealingKey("cannot seal".to_owned()))?;
        Ok((key.version, sealed))
    }

    async fn open(&self, place: Place<'_>, version: u16, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let key = self.local.get(version).ok_or_else(|| Error::SealingKey(format!("version {version} is not on this machine")))?;
        self.is_mistaken(key)?;
        key.open(place, sealed).ok_or_else(|| Error::SealingKey(format!("version {version} does not open what it was given")))
    }

    async fn digest(&self, parts: &[&[u8]]) -> Result<[u8; 32], Error> {
        let oldest = self.local.newest_first().rfind(|key| self.is_registered(key) == Some(true));
        // Without a registered key: why.
        oldest.map_or_else(|| self.sealing(), Ok).map(|key| key.digest(parts))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const PLACE: Place<'static> = Place { tenant: Uuid::from_u128(0xA), row: Uuid::from_u128(0xB), field: "data" };

    fn keys(local: &[(u16, u8)], registered: &[(u16, u8)]) -> RegisteredKeys {
        let key = |(version, byte): &(u16, u8)| SealingKey::new(*version, &[*byte; 32]).unwrap();
        let registered = registered.iter().map(key).map(|key| (key.version, key.fingerprint().to_vec())).collect();
        RegisteredKeys::new(local.iter().map(key).collect(), registered)
    }

    async fn sealed(keys: &RegisteredKeys) -> Result<u16, String> {
        keys.seal(PLACE, b"plain").await.map(|(version, _)| version).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_newest_registered_key_seals_and_every_one_opens() {
        let (both, old) = (keys(&[(1, 1), (2, 2)], &[(1, 1), (2, 2)]), keys(&[(1, 1)], &[(1, 1)]));
        assert_eq!((both.newest(), both.complaints()), (Some(2), vec![]));
        let (version, text) = old.seal(PLACE, b"plain").await.unwrap();
        assert_eq!(both.open(PLACE, version, &text).await.unwrap().as_slice(), b"plain");
        assert_eq!(both.digest(&[b"x"]).await.unwrap(), old.digest(&[b"x"]).await.unwrap());
        let complaint = keys(&[(1, 1)], &[(1, 1), (2, 2)]).complaints();
        assert_eq!(complaint, ["sealing key: version 2 is registered and not on this machine"]);
    }

    #[tokio::test]
    async fn a_key_that_is_not_registered_yet_opens_and_does_not_seal() {
        let prepared = keys(&[(1, 1), (2, 2)], &[(1, 1)]);
        assert_eq!((sealed(&prepared).await, prepared.complaints()), (Ok(1), vec![]));
        let (_, text) = keys(&[(2, 2)], &[(2, 2)]).seal(PLACE, b"plain").await.unwrap();
        assert!(prepared.open(PLACE, 2, &text).await.is_ok());
        let none = keys(&[(1, 1)], &[]);
        assert!(sealed(&none).await.unwrap_err().contains("nebula key sealing register") && none.digest(&[]).await.is_err());
        assert_eq!((none.newest(), none.complaints().len()), (None, 1));
    }

    #[tokio::test]
    async fn another_key_of_the_same_number_neither_seals_nor_opens() {
        let (right, wrong) = (keys(&[(1, 1)], &[(1, 1)]), keys(&[(1, 9)], &[(1, 1)]));
        assert!(sealed(&wrong).await.unwrap_err().contains("another key"));
        let (_, text) = right.seal(PLACE, b"plain").await.unwrap();
        assert!(wrong.open(PLACE, 1, &text).await.unwrap_err().to_string().contains("another key"));
        assert!(wrong.complaints().concat().contains("version 1 of this machine is another key"));
        // An older one that is right doesn't help: what others no longer have would be sealed with it.
        assert!(sealed(&keys(&[(1, 1), (2, 9)], &[(1, 1), (2, 2)])).await.is_err());
        assert!(right.open(PLACE, 2, &text).await.unwrap_err().to_string().contains("not on this machine"));
    }
}
