//! JSON that nobody would send, made of JSON that is right: a tree that can hold what a [`Value`] can't (a name twice, a number of a thousand digits, no UTF-16), and
//! changes of its shape, drawn by a generator that the same seed starts anew.

use serde_json::{Value, json};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
pub struct Draw(pub u64);

impl Draw {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end.max(1) as u64).unwrap()
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// A value as it will be written.
#[derive(Clone, Debug)]
pub enum Node {
    /// Whatever these characters are.
    Raw(String),
    List(Vec<Node>),
    /// Names are JSON texts, quotes included.
    Object(Vec<(String, Node)>),
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.iter().map(|(name, member)| (json!(name).to_string(), Self::from(member))).collect())
            }
            other => Self::Raw(other.to_string()),
        }
    }
}

const SCALARS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1.0",
    "1e2",
    "0.1",
    "2147483648",
    "-2147483649",
    "9223372036854775808",
    "18446744073709551616",
    "1e308",
    "1e400",
    "1e-400",
    "123456789012345678901234567890",
    "1E+999999",
    "\"\"",
    "\" \"",
    "\"x\"",
    "\"null\"",
    "\"*\"",
    "\"%\"",
    "\"'\"",
    "\"\\\\\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u202e\"",
    "\"e\\u0301\"",
    "\"\u{10ffff}\"",
    "\"ß\"",
    "\"İ\"",
    "\"0001-01-01T00:00:00Z\"",
    "\"294277-01-01T00:00:00Z\"",
    "\"2026-02-30T00:00:00Z\"",
    "\"00000000-0000-0000-0000-000000000000\"",
    "\"{00000000-0000-0000-0000-000000000000}\"",
    "\"users.create\"",
    "\"created_at:desc\"",
    "\"10.0.0.0/33\"",
    "\"::/0\"",
    "\"https://[::1]/\"",
    "\"a@b.example\"",
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "[{}]",
    "{\"\":null}",
    "{\"$ref\":\"#\"}",
];
const NAMES: &[&str] = &[
    "\"\"",
    "\"id\"",
    "\"tenantId\"",
    "\"operation\"",
    "\"data\"",
    "\"__proto__\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"n\\u0061me\"",
    "\"constraints\"",
    "\"İ\"",
    "\"limit\"",
];
const LENGTHS: &[usize] = &[2, 8, 63, 64, 100, 101, 200, 201, 255, 256, 2_000, 2_001, 2_049, 5_000];
const DEPTHS: &[usize] = &[2, 5, 31, 32, 33, 127, 128, 129, 600];

impl Node {
    /// The text.
    #[must_use]
    pub fn write(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(",");
        match self {
            Self::Raw(text) => text.clone(),
            Self::List(items) => format!("[{}]", joined(items.iter().map(Self::write).collect())),
            Self::Object(members) => {
                format!("{{{}}}", joined(members.iter().map(|(name, member)| format!("{name}:{}", member.write())).collect()))
            }
        }
    }

