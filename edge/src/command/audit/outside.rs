//! Heads that were kept outside of the database, of a file or of the object storage.

use crate::{
    audit_chain::{Head, Heads},
    config::Config,
    error::Error,
    storage,
};
use std::{fs, path::Path};
use uuid::Uuid;

/// The heads to verify against; `None` where there are none.
pub async fn load(file: Option<&Path>, config: &Config) -> Result<Option<Heads>, Error> {
    if let Some(file) = file {
        return Heads::parse(&fs::read_to_string(file).map_err(Error::file(file))?).map(Some);
    }
    match storage::open(config)? {
        Some(storage) => Heads::newest(&storage).await,
        None => Ok(None),
    }
}

/// A tenant's.
pub fn of(heads: Option<&Heads>, tenant: Uuid) -> &[Head] {
    let Some(heads) = heads.map(|heads| heads.heads.as_slice()) else { return &[] };
    let from = heads.partition_point(|head| head.tenant < tenant);
    let to = heads.partition_point(|head| head.tenant <= tenant);
    heads.get(from..to).unwrap_or_default()
}
