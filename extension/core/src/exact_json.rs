//! JSON whose numbers keep the text that they were written in: `serde_json` reads 0.1000000000000000055 as 0.1, and Postgres' `numeric` would store the wrong one.
//!
//! A number that is no integer of 64 bits is kept as a string that begins with NUL. No other string does: one that holds NUL is refused.

use serde_json::{Map, Value, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap};

/// What a number's text begins with in a [`Value`] that was read here.
const MARK: char = '\0';
/// As deep as the edge's reader goes.
const MAX_DEPTH: usize = 32;
/// Digits of a number, and its exponent: `1e100000` is eight bytes that Postgres would write out.
const MAX_NUMBER_BYTES: usize = 400;
const MAX_EXPONENT: u32 = 400;

/// Reads an object; the error is a field, empty for the whole, and the rule that it breaks.
pub fn read(text: &str) -> Result<Map<String, Value>, (String, &'static str)> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| (String::new(), "type"))?;
    members
        .into_iter()
        .map(|(name, member)| match value(member, 1) {
            Ok(value) => Ok((name, value)),
            Err(rule) => Err((name, rule)),
        })
        .collect()
}

fn value(raw: &RawValue, depth: usize) -> Result<Value, &'static str> {
    let text = raw.get();
    if depth > MAX_DEPTH {
        return Err("depth");
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| "json")?;
            let members = members
                .into_iter()
                .map(|(name, member)| if name.contains(MARK) { Err("control_character") } else { Ok((name, value(member, depth + 1)?)) });
            members.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| "json")?;
            items.into_iter().map(|item| value(item, depth + 1)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(text).map_err(|_| "json")?;
            if text.contains(MARK) { Err("control_character") } else { Ok(Value::String(text)) }
        }
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => serde_json::from_str(text).map_err(|_| "json"),
    }
}

fn number(text: &str) -> Result<Value, &'static str> {
    if let Some(small) = text.parse::<i64>().ok().filter(|_| text != "-0") {
        return Ok(Value::from(small));
    }
    let exponent = text.split_once(['e', 'E']).map_or("0", |(_, exponent)| exponent).trim_start_matches(['+', '-']);
    let is_bounded = exponent.parse::<u32>().is_ok_and(|exponent| exponent <= MAX_EXPONENT);
    if text.len() > MAX_NUMBER_BYTES || !is_bounded {
        return Err("range");
    }
    Ok(Value::String(format!("{MARK}{text}")))
}

/// The text of a number of JSON, where this is one.
#[must_use]
pub fn number_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::String(text) => text.strip_prefix(MARK).map(Cow::Borrowed),
        _ => None,
    }
}

/// Whether a text is a number as JSON writes it, within bounds: of a query, where everything is text.
#[must_use]
pub fn read_number(text: &str) -> Option<Value> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let is_number = raw.get() == text && matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9'));
    if is_number { number(text).ok() } else { None }
}

/// A value that a text holds as JSON.
pub fn read_value(text: &str) -> Result<Value, &'static str> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|_| "json")?;
    value(raw, 1)
}

/// The JSON text of a value, its numbers as they were written.
#[must_use]
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    write_into(value, &mut text);
    text
}

fn write_into(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_into(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_into(member, text);
            }
            text.push('}');
        }
        other => match number_text(other) {
            Some(number) => text.push_str(&number),
            None => text.push_str(&other.to_string()),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_text_through_reading_and_writing() {
        for text in [
            r#"{"a":0.1000000000000000055511151231257827,"b":[1e3,-0.0,-0,{"c":123456789012345678901234567890}],"d":"1.0"}"#,
            r#"{"m":-9223372036854775808,"n":9223372036854775807,"s":"é\"","t":[true,false,null]}"#,
        ] {
            assert_eq!(write(&Value::Object(read(text).unwrap())), text);
        }
    }

    #[test]
    fn a_string_that_would_pass_for_a_number_is_refused() {
        for text in [r#"{"a":"\u00001"}"#, r#"{"a":["x\u0000"]}"#, r#"{"a":{"\u0000b":1}}"#] {
            assert_eq!(read(text), Err(("a".to_owned(), "control_character")), "{text}");
        }
    }

    #[test]
    fn numbers_that_would_be_written_out_at_length_are_refused() {
        for text in ["1e401", "1E-401", "1e99999999999", &"1".repeat(401)] {
            assert_eq!(read(&format!("{{\"a\":[{text}]}}")), Err(("a".to_owned(), "range")), "{text:.20}");
        }
        assert!(read(&format!("{{\"a\":{}}}", "1".repeat(400))).is_ok());
    }

    #[test]
    fn what_is_no_object_or_too_deep_is_refused() {
        assert_eq!(read("[1]"), Err((String::new(), "type")));
        assert_eq!(read("{"), Err((String::new(), "type")));
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&deep(31)).is_ok());
        assert_eq!(read(&deep(40)), Err(("a".to_owned(), "depth")));
    }

    #[test]
    fn a_text_is_a_number_only_as_json_writes_it() {
        assert!(read_number("-1.50e2").is_some());
        for text in ["", " 1", "1 ", "+1", "01", "1.", ".5", "0x1", "NaN", "1e401", "\"1\"", "true"] {
            assert_eq!(read_number(text), None, "{text}");
        }
    }
}
