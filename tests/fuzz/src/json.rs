//! JSON, of which there are four readers: the edge's check, the reader without repeated names, the one that keeps numbers, and `serde_json`.

use nebula_core::{exact_json, unique_json::UniqueJson};
use nebula_edge::fuzzing::strict_json;
use serde_json::Value;

pub fn json(data: &[u8]) {
    let plain = serde_json::from_slice::<Value>(data);
    let unique = serde_json::from_slice::<UniqueJson>(data).map(|UniqueJson(value)| value);
    let strict = strict_json(data);
    // Who refuses less is never the stricter one.
    if let Ok(unique) = &unique {
        assert_eq!(unique, plain.as_ref().unwrap());
    }
    if let Ok(text) = strict {
        assert_eq!(text.as_bytes(), data, "what is checked is what is passed on");
        assert_eq!(unique.as_ref().unwrap(), plain.as_ref().unwrap());
    }
    if strict == Err("duplicate_key") {
        assert!(unique.is_err(), "one reader saw a name twice and the other did not");
    }
    if unique.is_err() && plain.is_ok() {
        assert_ne!(strict.err(), None);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    keeps_numbers(text);
    if let (Ok(_), Ok(Value::Object(_))) = (strict, &plain) {
        match exact_json::read(text) {
            Ok(members) => {
                assert_eq!(&serde_json::from_str::<Value>(&exact_json::write(&Value::Object(members))).unwrap(), plain.as_ref().unwrap())
            }
            Err((_, rule)) => {
                assert_eq!(rule, "range", "what the edge lets pass, the database reads, but for numbers that nobody can hold")
            }
        }
    }
}

/// What is read is written as it was, no longer than it was, and reads back as the same.
fn keeps_numbers(text: &str) {
    if let Some(number) = exact_json::read_number(text) {
        assert_eq!(exact_json::number_text(&number).unwrap(), text);
        assert_eq!(exact_json::write(&number), text);
    }
    let Ok(value) = exact_json::read_value(text) else { return };
    let written = exact_json::write(&value);
    assert!(written.len() <= text.len(), "{} bytes of {}", written.len(), text.len());
    assert_eq!(exact_json::read_value(&written), Ok(value));
    if let Ok(plain) = serde_json::from_str::<Value>(text) {
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), plain);
    }
}
