//! Files from object storage, streamed: whoever reads slowly holds up neither a database connection nor a permit.

use super::refusal::Refusal;
use crate::{
    db::StoredFile,
    storage::{Path, Storage},
};
use axum::{body::Body, response::Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG},
};
use nebula_core::{error::Code, hex};
use object_store::ObjectStoreExt;

/// RFC 9530: what the client can check the file with.
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// The file as an answer. What the database says of it is held against its tenant and against the file itself.
pub async fn answer(storage: Option<&Storage>, content_type: &str, tenant: Option<&str>, file: &StoredFile) -> Result<Response, Refusal> {
    let storage = storage.ok_or_else(|| Refusal::unavailable("no object storage: set NEBULA_STORAGE_URL"))?;
    let path = tenant.and_then(|tenant| path_of(tenant, &file.location)).ok_or_else(|| Refusal::internal("a file of somebody else's"))?;
    let found = match storage.get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Err(Refusal::new(Code::NotFound)),
        // The library's text may hold the URL.
        Err(_) => return Err(Refusal::unavailable("object storage failed")),
    };
    if found.meta.size != file.size {
        return Err(Refusal::internal("a stored file has another size than was recorded"));
    }
    let mut response = Response::new(Body::from_stream(found.into_stream()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, file.size.into());
    for (name, value) in [
        (CONTENT_TYPE, content_type.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", quotable(&file.name))),
        (ETAG, format!("\"{}\"", quotable(&file.sha256))),
    ] {
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| Refusal::internal("a file's name fits no header"))?);
    }
    let digest = hex::decode::<32>(&file.sha256).map(|digest| format!("sha-256=:{}:", STANDARD.encode(digest)));
    if let Some(digest) = digest.and_then(|digest| HeaderValue::try_from(digest).ok()) {
        headers.insert(REPR_DIGEST, digest);
    }
    Ok(response)
}

/// The path of `<folder>/<tenant>/…`; `None` for every other tenant's, and where it would lead out of the folder.
fn path_of(tenant: &str, location: &str) -> Option<Path> {
    let path = Path::parse(location).ok()?;
    let mut parts = path.parts();
    let is_own = parts.nth(1).is_some_and(|part| part.as_ref() == tenant) && parts.next().is_some();
    is_own.then_some(path)
}

/// Without what would end a quoted text.
fn quotable(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_in_the_tenants_own_folder_are_opened() {
        let tenant = "0199c2a7-0000-7000-8000-000000000000";
        let path = |location: String| path_of(tenant, &location).map(|path| path.to_string());
        assert_eq!(path(format!("exports/{tenant}/a.zip")), Some(format!("exports/{tenant}/a.zip")));
        for location in [
            "exports/0199c2a7-0000-7000-8000-000000000001/a.zip".to_owned(),
            format!("exports/{tenant}"),
            format!("{tenant}/a.zip"),
            format!("exports/{tenant}/../0199c2a7-0000-7000-8000-000000000001/a.zip"),
            format!("exports//{tenant}/a.zip"),
            format!("exports/x/{tenant}/a.zip"),
            String::new(),
        ] {
            assert_eq!(path(location.clone()), None, "{location}");
        }
    }

    #[test]
    fn a_name_ends_no_quotation() {
        assert_eq!(quotable("a\"b\\c\r\n.zip"), "abc.zip");
    }
}
