//! What every request passes, in the order in which it passes it.

pub mod shared_memory;
pub mod spi;

pub mod context;
pub mod error;
pub mod operation;

pub mod authenticate;
pub mod foreign;
pub mod handle;
pub mod idempotency;
pub mod limit;
pub mod login_guard;
pub mod permission;
pub mod rights;

pub mod audit;
pub mod erasure;
pub mod export;
pub mod invite;
pub mod outbox;
pub mod page;
pub mod password;
pub mod sealing;
pub mod usage;

pub mod installation;
pub mod issuer;
pub mod migrate;
pub mod openapi;
pub mod seed;
pub mod sql_caller;
