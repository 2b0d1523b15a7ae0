//! What happens after a request: the outbox and its worker.

mod archives;
mod credentials;
mod expiry;
mod exports;
mod imports;
mod outbox;
mod privacy;
mod reseal;
mod retention;
mod webhooks;
mod worker;
