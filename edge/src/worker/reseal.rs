//! Sealing anew with the newest key, online.
