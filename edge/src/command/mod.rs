//! One file a subcommand.

pub mod config;
pub mod down;
pub mod issuers;
pub mod keys;
pub mod migrate;
mod output;
pub mod privacy;
mod sealing_keys;
pub mod seed;
pub mod serve;
pub mod up;
