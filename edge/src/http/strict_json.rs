//! JSON of which every reader sees the same: no duplicate keys, no NUL, no lone surrogate, bounded depth.
//!
//! The text is checked and passed on as it is: what the database reads is what was checked.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

/// The deepest nesting that is read.
pub const MAX_DEPTH: usize = 32;

/// Checks a document; the error is a `rule`: `json`, `depth`, `nul` or `duplicate_key`.
pub fn check(bytes: &[u8]) -> Result<&str, &'static str> {
    let broken = Cell::new("json");
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Element { depth: 0, broken: &broken }.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|_| broken.get())?;
    // Invalid UTF-8 inside a string was refused above; outside of one it is no JSON.
    std::str::from_utf8(bytes).map_err(|_| "json")
}

/// Reads one value, keeping nothing of it.
#[derive(Clone, Copy)]
struct Element<'a> {
    depth: usize,
    /// Why reading stopped, since serde's error carries only text.
    broken: &'a Cell<&'static str>,
}

impl Element<'_> {
    fn stop<E: Error>(self, rule: &'static str) -> E {
        self.broken.set(rule);
        E::custom(rule)
    }

    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH { Err(self.stop("depth")) } else { Ok(Self { depth: self.depth + 1, ..self }) }
    }

    fn text<E: Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(self.stop("nul")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<Name<'de>>()? {
            self.text(&name.0)?;
            if !names.insert(name.0) {
                return Err(self.stop("duplicate_key"));
            }
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escape.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_documents_pass_unchanged() {
        for text in [r#"{"a":[1,-2.5e3,true,null,"é\u00e9\ud83d\ude00"],"b":{"a":{}}}"#, " {} ", "[]", "1", "\"\""] {
            assert_eq!(check(text.as_bytes()), Ok(text));
        }
    }

    #[test]
    fn each_rule_names_what_is_broken() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (text, rule) in [
            ("", "json"),
            ("{", "json"),
            ("{} {}", "json"),
            ("{'a':1}", "json"),
            ("[1,]", "json"),
            ("NaN", "json"),
            (r#""\ud800""#, "json"),
            (r#""\udc00\ud800""#, "json"),
            (r#"{"\ud800":1}"#, "json"),
            ("\"\u{1}\"", "json"),
            ("\u{feff}{}", "json"),
            (r#""a\u0000""#, "nul"),
            (r#"{"a\u0000":1}"#, "nul"),
            (r#"{"a":[{"b":"\u0000"}]}"#, "nul"),
            (r#"{"a":1,"a":1}"#, "duplicate_key"),
            (r#"{"a":1,"\u0061":2}"#, "duplicate_key"),
            (r#"[{"x":{"a":1,"b":2,"a":3}}]"#, "duplicate_key"),
            (&nested(33), "depth"),
            (&nested(100_000), "depth"),
        ] {
            assert_eq!(check(text.as_bytes()), Err(rule), "{text:.60}");
        }
        assert!(check(nested(32).as_bytes()).is_ok());
        assert_eq!(check(b"\"\xff\""), Err("json"));
    }
}
