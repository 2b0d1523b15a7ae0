//! What Nebula parses and decides without Postgres, so that it is unit-tested and fuzzed without a server.
//!
//! The extension and the edge both depend on this crate and never on one another.

pub mod access_token;
pub mod argument;
pub mod constraint;
pub mod cursor;
pub mod decision;
pub mod error;
pub mod exact_json;
pub mod foreign_token;
pub mod hex;
pub mod issuer;
pub mod jwk;
pub mod object;
pub mod opaque_token;
pub mod password;
pub mod rate;
pub mod release;
pub mod rights;
pub mod route;
pub mod text;
pub mod traces;
pub mod unique_json;
pub mod web;
pub mod weight;
