//! From the release before this one to this one.

mod data;
mod extension;
mod interrupted;
mod releases;
mod rename;
mod rolling;
