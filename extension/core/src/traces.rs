//! What is known of a person who is being anonymised, and how it is taken out of the JSON of events that tell of them.

use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt, mem};
use uuid::Uuid;

/// What stands where a name stood.
pub const ANONYMOUS_NAME: &str = "Anonimizado";
/// Shorter texts are no trace of anybody: they stand everywhere.
const SHORTEST: usize = 3;

/// Everything that names one person. `Debug` shows none of it.
pub struct Traces {
    user: String,
    /// The made-up address that takes the place of each of theirs.
    address: String,
    /// Addresses and ids at other issuers: nobody else has the same.
    unique: BTreeSet<String>,
    /// Names and reasons: another person may have the same.
    common: BTreeSet<String>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Traces {
    #[must_use]
    pub fn new(user: Uuid, address: &str) -> Self {
        Self { user: user.to_string(), address: address.to_owned(), unique: BTreeSet::new(), common: BTreeSet::new() }
    }

    /// An address, or an id at another issuer.
    pub fn add_unique(&mut self, text: &str) {
        if text.len() >= SHORTEST && text != self.address {
            self.unique.insert(text.to_owned());
        }
    }

    /// A name, or the reason of a suspension.
    pub fn add_common(&mut self, text: &str) {
        if text.len() >= SHORTEST && text != ANONYMOUS_NAME {
            self.common.insert(text.to_owned());
        }
    }

    /// Every text, for looking rows up.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.unique.iter().chain(&self.common).cloned().collect()
    }

    /// Those of them that nobody else has.
    #[must_use]
    pub fn unique_texts(&self) -> Vec<String> {
        self.unique.iter().cloned().collect()
    }

    /// Takes in what an event says of the person: the addresses and names that they had before.
    pub fn learn(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(members) => {
                if self.is_about(members) {
                    let text = |name: &str| members.get(name).and_then(Value::as_str);
                    for unique in ["email", "externalId"].into_iter().filter_map(text) {
                        self.add_unique(unique);
                    }
                    for common in ["name", "suspendedReason"].into_iter().filter_map(text) {
                        self.add_common(common);
                    }
                }
                members.values().for_each(|member| self.learn(member));
            }
            _ => {}
        }
    }

    /// Takes the person out of a value; whether anything was changed.
    ///
    /// In a value that tells of them, by id or address, every mention goes. In another a name is theirs where it is a full one, unless it stands in what
    /// tells of somebody else: two people may have the same.
    pub fn erase(&self, value: &mut Value) -> bool {
        let is_theirs = self.is_told_of(value);
        self.walk(value, is_theirs)
    }

    /// The text without the person; `None` where it doesn't name them.
    #[must_use]
    pub fn erase_text(&self, text: &str) -> Option<String> {
        self.scrub(text, true)
    }

    fn is_about(&self, members: &Map<String, Value>) -> bool {
        members.get("id").and_then(Value::as_str).is_some_and(|id| id.eq_ignore_ascii_case(&self.user))
    }

    /// Whether it holds the person's id or anything else that is theirs alone.
    fn is_told_of(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_mentioned(text),
            Value::Array(items) => items.iter().any(|item| self.is_told_of(item)),
            Value::Object(members) => members.iter().any(|(name, member)| self.is_mentioned(name) || self.is_told_of(member)),
            _ => false,
        }
    }

    fn is_mentioned(&self, text: &str) -> bool {
        find(text, &self.user).is_some() || self.unique.iter().any(|unique| find(text, unique).is_some())
    }

    fn walk(&self, value: &mut Value, is_theirs: bool) -> bool {
        match value {
            Value::String(text) => match self.scrub(text, is_theirs) {
                Some(erased) => {
                    *text = erased;
                    true
                }
                None => false,
            },
            Value::Array(items) => items.iter_mut().fold(false, |changed, item| self.walk(item, is_theirs) | changed),
            Value::Object(members) => self.walk_members(members, is_theirs),
            _ => false,
        }
    }

    fn walk_members(&self, members: &mut Map<String, Value>, is_theirs: bool) -> bool {
        let mut changed = false;
        let is_about = self.is_about(members);
        if !is_about && is_somebody(members) && !members.values().any(|member| member.as_str().is_some_and(|text| self.is_mentioned(text)))
        {
            return false;
        }
        for (name, mut member) in mem::take(members) {
            let replaced = match (is_about, name.as_str(), &member) {
                (true, "email", Value::String(old)) if *old != self.address => Some(Value::String(self.address.clone())),
                (true, "name", Value::String(old)) if old != ANONYMOUS_NAME => Some(Value::String(ANONYMOUS_NAME.to_owned())),
                (true, "suspendedReason" | "externalId", Value::String(_)) => Some(Value::Null),
                _ => None,
            };
            changed |= match replaced {
                Some(replaced) => {
                    member = replaced;
                    true
                }
                None => self.walk(&mut member, is_theirs),
            };
            let renamed = self.scrub(&name, is_theirs);
            changed |= renamed.is_some();
            members.insert(renamed.unwrap_or(name), member);
        }
        changed
    }

    fn scrub(&self, text: &str, is_theirs: bool) -> Option<String> {
        // The longest first: a name may begin with another.
        let mut unique = self.unique.iter().map(|needle| (needle, self.address.as_str())).collect::<Vec<_>>();
        let common = self.common.iter().filter(|common| is_theirs || common.split_whitespace().count() > 1);
        unique.extend(common.map(|needle| (needle, ANONYMOUS_NAME)));
        unique.sort_by_key(|(needle, _)| std::cmp::Reverse(needle.len()));
        let mut erased = None;
        for (needle, replacement) in unique {
            if let Some(next) = replace(erased.as_deref().unwrap_or(text), needle, replacement) {
                erased = Some(next);
            }
        }
        erased
    }
}

