//! What a SQL function takes and gives, as JSON: each value is typed before Postgres sees it, since Postgres' own error texts quote the value.

use crate::{exact_json, text::Instant};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use uuid::Uuid;

/// The items of a list, at most.
pub const MAX_ITEMS: usize = 10_000;

/// A type that both Postgres and JSON know.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    Boolean,
    /// Of so many bits: 16, 32 or 64.
    Integer(u32),
    Numeric,
    /// Of single precision?
    Float {
        is_single: bool,
    },
    /// Of at most so many characters.
    Text {
        max: Option<usize>,
    },
    Uuid,
    Date,
    /// With an offset.
    Instant,
    /// Without one.
    DateTime,
    Time,
    Duration,
    Json,
    Bytes,
    Enum(Vec<String>),
    Domain {
        /// As Postgres names it in an error.
        name: String,
        base: Box<Type>,
        is_required: bool,
    },
    List(Box<Type>),
    Object(Vec<Field>),
}

/// An attribute of a composite type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// In Postgres.
    pub column: String,
    /// In JSON.
    pub name: String,
    pub kind: Type,
}

/// The field that broke a rule, as a path, and the rule.
pub type Broken = (String, &'static str);

/// The name in JSON: an argument's `p_` or `_` is left out, and `snake_case` becomes `camelCase`.
#[must_use]
pub fn json_name(name: &str, is_argument: bool) -> String {
    let name = match name.strip_prefix("p_").or_else(|| name.strip_prefix('_')) {
        Some(rest) if is_argument && !rest.is_empty() => rest,
        _ => name,
    };
    let mut made = String::with_capacity(name.len());
    let mut is_word = false;
    for character in name.chars() {
        if character == '_' {
            is_word = !made.is_empty();
        } else if std::mem::take(&mut is_word) {
            made.extend(character.to_uppercase());
        } else {
            made.push(character);
        }
    }
    if made.is_empty() { name.to_owned() } else { made }
}

impl Type {
    /// The value as Postgres' input functions read it; `None` is SQL's null. What stands in a path or query is text.
    pub fn literal(&self, value: &Value, path: &str, is_text: bool) -> Result<Option<String>, Broken> {
        if let (Type::Domain { base, is_required, .. }, _) = (self, value) {
            let literal = base.literal(value, path, is_text)?;
            return if literal.is_none() && *is_required { broken(path, "type") } else { Ok(literal) };
        }
        if value.is_null() {
            return if *self == Type::Json { Ok(Some("null".to_owned())) } else { Ok(None) };
        }
        let from_text = if is_text { self.meant_by_text(value).map_err(|rule| (path.to_owned(), rule))? } else { None };
        self.typed(from_text.as_ref().unwrap_or(value), path).map(Some)
    }

    /// What a text stands for where everything is text.
    fn meant_by_text(&self, value: &Value) -> Result<Option<Value>, &'static str> {
        let Value::String(text) = value else { return Ok(None) };
        match self {
            Type::Boolean => Ok(match text.as_str() {
                "true" => Some(json!(true)),
                "false" => Some(json!(false)),
                _ => None,
            }),
            Type::Integer(_) | Type::Numeric | Type::Float { .. } => Ok(exact_json::read_number(text)),
            Type::Json | Type::List(_) | Type::Object(_) => exact_json::read_value(text).map(Some),
            _ => Ok(None),
        }
    }

    fn typed(&self, value: &Value, path: &str) -> Result<String, Broken> {
        match (self, value) {
            (Type::Json, value) => return Ok(exact_json::write(value)),
            (Type::List(item), Value::Array(items)) => return list(item, items, path),
            (Type::Object(fields), Value::Object(members)) => return object(fields, members, path),
            (Type::Domain { .. }, _) => return self.literal(value, path, false).map(Option::unwrap_or_default),
            _ => {}
        }
        let number = exact_json::number_text(value);
        let made = match (self, number, value) {
            (Type::Boolean, _, Value::Bool(truth)) => Ok(truth.to_string()),
            (Type::Integer(bits), Some(text), _) => integer(&text, *bits),
            (Type::Numeric, Some(text), _) => Ok(text.into_owned()),
            (Type::Float { is_single }, Some(text), _) => float(&text, *is_single),
            (_, None, Value::String(text)) => self.of_text(text),
            _ => Err("type"),
        };
        made.map_err(|rule| (path.to_owned(), rule))
    }

    fn of_text(&self, text: &str) -> Result<String, &'static str> {
        if text.contains('\0') {
            return Err("control_character");
        }
        let kept = |is_right: bool, rule| if is_right { Ok(text.to_owned()) } else { Err(rule) };
        match self {
            Type::Text { max } => kept(max.is_none_or(|max| text.chars().count() <= max), "too_long"),
            Type::Uuid => kept(text.len() == 36 && Uuid::parse_str(text).is_ok(), "uuid"),
            Type::Date => kept(is_date(text), "date"),
            Type::Instant => Instant::parse(text).map(|instant| instant.as_str().to_owned()).map_err(|_| "date-time"),
            Type::DateTime => kept(text.split_once('T').is_some_and(|(date, time)| is_date(date) && is_time(time)), "date-time"),
            Type::Time => kept(is_time(text), "time"),
            Type::Duration => kept(is_duration(text), "duration"),
            Type::Enum(labels) => kept(labels.iter().any(|label| label == text), "enum"),
            Type::Bytes => match STANDARD.decode(text) {
                Ok(bytes) => Ok(format!("\\x{}", crate::hex::encode(&bytes))),
                Err(_) => Err("base64"),
            },
            _ => Err("type"),
        }
    }

    /// What it is in JSON Schema.
    #[must_use]
    pub fn schema(&self) -> Map<String, Value> {
        let schema = match self {
            Type::Boolean => json!({ "type": "boolean" }),
            Type::Integer(16) => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
            Type::Integer(32) => json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX }),
            Type::Integer(_) => json!({ "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX }),
            Type::Numeric => json!({ "type": "number", "examples": [12.5] }),
            Type::Float { is_single } => {
                json!({ "type": "number", "format": if *is_single { "float" } else { "double" }, "examples": [1.5] })
            }
            Type::Text { max: None } => json!({ "type": "string", "pattern": "^[^\\u0000]*$", "examples": ["text"] }),
            Type::Text { max: Some(max) } => json!({ "type": "string", "pattern": "^[^\\u0000]*$", "maxLength": max, "examples": ["t"] }),
            Type::Uuid => json!({ "type": "string", "format": "uuid" }),
            Type::Date => json!({ "type": "string", "format": "date", "examples": ["2026-12-31"] }),
            Type::Instant => json!({ "type": "string", "format": "date-time", "examples": ["2026-12-31T23:59:59Z"] }),
            Type::DateTime => {
                json!({ "type": "string", "pattern": "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,6})?$", "examples": ["2026-12-31T23:59:59"] })
            }
            Type::Time => json!({ "type": "string", "pattern": "^\\d{2}:\\d{2}:\\d{2}(\\.\\d{1,6})?$", "examples": ["23:59:59"] }),
            Type::Duration => json!({ "type": "string", "description": "A duration of ISO 8601.", "examples": ["P1DT2H"] }),
            Type::Json => json!({ "description": "Any JSON." }),
            Type::Bytes => json!({ "type": "string", "contentEncoding": "base64", "examples": ["dGV4dA=="] }),
            Type::Enum(labels) => json!({ "type": "string", "enum": labels }),
            Type::Domain { base, .. } => return base.schema(),
            Type::List(item) => json!({ "type": "array", "items": item.nullable_schema(), "maxItems": MAX_ITEMS }),
            Type::Object(fields) => {
                let members = fields.iter().map(|field| (field.name.clone(), Value::Object(field.kind.nullable_schema())));
                json!({ "type": "object", "properties": members.collect::<Map<_, _>>(), "additionalProperties": false })
            }
        };
        if let Value::Object(schema) = schema { schema } else { Map::new() }
    }

    /// The same, or null: whatever has no `not null` of its own may be.
    #[must_use]
    pub fn nullable_schema(&self) -> Map<String, Value> {
        let mut schema = self.schema();
        if matches!(self, Type::Domain { is_required: true, .. }) {
            return schema;
        }
        if let Some(kind) = schema.get("type").cloned() {
            schema.insert("type".to_owned(), json!([kind, "null"]));
            if let Some(Value::Array(labels)) = schema.get_mut("enum") {
                labels.push(Value::Null);
            }
        }
        schema
    }

    /// Whether it is this domain, or holds it.
    #[must_use]
    pub fn holds_domain(&self, domain: &str) -> bool {
        match self {
            Type::Domain { name, base, .. } => name == domain || base.holds_domain(domain),
            Type::List(item) => item.holds_domain(domain),
            Type::Object(fields) => fields.iter().any(|field| field.kind.holds_domain(domain)),
            _ => false,
        }
    }
}

