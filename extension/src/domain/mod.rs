//! One file per noun; each lists its operations.

pub mod api_key;
pub mod audit;
pub mod branding;
pub mod catalog;
pub mod config;
pub mod credential;
pub mod export;
pub mod group;
pub mod job;
pub mod me;
pub mod session;
pub mod tenant;
pub mod usage;
pub mod user;
pub mod user_session;
pub mod webhook;
pub mod webhook_delivery;

use crate::kernel::operation::Operation;

/// Every operation of the product.
#[must_use]
pub fn operations() -> Vec<Operation> {
    [
        session::operations(),
        tenant::operations(),
        catalog::operations(),
        me::operations(),
        user::operations(),
        user_session::operations(),
        group::operations(),
        api_key::operations(),
        audit::operations(),
        branding::operations(),
        config::operations(),
        usage::operations(),
        webhook::operations(),
        credential::operations(),
        job::operations(),
        export::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
