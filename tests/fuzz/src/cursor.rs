//! Cursors of lists. Fields: the list, another list, a value, how to alter the cursor; or a cursor of nobody's.

use crate::input::{altered, lines};
use nebula_core::cursor::{Position, open, seal};
use uuid::Uuid;

const SECRET: &[u8] = b"thirty-two bytes that nobody has";

pub fn cursor(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(open(SECRET, "", text), None, "a cursor that was never made");
    }
    let Some([scope, other, how, value]) = lines::<4>(data) else { return };
    let position = Position { value: value.to_owned(), id: Uuid::from_u128(data.len() as u128) };
    let sealed = seal(SECRET, scope, &position).unwrap();
    // A page that ends at a very long value has no cursor that opens: such values are in no sortable column.
    if value.len() > 200 {
        return;
    }
    assert_eq!(open(SECRET, scope, &sealed), Some(position));
    if scope != other {
        assert_eq!(open(SECRET, other, &sealed), None);
    }
    assert_eq!(open(b"another secret", scope, &sealed), None);
    if let Some(altered) = altered(&sealed, how) {
        assert_eq!(open(SECRET, scope, &altered), None);
    }
}
