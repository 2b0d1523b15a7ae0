//! What DBAs call on what is theirs.

mod floor;
mod protect;
mod protect_online;
mod unprotect;
