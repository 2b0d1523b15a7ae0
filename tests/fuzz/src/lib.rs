//! What must hold of every parser of Nebula, whatever it is given: a function a parser, over raw bytes.
//!
//! A property says more than "doesn't panic": what is accepted reads back as itself, has one reading, and is what another implementation makes of it.
//! `fuzz_targets/` hands each function to libFuzzer (`make test-fuzz`), `tests/replay.rs` gives it the committed corpus (`make check`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a property that doesn't hold, panics: that is how an engine hears of it"
)]

mod access_token;
mod argument;
mod constraint;
mod cursor;
mod database_url;
mod env_file;
mod export_row;
mod foreign_token;
mod headers;
mod heads;
mod input;
mod issuer;
mod json;
mod jwk;
mod opaque_token;
mod password;
mod query;
mod release;
mod route;
mod sealed;
mod sealing_keys;
mod settings;
mod text;
mod traces;
mod web;

pub use access_token::access_token;
pub use argument::argument;
pub use constraint::constraint;
pub use cursor::cursor;
pub use database_url::database_url;
pub use env_file::env_file;
pub use export_row::export_row;
pub use foreign_token::foreign_token;
pub use headers::headers;
pub use heads::heads;
pub use issuer::issuer;
pub use json::json;
pub use jwk::jwk;
pub use opaque_token::opaque_token;
pub use password::password;
pub use query::query;
pub use release::release;
pub use route::route;
pub use sealed::sealed;
pub use sealing_keys::sealing_keys;
pub use settings::settings;
pub use text::text;
pub use traces::traces;
pub use web::web;

/// A target: its name, which its file and its corpus have too, and its property.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("access_token", access_token),
    ("argument", argument),
    ("constraint", constraint),
    ("cursor", cursor),
    ("database_url", database_url),
    ("env_file", env_file),
    ("export_row", export_row),
    ("foreign_token", foreign_token),
    ("headers", headers),
    ("heads", heads),
    ("issuer", issuer),
    ("json", json),
    ("jwk", jwk),
    ("opaque_token", opaque_token),
    ("password", password),
    ("query", query),
    ("release", release),
    ("route", route),
    ("sealed", sealed),
    ("sealing_keys", sealing_keys),
    ("settings", settings),
    ("text", text),
    ("traces", traces),
    ("web", web),
];
