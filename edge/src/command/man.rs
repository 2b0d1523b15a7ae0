//! `nebula man`: manual pages, one a command, from the same declarations as `--help`; and the reference of the documentation.

use super::output::{say, tell};
use crate::error::Error;
use clap_mangen::Man;
use serde::Serialize;
use std::{
    fmt::{self, Write as _},
    fs,
    path::{Path, PathBuf},
};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder that the pages are written to; it is made where it is missing.
    #[arg(required_unless_present = "markdown")]
    dir: Option<PathBuf>,
    /// Print the list of commands of docs/operations/cli.md instead.
    #[arg(long, conflicts_with = "dir")]
    markdown: bool,
}

/// The pages that were written.
#[derive(Serialize)]
struct Written {
    pages: Vec<PathBuf>,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pages.iter().try_for_each(|page| writeln!(f, "{}", page.display()))
    }
}

pub fn run(arguments: &Arguments, commands: clap::Command) -> Result<(), Error> {
    let Some(dir) = &arguments.dir else {
        let mut out = String::new();
        list(&commands, "nebula", &mut out);
        return say(out.trim_end());
    };
    fs::create_dir_all(dir).map_err(Error::file(dir))?;
    let mut pages = Vec::new();
    // Commands below have their own pages: `nebula-key-signing-list(1)`.
    write(commands.disable_help_subcommand(true), ("nebula", "nebula"), dir, &mut pages)?;
    tell(&Written { pages })
}

/// The page of a command and of those below it: its name, and the words that call it.
fn write(command: clap::Command, (name, words): (&str, &str), dir: &Path, pages: &mut Vec<PathBuf>) -> Result<(), Error> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let (name, words) = (format!("{name}-{}", below.get_name()), format!("{words} {}", below.get_name()));
        write(below.clone(), (&name, &words), dir, pages)?;
    }
    let path = dir.join(format!("{name}.1"));
    let mut page = Vec::new();
    // Settings are the same for all: they are in nebula(1).
    let command = if name == "nebula" {
        // `-h` leaves them out; a page doesn't.
        command.mut_args(|argument| argument.hide_short_help(false))
    } else {
        command.mut_args(|argument| if is_setting(&argument) { argument.hide(true) } else { argument })
    };
    let command = command.name(name.to_owned()).bin_name(words.to_owned()).version(env!("CARGO_PKG_VERSION"));
    Man::new(command).date("").render(&mut page)?;
    fs::write(&path, page).map_err(Error::file(&path))?;
    pages.push(path);
    Ok(())
}

fn is_setting(argument: &clap::Arg) -> bool {
    argument.get_help_heading() == Some("Settings")
}

/// A command a row, those that have others below them left out.
fn list(command: &clap::Command, name: &str, out: &mut String) {
    if name == "nebula" {
        out.push_str("| command | does |\n|---|---|\n");
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help") {
        let name = format!("{name} {}", below.get_name());
        if below.get_subcommands().next().is_none() || !below.is_subcommand_required_set() {
            let places = below.get_positionals().map(|place| {
                let name = place.get_id().as_str().to_uppercase();
                if place.is_required_set() { format!(" <{name}>") } else { format!(" [{name}]") }
            });
            let mut options = below
                .get_arguments()
                .filter(|option| !option.is_positional() && !option.is_global_set() && !is_setting(option) && option.get_id() != "help");
            let places = places.collect::<String>();
            let told = options.by_ref().filter_map(|option| Some(format!("`--{}`", option.get_long()?))).collect::<Vec<_>>().join(" ");
            let about = below.get_about().map(ToString::to_string).unwrap_or_default();
            let told = if told.is_empty() { String::new() } else { format!("<br>{told}") };
            let _ = writeln!(out, "| `{name}{places}`{told} | {about} |");
        }
        list(below, &name, out);
    }
}
