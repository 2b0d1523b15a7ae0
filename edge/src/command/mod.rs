//! One file a subcommand.

pub mod backup;
pub mod config;
pub mod doctor;
pub mod down;
pub mod health;
pub mod issuers;
pub mod keys;
pub mod migrate;
mod os_user;
mod output;
pub mod privacy;
pub mod protect;
pub mod prove_isolation;
pub mod restore;
pub mod retention;
mod sealing_keys;
pub mod seed;
pub mod serve;
mod signals;
pub mod standby;
pub mod tenant;
pub mod up;
pub mod worker;
