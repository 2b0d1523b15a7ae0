//! Telling tenants: one attempt at one address.
