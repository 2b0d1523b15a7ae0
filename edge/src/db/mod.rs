//! The database as the edge sees it: the functions of docs/edge-protocol.md and a notification.

mod admin;
mod cancel;
mod export;
mod failure;
mod flush;
mod issuer;
mod json_text;
mod listener;
mod observed;
mod pool;
pub mod protection;
mod renewal;
mod retention;
mod servers;
mod skew;
pub mod standby;
mod state;
mod tls;
mod worker;

pub use admin::{admin_state, connect as connect_admin, readiness, scalar_text};
pub use export::{
    ExportFormat, ExportLease, ExportPlan, Finished, ImportPlan, Line, Started, TableDescription, TenantDescription, begin_import,
    export_rows, export_tables, finish_export, import_rows, open_export, start_export,
};
pub use failure::Failure;
pub use issuer::{ForeignIssuer, IssuerState, issuer_state, replace_issuer_keys};
pub use json_text::JsonText;
pub use listener::listen;
pub use pool::{Database, Reply};
pub use retention::{DueArchive, OldMonth};
pub use skew::Skew;
pub use state::{
    BodyToken, Challenge, Deprecation, DeriveMode, EdgeState, KeyStatus, Kind, LoginChallenge, RateLimit, RateLimits, RefusedLogin, Route,
    Scope, SealMode, SigningKey, StoredFile, TenantFrom, TenantSource,
};
pub use worker::WorkerDatabase;
