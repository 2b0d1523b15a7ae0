//! B12: an installation is worse after an upgrade than a fresh one, or away during it. From the release before this one to this one.

mod data;
mod extension;
mod interrupted;
mod releases;
mod rename;
mod rolling;
