//! Nebula inside Postgres.
//!
//! `entry` is the SQL surface, `kernel` what every request passes, `domain` one file per noun. SQL shapes are in `../../sql`.

pub mod domain;
pub mod entry;
pub mod kernel;

pgrx::pg_module_magic!(name, version);
