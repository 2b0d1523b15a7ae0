//! Tokens of other issuers. Fields: the profile's number, header, claims; signed here with the issuer's shared secret.

use crate::input::lines;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use nebula_core::{
    foreign_token::{Keys, MAX_BYTES, Refused, SKEW_SECONDS, Unverified},
    issuer::{Algorithm, ClaimPath, EmailRule, Profile, TenantRule},
};
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";

pub fn foreign_token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = Unverified::read(text)
    {
        assert!(text.len() <= MAX_BYTES);
        assert!(token.verify(&profile(0), &Keys::default(), NOW).is_err(), "without a key nothing is authentic");
    }
    let Some([number, header, claims]) = lines::<3>(data) else { return };
    let profile = profile(number.parse().unwrap_or(0));
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(SECRET).unwrap();
    mac.update(input.as_bytes());
    let text = format!("{input}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    let Ok(token) = Unverified::read(&text) else { return };
    let mut keys = Keys::default();
    keys.set_secret(SECRET.to_vec());
    let verdict = token.verify(&profile, &keys, NOW);
    // A tampered text is never accepted, nor is the same one under another secret.
    let mut others = Keys::default();
    others.set_secret(b"another secret of thirty-two bytes".to_vec());
    assert!(token.verify(&profile, &others, NOW).is_err());
    if token.verify_without_secret(&profile, &keys, NOW).is_err() {
        assert!(verdict.is_err(), "the edge's check without the secret refuses what the whole one accepts");
    }
    let Ok(verified) = verdict else { return };
    let read: Value = serde_json::from_str(claims).unwrap();
    assert_eq!(serde_json::from_str::<Value>(header).unwrap()["alg"], "HS256");
    assert_eq!(read["iss"], profile.issuer.as_str());
    assert!(verified.expires_at > NOW && verified.expires_at <= NOW + SKEW_SECONDS + profile.max_lifetime_seconds);
    assert_eq!(read["exp"].as_i64(), Some(verified.expires_at));
    assert_eq!(read["sub"], verified.identity.subject.as_str());
    assert!(!verified.identity.subject.is_empty() && !verified.identity.subject.contains(char::is_control));
    match &profile.tenant {
        TenantRule::Always(tenant) => assert_eq!(verified.identity.tenant, *tenant),
        TenantRule::Claim(_) => {
            let tenant = read["app_metadata"]["tenantId"].as_str().unwrap();
            assert_eq!(verified.identity.tenant.to_string(), tenant.to_ascii_lowercase());
        }
    }
    if verified.identity.email.is_some() {
        assert!(profile.email != EmailRule::Never);
        if let EmailRule::Where(..) = profile.email {
            assert!(read["email_verified"] == true || read["email_verified"] == "true");
        }
    }
    assert_ne!(token.verify(&profile, &keys, verified.expires_at), Ok(verified), "it outlives its time");
    assert_eq!(token.verify(&profile, &keys, i64::MAX), Err(Refused::Expired));
}

fn profile(number: u8) -> Profile {
    let path = |text: &str| ClaimPath::try_from(text.to_owned()).unwrap();
    Profile {
        issuer: "https://id.example".to_owned(),
        audience: "nebula".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
        tenant: if number & 1 == 0 { TenantRule::Claim(path("app_metadata.tenantId")) } else { TenantRule::Always(Uuid::from_u128(7)) },
        email: match number >> 1 & 3 {
            0 => EmailRule::Never,
            1 => EmailRule::Always(path("email")),
            _ => EmailRule::Where(path("email"), path("email_verified")),
        },
        max_lifetime_seconds: 3600,
    }
}
