//! What is too old goes: partitions whole, the rest in batches.

use super::Context;
use crate::error::Error;

pub async fn run(_context: &Context) -> Result<(), Error> {
    Ok(())
}

pub async fn ensure_partitions(_context: &Context) -> Result<(), Error> {
    Ok(())
}
