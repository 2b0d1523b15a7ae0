//! Every suite, in one binary, so that it is linked once and one cluster serves all. The modules mirror the surface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test that fails, fails")]

mod suite {
    mod asynchronous;
    mod command;
    mod docs;
    mod faults;
    mod platform;
    mod rest;
    mod security;
    mod sql;
    mod telemetry;
    mod upgrade;
}