fn broken<T>(path: &str, rule: &'static str) -> Result<T, Broken> {
    Err((path.to_owned(), rule))
}

/// 5.0 is 5, as JSON Schema reads it, as far as a double says which integer was meant.
fn integer(text: &str, bits: u32) -> Result<String, &'static str> {
    let whole = match text.parse::<i128>() {
        Ok(whole) => whole,
        Err(_) => {
            let double = text.parse::<f64>().map_err(|_| "type")?;
            if double.fract() != 0.0 {
                return Err("type");
            }
            if double.abs() > 9_007_199_254_740_992.0 {
                return Err("range");
            }
            #[allow(clippy::cast_possible_truncation, reason = "it is whole, and of 53 bits")]
            let whole = double as i128;
            whole
        }
    };
    let most = (1_i128 << (bits - 1)) - 1;
    if (-most - 1..=most).contains(&whole) { Ok(whole.to_string()) } else { Err("range") }
}

fn float(text: &str, is_single: bool) -> Result<String, &'static str> {
    let double = text.parse::<f64>().map_err(|_| "type")?;
    let most = if is_single { f64::from(f32::MAX) } else { f64::MAX };
    // What is nearer to 0 than the type can say would be an error of Postgres.
    let least = if is_single { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    let is_zero = text.split(['e', 'E']).next().is_some_and(|digits| digits.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-')));
    if double.abs() <= most && (is_zero || double.abs() >= least) { Ok(text.to_owned()) } else { Err("range") }
}

/// `{"a","b"}`.
fn list(kind: &Type, items: &[Value], path: &str) -> Result<String, Broken> {
    if items.len() > MAX_ITEMS {
        return broken(path, "too_long");
    }
    let mut made = "{".to_owned();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            made.push(',');
        }
        match kind.literal(item, &format!("{path}[{index}]"), false)? {
            Some(text) => {
                // Writing to a String can't fail.
                let _ = write!(made, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            }
            None => made.push_str("NULL"),
        }
    }
    made.push('}');
    Ok(made)
}

