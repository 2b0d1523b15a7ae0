//! What every request passes, in the order in which it passes it.

pub mod spi;

pub mod context;
pub mod error;
pub mod operation;

pub mod authenticate;
pub mod handle;
pub mod idempotency;
pub mod permission;
pub mod rights;

pub mod audit;
pub mod invite;
pub mod outbox;
pub mod page;

pub mod installation;
pub mod migrate;
pub mod seed;
pub mod sql_caller;
