//! `nebula.protect` and `nebula.unprotect`: an application's table made tenant-safe, and given back.
//!
//! A plan is made of what the catalog shows (`table`) and of what is wanted (`wish`): each of its steps (`steps`) knows whether it is done. So a protect that was
//! interrupted anywhere goes on by planning again, whoever runs the steps: this library in one transaction, `nebula protect` one by one, or a person with psql.

pub mod origin;
pub mod policy;
pub mod privilege;
pub mod refused;
pub mod registry;
pub mod run;
pub mod step;
pub mod steps;
pub mod table;
pub mod trigger;
pub mod undo;
pub mod wish;
