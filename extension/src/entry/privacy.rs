//! Anonymising again what a restored backup has brought back.
