//! `nebula protect`: a large table, step by step, while it is written to.
