//! Events: writing them, and the worker's claim, completion and failure. SQL shapes are in `sql/functions/outbox.sql`.
