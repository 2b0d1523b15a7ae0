//! What makes a function an operation, and what takes that back.

mod action;
mod dba;
mod definition;
mod refused;
mod registry;
mod run;
mod unexpose;

pub use definition::Wanted;
pub use refused::Refused;
pub use run::expose;
pub use unexpose::unexpose;
