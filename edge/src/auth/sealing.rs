//! The keys that seal what the database stores and must not be able to read. They never enter the database (docs/edge-protocol.md, "Sealing").

use super::versioned_files::{VersionedFiles, decode, random};
use crate::error::Error;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf, hmac,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::path::Path;
use uuid::Uuid;
use zeroize::Zeroizing;

const TAG_BYTES: usize = 16;

/// What tells a sealing key apart, and nothing about it.
pub type Fingerprint = [u8; 32];

/// A sealing key of this machine. The library wipes it when it is dropped.
pub struct SealingKey {
    pub version: u16,
    key: RandomizedNonceKey,
    /// Derived from it, for digests of what is sealed.
    mac: hmac::Key,
    fingerprint: Fingerprint,
}

/// Where a sealed value belongs: it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub tenant: Uuid,
    pub row: Uuid,
    pub field: &'a str,
}

impl SealingKey {
    /// A key of 32 bytes; `None` for any other length.
    #[must_use]
    pub fn new(version: u16, bytes: &[u8]) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).ok()?;
        let mac = hkdf::Salt::new(hkdf::HKDF_SHA256, b"nebula.sealing_key").extract(bytes);
        let mac = mac.expand(&[b"fingerprints of values"], hmac::HMAC_SHA256).ok()?.into();
        let fingerprint = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"nebula.sealing_key");
        Some(Self { version, key, mac, fingerprint: fingerprint.as_ref().try_into().ok()? })
    }

    /// HMAC-SHA256 of a fixed text under the key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// HMAC-SHA256 of these parts under a key that is derived from this one: equal for equal values, and useless without it.
    #[must_use]
    pub fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.mac);
        for part in parts {
            // Their lengths keep two lists of parts apart.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().unwrap_or_default()
    }

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

/// Where the keys of this machine are.
pub const FILES: VersionedFiles = VersionedFiles { kind: "sealing", error: Error::SealingKey };

/// Reads one version.
pub fn load(folder: &Path, version: u16) -> Result<SealingKey, Error> {
    FILES.load(folder, version, SealingKey::new)
}

/// A key as text: 32 bytes as standard base64.
#[must_use]
pub fn parse(version: u16, text: &str) -> Option<SealingKey> {
    SealingKey::new(version, &decode(text)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::auth::key_folder;
    use aws_lc_rs::aead::{LessSafeKey, UnboundKey};
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("nebula-sealing-{}", Uuid::now_v7()))
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = folder();
        assert!(FILES.versions(&folder).unwrap().is_empty());
        for version in [1, 10, 2] {
            FILES.generate(&folder, version).unwrap();
            assert!(FILES.generate(&folder, version).is_err());
        }
        let path = folder.join("sealing-1.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(STANDARD.decode(text.strip_suffix('\n').unwrap()).unwrap().len(), 32);
        assert_eq!(FILES.versions(&folder).unwrap(), [1, 2, 10]);
        assert_eq!(load(&folder, 10).unwrap().version, 10);
        assert_ne!(load(&folder, 1).unwrap().fingerprint(), load(&folder, 2).unwrap().fingerprint());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_holds_no_key_or_names_no_version_is_said_to() {
        for (name, content) in [("sealing-1.key", "AAAA\n"), ("sealing-1.key", "?"), ("sealing-01.key", ""), ("sealing-65536.key", "")] {
            let folder = folder();
            key_folder::write(&folder, name, content.as_bytes()).unwrap();
            let read = FILES.versions(&folder).and_then(|versions| load(&folder, *versions.first().unwrap()).map(drop));
            let complaint = read.err().unwrap().to_string();
            assert!(complaint.contains(name), "{complaint}");
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let bytes = [7; 32];
        let key = SealingKey::new(3, &bytes).unwrap();
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
    fn digests_tell_values_apart_and_keys_and_where_one_part_ends() {
        let (key, other) = (SealingKey::new(1, &[7; 32]).unwrap(), SealingKey::new(1, &[8; 32]).unwrap());
        assert!(SealingKey::new(1, &[7; 31]).is_none());
        let digest = key.digest(&[b"ab", b"c"]);
        assert_eq!(digest, key.digest(&[b"ab", b"c"]));
        for different in [key.digest(&[b"a", b"bc"]), key.digest(&[b"abc"]), key.digest(&[b"ab", b"d"]), other.digest(&[b"ab", b"c"])] {
            assert_ne!(digest, different);
        }
        assert_ne!(key.fingerprint(), other.fingerprint());
        assert_eq!(key.fingerprint(), SealingKey::new(2, &[7; 32]).unwrap().fingerprint());
    }

    #[test]
    fn a_secret_is_its_prefix_and_32_random_bytes() {
        let secret = new_secret("whsec_").unwrap();
        assert_eq!(STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap().len(), 32);
        assert_ne!(secret, new_secret("whsec_").unwrap());
    }
}
