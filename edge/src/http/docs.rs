//! The interface's description: `GET /v1/openapi.json` for machines, and `GET /docs` for people. The page is Swagger UI, whose files come
//! with a crate: it works without the internet and asks nobody but this edge.

use super::{answer, app::App, document::Document, frame::Frame, refusal::Refusal};
use axum::{Extension, extract::State, response::Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY},
};
use nebula_core::error::Code;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};
use utoipa_swagger_ui::{Config, serve};

pub const OPENAPI: &str = "/v1/openapi.json";
const PAGE: &str = "/docs";
const INITIALIZER: &str = "/docs/initializer.js";

/// What is taken from Swagger UI, with its content type. The crate has more: bundles for other module systems, and a page of its own.
const SWAGGER_UI: [(&str, &str); 3] = [
    ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
    ("/docs/favicon-32x32.png", "image/png"),
];

/// The paths of the page and of everything that it loads.
pub fn paths() -> impl Iterator<Item = &'static str> {
    [PAGE, INITIALIZER].into_iter().chain(SWAGGER_UI.map(|(path, _)| path))
}

/// Short, so that a new version of the edge is seen soon; after it, the entity tag saves the transfer.
const ASSET_CACHING: &str = "public, max-age=3600";

/// Swagger UI sets styles on its elements; scripts, and everything else, come from this edge alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static DOCUMENTS: LazyLock<BTreeMap<&str, Document>> = LazyLock::new(|| {
    let ours = [
        (PAGE, Document::new(include_str!("docs/index.html"), "text/html; charset=utf-8", "no-cache")),
        (INITIALIZER, Document::new(include_str!("docs/initializer.js"), "text/javascript; charset=utf-8", ASSET_CACHING)),
    ];
    let theirs = SWAGGER_UI.into_iter().filter_map(|(path, content_type)| {
        let file = swagger_ui(path.strip_prefix("/docs/")?)?;
        Some((path, Document::new(file, content_type, ASSET_CACHING)))
    });
    ours.into_iter().chain(theirs).collect()
});

/// A file of Swagger UI.
fn swagger_ui(name: &str) -> Option<Bytes> {
    match serve(name, Arc::new(Config::from(OPENAPI))).ok()??.bytes {
        Cow::Borrowed(bytes) => Some(Bytes::from_static(bytes)),
        Cow::Owned(bytes) => Some(Bytes::from(bytes)),
    }
}

/// The OpenAPI document as it is kept and served.
#[must_use]
pub fn openapi_document(text: String) -> Document {
    Document::new(text, "application/json", "public, max-age=60")
}

/// `GET /v1/openapi.json`: the database's own description of its operations.
pub async fn openapi(State(app): State<App>, Extension(frame): Extension<Arc<Frame>>, headers: HeaderMap) -> Response {
    match app.live.openapi() {
        Some(document) => document.answer(&headers),
        None => answer::refusal(&frame, Refusal::unavailable("the OpenAPI document was not read")),
    }
}

/// `GET /docs`, and what it loads.
pub async fn page(Extension(frame): Extension<Arc<Frame>>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(document) = DOCUMENTS.get(uri.path()) else { return answer::refusal(&frame, Refusal::new(Code::NotFound)) };
    let mut response = document.answer(&headers);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_the_page_loads_is_served() {
        assert_eq!(DOCUMENTS.len(), paths().count());
        for page in [include_str!("docs/index.html"), include_str!("docs/initializer.js")] {
            assert!(!page.contains("://"), "an external address");
        }
        let html = include_str!("docs/index.html");
        let loaded: Vec<&str> = html.split('"').filter(|text| text.starts_with("docs/")).collect();
        assert_eq!(loaded.len() + 1, paths().count());
        for path in loaded {
            assert!(DOCUMENTS.contains_key(format!("/{path}").as_str()), "{path}");
        }
    }
}
