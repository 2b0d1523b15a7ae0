//! Query strings and path parameters: percent-decoded once, strictly.

use super::refusal::Refusal;
use percent_encoding::percent_decode_str;
use std::collections::{BTreeMap, btree_map::Entry};

/// Reads `a=1&b=2`. A repeated key is refused: which one counts is a guess that proxies make differently.
pub fn parse(query: Option<&str>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut pairs = BTreeMap::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let read = |text: &str| decode(&text.replace('+', " ")).map_err(|rule| Refusal::invalid("query", rule));
        let (key, value) = (read(key)?, read(value)?);
        match pairs.entry(key) {
            Entry::Vacant(entry) => entry.insert(value),
            Entry::Occupied(entry) => return Err(Refusal::invalid(entry.key(), "repeated")),
        };
    }
    Ok(pairs)
}

/// Decodes `%XX`; the error is a `rule`. NUL is refused, since Postgres' `text` can't hold it.
pub fn decode(text: &str) -> Result<String, &'static str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        if !after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err("percent_encoding");
        }
        rest = after;
    }
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "utf-8")?;
    if text.contains('\0') { Err("nul") } else { Ok(text.into_owned()) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(query: &str) -> serde_json::Value {
        parse(Some(query)).unwrap_err().details.unwrap()
    }

    #[test]
    fn pairs_are_decoded_once() {
        let pairs = parse(Some("a=1+2&b=%2B%25&c=&d&e=x=y&&%C3%A9=1")).unwrap();
        let expected = [("a", "1 2"), ("b", "+%"), ("c", ""), ("d", ""), ("e", "x=y"), ("é", "1")];
        assert_eq!(pairs, expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        assert!(parse(None).unwrap().is_empty());
    }

    #[test]
    fn broken_encodings_nul_and_repeated_keys_are_refused() {
        use serde_json::json;
        assert_eq!(refused("a=%zz"), json!([{ "field": "query", "rule": "percent_encoding" }]));
        assert_eq!(refused("a=%4"), json!([{ "field": "query", "rule": "percent_encoding" }]));
        assert_eq!(refused("a=%ff"), json!([{ "field": "query", "rule": "utf-8" }]));
        assert_eq!(refused("a=%00"), json!([{ "field": "query", "rule": "nul" }]));
        assert_eq!(refused("limit=1&limit=2"), json!([{ "field": "limit", "rule": "repeated" }]));
        assert_eq!(refused("limit=1&l%69mit=2"), json!([{ "field": "limit", "rule": "repeated" }]));
    }
}
