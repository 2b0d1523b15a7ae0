//! Sealed envelopes. Fields: a plain text, a field's name, another one, and how to alter the envelope; or an envelope of nobody's.

use crate::input::lines;
use nebula_edge::fuzzing::{Place, sealing::SealingKey};
use uuid::Uuid;

pub fn sealed(data: &[u8]) {
    let key = |version| SealingKey::new(version, b"thirty-two bytes that nobody has").unwrap();
    let place = |field| Place { tenant: Uuid::from_u128(1), row: Uuid::from_u128(2), field };
    assert!(key(1).open(place("secret"), data).is_none(), "an envelope that was never sealed opens");
    let Some([plain, field, other, how]) = lines::<4>(data) else { return };
    let mut envelope = key(1).seal(place(field), plain.as_bytes()).unwrap();
    assert_eq!(envelope.len(), plain.len() + 28);
    assert_eq!(key(1).open(place(field), &envelope).unwrap().as_slice(), plain.as_bytes());
    assert!(key(2).open(place(field), &envelope).is_none());
    assert!(key(1).open(Place { row: Uuid::from_u128(3), ..place(field) }, &envelope).is_none());
    if field != other {
        assert!(key(1).open(place(other), &envelope).is_none());
    }
    let mut how = how.bytes();
    if let (Some(at), Some(bits @ 1..)) = (how.next(), how.next()) {
        let length = envelope.len();
        envelope[usize::from(at) % length] ^= bits;
        assert!(key(1).open(place(field), &envelope).is_none(), "an altered envelope opens");
    }
}
