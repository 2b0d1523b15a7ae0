//! Query strings and segments of paths.

use nebula_edge::fuzzing::{percent_decode, query as parse};
use std::{collections::BTreeMap, fmt::Write};
use url::form_urlencoded;

pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(decoded) = percent_decode(text) {
        assert!(!decoded.contains('\0') && decoded.len() <= text.len());
        let encoded = decoded.bytes().fold(String::new(), |mut encoded, byte| {
            write!(encoded, "%{byte:02x}").unwrap();
            encoded
        });
        assert_eq!(percent_decode(&encoded), Ok(decoded));
    }
    let Some(pairs) = parse(text) else { return };
    // As everybody else reads a query, but for what stands there twice.
    let others = form_urlencoded::parse(text.as_bytes()).into_owned().collect::<Vec<_>>();
    assert_eq!(others.len(), pairs.len());
    assert_eq!(others.into_iter().collect::<BTreeMap<_, _>>(), pairs);
    let written = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    assert_eq!(parse(&written), Some(pairs));
}
