//! What every request passes, in the order in which it passes it.

pub mod shared_memory;
pub mod spi;

pub mod canary;
pub mod context;
pub mod error;
pub mod operation;

pub mod authenticate;
pub mod custom_operation;
pub mod exposed_call;
pub mod exposed_function;
pub mod foreign;
pub mod handle;
pub mod idempotency;
pub mod limit;
pub mod login_guard;
pub mod permission;
pub mod protected_table;
pub mod rights;
pub mod row_right;

pub mod audit;
pub mod erasure;
pub mod export;
pub mod export_table;
pub mod import;
pub mod invite;
pub mod outbox;
pub mod page;
pub mod password;
pub mod place;
pub mod postgrest;
pub mod queue;
pub mod round;
pub mod row_change;
pub mod sealing;
pub mod task;
pub mod turn;
pub mod usage;
pub mod wake;

pub mod expiry;
pub mod partition;
pub mod retention;

pub mod installation;
pub mod issuer;
pub mod migrate;
pub mod openapi;
pub mod release;
pub mod seed;
pub mod sql_caller;
