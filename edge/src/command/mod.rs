//! One file a subcommand.

pub mod audit;
pub mod config;
pub mod doctor;
pub mod down;
pub mod issuers;
pub mod keys;
pub mod migrate;
mod output;
pub mod privacy;
pub mod protect;
pub mod prove_isolation;
pub mod retention;
mod sealing_keys;
pub mod seed;
pub mod serve;
mod signals;
pub mod tenant;
pub mod up;
pub mod worker;
