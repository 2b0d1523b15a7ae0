//! One file a subcommand.

pub mod audit;
pub mod backup;
pub mod completions;
pub mod config;
pub mod doctor;
pub mod down;
pub mod export;
pub mod health;
pub mod import;
pub mod issuer;
pub mod key;
pub mod man;
pub mod migrate;
pub mod openapi;
mod operator;
mod os_user;
mod output;
pub mod privacy;
pub mod protect;
pub mod prove_isolation;
pub mod restore;
pub mod retention;
pub mod seed;
pub mod serve;
mod signals;
pub mod standby;
pub mod status;
pub mod tenant;
pub mod up;
pub mod user;
pub mod worker;

pub use output::{complain, is_json, start};