    /// Changes it somewhere, in one way; says which.
    pub fn change(&mut self, draw: &mut Draw) -> &'static str {
        let count = self.count();
        let at = draw.below(count);
        let other = self.nth(draw.below(count)).clone();
        let node = self.nth(at);
        match (draw.below(12), &mut *node) {
            (0, Self::Object(members)) if !members.is_empty() => {
                members.remove(draw.below(members.len()));
                "a member left out"
            }
            (1, Self::Object(members)) if !members.is_empty() => {
                // As it is, or with a letter written in another way, which is the same name to every reader.
                let (name, _) = draw.one(members).clone();
                let first = name[1..].chars().next().filter(char::is_ascii_alphabetic);
                let spelled = first.map(|first| format!("\"\\u{:04x}{}", u32::from(first), &name[2..]));
                let name = if draw.below(2) == 0 { name } else { spelled.unwrap_or(name) };
                let place = draw.below(members.len() + 1);
                members.insert(place, (name, other));
                "a name twice"
            }
            (2, Self::Object(members)) if !members.is_empty() => {
                let place = draw.below(members.len());
                let name = members[place].0.clone();
                members[place].0 = match draw.below(3) {
                    0 => name.to_uppercase().replace("\\U", "\\u"),
                    1 => (*draw.one(NAMES)).to_owned(),
                    _ => format!("{}s\"", &name[..name.len() - 1]),
                };
                "another name"
            }
            (3, Self::Object(members)) => {
                members.push(((*draw.one(NAMES)).to_owned(), other));
                "a member too many"
            }
            (4, Self::List(items)) if !items.is_empty() => {
                let item = draw.one(items).clone();
                let times = *draw.one(&[1, 2, 10, 100, 101, 201, 1_001]);
                items.extend(vec![item; times]);
                "items too many"
            }
            (5, Self::Raw(text)) if text.starts_with('"') => {
                let unit = *draw.one(&["x", "é", "\\n", "👩", "a.", "\\\""]);
                *text = format!("\"{}\"", unit.repeat(*draw.one(LENGTHS)));
                "a text of another length"
            }
            (6, Self::Raw(text)) if text.starts_with('"') && text.len() > 2 => {
                let at = text.char_indices().map(|(at, _)| at).skip(1).nth(draw.below(text.chars().count() - 1)).unwrap_or(1);
                let odd = *draw.one(&["\\u0000", "\\u0001", "\u{202e}", "\\udfff", " ", "\u{301}", "%", "'", "\u{a0}"]);
                text.insert_str(at, odd);
                "a character within a text"
            }
            (7, _) => {
                let depth = *draw.one(DEPTHS);
                let inner = node.write();
                let (open, close) = *draw.one(&[("[", "]"), ("{\"a\":", "}"), ("{\"data\":[", "]}")]);
                *node = Self::Raw(format!("{}{inner}{}", open.repeat(depth), close.repeat(depth)));
                "nested"
            }
            (8, _) => {
                *node = other;
                "a part elsewhere"
            }
            (9, _) => {
                *node = Self::List(vec![node.clone()]);
                "a list of it"
            }
            _ => {
                *node = Self::Raw((*draw.one(SCALARS)).to_owned());
                "another value"
            }
        }
    }

    fn count(&self) -> usize {
        1 + match self {
            Self::Raw(_) => 0,
            Self::List(items) => items.iter().map(Self::count).sum(),
            Self::Object(members) => members.iter().map(|(_, member)| member.count()).sum(),
        }
    }

    /// This one, or the n-th within.
    fn nth(&mut self, n: usize) -> &mut Self {
        if n == 0 {
            return self;
        }
        let mut left = n - 1;
        let place = match self {
            Self::Raw(_) => 0,
            Self::List(items) => items.iter().position(|item| !skip(item, &mut left)).unwrap_or(0),
            Self::Object(members) => members.iter().position(|(_, member)| !skip(member, &mut left)).unwrap_or(0),
        };
        match self {
            Self::Raw(_) => self,
            Self::List(items) => items[place].nth(left),
            Self::Object(members) => members[place].1.nth(left),
        }
    }
}

/// Whether the wanted one comes after this one, of which as many are then counted off.
fn skip(node: &Node, left: &mut usize) -> bool {
    let count = node.count();
    let is_after = *left >= count;
    if is_after {
        *left -= count;
    }
    is_after
}

/// A value that a schema asks for, at the edges of what it allows; references are resolved already.
#[must_use]
pub fn asked_for(schema: &Value, draw: &mut Draw) -> Value {
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.is_empty()) {
        return draw.one(words).clone();
    }
    if let Some(examples) = schema["examples"].as_array().filter(|examples| !examples.is_empty() && draw.below(2) == 0) {
        return draw.one(examples).clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"].as_array()?.first()?.as_str());
    let bound = |name: &str, otherwise: i64| schema[name].as_i64().unwrap_or(otherwise);
    match kind {
        Some("integer" | "number") => {
            let (least, most) = (bound("minimum", 0), bound("maximum", 100));
            json!(*draw.one(&[least, most, least.saturating_sub(1), most.saturating_add(1)]))
        }
        Some("boolean") => json!(draw.below(2) == 0),
        Some("array") => json!(vec![asked_for(&schema["items"], draw); *draw.one(&[0, 1, 2, 101])]),
        Some("object") => {
            let members = schema["properties"].as_object().into_iter().flatten();
            Value::Object(members.map(|(name, member)| (name.clone(), asked_for(member, draw))).collect())
        }
        Some("string") => match schema["format"].as_str() {
            Some("uuid") => json!("01890000-0000-7000-8000-000000000000"),
            Some("date-time") => json!(*draw.one(&["2026-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"])),
            _ => {
                let (least, most) = (bound("minLength", 0).min(5_000), bound("maxLength", 300).min(5_000));
                json!("a".repeat(usize::try_from(*draw.one(&[least, most, most + 1])).unwrap()))
            }
        },
        _ => Value::Null,
    }
}