/// `("a",,"b")`: an attribute that is left out is null.
fn object(fields: &[Field], members: &Map<String, Value>, path: &str) -> Result<String, Broken> {
    if let Some(name) = members.keys().find(|name| fields.iter().all(|field| field.name != **name)) {
        return broken(&format!("{path}.{}", name.chars().take(64).collect::<String>()), "unknown");
    }
    let mut made = "(".to_owned();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            made.push(',');
        }
        let path = format!("{path}.{}", field.name);
        let literal = match members.get(&field.name) {
            Some(member) => field.kind.literal(member, &path, false)?,
            None if matches!(field.kind, Type::Domain { is_required: true, .. }) => return broken(&path, "required"),
            None => None,
        };
        if let Some(text) = literal {
            let _ = write!(made, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""));
        }
    }
    made.push(')');
    Ok(made)
}

/// `YYYY-MM-DD` of the calendar, from the year 1 on.
fn is_date(text: &str) -> bool {
    let has_form = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    has_form && !text.starts_with("0000") && text.parse::<jiff::civil::Date>().is_ok()
}

/// `HH:MM:SS`, with up to six digits of a second's fraction.
fn is_time(text: &str) -> bool {
    let (clock, fraction) = text.split_once('.').map_or((text, None), |(clock, fraction)| (clock, Some(fraction)));
    let has_form = clock.len() == 8
        && clock.bytes().enumerate().all(|(at, byte)| if at == 2 || at == 5 { byte == b':' } else { byte.is_ascii_digit() });
    let is_fraction = |fraction: &str| (1..=6).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    // The parser would read a leap second as 59.
    has_form && fraction.is_none_or(is_fraction) && !clock.ends_with(":60") && clock.parse::<jiff::civil::Time>().is_ok()
}

