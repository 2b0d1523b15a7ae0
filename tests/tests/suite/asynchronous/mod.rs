//! What happens after a request: the outbox and its worker.

mod exports;
mod imports;
mod outbox;
