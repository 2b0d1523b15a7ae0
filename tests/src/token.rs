//! Access tokens: the ones that the edge would sign, and the ones that it never would.

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use nebula_core::opaque_token::OpaqueToken;
use serde_json::Value;
use std::{fs, path::Path};
use uuid::Uuid;

/// A private RSA key and the name that it is or isn't registered under.
pub struct Signer {
    pub kid: String,
    pair: KeyPair,
}

impl Signer {
    /// Reads the file that `nebula key signing generate` wrote.
    #[must_use]
    pub fn load(path: &Path, kid: &str) -> Self {
        let pem = fs::read_to_string(path).unwrap();
        let base64 = pem.lines().filter(|line| !line.starts_with("-----")).collect::<String>();
        let pair = KeyPair::from_pkcs8(&STANDARD.decode(base64).unwrap()).unwrap();
        Self { kid: kid.to_owned(), pair }
    }

    /// A key that nobody knows.
    #[must_use]
    pub fn stranger(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    /// DER, SubjectPublicKeyInfo.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    /// Signs claims as the edge does.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_input(nebula_core::access_token::signing_input(&self.kid, claims))
    }

    /// Signs any header over any payload text.
    #[must_use]
    pub fn sign_parts(&self, header: &str, payload: &str) -> String {
        self.sign_input(unsigned(header, payload))
    }

    fn sign_input(&self, input: String) -> String {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Header and payload without a signature.
#[must_use]
pub fn unsigned(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}

/// The claims of a token, unverified.
#[must_use]
pub fn claims_of(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The claims with some of them replaced; a null removes one.
#[must_use]
pub fn with(claims: &Value, changes: &Value) -> Value {
    let mut claims = claims.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// The tenant that an opaque token names.
#[must_use]
pub fn tenant_of(opaque: &str) -> Uuid {
    OpaqueToken::parse(opaque).unwrap().tenant
}
