//! Tokens of other issuers: JWT (RFC 7519) with one of four algorithms, read strictly.
//!
//! What may differ from our own tokens is what OpenID providers and Supabase Auth do differ in: claims of their own, a list of audiences, no `iat`, no
//! `kid`. Everything else is closed (RFC 8725): the algorithm must be one that was configured *and* the registered key's own, so that no public
//! key is ever taken for a secret; keys come from the registry and never from the token.

use crate::{
    issuer::{Algorithm, Identity, Profile},
    jwk,
    object::Object,
    unique_json::UniqueJson,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::Sha256;
use std::{collections::HashMap, fmt};

/// The longest token that is looked at, in bytes.
pub const MAX_BYTES: usize = 8192;
/// How far an issuer's clock may be ahead of ours, for `iat` and `nbf`. An expired token is expired.
pub const SKEW_SECONDS: i64 = 60;
/// The shortest and the longest shared secret, in bytes: RFC 7518, section 3.2 asks for as many bits as the hash has.
pub const SECRET_BYTES: std::ops::RangeInclusive<usize> = 32..=1024;

/// The header's members that issuers write. Those that name another key or change the meaning (`crit`, `jwk`, `jku`, `x5u`, `x5c`, `b64`, `zip`, `cty`)
/// are refused with every other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    /// A certificate's thumbprints (Entra ID writes them): not used.
    #[serde(rename = "x5t")]
    _x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    _x5t_s256: Option<String>,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("invalid")]
    Invalid,
    #[error("expired")]
    Expired,
    /// Signed with a key that is not registered: it may be newer than what is.
    #[error("unknown key")]
    UnknownKey,
}

/// The keys that are registered for an issuer.
#[derive(Default)]
pub struct Keys {
    public: HashMap<String, (Algorithm, Vec<u8>)>,
    secret: Option<Vec<u8>>,
}

// It may hold a secret.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.public.keys()).finish()
    }
}

impl Keys {
    /// Adds a public key (DER, SubjectPublicKeyInfo).
    pub fn add(&mut self, kid: String, algorithm: Algorithm, der: Vec<u8>) {
        self.public.insert(kid, (algorithm, der));
    }

    /// The one secret of HS256. Its tokens may name a `kid`, which says nothing: there is no other.
    pub fn set_secret(&mut self, secret: Vec<u8>) {
        self.secret = Some(secret);
    }

    /// The key of this name, or the only one of this algorithm where none is named.
    fn find(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<&[u8], Refused> {
        match kid {
            Some(kid) => match self.public.get(kid) {
                Some((registered, der)) if *registered == algorithm => Ok(der),
                Some(_) => Err(Refused::Invalid),
                None => Err(Refused::UnknownKey),
            },
            None => {
                let mut candidates = self.public.values().filter(|(registered, _)| *registered == algorithm);
                match (candidates.next(), candidates.next()) {
                    (Some((_, der)), None) => Ok(der),
                    (None, _) => Err(Refused::UnknownKey),
                    (Some(_), Some(_)) => Err(Refused::Invalid),
                }
            }
        }
    }
}

/// A token whose form was read and whose signature was not yet checked.
pub struct Unverified<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    signed: &'a str,
    signature: Vec<u8>,
    issuer: String,
    claims: Map<String, Value>,
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub identity: Identity,
    /// Seconds since the Unix epoch.
    pub expires_at: i64,
}

