//! Keyset cursors: where a page ended, signed, so that an altered one or one of another list is refused and not obeyed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const MAC_BYTES: usize = 16;
const MAX_BYTES: usize = 2048;

/// The position after which the next page starts: the sort column's value as text, and the id that breaks ties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    #[serde(rename = "v")]
    pub value: String,
    #[serde(rename = "i")]
    pub id: uuid::Uuid,
}

fn mac(secret: &[u8], scope: &str, payload: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).ok()?;
    mac.update(scope.as_bytes());
    mac.update(&[0]);
    mac.update(payload);
    Some(mac)
}

/// Seals a position. `scope` names tenant, list, sort and filters: the cursor opens for no other.
#[must_use]
pub fn seal(secret: &[u8], scope: &str, position: &Position) -> Option<String> {
    let payload = serde_json::to_vec(position).ok()?;
    let tag = mac(secret, scope, &payload)?.finalize().into_bytes();
    let mut bytes = tag.get(..MAC_BYTES)?.to_vec();
    bytes.extend_from_slice(&payload);
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// Opens a cursor; `None` when it was altered, or made for another tenant, list, sort or filter.
#[must_use]
pub fn open(secret: &[u8], scope: &str, cursor: &str) -> Option<Position> {
    if cursor.len() > MAX_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (tag, payload) = bytes.split_at_checked(MAC_BYTES)?;
    mac(secret, scope, payload)?.verify_truncated_left(tag).ok()?;
    serde_json::from_slice(payload).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_for_its_own_list_and_unaltered() {
        let position = Position { value: "2026-01-01 00:00:00+00".into(), id: uuid::Uuid::from_u128(9) };
        let cursor = seal(b"secret", "users|created_at:desc", &position).unwrap();
        assert_eq!(open(b"secret", "users|created_at:desc", &cursor), Some(position));
        assert_eq!(open(b"secret", "users|created_at:asc", &cursor), None);
        assert_eq!(open(b"other", "users|created_at:desc", &cursor), None);
        for index in 0..cursor.len() {
            let mut changed = cursor.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(open(b"secret", "users|created_at:desc", std::str::from_utf8(&changed).unwrap()), None);
        }
        for junk in ["", "A", "....", &"A".repeat(5000)] {
            assert_eq!(open(b"secret", "users|created_at:desc", junk), None);
        }
    }
}
