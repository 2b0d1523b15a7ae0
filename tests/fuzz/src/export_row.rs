//! Rows of an export, whose secrets are sealed.

use nebula_edge::fuzzing::{open_export_row, seal_export_row, sealing::SealingKey, strict_json};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;
use uuid::Uuid;

const TABLE: &str = r#"{"name":"t","columns":["id","a","s","w","v"],"secrets":["s"],"sealed":[{"column":"w","version":"v","field":"f"}],
    "references":{},"randomises":false,"isImported":true}"#;

pub fn export_row(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    let key = || SealingKey::new(1, b"thirty-two bytes that nobody has").unwrap();
    let tenant = Uuid::from_u128(1);
    let opened = open_export_row(line, key(), tenant, TABLE);
    if opened.is_some() {
        // Of a name that stands twice each reader takes another member; in a value of a column of `json` Postgres keeps both.
        let values = serde_json::from_str::<BTreeMap<String, &RawValue>>(line).unwrap();
        let is_inside = || values.values().any(|value| strict_json(value.get().as_bytes()) == Err("duplicate_key"));
        assert!(strict_json(data) != Err("duplicate_key") || is_inside(), "a row that can be read in two ways");
    }
    // Numbers that no double holds stay texts in the product; here they are none of the question.
    let Ok(row) = serde_json::from_str::<Value>(line) else { return };
    let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    if let Some(opened) = opened.as_deref().map(read) {
        assert!(row["s"].is_null() && row["w"].is_null(), "what nobody sealed opens");
        assert_eq!((&row["id"], &row["a"]), (&opened["id"], &opened["a"]));
    }
    let Some(sealed) = seal_export_row(line, key(), tenant, TABLE) else { return };
    assert!(read(&sealed)["s"].as_str().is_none_or(|text| text.starts_with("sealed:1:")));
    if row["w"].is_null() {
        let opened = open_export_row(&sealed, key(), tenant, TABLE).expect("what was sealed opens");
        assert_eq!(read(&opened)["s"], row["s"]);
        assert_eq!(open_export_row(&sealed, key(), Uuid::from_u128(2), TABLE).is_some(), row["s"].is_null(), "it opens for another tenant");
    }
}