impl<'a> Unverified<'a> {
    /// Reads the form: three parts of canonical base64url, a closed header with an algorithm of ours, claims without repeated names.
    pub fn read(token: &'a str) -> Result<Self, Refused> {
        if token.len() > MAX_BYTES {
            return Err(Refused::Invalid);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Invalid)?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Invalid)?;
        let Object(header) = serde_json::from_slice::<Object<Header>>(&decode(header)?).map_err(|_| Refused::Invalid)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(Refused::Invalid)?;
        // RFC 7515, section 4.1.9: a media type, which ignores case.
        let is_typ = |typ: &str| ["JWT", "at+jwt"].iter().any(|known| typ.eq_ignore_ascii_case(known));
        if !header.typ.as_deref().is_none_or(is_typ) || !header.kid.as_deref().is_none_or(jwk::is_kid) {
            return Err(Refused::Invalid);
        }
        let claims = serde_json::from_slice::<UniqueJson>(&decode(payload)?).map_err(|_| Refused::Invalid)?;
        let Value::Object(claims) = claims.0 else { return Err(Refused::Invalid) };
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(Refused::Invalid)?.to_owned();
        Ok(Self { algorithm, kid: header.kid, signed, signature: decode(signature)?, issuer, claims })
    }

    /// Whose token it says it is; worth nothing before [`Self::verify`].
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Checks everything: the algorithm, the claims, the signature against a registered key, the times. `now` is in seconds since the Unix epoch.
    pub fn verify(&self, profile: &Profile, keys: &Keys, now: i64) -> Result<Verified, Refused> {
        let verified = self.check_claims(profile, now)?;
        let is_expired = verified.expires_at <= now;
        // Where no key is named the only one may have been replaced by another.
        let otherwise = if self.kid.is_none() { Refused::UnknownKey } else { Refused::Invalid };
        let verdict = match self.algorithm {
            Algorithm::Hs256 => self.check_mac(keys.secret.as_deref().ok_or(Refused::Invalid)?),
            Algorithm::Rs256 => self.check_signature(&RSA_PKCS1_2048_8192_SHA256, keys).map_err(|refused| refused.unwrap_or(otherwise)),
            Algorithm::Es256 => self.check_signature(&ECDSA_P256_SHA256_FIXED, keys).map_err(|refused| refused.unwrap_or(otherwise)),
            Algorithm::EdDsa => self.check_signature(&ED25519, keys).map_err(|refused| refused.unwrap_or(otherwise)),
        };
        match verdict {
            // It would be refused whoever signed it: no reason to look for newer keys.
            Err(Refused::UnknownKey) if is_expired => Err(Refused::Expired),
            Ok(()) if is_expired => Err(Refused::Expired),
            verdict => verdict.map(|()| verified),
        }
    }

    /// Checks everything where the secret is out of reach: all but a shared secret's signature. What passes is *not* authentic.
    pub fn verify_without_secret(&self, profile: &Profile, keys: &Keys, now: i64) -> Result<Verified, Refused> {
        if self.algorithm != Algorithm::Hs256 {
            return self.verify(profile, keys, now);
        }
        let claimed = self.check_claims(profile, now)?;
        if claimed.expires_at <= now { Err(Refused::Expired) } else { Ok(claimed) }
    }

    fn check_claims(&self, profile: &Profile, now: i64) -> Result<Verified, Refused> {
        if !profile.algorithms.contains(&self.algorithm) {
            return Err(Refused::Invalid);
        }
        let expires_at = self.time("exp")?.ok_or(Refused::Invalid)?;
        let latest = now.saturating_add(SKEW_SECONDS);
        if self.time("nbf")?.is_some_and(|not_before| not_before > latest) {
            return Err(Refused::Invalid);
        }
        if let Some(issued_at) = self.time("iat")? {
            let lifetime = expires_at.saturating_sub(issued_at);
            if issued_at > latest || !(1..=profile.max_lifetime_seconds).contains(&lifetime) {
                return Err(Refused::Invalid);
            }
        }
        // Also where `iat` is absent or lies far ahead of what `exp` allows.
        if expires_at > latest.saturating_add(profile.max_lifetime_seconds) {
            return Err(Refused::Invalid);
        }
        let identity = profile.identify(&self.claims).ok_or(Refused::Invalid)?;
        Ok(Verified { identity, expires_at })
    }

    /// Whole seconds since the epoch, where the claim is present.
    fn time(&self, name: &str) -> Result<Option<i64>, Refused> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(value) => value.as_i64().filter(|seconds| *seconds >= 0).map(Some).ok_or(Refused::Invalid),
        }
    }

    /// `Err(None)`: the signature is not this key's.
    fn check_signature(&self, algorithm: &'static dyn VerificationAlgorithm, keys: &Keys) -> Result<(), Option<Refused>> {
        let key = keys.find(self.algorithm, self.kid.as_deref()).map_err(Some)?;
        UnparsedPublicKey::new(algorithm, key).verify(self.signed.as_bytes(), &self.signature).map_err(|_| None)
    }

    /// Compares in constant time.
    fn check_mac(&self, secret: &[u8]) -> Result<(), Refused> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).map_err(|_| Refused::Invalid)?;
        mac.update(self.signed.as_bytes());
        mac.verify_slice(&self.signature).map_err(|_| Refused::Invalid)
    }
}

