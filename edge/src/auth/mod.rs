//! Who is asking, as far as the edge can tell without the database; and what the edge signs, derives and seals.

mod credential;
mod foreign_ring;
mod jwks;
mod key_files;
mod key_folder;
mod key_ring;
pub(crate) mod key_source;
mod password;
pub mod sealing;
mod sealing_keys;
mod signer;
mod verified_tokens;
mod versioned_files;

pub use credential::{Presented, present, well_formed};
pub use foreign_ring::{ForeignRefused, ForeignRing};
pub use jwks::document as jwks_document;
pub use key_files::{PrivateKey, generate, load_all};
pub use key_ring::{KeyRing, Refused};
pub use key_source::{KeySource, LocalKeys};
pub use password::{Deriver, Prepared, Rule as PasswordRule, prepare, salt};
pub use sealing_keys::{Registered, RegisteredKeys, SealingKeys};
pub use signer::Signer;
pub use verified_tokens::{Verified, VerifiedTokens};
pub use versioned_files::{KEY_BYTES, VersionedFiles};
