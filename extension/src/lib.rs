//! Nebula inside Postgres.
//!
//! `entry` is the SQL surface, `kernel` what every request passes, `domain` one file per noun, `platform` what DBAs call. SQL shapes are in `../../sql`.

pub mod domain;
pub mod entry;
pub mod kernel;
pub mod platform;

pgrx::pg_module_magic!(name, version);
