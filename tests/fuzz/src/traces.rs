//! Taking a person out of events. Fields: an address of theirs, a name, and JSON.

use crate::input::lines;
use nebula_core::traces::Traces;
use serde_json::Value;
use uuid::Uuid;

pub fn traces(data: &[u8]) {
    let Some([address, name, json]) = lines::<3>(data) else { return };
    let mut traces = Traces::new(Uuid::from_u128(0xB1A), "0@anonymized.invalid");
    traces.add_unique(address);
    traces.add_common(name);
    let Ok(mut value) = serde_json::from_str::<Value>(json) else { return };
    traces.learn(&value);
    // What is part of what takes its place can't be taken out.
    let is_own = |text: &String| "0@anonymized.invalid anonimizado".contains(&text.to_lowercase());
    if traces.texts().iter().any(is_own) {
        return;
    }
    let before = value.clone();
    let changed = traces.erase(&mut value);
    assert_eq!(changed, value != before);
    assert!(!traces.erase(&mut value.clone()), "{before} became {value}, and that something else");
    for text in traces.unique_texts() {
        assert_eq!(traces.erase_text(&text).as_deref().map(|erased| erased.contains(&text)), Some(false), "{text:?} stays");
    }
}
