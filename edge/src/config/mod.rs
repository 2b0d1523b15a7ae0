//! Settings: a TOML file, overridden by the environment (`NEBULA_*`), overridden by options.

mod database_tls;
mod database_url;
mod secret;
mod settings;

pub use database_tls::{DatabaseTls, Roots, Verification};
pub use database_url::DatabaseUrl;
pub use secret::Secret;
pub use settings::{Config, Settings};
