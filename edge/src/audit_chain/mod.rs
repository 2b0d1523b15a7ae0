//! What makes a change of the audit log show: what is sealed, with which key, and how it is written down (docs/security/audit.md). The worker seals and
//! `nebula audit verify` checks with the same code; the database has no part in it.

pub(crate) mod heads;
mod key;
mod keys;
mod row;
mod seal;

pub use heads::{Head, Heads};
pub use key::{AuditKey, FILES as KEY_FILES};
pub use keys::{AuditKeys, registered};
pub use row::{ORIGIN_BYTES, Row};
pub use seal::{Block, Drop, Entry, Erasure, Previous, Segment, Watermark, ZERO};
