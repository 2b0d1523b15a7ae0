//! Links between the pages.

use super::{fences::prose, root, walk};
use std::collections::{BTreeMap, BTreeSet};

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for line in prose(page) {
        let Some(heading) = line.strip_prefix('#') else { continue };
        let anchor = anchor(heading.trim_start_matches('#').trim());
        let count = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *count == 0 { anchor } else { format!("{anchor}-{count}") });
        *count += 1;
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = |letter: char| match letter {
        ' ' => Some('-'),
        '-' | '_' => Some(letter),
        letter if letter.is_alphanumeric() => Some(letter),
        _ => None,
    };
    heading.to_lowercase().chars().filter_map(kept).collect()
}

/// The targets of the links in a page's prose; what stands in `code` is none.
fn targets(page: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in prose(page) {
        let without_code = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        targets.extend(without_code.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned));
    }
    targets
}

fn pages() -> impl Iterator<Item = String> {
    walk().into_iter().chain(["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned))
}

#[test]
fn an_anchor_is_made_as_github_makes_it() {
    assert_eq!(anchor("What `make up` does"), "what-make-up-does");
    assert_eq!(anchor("Bases legais, e de quem são"), "bases-legais-e-de-quem-são");
    assert_eq!(anchor("Why? (RFC 7517)"), "why-rfc-7517");
}

#[test]
fn relative_links_lead_to_files_and_headings() {
    let mut dangling = Vec::new();
    for page in pages() {
        for target in targets(&page) {
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            if file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            let folder = root().join(&page).parent().unwrap().to_owned();
            let leads_to = if file.is_empty() { root().join(&page) } else { folder.join(file) };
            let Ok(leads_to) = leads_to.canonicalize() else {
                dangling.push(format!("{page}: {target}"));
                continue;
            };
            let relative = leads_to.strip_prefix(root().canonicalize().unwrap()).unwrap().to_str().unwrap().to_owned();
            if !heading.is_empty() && relative.ends_with(".md") && !anchors(&relative).contains(heading) {
                dangling.push(format!("{page}: {target} (no such heading)"));
            }
        }
    }
    assert!(dangling.is_empty(), "{dangling:#?}");
}
