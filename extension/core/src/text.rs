//! Types that can't be wrong: what a caller sends is parsed into one of these at the border and not checked again.
//!
//! Every rule name (`"email"`, `"too_long"` …) reaches the client as `details[].rule` of a `VALIDATION_ERROR`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text was refused: the `rule` of a `VALIDATION_ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rule(pub &'static str);

/// Refuses what Postgres can't store or a person can't see: NUL (a `text` with one is cut by `pg_dump`), other control
/// characters, and the bidirectional overrides that make a name read as another.
fn printable(value: &str) -> Result<(), Rule> {
    let is_bad = |c: char| c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}');
    if value.contains(is_bad) { Err(Rule("control_character")) } else { Ok(()) }
}

/// What [`printable`] refuses, as a regular expression that ECMA-262 and Python read alike: neither `\\s` nor a property means the same in both.
macro_rules! unprintable {
    () => {
        "\\u0000-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069\\ufeff"
    };
}

/// Printable, and not all of it blank.
const VISIBLE: &str = concat!(
    "^[^",
    unprintable!(),
    "]*[^",
    unprintable!(),
    "\\u0020\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000][^",
    unprintable!(),
    "]*$"
);

/// Printable, line breaks and tabs aside.
const LINES: &str = "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069\\ufeff]*$";

/// Text that a person sees, without the blanks around it. The length is that of what was sent.
fn visible(value: &str) -> Result<String, Rule> {
    printable(value)?;
    length(value, 0, 200)?;
    length(value.trim(), 1, 200)?;
    Ok(value.trim().to_owned())
}

fn length(value: &str, min: usize, max: usize) -> Result<(), Rule> {
    let count = value.chars().count();
    if count < min {
        Err(Rule(if count == 0 { "empty" } else { "too_short" }))
    } else if count > max {
        Err(Rule("too_long"))
    } else {
        Ok(())
    }
}

/// Makes a text type: its JSON Schema keywords, and how it is parsed and normalised.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, { $($keyword:literal: $value:tt),* $(,)? }, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Parses and normalises; the error names the rule that was broken.
            pub fn parse(value: &str) -> Result<Self, Rule> {
                let parse: fn(&str) -> Result<String, Rule> = $parse;
                parse(value).map(Self)
            }

            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&value).map_err(|rule| serde::de::Error::custom(format_args!("rule={rule}")))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string" $(, $keyword: $value)*
                })
            }
        }
    };
}

pub(crate) use text_type;

text_type! {
    /// An e-mail address, trimmed; the domain is lower case, the local part is kept as written (uniqueness ignores case in the database).
    ///
    /// The subset of RFC 5321 that mail systems deliver: no quoted local part, no comments, a dotted domain, 254 bytes.
    Email, { "minLength": 3, "maxLength": 254, "format": "email", "examples": ["ana@acme.example"] },
    |value| {
        let value = value.trim();
        length(value, 1, 254)?;
        let (local, domain) = value.rsplit_once('@').ok_or(Rule("email"))?;
        let local_ok = !local.is_empty()
            && local.len() <= 64
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..")
            && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&b));
        let label_ok = |label: &str| {
            !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if local_ok && domain.contains('.') && domain.split('.').all(label_ok) {
            Ok(format!("{local}@{}", domain.to_ascii_lowercase()))
        } else {
            Err(Rule("email"))
        }
    }
}

text_type! {
    /// What a tenant is called in URLs and at login: `^[a-z0-9](-?[a-z0-9]+)*$`, 2 to 63 characters, as a DNS label.
    Slug, { "minLength": 2, "maxLength": 63, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "examples": ["acme"] },
    |value| {
        length(value, 2, 63)?;
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if value.split('-').all(is_part) { Ok(value.to_owned()) } else { Err(Rule("slug")) }
    }
}

text_type! {
    /// A key of the catalog: `users.create`, `base`, `api_keys`: lower-case words of letters, digits, `_` and `-`, joined by dots, up to 100 bytes.
    Key, { "minLength": 2, "maxLength": 100, "pattern": "^[a-z][a-z0-9_-]*(\\.[a-z][a-z0-9_-]*)*$", "examples": ["users.create"] },
    |value| {
        length(value, 2, 100)?;
        let is_word = |word: &str| {
            word.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        };
        if value.split('.').all(is_word) { Ok(value.to_owned()) } else { Err(Rule("key")) }
    }
}

text_type! {
    /// What a webhook is told of: an event's type, or `*` for all.
    EventFilter, { "minLength": 1, "maxLength": 100, "pattern": "^(\\*|[a-z]([a-z0-9_-]|\\.[a-z])[a-z0-9_-]*(\\.[a-z][a-z0-9_-]*)*)$", "examples": ["user.created"] },
    |value| if value == "*" { Ok(value.to_owned()) } else { Key::parse(value).map(|key| key.as_str().to_owned()) }
}

text_type! {
    /// The name of a person, tenant, group or key: up to 200 characters, not all of them blank; blanks around it are taken away.
    Name, { "minLength": 1, "maxLength": 200, "pattern": (VISIBLE), "examples": ["Ana Souza"] },
    visible
}

