//! What makes a function an operation, and what takes that back.

mod action;
mod dba;
mod definition;
mod expose;
mod refused;
mod registry;
mod unexpose;

pub use definition::Wanted;
pub use expose::expose;
pub use refused::Refused;
pub use unexpose::unexpose;
