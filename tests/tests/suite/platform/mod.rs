//! What DBAs call on what is theirs.

mod floor;
mod protect;
mod protect_online;
mod supabase_auth;
mod supabase_install;
mod supabase_postgrest;
mod tenant_for;
mod unprotect;
