//! The database as the edge sees it: five functions and a notification (docs/edge-protocol.md).

mod admin;
mod failure;
mod json_text;
mod listener;
mod pool;
mod state;

pub use admin::connect as connect_admin;
pub use failure::Failure;
pub use listener::listen;
pub use pool::{Database, Reply};
pub use state::{
    BodyToken, Challenge, Context, Derive, DeriveMode, EdgeState, KeyStatus, Kind, Readiness, Route, Scope, SigningKey, TenantFrom, TenantSource,
};