text_type! {
    /// A sentence or two: up to 2,000 characters; line breaks are allowed, other control characters are not. May be empty.
    Description, { "minLength": 0, "maxLength": 2000, "pattern": (LINES), "examples": ["Who answers customers"] },
    |value| {
        length(value, 0, 2000)?;
        printable(&value.replace(['\n', '\t'], " "))?;
        Ok(value.to_owned())
    }
}

text_type! {
    /// What a person searches for: up to 200 characters, not all of them blank.
    Search, { "minLength": 1, "maxLength": 200, "pattern": (VISIBLE), "examples": ["ana"] },
    visible
}

text_type! {
    /// `Idempotency-Key`: 1 to 255 visible ASCII characters (contract, section 4).
    IdempotencyKey, { "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$" },
    |value| {
        length(value, 1, 255)?;
        if value.bytes().all(|b| b.is_ascii_graphic()) { Ok(value.to_owned()) } else { Err(Rule("visible_ascii")) }
    }
}

text_type! {
    /// `X-Request-Id`: 8 to 128 of letters, digits, `-`, `_`, `.`; nothing that could break a log line or a header.
    RequestId, { "minLength": 8, "maxLength": 128, "pattern": "^[A-Za-z0-9._-]{8,128}$" },
    |value| {
        length(value, 8, 128)?;
        let is_safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if value.bytes().all(is_safe) { Ok(value.to_owned()) } else { Err(Rule("request_id")) }
    }
}

text_type! {
    /// The trace that a request belongs to (W3C Trace Context, trace-id): 16 bytes, not all of them zero.
    TraceId, { "pattern": "^[0-9a-f]{32}$", "minLength": 32, "maxLength": 32 },
    |value| {
        length(value, 32, 32)?;
        let is_hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        if value.bytes().all(is_hex) && value.bytes().any(|b| b != b'0') { Ok(value.to_owned()) } else { Err(Rule("trace_id")) }
    }
}

text_type! {
    /// An instant as RFC 3339 with an offset, kept as text in UTC for Postgres' `timestamptz`.
    Instant, { "minLength": 20, "maxLength": 40, "format": "date-time", "examples": ["2026-12-31T23:59:59Z"] },
    |value| {
        length(value, 20, 40)?;
        let instant: jiff::Timestamp = value.parse().map_err(|_| Rule("date-time"))?;
        // Postgres has no year 0, and writes the years before it in another way.
        let text = instant.to_string();
        if text.starts_with('-') || text.starts_with("0000") { Err(Rule("date-time")) } else { Ok(text) }
    }
}

impl Instant {
    /// Microseconds since the Unix epoch, the resolution of `timestamptz`.
    #[must_use]
    pub fn unix_microseconds(&self) -> i64 {
        self.0.parse::<jiff::Timestamp>().map_or(i64::MIN, jiff::Timestamp::as_microsecond)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_keeps_its_local_part_and_lowers_its_domain() {
        assert_eq!(Email::parse(" Ana.B+x@Exemplo.COM.br ").map(|e| e.0), Ok("Ana.B+x@exemplo.com.br".to_owned()));
    }

    #[test]
    fn what_is_not_a_deliverable_email_is_refused() {
        for value in ["", "a", "a@b", "@b.co", "a@.co", "a@b..co", "a b@c.co", "a@b.co\0", "a@-b.co", "a..b@c.co", "\"a\"@b.co", "ã@b.co"]
        {
            assert!(Email::parse(value).is_err(), "{value:?}");
        }
        assert_eq!(Email::parse(&format!("a@{}.co", "b".repeat(300))), Err(Rule("too_long")));
    }

    #[test]
    fn names_refuse_nul_controls_and_bidirectional_overrides() {
        for value in ["a\0b", "a\nb", "\u{202E}evil", "\u{7f}"] {
            assert_eq!(Name::parse(value), Err(Rule("control_character")), "{value:?}");
        }
        assert_eq!(Name::parse("  "), Err(Rule("empty")));
        assert_eq!(Name::parse(&"é".repeat(201)), Err(Rule("too_long")));
        assert_eq!(Name::parse(&"é".repeat(200)).map(|n| n.0.chars().count()), Ok(200));
    }

    #[test]
    fn slugs_and_keys_have_one_spelling() {
        for value in ["acme", "acme-2", "a1"] {
            assert!(Slug::parse(value).is_ok(), "{value}");
        }
        for value in ["a", "Acme", "-acme", "acme-", "ac--me", "ac_me", "ação"] {
            assert!(Slug::parse(value).is_err(), "{value}");
        }
        for value in ["users.create", "api_keys.list", "base"] {
            assert!(Key::parse(value).is_ok(), "{value}");
        }
        for value in ["", "users.", ".users", "Users.create", "users..create", "users create", "1users"] {
            assert!(Key::parse(value).is_err(), "{value}");
        }
    }

    #[test]
    fn instants_need_an_offset() {
        assert_eq!(Instant::parse("2026-01-01T00:00:00-03:00").map(|i| i.0), Ok("2026-01-01T03:00:00Z".to_owned()));
        for value in [
            "2026-01-01",
            "2026-01-01T00:00:00",
            "infinity",
            "now",
            "2026-13-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "-000001-01-01T00:00:00Z",
        ] {
            assert!(Instant::parse(value).is_err(), "{value}");
        }
    }
}
