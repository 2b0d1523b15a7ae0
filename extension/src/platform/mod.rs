//! What DBAs call on what is theirs: it runs with their rights, and writes the product's own notes with the product's.

pub mod protect;
