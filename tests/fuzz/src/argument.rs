//! Arguments of SQL functions: what is made of a JSON value is what Postgres' input functions read as that value.

use crate::input::lines;
use nebula_core::{
    argument::{Field, Type},
    exact_json,
};
use serde_json::Value;

/// Fields: the type's number, and JSON.
pub fn argument(data: &[u8]) {
    let Some([number, json]) = lines::<2>(data) else { return };
    let kinds = kinds();
    let kind = &kinds[number.parse::<usize>().unwrap_or(0) % kinds.len()];
    let as_text = kind.literal(&Value::String(json.to_owned()), "f", true);
    let Ok(value) = exact_json::read_value(json) else { return };
    let made = kind.literal(&value, "f", false);
    for literal in [&made, &as_text].into_iter().filter_map(|made| made.as_ref().ok()?.as_ref()) {
        assert!(!literal.contains('\0'), "{literal:?}");
        // A value grows by its quotes and no further, so that nobody is made to hold what nobody sent.
        assert!(literal.len() <= 64 + json.len() * 20, "{} bytes of {}", literal.len(), json.len());
    }
    if let Ok(Some(literal)) = made {
        says(kind, &value, &literal);
    }
}

fn kinds() -> Vec<Type> {
    let list = |kind: &Type| Type::List(Box::new(kind.clone()));
    let field = |name: &str, kind: Type| Field { column: name.to_owned(), name: name.to_owned(), kind };
    let scalars = vec![
        Type::Boolean,
        Type::Integer(16),
        Type::Integer(32),
        Type::Integer(64),
        Type::Numeric,
        Type::Float { is_single: true },
        Type::Float { is_single: false },
        Type::Text { max: None },
        Type::Text { max: Some(3) },
        Type::Uuid,
        Type::Date,
        Type::Instant,
        Type::DateTime,
        Type::Time,
        Type::Duration,
        Type::Json,
        Type::Bytes,
        Type::Enum(vec!["a".to_owned(), "b\"".to_owned()]),
    ];
    let object =
        Type::Object(vec![field("t", Type::Text { max: None }), field("n", Type::Numeric), field("l", list(&Type::Text { max: None }))]);
    let required = Type::Domain { name: "d".to_owned(), base: Box::new(Type::Text { max: Some(5) }), is_required: true };
    let mut kinds = scalars.clone();
    kinds.extend(scalars.iter().map(list));
    kinds.extend([list(&object), object, list(&required), required]);
    kinds
}

/// Postgres' own reading of the literal, done again here, gives the value back.
fn says(kind: &Type, value: &Value, literal: &str) {
    match kind {
        Type::Boolean => assert_eq!(Value::from(literal == "true"), *value),
        Type::Integer(bits) => {
            let read = literal.parse::<i64>().unwrap();
            assert!(*bits == 64 || read.unsigned_abs() <= 1 << (bits - 1));
            let sent = exact_json::number_text(value).unwrap().parse::<f64>().unwrap();
            #[allow(clippy::cast_precision_loss, reason = "both lose the same")]
            let read = read as f64;
            assert_eq!(read.to_bits() & i64::MAX as u64, sent.to_bits() & i64::MAX as u64);
        }
        Type::Numeric | Type::Float { .. } => assert_eq!(literal, exact_json::number_text(value).unwrap()),
        Type::Text { .. } | Type::Enum(_) => assert_eq!(literal, value.as_str().unwrap()),
        Type::Uuid => assert_eq!(literal.parse::<uuid::Uuid>().unwrap().to_string(), value.as_str().unwrap().to_ascii_lowercase()),
        Type::Date => assert_eq!(literal.parse::<jiff::civil::Date>().unwrap().to_string(), literal),
        Type::DateTime => assert!(literal.parse::<jiff::civil::DateTime>().is_ok()),
        Type::Time => assert!(literal.parse::<jiff::civil::Time>().is_ok()),
        Type::Instant => assert!(literal.parse::<jiff::Timestamp>().is_ok()),
        Type::Json => assert_eq!(&exact_json::read_value(literal).unwrap(), value),
        Type::List(item) => {
            let read = members(literal, '{', '}', "\\").unwrap();
            assert_eq!(read.len(), value.as_array().unwrap().len());
            for (read, sent) in read.iter().zip(value.as_array().unwrap()) {
                match read {
                    Some(read) => says(item, sent, read),
                    None => assert!(sent.is_null()),
                }
            }
        }
        Type::Object(fields) => {
            let read = members(literal, '(', ')', "\\\"").unwrap();
            assert_eq!(read.len(), fields.len());
            for (read, field) in read.iter().zip(fields) {
                let sent = value.get(&field.name).unwrap_or(&Value::Null);
                match read {
                    Some(read) => says(&field.kind, sent, read),
                    None => assert!(sent.is_null()),
                }
            }
        }
        Type::Domain { base, .. } => says(base, value, literal),
        Type::Duration | Type::Bytes => {}
    }
}

/// `{"a",NULL}` and `("a",)`, as Postgres' manual tells of them (8.15.6, 8.16.6); `None` where it is neither.
fn members(text: &str, open: char, close: char, escapes: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix(open)?.strip_suffix(close)?;
    let mut members = Vec::new();
    if inner.is_empty() && open == '{' {
        return Some(members);
    }
    let mut rest = inner.chars().peekable();
    loop {
        if rest.next_if_eq(&'"').is_some() {
            let mut member = String::new();
            loop {
                match rest.next()? {
                    '\\' => member.push(rest.next()?),
                    '"' if escapes.contains('"') && rest.peek() == Some(&'"') => member.push(rest.next()?),
                    '"' => break,
                    other => member.push(other),
                }
            }
            members.push(Some(member));
        } else {
            let mut bare = String::new();
            while let Some(next) = rest.next_if(|next| *next != ',') {
                bare.push(next);
            }
            assert!(bare == if open == '{' { "NULL" } else { "" }, "{text}");
            members.push(None);
        }
        match rest.next() {
            Some(',') => {}
            None => return Some(members),
            Some(_) => return None,
        }
    }
}
