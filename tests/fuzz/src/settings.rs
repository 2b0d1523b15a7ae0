//! Settings files. What is told of a wrong one quotes no secret.

use crate::input::lines;
use nebula_edge::fuzzing::{settings as read, without_credentials};

/// Put where passwords stand.
const CANARY: &str = "Hunter22Canary";

pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // An engine learns what is looked for.
    if text.contains(CANARY) {
        return;
    }
    let (_, told) = read(text);
    assert!(told.len() <= text.len() + 1);
    // A secret in a file that is wrong elsewhere, in this and in every other way.
    for member in ["database_url", "sealing_keys"] {
        for value in [format!("\"postgresql://e:{CANARY}@h/d\""), format!("\"{CANARY}\""), format!("[\"{CANARY}\"]"), format!("\"{CANARY}")]
        {
            for file in [format!("{text}\n{member} = {value}"), format!("{member} = {value}\n{text}")] {
                let (debug, told) = read(&file);
                assert!(!debug.contains(CANARY), "Debug shows a secret of {file:?}");
                let told = told.join("\n");
                assert!(!told.contains(CANARY), "{told} is told of {file:?}");
            }
        }
    }
    // Wherever in the URL's credentials it stands, and whether or not that is a URL.
    if let Some([before, after]) = lines::<2>(data) {
        for url in [format!("s3://key:{CANARY}{before}@{after}"), format!("{before}{CANARY}@{after}")] {
            assert!(!without_credentials(&url).contains(CANARY), "{url} is shown");
        }
    }
}
