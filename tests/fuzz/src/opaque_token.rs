//! API keys, refresh tokens, invitations, and hexadecimal. Fields: a token or anything; how to alter it.

use crate::input::{altered, lines};
use nebula_core::{
    hex,
    opaque_token::{Kind, LENGTH, OpaqueToken, Secret},
};
use nebula_edge::fuzzing::well_formed;
use uuid::Uuid;

pub fn opaque_token(data: &[u8]) {
    assert_eq!(hex::decode::<16>(&hex::encode(data)).map(|bytes| bytes.to_vec()), (data.len() == 16).then(|| data.to_vec()));
    let Ok(text) = std::str::from_utf8(data) else { return };
    for text in text.lines() {
        if let Some(token) = OpaqueToken::parse(text) {
            assert_eq!(token.reveal(), text, "a second spelling");
        }
        if let Some(bytes) = hex::decode::<4>(text) {
            assert_eq!(hex::encode(&bytes), text);
        }
    }
    let Some([bytes, how]) = lines::<2>(data) else { return };
    // A token of these bytes reads back, and altered in one place it is none.
    let mut filled = [0; 64];
    filled.iter_mut().zip(bytes.bytes()).for_each(|(to, from)| *to = from);
    let kind = [Kind::ApiKey, Kind::Refresh, Kind::Invite][bytes.len() % 3];
    let id = |from: usize| Uuid::from_slice(&filled[from..from + 16]).unwrap();
    let token = OpaqueToken { kind, tenant: id(0), id: id(16), secret: Secret(filled[32..].try_into().unwrap()) };
    let text = token.reveal();
    assert_eq!((text.len(), OpaqueToken::parse(&text)), (LENGTH, Some(token)));
    assert_eq!(well_formed(&text), (kind == Kind::ApiKey).then_some(token.tenant));
    assert!(token.secret.matches(&token.secret.digest()));
    if let Some(altered) = altered(&text, how) {
        assert_eq!(OpaqueToken::parse(&altered), None, "{altered}");
    }
}
