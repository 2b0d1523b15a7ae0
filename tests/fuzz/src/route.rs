//! Paths of custom operations. Lines: a path each, all of one router.

use nebula_core::route::{Path, Routes};

pub fn route(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut routes = Routes::default();
    let mut router = matchit_like();
    for line in text.lines() {
        let Ok(path) = Path::parse(line) else { continue };
        assert_eq!(Path::parse(path.as_str()).as_ref(), Ok(&path), "{line} is written as another path");
        assert!(path.as_str().len() <= 200 && (1..=99).contains(&path.version) && !path.resource.is_empty());
        assert_eq!(path.as_str().matches('{').count(), path.parameters.len());
        let is_new = routes.add(path.as_str());
        if is_new.is_ok() {
            assert_eq!(routes.add(path.as_str()), Ok(()), "the same path again");
            router.push(path.as_str().to_owned());
        } else {
            assert!(router.iter().any(|known| is_ambiguous(known, path.as_str())), "{path:?} is refused among {router:?}");
        }
    }
}

fn matchit_like() -> Vec<String> {
    Vec::new()
}

/// Whether there is a URL that both paths match.
fn is_ambiguous(one: &str, other: &str) -> bool {
    let (one, other) = (one.split('/').collect::<Vec<_>>(), other.split('/').collect::<Vec<_>>());
    let is_open = |segment: &str| segment.starts_with('{');
    one.iter().zip(&other).all(|(one, other)| one == other || is_open(one) || is_open(other)) || one.len() != other.len()
}
