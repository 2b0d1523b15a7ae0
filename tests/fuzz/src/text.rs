//! The types of text: what one takes in it gives out as itself, and it takes in whatever its JSON Schema promises.

use nebula_core::{
    text::{Description, Email, EventFilter, IdempotencyKey, Instant, Key, Name, RequestId, Rule, Search, Slug, TraceId},
    web::{Color, Domain, HttpsUrl},
};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{cell::RefCell, collections::HashMap};

pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    macro_rules! each {
        ($($name:ident)*) => { $(holds::<$name>(text, |text| $name::parse(text), |read| read.as_str().to_owned());)* };
    }
    each!(Color Description Domain Email EventFilter HttpsUrl IdempotencyKey Instant Key Name RequestId Search Slug TraceId);
    if let Ok(instant) = Instant::parse(text) {
        assert!(instant.as_str().ends_with('Z'));
        assert_eq!(Instant::parse(text).unwrap().unix_microseconds(), instant.unix_microseconds());
    }
}

fn holds<T: PartialEq + std::fmt::Debug + Serialize + DeserializeOwned + JsonSchema>(
    text: &str,
    parse: fn(&str) -> Result<T, Rule>,
    read: fn(&T) -> String,
) {
    let name = T::schema_name();
    let parsed = parse(text);
    assert_eq!(serde_json::from_value::<T>(json!(text)).ok().as_ref(), parsed.as_ref().ok(), "{name}");
    let is_promised = promises::<T>(text);
    let Ok(parsed) = parsed else {
        // A label that begins with xn-- is an international name, which the pattern can't check.
        assert!(!is_promised || text.to_ascii_lowercase().contains("xn--"), "{name}: the schema promises {text:?}");
        return;
    };
    let written = read(&parsed);
    // A URL is written with its odd characters encoded.
    assert!(!written.contains('\0') && written.len() <= text.len().max(40) * 3 + 1, "{name}");
    assert_eq!(parse(&written).as_ref(), Ok(&parsed), "{name}: {text:?} is read as {written:?}, and that as something else");
    assert_eq!(serde_json::to_value(&parsed).unwrap(), json!(written));
}

/// Whether the type's schema accepts a text; not for a format, which is a hint.
fn promises<T: JsonSchema>(text: &str) -> bool {
    thread_local!(static SCHEMAS: RefCell<HashMap<String, (Value, Option<Regex>)>> = RefCell::default());
    SCHEMAS.with_borrow_mut(|known| {
        let (schema, pattern) = known.entry(T::schema_name().into_owned()).or_insert_with(|| {
            let schema = T::json_schema(&mut schemars::SchemaGenerator::default()).to_value();
            let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(&pattern.replace("$&", "\\$&")).unwrap());
            (schema, pattern)
        });
        let length = text.chars().count() as u64;
        let Some(pattern) = pattern else { return false };
        length >= schema["minLength"].as_u64().unwrap_or(0)
            && length <= schema["maxLength"].as_u64().unwrap_or(u64::MAX)
            && pattern.is_match(text)
    })
}
