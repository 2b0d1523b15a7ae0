//! Paths of custom operations: what they may be, and which of them the edge's router could not tell apart.

use crate::argument::json_name;
use std::fmt::Write;

const MAX_BYTES: usize = 200;
const MAX_SEGMENTS: usize = 12;

/// A path like `/v1/orders/{orderId}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    /// Of `/v1`.
    pub version: u32,
    /// The first segment behind the version.
    pub resource: String,
    pub parameters: Vec<String>,
}

impl Path {
    /// Reads a path; parameters are named as in JSON. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > MAX_BYTES {
            return Err("is longer than 200 bytes");
        }
        let mut segments = text.strip_prefix('/').ok_or("does not begin with /")?.split('/');
        let version = segments.next().and_then(version).ok_or("does not begin with a version: /v1 to /v99")?;
        let resource =
            segments.next().filter(|segment| is_literal(segment)).ok_or("needs a name behind the version, such as /v1/orders")?;
        let mut made = format!("/v{version}/{resource}");
        let mut parameters: Vec<String> = Vec::new();
        for (index, segment) in segments.enumerate() {
            if index + 2 >= MAX_SEGMENTS {
                return Err("has more than 12 segments");
            }
            match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => {
                    let is_name = |name: &str| {
                        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    };
                    let made_name = json_name(name, true);
                    // Also as it is kept: of `p_1` and `p__` no name is left, and a kept path must be one.
                    if !is_name(name) || !is_name(&made_name) {
                        return Err("has a parameter whose name is not letters, digits and _");
                    }
                    let name = made_name;
                    if parameters.contains(&name) {
                        return Err("has a parameter twice");
                    }
                    // Writing to a String can't fail.
                    let _ = write!(made, "/{{{name}}}");
                    parameters.push(name);
                }
                None if is_literal(segment) => {
                    let _ = write!(made, "/{segment}");
                }
                None => return Err("has a segment that is empty, or not of letters, digits, '-', '_', '.' and '~'"),
            }
        }
        Ok(Self { text: made, version, resource: resource.to_owned(), parameters })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn version(segment: &str) -> Option<u32> {
    let digits = segment.strip_prefix('v')?;
    let is_plain = (1..=2).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok() } else { None }
}

fn is_literal(segment: &str) -> bool {
    let is_safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    !segment.is_empty() && segment.bytes().all(is_safe) && !segment.bytes().all(|b| b == b'.')
}

/// The edge's router, filled path by path.
#[derive(Default)]
pub struct Routes {
    router: matchit::Router<()>,
    paths: Vec<String>,
}

impl Routes {
    /// Takes a path in; refuses one that the router could not tell from another, and names that one. The same text again is the same path.
    pub fn add(&mut self, path: &str) -> Result<(), String> {
        if self.paths.iter().any(|known| known == path) {
            return Ok(());
        }
        match self.router.insert(path, ()) {
            Ok(()) => {
                self.paths.push(path.to_owned());
                Ok(())
            }
            Err(matchit::InsertError::Conflict { with }) => Err(with),
            Err(_) => Err(path.to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_version_a_resource_and_parameters_named_as_in_json() {
        let path = Path::parse("/v2/orders/{p_order_id}/lines/{line_no}").unwrap();
        assert_eq!((path.as_str(), path.version, path.resource.as_str()), ("/v2/orders/{orderId}/lines/{lineNo}", 2, "orders"));
        assert_eq!(path.parameters, ["orderId", "lineNo"]);
    }

    #[test]
    fn hostile_paths_are_refused() {
        for text in [
            "",
            "/",
            "v1/orders",
            "/orders",
            "/v0/orders",
            "/v01/orders",
            "/v100/orders",
            "/v1",
            "/v1/",
            "/V1/orders",
            "/v1/orders/",
            "/v1//orders",
            "/v1/../users",
            "/v1/orders/..",
            "/v1/.",
            "/v1/{x}",
            "/v1/orders/{*rest}",
            "/v1/orders/{",
            "/v1/orders/{}",
            "/v1/orders/{a}{b}",
            "/v1/orders/x{a}",
            "/v1/orders/{a b}",
            "/v1/orders/{1a}",
            "/v1/orders/{é}",
            "/v1/orders/{p_1}",
            "/v1/orders/{p__}",
            "/v1/orders/%2e",
            "/v1/orders?x=1",
            "/v1/orders#x",
            "/v1/pedido ção",
            "/v1/orders/{a}/{a}",
            "/v1/orders/{a_b}/{aB}",
            "/v1/or\\ders",
            "/v1/or\nders",
            "/v1/a/b/c/d/e/f/g/h/i/j/k/l/m",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
        assert!(Path::parse(&format!("/v1/{}", "a".repeat(200))).is_err());
    }

    #[test]
    fn the_router_says_which_paths_it_cannot_tell_apart() {
        let mut routes = Routes::default();
        for path in ["/v1/orders", "/v1/orders/{id}", "/v1/orders/{id}/lines", "/v1/orders/open", "/v1/orders/{id}"] {
            assert_eq!(routes.add(path), Ok(()), "{path}");
        }
        assert_eq!(routes.add("/v1/orders/{orderId}"), Err("/v1/orders/{id}".to_owned()));
    }
}
