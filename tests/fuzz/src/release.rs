//! Versions, the language of messages, and `Retry-After`.

use nebula_core::{error::Language, rate::Window, release::Release};
use nebula_edge::fuzzing::retry_after;
use std::time::{Duration, SystemTime};

pub fn release(data: &[u8]) {
    // A stored window of another length is an empty one; whatever it holds, a limit holds.
    let mut window = Window::from_parts(360_000_000, data);
    let (newest, bytes) = window.parts();
    assert_eq!(Window::from_parts(newest, &bytes), window);
    let verdict = window.hit(1_800_000_000, 3);
    assert!(verdict.remaining <= 3 && (1..=65).contains(&verdict.reset_seconds), "{verdict:?}");
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(release) = Release::parse(text) {
        assert_eq!(Release::parse(&release.to_string()), Some(release));
        assert_eq!(release.to_string(), text, "a second spelling");
    }
    let language = Language::from_accept_language(text);
    assert_eq!(Language::from_accept_language(&text.to_ascii_uppercase().replace("Q=", "q=")), language);
    if let Some(wait) = retry_after(text, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)) {
        assert!(wait <= Duration::from_secs(86_400));
    }
}
