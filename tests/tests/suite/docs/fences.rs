//! The examples of a page, and what becomes of each.

use super::read;
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    Bash,
    Sql,
    Js,
}

/// What a test does with a fence. See "Documents" in CONTRIBUTING.md.
#[derive(Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Run, in the order of the page.
    Run(Language),
    /// `file=lib/x.ts`: a file of an application that a test puts together and runs.
    File(String),
    /// `not-run: reason`.
    NotRun(String),
    /// JSON, which must be JSON.
    Parsed,
    /// Without a language: a drawing.
    Drawing,
    /// None of these: an example that nobody runs, and nobody says why.
    Unknown,
}

/// A fenced block.
pub struct Fence {
    /// What stands behind the three backticks.
    pub info: String,
    /// The line of its first line in the page.
    pub line: usize,
    pub text: String,
}

impl Fence {
    pub fn treatment(&self) -> Treatment {
        let (language, note) = self.info.split_once(' ').unwrap_or((&self.info, ""));
        match (language, note.trim()) {
            ("bash", "") => Treatment::Run(Language::Bash),
            ("sql", "") => Treatment::Run(Language::Sql),
            ("js", "") => Treatment::Run(Language::Js),
            ("json", "") => Treatment::Parsed,
            ("", "") => Treatment::Drawing,
            (_, note) => match (note.strip_prefix("file="), note.strip_prefix("not-run: ")) {
                (Some(path), _) => Treatment::File(path.to_owned()),
                (_, Some(reason)) if reason.contains(' ') => Treatment::NotRun(reason.to_owned()),
                _ => Treatment::Unknown,
            },
        }
    }
}

/// Every fence of a page.
pub fn all(page: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    // The opening fence's indentation, and its block.
    let mut open: Option<(usize, Fence)> = None;
    for (index, line) in read(page).lines().enumerate() {
        let content = line.trim_start();
        match (&mut open, content.strip_prefix("```")) {
            (None, Some(info)) => {
                let fence = Fence { info: info.trim().to_owned(), line: index + 2, text: String::new() };
                open = Some((line.len() - content.len(), fence));
            }
            (Some(_), Some("")) => fences.extend(open.take().map(|(_, fence)| fence)),
            (Some((indentation, fence)), _) => {
                let cut = (*indentation).min(line.len() - content.len());
                writeln!(fence.text, "{}", &line[cut..]).unwrap();
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a fence is not closed");
    fences
}

/// Those that run, with their languages.
pub fn that_run(page: &str) -> Vec<(Language, Fence)> {
    let run = |fence: Fence| match fence.treatment() {
        Treatment::Run(language) => Some((language, fence)),
        _ => None,
    };
    all(page).into_iter().filter_map(run).collect()
}

/// A page without its fences, line by line: where headings and links are.
pub fn prose(page: &str) -> Vec<String> {
    let mut is_inside = false;
    let lines = read(page);
    let outside = |line: &&str| {
        let is_mark = line.trim_start().starts_with("```");
        is_inside ^= is_mark;
        !is_inside && !is_mark
    };
    lines.lines().filter(outside).map(str::to_owned).collect()
}
