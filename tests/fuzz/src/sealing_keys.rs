//! The list of sealing keys.

use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_edge::fuzzing::sealing_keys as read;

pub fn sealing_keys(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match read(text) {
        Ok(keys) => {
            assert!(keys.windows(2).all(|pair| pair[0].0 > pair[1].0) && keys.iter().all(|(version, _)| *version > 0));
            assert_eq!(keys.len(), text.split([',', '\n']).filter(|entry| !entry.trim().is_empty()).count());
        }
        Err(told) => {
            // Of the list nothing is told but a version.
            let longest = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 12).find(|word| told.contains(word));
            assert_eq!(longest, None, "{told}");
        }
    }
    if let Some(key) = data.first_chunk::<32>() {
        let version = u16::try_from(data.len()).unwrap_or(u16::MAX);
        let entry = format!("{version}:{}", STANDARD.encode(key));
        assert_eq!(read(&entry).unwrap()[0].0, version);
        assert!(read(&format!("{entry},{entry}")).is_err());
    }
}
