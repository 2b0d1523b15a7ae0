//! Battery B3: what a SQL caller can try against another tenant. Each attempt has a name and is made by each kind of session; an oracle, asked as the superuser,
//! says afterwards whether it saw or changed anything of the other tenant's.

pub(super) mod arena;
mod forging;
mod reading;
mod sessions;
mod tables;
mod writing;
