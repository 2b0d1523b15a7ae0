//! A tenant as a file: one zip with a file a table and a manifest. Written by the worker and by `nebula export`, read by `nebula import`;
//! neither holds more of it in memory than a page of rows (docs/operations.md, "Exports").

mod archive;
mod csv_row;
pub(crate) mod json_row;
mod load;
mod manifest;
mod write;

pub use load::{Keys, load};
pub use write::{Contents, write};
