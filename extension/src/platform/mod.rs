//! What DBAs connect with the rest of their system, and what they call on what is theirs: it runs with their rights, and writes the product's own notes with the product's.

pub mod access_token_hook;
pub mod doctor;
pub mod expose;
pub mod protect;
pub mod prover;
