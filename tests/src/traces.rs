//! Looking for a value in a dump, in whatever form it may stand there.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use std::{collections::BTreeMap, fmt::Write};

/// The five forms that are looked for.
pub const ENCODINGS: [&str; 5] = ["plain", "base64", "hex", "percent", "json escapes"];

/// A dump that is searched.
pub struct Haystack {
    text: String,
    lower: String,
}

impl Haystack {
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { lower: text.to_lowercase(), text }
    }

    /// The encodings in which a value stands here:
    ///
    /// - `plain`, in any letter case, also as JSON writes it (quotes escaped) and `pg_dump` writes that (backslashes doubled)
    /// - `base64`, standard and URL-safe, at all three alignments, so that it is also found inside of longer texts that were encoded
    /// - `hex`, in any letter case, as `bytea` stands in a dump
    /// - `percent`, as in a URL: every byte that isn't unreserved, or every byte
    /// - `json escapes`, `\u00e1`: every character that isn't ASCII, or every character
    #[must_use]
    pub fn encodings_of(&self, value: &str) -> Vec<&'static str> {
        let forms = forms(value);
        let found = |name: &str| {
            let forms = &forms[name];
            // Base64 means something else in another letter case; the others don't.
            if name == "base64" {
                forms.iter().any(|form| self.text.contains(form))
            } else {
                forms.iter().any(|form| self.lower.contains(&form.to_lowercase()))
            }
        };
        ENCODINGS.into_iter().filter(|name| found(name)).collect()
    }

    /// The lines in which a value stands in plain text, for a person to read.
    #[must_use]
    pub fn lines_with(&self, value: &str) -> Vec<&str> {
        self.text.lines().filter(|line| line.to_lowercase().contains(&value.to_lowercase())).collect()
    }
}

fn forms(value: &str) -> BTreeMap<&'static str, Vec<String>> {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    let plain = vec![value.to_owned(), quoted.clone(), quoted.replace('\\', "\\\\"), value.replace('\'', "''")];
    let spellings = [value, &quoted];
    let base64 = spellings.iter().flat_map(|text| {
        (0..3).flat_map(|before| [base64(text, before, &STANDARD_NO_PAD), base64(text, before, &URL_SAFE_NO_PAD)]).collect::<Vec<_>>()
    });
    let base64 = base64.collect();
    let hex = spellings.iter().flat_map(|text| [(*text).to_owned(), text.to_lowercase()]);
    let hex = hex.map(|text| text.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))).collect();
    let percent = |is_left: fn(u8) -> bool| {
        value.bytes().fold(
            String::new(),
            |text, byte| if is_left(byte) { text + &char::from(byte).to_string() } else { text + &format!("%{byte:02x}") },
        )
    };
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let percent = vec![percent(is_unreserved), percent(|_| false), percent(is_unreserved).replace("%20", "+")];
    let escaped = |is_left: fn(char) -> bool| {
        let mut text = String::new();
        for character in value.chars() {
            if is_left(character) {
                // As JSON writes it in any case.
                if matches!(character, '"' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            } else {
                character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(text, "\\u{unit:04x}").unwrap());
            }
        }
        text
    };
    let json =
        [escaped(|c| c.is_ascii()), escaped(|_| false)].into_iter().flat_map(|text| [text.replace('\\', "\\\\"), text]).collect::<Vec<_>>();
    let mut forms = BTreeMap::from([("plain", plain), ("base64", base64), ("hex", hex), ("percent", percent), ("json escapes", json)]);
    // What an encoding leaves as it is has been looked for already.
    let plain = forms["plain"].clone();
    for encoding in ["percent", "json escapes"] {
        forms.get_mut(encoding).unwrap().retain(|form| !plain.contains(form));
    }
    forms
}

/// What a value looks like inside of longer base64, so many bytes after a multiple of three: without the characters that its neighbours have a share in.
fn base64(value: &str, before: usize, engine: &impl Engine) -> String {
    let encoded = engine.encode([&vec![0; before][..], value.as_bytes()].concat());
    let from = (before * 8).div_ceil(6);
    let to = (before + value.len()) * 8 / 6;
    encoded[from..to].to_owned()
}
