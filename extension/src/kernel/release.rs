//! Which release the loaded library is, and of which one the extension's declarations in this database are. A backend keeps the library that it has loaded, so that
//! either may be the older one while an installation is being updated.

use super::spi;
use nebula_core::release::Release;
use std::cmp::Ordering;

/// The library's own.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// The extension's in this database.
#[must_use]
pub fn extension() -> Option<String> {
    spi::text("select extversion from pg_catalog.pg_extension where extname = 'nebula'", &[])
}

/// How old the extension is, beside the library.
#[must_use]
pub fn extension_age() -> Ordering {
    age_of_extension(&extension().unwrap_or_default())
}

/// How old an extension of this version is, beside the library. Equal where that can't be told.
#[must_use]
pub fn age_of_extension(version: &str) -> Ordering {
    match (Release::parse(version), Release::parse(LIBRARY)) {
        (Some(extension), Some(library)) => extension.cmp(&library),
        _ => Ordering::Equal,
    }
}
