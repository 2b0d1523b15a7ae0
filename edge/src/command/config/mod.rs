//! `nebula config`: the effective settings, whether they make sense, and what there is to set.

mod check;
mod reference;
mod show;

pub use check::unknown_variables;

use crate::{
    config::Loaded,
    error::{Error, Exit},
};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prints the effective settings and where each came from, secrets left out. What `nebula config` alone does.
    Show,
    /// Holds settings file, environment and secret files against what there is, tries to read everything, and ends with 3 where something is wrong.
    Check(check::Arguments),
    /// Prints an annotated settings file with every setting.
    Reference {
        /// As a page of the documentation instead.
        #[arg(long)]
        markdown: bool,
    },
}

/// Shows even settings that nothing would start with.
pub async fn run(arguments: &Arguments, loaded: Loaded, file: Option<&Path>, commands: &clap::Command) -> Result<Exit, Error> {
    match &arguments.action {
        None | Some(Action::Show) => show::run(&loaded, file).map(|()| Exit::Done),
        Some(Action::Check(arguments)) => check::run(arguments, loaded, file, commands).await,
        Some(Action::Reference { markdown }) => reference::run(*markdown).map(|()| Exit::Done),
    }
}
