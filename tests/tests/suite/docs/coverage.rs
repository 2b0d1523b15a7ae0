//! Which examples no test runs, and why not.

use super::{
    fences::{self, Treatment},
    walk,
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write, process::Command};

fn pages() -> impl Iterator<Item = String> {
    walk().into_iter().chain(["CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned))
}

#[test]
fn every_example_is_run_or_says_why_not() {
    let mut wrong = Vec::new();
    for page in pages() {
        for fence in fences::all(&page) {
            let at = format!("{page}:{}", fence.line);
            match fence.treatment() {
                Treatment::Unknown => {
                    wrong.push(format!("{at}: `{}` is not run, and doesn't say why (CONTRIBUTING.md, Documents)", fence.info))
                }
                Treatment::Parsed if serde_json::from_str::<Value>(&fence.text).is_err() => wrong.push(format!("{at}: this is no JSON")),
                Treatment::NotRun(_) if fence.info.starts_with("sh ") || fence.info.starts_with("bash ") => {
                    let parsed = Command::new("bash").args(["-n", "-c", &fence.text]).output().unwrap();
                    if !parsed.status.success() {
                        wrong.push(format!("{at}: {}", String::from_utf8_lossy(&parsed.stderr)));
                    }
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// `docs/not-run.md`: what `make docs` writes.
#[test]
fn the_list_of_examples_that_no_test_runs_is_complete() {
    let mut run = 0;
    let mut not_run = BTreeMap::<(String, String), usize>::new();
    for page in pages() {
        for fence in fences::all(&page) {
            match fence.treatment() {
                Treatment::Run(_) | Treatment::File(_) => run += 1,
                Treatment::NotRun(reason) => *not_run.entry((page.clone(), reason)).or_default() += 1,
                _ => {}
            }
        }
    }
    let mut page = format!(
        "# Examples that no test runs\n\nMade by `make docs`. Of the examples in the documentation {run} are run by `make test SUITE=docs`; these {} are not. What a page says about\nthem elsewhere than in a fence is tested by nobody.\n\n| page | examples | why not |\n|---|---|---|\n",
        not_run.values().sum::<usize>()
    );
    for ((name, reason), count) in &not_run {
        let link = name.strip_prefix("docs/").map_or_else(|| format!("../{name}"), str::to_owned);
        writeln!(page, "| [{name}]({link}) | {count} | {reason} |").unwrap();
    }
    super::generated::holds("docs/not-run.md", &page);
}
