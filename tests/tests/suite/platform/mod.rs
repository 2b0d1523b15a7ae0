//! What DBAs call on what is theirs.

mod containers;
mod doctor;
mod expose;
mod expose_changes;
mod expose_edges;
mod expose_errors;
mod expose_escapes;
mod expose_refusals;
mod expose_types;
mod floor;
mod protect;
mod protect_online;
mod prove;
mod supabase_auth;
mod supabase_install;
mod supabase_postgrest;
mod tenant_for;
mod unprotect;
