//! The keys that seal what the database stores and must not be able to read: `sealing-<version>.key` beside the signing keys, 32 bytes as
//! standard base64 and a line feed, mode 600. They never enter the database (docs/edge-protocol.md, "Sealing").

use super::key_folder;
use crate::error::Error;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fs, path::Path};
use uuid::Uuid;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// A sealing key of this machine. The library wipes it when it is dropped.
pub struct SealingKey {
    pub version: u16,
    key: RandomizedNonceKey,
}

/// Where a sealed value belongs: it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub tenant: Uuid,
    pub row: Uuid,
    pub field: &'a str,
}

impl SealingKey {
    /// Nonce, ciphertext and tag of a plain text; `None` if the library refuses, which a loaded key gives no reason for.
    #[must_use]
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Option<Vec<u8>> {
        // Room for the tag from the start: growing would leave a copy of the plain text behind.
        let mut text = Vec::with_capacity(plain.len() + TAG_BYTES);
        text.extend_from_slice(plain);
        let nonce = self.key.seal_in_place_append_tag(self.associated(place), &mut text).ok()?;
        Some([nonce.as_ref().as_slice(), &text].concat())
    }
}

impl SealingKey {
    /// The plain text of nonce, ciphertext and tag; `None` where they were sealed for another place, by another key, or changed.
    #[must_use]
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.key.open_in_place(Nonce::from(nonce), self.associated(place), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn associated(&self, Place { tenant, row, field }: Place<'_>) -> Aad<String> {
        Aad::from(format!("nebula/{tenant}/{row}/{field}/{}", self.version))
    }
}

/// A secret for a client: the prefix and the standard base64 of 32 random bytes. `None` without randomness.
#[must_use]
pub fn new_secret(prefix: &str) -> Option<Zeroizing<String>> {
    let bytes = random()?;
    let mut secret = Zeroizing::new(String::with_capacity(prefix.len() + 44));
    secret.push_str(prefix);
    STANDARD.encode_string(bytes.as_slice(), &mut secret);
    Some(secret)
}

/// Makes version 1 where there is no sealing key; whether it did. A second version is a decision of an operator's, not a default.
pub fn generate_first(folder: &Path) -> Result<bool, Error> {
    if !versions(folder)?.is_empty() {
        return Ok(false);
    }
    let bytes = random().ok_or_else(|| Error::SealingKey("no randomness".to_owned()))?;
    let mut text = Zeroizing::new(String::with_capacity(45));
    STANDARD.encode_string(bytes.as_slice(), &mut text);
    text.push('\n');
    key_folder::write(folder, &name(1), text.as_bytes())?;
    Ok(true)
}

/// The key that seals: the newest version; `None` where there is none.
pub fn newest(folder: &Path) -> Result<Option<SealingKey>, Error> {
    versions(folder)?.first().map(|version| load(folder, *version)).transpose()
}

/// The versions of the folder, newest first.
pub fn versions(folder: &Path) -> Result<Vec<u16>, Error> {
    let mut versions = Vec::new();
    for path in key_folder::list(folder)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(digits) = file.strip_prefix("sealing-").and_then(|rest| rest.strip_suffix(".key")) else { continue };
        // One spelling a version: of `sealing-1.key` and `sealing-01.key` nobody could tell which one counts.
        let version = digits.parse().ok().filter(|version| *version > 0 && name(*version) == file);
        versions
            .push(version.ok_or_else(|| Error::SealingKey(format!("{}: the version is not a number from 1 to 65535", path.display())))?);
    }
    versions.sort_unstable_by_key(|version| std::cmp::Reverse(*version));
    Ok(versions)
}

/// Reads one version.
pub fn load(folder: &Path, version: u16) -> Result<SealingKey, Error> {
    let path = folder.join(name(version));
    let unreadable = || Error::SealingKey(format!("{}: not 32 bytes as standard base64", path.display()));
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(Error::file(&path))?);
    let bytes = Zeroizing::new(STANDARD.decode(text.trim_end()).map_err(|_| unreadable())?);
    // The library checks the length.
    let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| unreadable())?;
    Ok(SealingKey { version, key })
}

fn random() -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

fn name(version: u16) -> String {
    format!("sealing-{version}.key")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_lc_rs::aead::{LessSafeKey, UnboundKey};
    use std::{os::unix::fs::PermissionsExt, path::PathBuf};

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("nebula-sealing-{}", Uuid::now_v7()))
    }

    #[test]
    fn the_first_key_is_made_once_and_for_its_owner_alone() {
        let folder = folder();
        assert!(newest(&folder).unwrap().is_none());
        assert!(generate_first(&folder).unwrap());
        assert!(!generate_first(&folder).unwrap());
        let path = folder.join("sealing-1.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(STANDARD.decode(text.strip_suffix('\n').unwrap()).unwrap().len(), 32);
        assert_eq!(newest(&folder).unwrap().unwrap().version, 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_newest_version_seals() {
        let folder = folder();
        generate_first(&folder).unwrap();
        for version in ["2", "10"] {
            fs::copy(folder.join("sealing-1.key"), folder.join(format!("sealing-{version}.key"))).unwrap();
        }
        assert_eq!(versions(&folder).unwrap(), [10, 2, 1]);
        assert_eq!(newest(&folder).unwrap().unwrap().version, 10);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_holds_no_key_or_names_no_version_is_said_to() {
        for (name, content) in [("sealing-1.key", "AAAA\n"), ("sealing-1.key", "?"), ("sealing-01.key", ""), ("sealing-65536.key", "")] {
            let folder = folder();
            key_folder::write(&folder, name, content.as_bytes()).unwrap();
            let complaint = newest(&folder).err().unwrap().to_string();
            assert!(complaint.contains(name), "{complaint}");
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let bytes = [7; 32];
        let key = SealingKey { version: 3, key: RandomizedNonceKey::new(&AES_256_GCM, &bytes).unwrap() };
        let (tenant, row) = (Uuid::from_u128(0xA), Uuid::from_u128(0xB));
        let sealed = key.seal(Place { tenant, row, field: "secret" }, b"plain").unwrap();
        assert_ne!(sealed, key.seal(Place { tenant, row, field: "secret" }, b"plain").unwrap());
        let open = |associated: &str| {
            let (nonce, text) = sealed.split_at(12);
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).unwrap());
            let mut text = text.to_vec();
            let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
            key.open_in_place(nonce, Aad::from(associated), &mut text).map(|plain| plain.to_vec()).ok()
        };
        let place = "nebula/00000000-0000-0000-0000-00000000000a/00000000-0000-0000-0000-00000000000b/secret/3";
        assert_eq!(open(place).as_deref(), Some(b"plain".as_slice()));
        for other in ["secret/2", "other/3"] {
            assert_eq!(open(&place.replace("secret/3", other)), None);
        }
        assert_eq!(open(&place.replace("00a/", "00c/")), None);
        assert_eq!(open(&place.replace("00b/", "00c/")), None);
    }

    #[test]
    fn a_secret_is_its_prefix_and_32_random_bytes() {
        let secret = new_secret("whsec_").unwrap();
        assert_eq!(STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap().len(), 32);
        assert_ne!(secret, new_secret("whsec_").unwrap());
    }
}
