//! What happens after a request: the outbox and its worker.

mod archives;
mod expiry;
mod exports;
mod imports;
mod outbox;
mod retention;
mod webhooks;
mod worker;
