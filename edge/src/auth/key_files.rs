//! Private signing keys on disk: `<kid>.pem`, PKCS#8, mode 600 in a folder of mode 700. They never enter the database.

use super::{jwks, key_folder};
use crate::error::Error;
use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use pkcs8::{LineEnding, SecretDocument};
use std::{fs, path::Path, sync::Arc, time::SystemTime};

const LABEL: &str = "PRIVATE KEY";

/// A private key of this machine. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct PrivateKey {
    /// RFC 7638 thumbprint of the public half, base64url.
    pub kid: String,
    pub created_at: SystemTime,
    pub pair: Arc<KeyPair>,
}

impl PrivateKey {
    /// The public half: DER, SubjectPublicKeyInfo.
    pub fn public_key(&self) -> Result<Vec<u8>, Error> {
        public_key(&self.pair)
    }
}

/// Makes a key and writes it. 2048 bits: 3072 would triple the cost of each login for a token that lives 15 minutes.
pub fn generate(folder: &Path) -> Result<PrivateKey, Error> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Key("cannot generate".to_owned()))?;
    let kid = kid(&pair)?;
    let der = pair.as_der().map_err(|_| Error::Key("cannot encode".to_owned()))?;
    let pem = SecretDocument::try_from(der.as_ref())
        .and_then(|document| document.to_pem(LABEL, LineEnding::LF))
        .map_err(|error| Error::Key(error.to_string()))?;
    key_folder::write(folder, &format!("{kid}.pem"), pem.as_bytes())?;
    Ok(PrivateKey { kid, created_at: SystemTime::now(), pair: Arc::new(pair) })
}

/// Reads every `*.pem` of the folder, newest first; a folder that is missing holds no keys.
pub fn load_all(folder: &Path) -> Result<Vec<PrivateKey>, Error> {
    let mut keys = Vec::new();
    for path in key_folder::list(folder)? {
        if path.extension().is_some_and(|extension| extension == "pem") {
            keys.push(load(&path)?);
        }
    }
    keys.sort_by_key(|key| std::cmp::Reverse(key.created_at));
    Ok(keys)
}

fn load(path: &Path) -> Result<PrivateKey, Error> {
    let unreadable = |reason: &str| Error::Key(format!("{}: {reason}", path.display()));
    let pem = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(Error::file(path))?);
    let (label, document) = SecretDocument::from_pem(&pem).map_err(|_| unreadable("not PEM"))?;
    if label != LABEL {
        return Err(unreadable("not an unencrypted PKCS#8 key"));
    }
    let pair = KeyPair::from_pkcs8(document.as_bytes()).map_err(|_| unreadable("not an RSA key of 2048 bits or more"))?;
    let created_at = fs::metadata(path).and_then(|metadata| metadata.modified()).map_err(Error::file(path))?;
    // The kid comes from the key, not from the file's name, which a copy may change.
    Ok(PrivateKey { kid: kid(&pair)?, created_at, pair: Arc::new(pair) })
}

fn public_key(pair: &KeyPair) -> Result<Vec<u8>, Error> {
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| Error::Key("cannot encode the public half".to_owned()))?;
    Ok(der.as_ref().to_vec())
}

fn kid(pair: &KeyPair) -> Result<String, Error> {
    jwks::thumbprint(&public_key(pair)?).ok_or_else(|| Error::Key("not an RSA key".to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_written_for_its_owner_alone_and_read_back() {
        let folder = std::env::temp_dir().join(format!("nebula-keys-{}", uuid::Uuid::now_v7()));
        let key = generate(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(format!("{}.pem", key.kid))), 0o600);
        let loaded = load_all(&folder).unwrap();
        assert_eq!(loaded.iter().map(|k| k.kid.as_str()).collect::<Vec<_>>(), [key.kid.as_str()]);
        assert_eq!(loaded.first().unwrap().public_key().unwrap(), key.public_key().unwrap());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_missing_folder_holds_no_keys() {
        assert!(load_all(Path::new("/nonexistent/nebula")).unwrap().is_empty());
    }
}