/// Whether an object tells of a person: it has an id and an address.
fn is_somebody(members: &Map<String, Value>) -> bool {
    members.get("id").is_some_and(Value::is_string) && members.get("email").is_some_and(Value::is_string)
}

/// Every occurrence replaced; `None` where there is none.
fn replace(text: &str, needle: &str, replacement: &str) -> Option<String> {
    let mut result = String::new();
    let mut rest = text;
    let mut before = None;
    while let Some((start, end)) = find_after(rest, needle, before) {
        result.push_str(rest.get(..start)?);
        result.push_str(replacement);
        before = rest.get(..end)?.chars().next_back();
        rest = rest.get(end..)?;
    }
    if result.is_empty() {
        return None;
    }
    result.push_str(rest);
    Some(result)
}

fn find(text: &str, needle: &str) -> Option<(usize, usize)> {
    find_after(text, needle, None)
}

/// Where the words of `needle` stand in the text, in any letter case, and not as a part of longer ones; `before` is what stands before the text.
fn find_after(text: &str, needle: &str, before: Option<char>) -> Option<(usize, usize)> {
    let is_address = needle.contains('@');
    let mut previous = before;
    for (start, character) in text.char_indices() {
        if !previous.is_some_and(|c| c.is_alphanumeric() || is_address && matches!(c, '.' | '+' | '-' | '_'))
            && let Some(length) = text.get(start..).and_then(|rest| prefix(rest, needle))
            && text.get(start + length..).is_some_and(|rest| !goes_on(rest, is_address))
        {
            return Some((start, start + length));
        }
        previous = Some(character);
    }
    None
}

/// Whether what follows belongs to the word before: to an address also the next label of a longer domain.
fn goes_on(rest: &str, is_address: bool) -> bool {
    let mut next = rest.chars();
    match next.next() {
        Some(c) if c.is_alphanumeric() => true,
        Some('-') => is_address,
        Some('.') => is_address && next.next().is_some_and(char::is_alphanumeric),
        _ => false,
    }
}

