//! Who was anonymised, kept outside the database, so that a restored backup can be brought up to it.
