//! Object storage for exports and archives: a local folder or whatever speaks S3 (Supabase Storage does), by the setting `storage_url`.
//!
//! `file:///path` is a folder; `s3://bucket/prefix` takes region, endpoint and credentials from the usual `AWS_*` variables.

use crate::{config::Config, error::Error};
use object_store::{ObjectStore, local::LocalFileSystem, parse_url_opts, prefix::PrefixStore};
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path as FilePath, sync::Arc};
use url::Url;

pub use object_store::path::Path;

/// Where objects are put; paths are relative to the setting's.
pub type Storage = Arc<dyn ObjectStore>;

/// Opens the storage; `None` where no setting names one.
pub fn open(config: &Config) -> Result<Option<Storage>, Error> {
    let Some(text) = config.storage_url.as_deref() else { return Ok(None) };
    // The text may hold a password, so it is not repeated.
    let refused = |reason: String| Error::Storage(format!("the storage URL: {reason}"));
    let url = Url::parse(text).map_err(|error| refused(error.to_string()))?;
    if url.scheme() == "file" {
        let folder = url.to_file_path().map_err(|()| refused("no path of this machine".to_owned()))?;
        return local(&folder).map(Some);
    }
    let variables = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, prefix) = parse_url_opts(&url, variables).map_err(|error| refused(error.to_string()))?;
    Ok(Some(if prefix.as_ref().is_empty() { Arc::from(store) } else { Arc::new(PrefixStore::new(store, prefix)) }))
}

/// A folder for its owner alone.
fn local(folder: &FilePath) -> Result<Storage, Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::file(folder))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| Error::Storage(error.to_string()))?;
    Ok(Arc::new(store.with_automatic_cleanup(true)))
}

/// What went wrong, in words that hold neither credentials nor what the other side answered, which repeats parts of the request.
#[must_use]
pub fn reason(error: &object_store::Error) -> &'static str {
    use object_store::Error;
    match error {
        Error::NotFound { .. } => "there is no such object",
        Error::PermissionDenied { .. } => "permission denied",
        Error::Unauthenticated { .. } => "the credentials are refused",
        Error::NotSupported { .. } | Error::NotImplemented { .. } => "not supported",
        _ => "the storage failed",
    }
}
