//! Archives: a tenant's rows of a month as one compressed file with a manifest, before the database lets go of them.
