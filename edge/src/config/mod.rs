//! Settings: options over the environment (`NEBULA_*`) over systemd's credentials over a TOML file.

mod database_tls;
mod database_url;
mod judge;
mod login;
mod nearest;
mod problem;
mod resolve;
mod secret;
pub(crate) mod setting;
mod settings;
mod source;

pub use database_tls::{DatabaseTls, Roots, Verification};
pub use database_url::DatabaseUrl;
pub use nearest::nearest;
pub use problem::{Problem, Severity};
pub use resolve::{Loaded, Sources};
pub use secret::Secret;
pub use setting::{Kind, Setting};
pub use settings::{Config, SETTINGS, Settings};
pub use source::{Source, readable_by_others};
