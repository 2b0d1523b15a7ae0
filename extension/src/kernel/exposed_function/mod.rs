//! A SQL function that is an operation: what the catalog says of it, whether it may be called, its types, and the statement that calls it.

mod facts;
mod function;
mod judge;
mod statement;
mod types;
mod unfit;

pub use function::{Argument, Function, examine};
pub use unfit::Unfit;
