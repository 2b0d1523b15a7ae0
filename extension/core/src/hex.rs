//! Lower-case hex, one spelling per value.

/// The text of some bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// The bytes of a text of exactly `2 * N` lower-case digits.
#[must_use]
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_back_and_other_spellings_are_refused() {
        assert_eq!(encode(&[0, 171, 255]), "00abff");
        assert_eq!(decode::<3>("00abff"), Some([0, 171, 255]));
        for text in ["00ABFF", "00abf", "00abff0", "+0abff", "zzabff", "é0abf"] {
            assert_eq!(decode::<3>(text), None, "{text}");
        }
    }
}