/// How many bytes of the text are the needle in another letter case, from its beginning.
fn prefix(text: &str, needle: &str) -> Option<usize> {
    let mut wanted = needle.chars().flat_map(char::to_lowercase).peekable();
    for (at, character) in text.char_indices() {
        if wanted.peek().is_none() {
            return Some(at);
        }
        for lower in character.to_lowercase() {
            if wanted.next() != Some(lower) {
                return None;
            }
        }
    }
    wanted.peek().is_none().then_some(text.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const BIA: Uuid = Uuid::from_u128(0xB1A);
    const OTHER: Uuid = Uuid::from_u128(0xC);

    fn bia() -> Traces {
        let mut traces = Traces::new(BIA, "0@anonymized.invalid");
        traces.add_unique("Bia@acme.example");
        traces.add_common("Bia Canário");
        traces.add_common("Zoé");
        traces
    }

    #[track_caller]
    fn erased(mut value: Value) -> Value {
        assert!(bia().erase(&mut value), "nothing was found in {value}");
        value
    }

    #[test]
    fn what_tells_of_the_person_by_id_is_replaced_member_by_member() {
        let event =
            json!({ "data": { "id": BIA, "email": "old@acme.example", "name": "X", "suspendedReason": "férias", "status": "suspenso" } });
        let after = json!({ "data": { "id": BIA, "email": "0@anonymized.invalid", "name": "Anonimizado", "suspendedReason": null, "status": "suspenso" } });
        assert_eq!(erased(event), after);
        let mut again = after.clone();
        assert!(!bia().erase(&mut again) && again == after);
    }

    #[test]
    fn what_an_event_says_of_them_is_learnt_and_then_found_elsewhere() {
        let mut traces = bia();
        traces.learn(
            &json!([{ "id": BIA, "email": "first@acme.example", "name": "Primeiro Nome" }, { "id": OTHER, "email": "c@acme.example" }]),
        );
        let mut value = json!({ "to": "First@ACME.example", "cc": "c@acme.example", "text": "olá, PRIMEIRO nome!" });
        assert!(traces.erase(&mut value));
        assert_eq!(value, json!({ "to": "0@anonymized.invalid", "cc": "c@acme.example", "text": "olá, Anonimizado!" }));
    }

    #[test]
    fn addresses_go_wherever_they_stand_names_of_members_too() {
        let before =
            json!({ "orders": [{ "by": "<bia@ACME.example>", "BIA@acme.example": 1 }], "note": "call bia@acme.example, bia@acme.example" });
        let after = json!({
            "orders": [{ "by": "<0@anonymized.invalid>", "0@anonymized.invalid": 1 }],
            "note": "call 0@anonymized.invalid, 0@anonymized.invalid",
        });
        assert_eq!(erased(before), after);
    }

    #[test]
    fn names_go_in_any_letter_case_where_the_person_is_told_of() {
        let before = json!({ "userId": BIA, "text": "zoÉ, also BIA CANÁRIO, not Zoélia" });
        assert_eq!(erased(before), json!({ "userId": BIA, "text": "Anonimizado, also Anonimizado, not Zoélia" }));
    }

    #[test]
    fn somebody_else_of_the_same_name_keeps_it_and_a_longer_address_is_another() {
        let others = [
            json!({ "id": OTHER, "email": "other@acme.example", "name": "Bia Canário" }),
            json!({ "text": "mariabia@acme.example maria.bia@acme.example bia@acme.example.com bia@acme.example-2" }),
            json!({ "text": "Zoé" }),
            json!(["bia", 7, null, { "a": "acme.example" }]),
        ];
        for mut value in others {
            let before = value.clone();
            assert!(!bia().erase(&mut value), "{before}");
            assert_eq!(value, before);
        }
        assert_eq!(erased(json!({ "customer": "Bia Canário" })), json!({ "customer": "Anonimizado" }));
    }

    #[test]
    fn letters_whose_cases_differ_in_length_are_compared_by_what_they_are() {
        assert_eq!(prefix("İSTANBUL", "istanbul"), None);
        assert_eq!(prefix("STRASSE", "strasse"), Some(7));
        assert_eq!(prefix("ÁÉÍ!", "áéí"), Some(6));
        assert_eq!(replace("aa a", "a", "b").as_deref(), Some("aa b"));
        assert_eq!(bia().erase_text("to=bia@acme.example.").as_deref(), Some("to=0@anonymized.invalid."));
        assert_eq!(bia().erase_text("no answer"), None);
    }

    #[test]
    fn debug_shows_nothing_of_the_person() {
        assert!(!format!("{:?}", bia()).contains("Can"));
    }
}
