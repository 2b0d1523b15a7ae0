//! Exports of a tenant: one file in object storage, streamed.