/// `URL_SAFE_NO_PAD` refuses padding, other alphabets and bits that say nothing: a text has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Invalid)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::issuer::{ClaimPath, EmailRule, TenantRule};
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        rand::SystemRandom,
        rsa::KeySize,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
    };
    use serde_json::json;
    use std::sync::OnceLock;
    use uuid::Uuid;

    const NOW: i64 = 1_800_000_000;
    const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

    struct Signers {
        rsa: RsaKeyPair,
        ec: EcdsaKeyPair,
        ed: Ed25519KeyPair,
    }

    fn signers() -> &'static Signers {
        static SIGNERS: OnceLock<Signers> = OnceLock::new();
        SIGNERS.get_or_init(|| Signers {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed: Ed25519KeyPair::generate().unwrap(),
        })
    }

    fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
        key.as_der().unwrap().as_ref().to_vec()
    }

    fn keys() -> Keys {
        let mut keys = Keys::default();
        keys.add("r".into(), Algorithm::Rs256, der(signers().rsa.public_key()));
        keys.add("e".into(), Algorithm::Es256, der(signers().ec.public_key()));
        keys.add("o".into(), Algorithm::EdDsa, der(signers().ed.public_key()));
        keys.set_secret(SECRET.to_vec());
        keys
    }

    fn profile() -> Profile {
        Profile {
            issuer: "https://id.example".to_owned(),
            audience: "nebula".to_owned(),
            algorithms: Algorithm::ALL.to_vec(),
            tenant: TenantRule::Claim(ClaimPath::try_from("tenantId".to_owned()).unwrap()),
            email: EmailRule::Never,
            max_lifetime_seconds: 3600,
        }
    }

    fn claims(changes: &Value) -> Value {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "nebula", "sub": "auth0|7", "tenantId": Uuid::from_u128(2),
            "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 600, "scope": "openid", "nested": { "a": [1] },
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        claims
    }

    fn input(header: &str, payload: &str) -> String {
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    fn signed(by: &str, header: &str, payload: &str) -> String {
        let input = input(header, payload);
        let random = SystemRandom::new();
        let signature = match by {
            "RS256" => {
                let mut signature = vec![0; signers().rsa.public_modulus_len()];
                signers().rsa.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature).unwrap();
                signature
            }
            "ES256" => signers().ec.sign(&random, input.as_bytes()).unwrap().as_ref().to_vec(),
            "EdDSA" => signers().ed.sign(input.as_bytes()).as_ref().to_vec(),
            "HS256" => hs256(SECRET, &input),
            _ => Vec::new(),
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn hs256(secret: &[u8], input: &str) -> Vec<u8> {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).unwrap();
        mac.update(input.as_bytes());
        mac.finalize().into_bytes().to_vec()
    }

    fn verdict(token: &str) -> Result<Verified, Refused> {
        Unverified::read(token)?.verify(&profile(), &keys(), NOW)
    }

    const HEADERS: [(&str, &str); 4] = [
        ("RS256", r#"{"alg":"RS256","typ":"JWT","kid":"r"}"#),
        ("ES256", r#"{"alg":"ES256","typ":"at+jwt","kid":"e","x5t":"abc","x5t#S256":"abc"}"#),
        ("EdDSA", r#"{"alg":"EdDSA","kid":"o"}"#),
        ("HS256", r#"{"alg":"HS256","typ":"JWT"}"#),
    ];
    const HEADER: &str = HEADERS[0].1;

    fn rs256(changes: &Value) -> String {
        signed("RS256", HEADER, &claims(changes).to_string())
    }

    #[test]
    fn each_algorithm_is_accepted_with_its_key_named_or_alone() {
        for (by, header) in HEADERS {
            let verified = verdict(&signed(by, header, &claims(&json!({})).to_string())).expect(by);
            assert_eq!((verified.identity.subject.as_str(), verified.expires_at), ("auth0|7", NOW + 600));
            let nameless = format!(r#"{{"alg":"{by}"}}"#);
            assert!(verdict(&signed(by, &nameless, &claims(&json!({})).to_string())).is_ok(), "{by}");
        }
        let named_secret = r#"{"alg":"HS256","typ":"JWT","kid":"anything"}"#;
        assert!(verdict(&signed("HS256", named_secret, &claims(&json!({})).to_string())).is_ok());
        assert!(verdict(&rs256(&json!({ "iat": null, "nbf": null, "aud": ["x", "nebula"] }))).is_ok());
        assert!(verdict(&rs256(&json!({ "iat": NOW + 60, "nbf": NOW + 60, "exp": NOW + 600 }))).is_ok());
    }

    #[test]
    fn a_key_verifies_its_own_algorithm_alone() {
        let payload = claims(&json!({})).to_string();
        let own_kid = |by: &str| match by {
            "RS256" => "r",
            "ES256" => "e",
            _ => "o",
        };
        for (by, _) in HEADERS {
            for (named, _) in HEADERS {
                for kid in ["r", "e", "o"] {
                    let is_right = named == by && (by == "HS256" || kid == own_kid(by));
                    let token = signed(by, &format!(r#"{{"alg":"{named}","kid":"{kid}"}}"#), &payload);
                    assert_eq!(verdict(&token).is_ok(), is_right, "signed with {by}, named {named} and {kid}");
                }
            }
        }
        // A public key as the secret, in each spelling that somebody might have.
        let rsa = der(signers().rsa.public_key());
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64::engine::general_purpose::STANDARD.encode(&rsa));
        for secret in [rsa, signers().rsa.public_key().as_ref().to_vec(), pem.into_bytes(), Vec::new()] {
            for header in [r#"{"alg":"HS256","kid":"r"}"#, r#"{"alg":"HS256"}"#, HEADER] {
                let input = input(header, &payload);
                let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(hs256(&secret, &input)));
                assert_eq!(verdict(&token), Err(Refused::Invalid), "{header}");
                let mut without_secret = keys();
                without_secret.secret = None;
                assert_eq!(Unverified::read(&token).unwrap().verify(&profile(), &without_secret, NOW), Err(Refused::Invalid));
            }
        }
    }

    #[test]
    fn an_algorithm_that_is_not_configured_is_refused_though_its_key_is_registered() {
        for (by, header) in HEADERS {
            let others = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.as_str() != by).collect();
            let token = signed(by, header, &claims(&json!({})).to_string());
            let unverified = Unverified::read(&token).unwrap();
            assert_eq!(unverified.verify(&Profile { algorithms: others, ..profile() }, &keys(), NOW), Err(Refused::Invalid), "{by}");
        }
    }

    #[test]
    fn a_closed_header_refuses_every_other_member() {
        for header in [
            r#"{"alg":"none","kid":"r"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"","kid":"r"}"#,
            r#"{"alg":"rs256","kid":"r"}"#,
            r#"{"alg":"RS512","kid":"r"}"#,
            r#"{"alg":"PS256","kid":"r"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":["RS256"],"kid":"r"}"#,
            r#"{"typ":"JWT","kid":"r"}"#,
            r#"{"alg":"RS256","typ":"JWE","kid":"r"}"#,
            r#"{"alg":"RS256","typ":"dpop+jwt","kid":"r"}"#,
            r#"{"alg":"RS256","typ":1,"kid":"r"}"#,
            r#"{"alg":"RS256","kid":""}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","kid":"r","crit":["exp"]}"#,
            r#"{"alg":"RS256","kid":"r","crit":[]}"#,
            r#"{"alg":"RS256","kid":"r","b64":false}"#,
            r#"{"alg":"RS256","kid":"r","zip":"DEF"}"#,
            r#"{"alg":"RS256","kid":"r","cty":"JWT"}"#,
            r#"{"alg":"RS256","kid":"r","jwk":{"kty":"RSA"}}"#,
            r#"{"alg":"RS256","kid":"r","jku":"https://evil.example/jwks"}"#,
            r#"{"alg":"RS256","kid":"r","x5u":"https://evil.example/cert"}"#,
            r#"{"alg":"RS256","kid":"r","x5c":["MII"]}"#,
            r#"{"alg":"RS256","kid":"r","x5t":["abc"]}"#,
            r#"{"alg":"RS256","kid":"x","kid":"r"}"#,
            r#"{"alg":"none","alg":"RS256","kid":"r"}"#,
            r#"["RS256","JWT","r"]"#,
            "[]",
            "",
        ] {
            assert_eq!(verdict(&signed("RS256", header, &claims(&json!({})).to_string())), Err(Refused::Invalid), "{header}");
        }
        for header in
            [r#"{"alg":"RS256","kid":"unknown"}"#, r#"{"alg":"RS256","kid":"../../dev/null"}"#, r#"{"alg":"RS256","kid":"' or 1=1--"}"#]
        {
            let expected = if header.contains(' ') { Refused::Invalid } else { Refused::UnknownKey };
            assert_eq!(verdict(&signed("RS256", header, &claims(&json!({})).to_string())), Err(expected), "{header}");
        }
    }

    #[test]
    fn claims_are_required_typed_and_bounded() {
        for changes in [
            json!({ "iss": null }),
            json!({ "iss": ["https://id.example"] }),
            json!({ "iss": "https://id.example/" }),
            json!({ "aud": null }),
            json!({ "aud": "other" }),
            json!({ "aud": ["other"] }),
            json!({ "sub": null }),
            json!({ "sub": "" }),
            json!({ "tenantId": null }),
            json!({ "tenantId": "acme" }),
            json!({ "exp": null }),
            json!({ "exp": (NOW + 600).to_string() }),
            json!({ "exp": 1.5 }),
            json!({ "exp": -1 }),
            json!({ "exp": u64::MAX }),
            json!({ "exp": i64::MAX, "iat": 0 }),
            json!({ "exp": NOW + 3600, "iat": NOW - 10 }),
            json!({ "exp": NOW + 315_360_000, "iat": null }),
            json!({ "exp": NOW + 3661, "iat": null }),
            json!({ "exp": NOW + 600, "iat": NOW + 600 }),
            json!({ "exp": NOW - 600, "iat": NOW - 10 }),
            json!({ "iat": NOW + 61 }),
            json!({ "iat": "now" }),
            json!({ "iat": [] }),
            json!({ "nbf": NOW + 61 }),
            json!({ "nbf": "now" }),
        ] {
            assert_eq!(verdict(&rs256(&changes)), Err(Refused::Invalid), "{changes}");
        }
    }

    #[test]
    fn an_expired_token_says_so_from_its_last_second_on_and_without_asking_for_keys() {
        let past = json!({ "iat": NOW - 600, "exp": NOW });
        assert_eq!(verdict(&rs256(&past)), Err(Refused::Expired));
        let unknown = signed("RS256", r#"{"alg":"RS256","kid":"unknown"}"#, &claims(&past).to_string());
        assert_eq!(verdict(&unknown), Err(Refused::Expired));
        let forged = format!("{}.{}", rs256(&past).rsplit_once('.').unwrap().0, URL_SAFE_NO_PAD.encode([0; 256]));
        assert_eq!(verdict(&forged), Err(Refused::Invalid));
    }

    #[test]
    fn repeated_names_are_refused_at_every_depth() {
        let payload = claims(&json!({})).to_string();
        for forged in [payload.replacen('{', r#"{"sub":"admin","#, 1), payload.replacen(r#"{"a":"#, r#"{"a":0,"a":"#, 1)] {
            assert_ne!(forged, payload);
            assert_eq!(verdict(&signed("RS256", HEADER, &forged)), Err(Refused::Invalid), "{forged}");
        }
        for payload in ["[]", "1", "null", "", "claims"] {
            assert_eq!(verdict(&signed("RS256", HEADER, payload)), Err(Refused::Invalid), "{payload}");
        }
    }

    #[test]
    fn without_a_name_there_must_be_one_key_of_the_algorithm() {
        let token = signed("RS256", r#"{"alg":"RS256"}"#, &claims(&json!({})).to_string());
        let unverified = Unverified::read(&token).unwrap();
        let mut two = keys();
        two.add("r2".into(), Algorithm::Rs256, der(RsaKeyPair::generate(KeySize::Rsa2048).unwrap().public_key()));
        assert_eq!(unverified.verify(&profile(), &two, NOW), Err(Refused::Invalid));
        assert_eq!(unverified.verify(&profile(), &Keys::default(), NOW), Err(Refused::UnknownKey));
        let mut replaced = Keys::default();
        replaced.add("r2".into(), Algorithm::Rs256, der(RsaKeyPair::generate(KeySize::Rsa2048).unwrap().public_key()));
        assert_eq!(unverified.verify(&profile(), &replaced, NOW), Err(Refused::UnknownKey));
    }

    #[test]
    fn altered_padded_and_oversized_tokens_are_refused() {
        for (by, header) in HEADERS {
            let token = signed(by, header, &claims(&json!({})).to_string());
            let (input, signature) = token.rsplit_once('.').unwrap();
            let other = signed(by, header, &claims(&json!({ "sub": "admin" })).to_string());
            let (_, others_signature) = other.rsplit_once('.').unwrap();
            for forged in [
                input.to_owned(),
                format!("{input}."),
                format!("{input}.{others_signature}"),
                format!("{input}.{}", signature.get(4..).unwrap()),
                format!("{input}.{signature}AAAA"),
                format!("{token}="),
                format!("{token}."),
                format!("{token}.{signature}"),
                format!(" {token}"),
                format!("{token}\n"),
                "..".to_owned(),
                "a.b.c".to_owned(),
                "x".repeat(8 << 20),
                signed(by, header, &claims(&json!({ "filler": "x".repeat(MAX_BYTES) })).to_string()),
            ] {
                // A nameless HS256 key has no newer one; elsewhere the header names the key.
                assert_eq!(verdict(&forged), Err(Refused::Invalid), "{by} {}", forged.len());
            }
        }
    }

    #[test]
    fn where_the_secret_is_out_of_reach_all_but_its_signature_is_checked() {
        let check = |token: &str| Unverified::read(token)?.verify_without_secret(&profile(), &keys(), NOW).map(|_| ());
        let forged = |changes: &Value| format!("{}.AAAA", input(HEADERS[3].1, &claims(changes).to_string()));
        assert_eq!(check(&forged(&json!({}))), Ok(()));
        assert_eq!(check(&forged(&json!({ "aud": "other" }))), Err(Refused::Invalid));
        assert_eq!(check(&forged(&json!({ "exp": NOW, "iat": NOW - 60 }))), Err(Refused::Expired));
        assert_eq!(check(&format!("{}.AAAA", input(HEADER, &claims(&json!({})).to_string()))), Err(Refused::Invalid));
        assert_eq!(check(&rs256(&json!({}))), Ok(()));
    }
}
