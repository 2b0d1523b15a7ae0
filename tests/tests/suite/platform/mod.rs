//! What DBAs call on what is theirs.

mod floor;
mod protect;
mod protect_online;
mod tenant_for;
mod unprotect;
