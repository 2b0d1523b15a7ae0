//! A tenant out of the database and into one.