/// `P1Y2M3W4DT5H6M7.5S`: each part once, in this order, at least one, each of up to nine digits.
fn is_duration(text: &str) -> bool {
    let Some(text) = text.strip_prefix('P') else { return false };
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let is_right = |part: &str, units: &str| {
        let mut units = units.chars();
        let mut rest = part;
        while let Some(at) = rest.find(|c: char| c.is_ascii_uppercase()) {
            let (digits, unit) = rest.split_at(at);
            let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
            let is_digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            let unit = unit.chars().next().unwrap_or_default();
            if !is_digits(whole, 9) || !units.any(|known| known == unit) || fraction.is_some_and(|f| unit != 'S' || !is_digits(f, 6)) {
                return false;
            }
            rest = rest.get(at + 1..).unwrap_or_default();
        }
        rest.is_empty()
    };
    is_right(date, "YMWD") && time.is_none_or(|time| !time.is_empty() && is_right(time, "HMS")) && !(date.is_empty() && time.is_none())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(kind: &Type, text: &str) -> Result<Option<String>, Broken> {
        kind.literal(&exact_json::read_value(text).unwrap(), "f", false)
    }
    fn rule(kind: &Type, text: &str) -> &'static str {
        of(kind, text).map_or_else(|(_, rule)| rule, |made| panic_with(text, made))
    }
    #[allow(clippy::panic)]
    fn panic_with(text: &str, made: Option<String>) -> &'static str {
        panic!("{text} was accepted as {made:?}")
    }

    #[test]
    fn names_lose_their_prefix_and_become_camel_case() {
        for (name, expected) in [
            ("p_customer_id", "customerId"),
            ("_amount", "amount"),
            ("amount", "amount"),
            ("p_", "p"),
            ("a__b_", "aB"),
            ("p_p", "p"),
            ("_", "_"),
            ("ID", "ID"),
            ("x1_2", "x12"),
        ] {
            assert_eq!(json_name(name, true), expected, "{name}");
        }
        assert_eq!(json_name("p_value", false), "pValue");
    }

    #[test]
    fn scalars_are_typed_strictly() {
        for (kind, text, expected) in [
            (Type::Boolean, "true", "true"),
            (Type::Integer(64), "9223372036854775807", "9223372036854775807"),
            (Type::Integer(32), "5.0", "5"),
            (Type::Integer(32), "1e3", "1000"),
            (Type::Numeric, "0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
            (Type::Float { is_single: false }, "1e308", "1e308"),
            (Type::Float { is_single: true }, "0.0e-300", "0.0e-300"),
            (Type::Text { max: Some(2) }, "\"éé\"", "éé"),
            (Type::Date, "\"2024-02-29\"", "2024-02-29"),
            (Type::Instant, "\"2026-01-01T00:00:00-03:00\"", "2026-01-01T03:00:00Z"),
            (Type::DateTime, "\"2026-01-01T00:00:00.123456\"", "2026-01-01T00:00:00.123456"),
            (Type::Time, "\"23:59:59\"", "23:59:59"),
            (Type::Duration, "\"P1Y2M3W4DT5H6M7.5S\"", "P1Y2M3W4DT5H6M7.5S"),
            (Type::Bytes, "\"AP8=\"", "\\x00ff"),
            (Type::Json, "{\"a\":[1.10,null]}", "{\"a\":[1.10,null]}"),
            (Type::Json, "null", "null"),
            (Type::Enum(vec!["a".into()]), "\"a\"", "a"),
        ] {
            assert_eq!(of(&kind, text), Ok(Some(expected.to_owned())), "{kind:?} {text}");
        }
        for (kind, text, expected) in [
            (Type::Boolean, "\"true\"", "type"),
            (Type::Integer(16), "32768", "range"),
            (Type::Integer(64), "9223372036854775808", "range"),
            (Type::Integer(32), "1.5", "type"),
            (Type::Integer(32), "\"1\"", "type"),
            (Type::Numeric, "\"1\"", "type"),
            (Type::Numeric, "true", "type"),
            (Type::Float { is_single: true }, "1e39", "range"),
            (Type::Float { is_single: false }, "1e309", "range"),
            (Type::Float { is_single: false }, "1e-350", "range"),
            (Type::Text { max: Some(2) }, "\"abc\"", "too_long"),
            (Type::Text { max: None }, "1.5", "type"),
            (Type::Uuid, "\"{01890c5e-7b4a-7c3e-9f00-1a2b3c4d5e6f}\"", "uuid"),
            (Type::Uuid, "\"01890c5e7b4a7c3e9f001a2b3c4d5e6f\"", "uuid"),
            (Type::Date, "\"2023-02-29\"", "date"),
            (Type::Date, "\"infinity\"", "date"),
            (Type::Date, "\"0000-01-01\"", "date"),
            (Type::Instant, "\"2026-01-01T00:00:00\"", "date-time"),
            (Type::DateTime, "\"2026-01-01 00:00:00\"", "date-time"),
            (Type::Time, "\"24:00:00\"", "time"),
            (Type::Time, "\"23:59:60\"", "time"),
            (Type::Duration, "\"P\"", "duration"),
            (Type::Duration, "\"PT\"", "duration"),
            (Type::Duration, "\"P1M1Y\"", "duration"),
            (Type::Duration, "\"1 day\"", "duration"),
            (Type::Bytes, "\"AP8\"", "base64"),
            (Type::Enum(vec!["a".into()]), "\"A\"", "enum"),
        ] {
            assert_eq!(rule(&kind, text), expected, "{kind:?} {text}");
        }
    }

    #[test]
    fn lists_and_objects_are_quoted_so_that_nothing_gets_out() {
        let texts = Type::List(Box::new(Type::Text { max: None }));
        assert_eq!(of(&texts, r#"["a\"},{","\\",null,"NULL",""]"#), Ok(Some(r#"{"a\"},{","\\",NULL,"NULL",""}"#.to_owned())));
        let field = |column: &str, kind: Type| Field { column: column.into(), name: json_name(column, false), kind };
        let object = Type::Object(vec![field("unit_price", Type::Numeric), field("name", Type::Text { max: None }), field("tags", texts)]);
        assert_eq!(of(&object, r#"{"name":"a\"),(\\","tags":["x,y"]}"#), Ok(Some(r#"(,"a""),(\\","{""x,y""}")"#.to_owned())));
        let list = Type::List(Box::new(object));
        assert_eq!(of(&list, r#"[{"unitPrice":"1"}]"#), Err(("f[0].unitPrice".to_owned(), "type")));
        assert_eq!(of(&list, r#"[{"unit_price":1}]"#), Err(("f[0].unit_price".to_owned(), "unknown")));
        assert_eq!(of(&list, r#"{"unitPrice":1}"#), Err(("f".to_owned(), "type")));
        assert_eq!(rule(&list, &format!("[{}null]", "null,".repeat(MAX_ITEMS))), "too_long");
    }

    #[test]
    fn a_domain_that_is_not_null_refuses_null() {
        let domain = |is_required| Type::Domain { name: "d".into(), base: Box::new(Type::Integer(32)), is_required };
        assert_eq!(of(&domain(false), "null"), Ok(None));
        assert_eq!(rule(&domain(true), "null"), "type");
        assert_eq!(rule(&Type::List(Box::new(domain(true))), "[null]"), "type");
        assert!(Type::List(Box::new(domain(true))).holds_domain("d"));
    }

    #[test]
    fn in_a_query_everything_is_text() {
        let of = |kind: Type, text: &str| kind.literal(&json!(text), "f", true);
        assert_eq!(of(Type::Integer(32), "12"), Ok(Some("12".to_owned())));
        assert_eq!(of(Type::Boolean, "false"), Ok(Some("false".to_owned())));
        assert_eq!(of(Type::Numeric, "1.10"), Ok(Some("1.10".to_owned())));
        assert_eq!(of(Type::List(Box::new(Type::Integer(32))), "[1,2]"), Ok(Some(r#"{"1","2"}"#.to_owned())));
        assert_eq!(of(Type::Text { max: None }, "12"), Ok(Some("12".to_owned())));
        assert_eq!(of(Type::Integer(32), "twelve"), Err(("f".to_owned(), "type")));
        assert_eq!(of(Type::Integer(32), ""), Err(("f".to_owned(), "type")));
        assert_eq!(of(Type::Json, "{"), Err(("f".to_owned(), "json")));
    }
}
