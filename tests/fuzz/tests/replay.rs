//! The committed corpus, through every property, without an engine: what was found once stays found.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails, fails")]

use nebula_fuzz::TARGETS;
use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_input_of_the_corpus_holds() {
    let mut broken = Vec::new();
    for (name, property) in TARGETS {
        let files = fs::read_dir(folder("corpus").join(name)).unwrap_or_else(|error| panic!("corpus/{name}: {error}"));
        let paths = files.map(|entry| entry.unwrap().path()).collect::<BTreeSet<_>>();
        assert!(paths.len() >= 3, "corpus/{name} has {} inputs", paths.len());
        for path in paths {
            let data = fs::read(&path).unwrap();
            if catch_unwind(AssertUnwindSafe(|| property(&data))).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_target_has_its_file_and_its_corpus() {
    let targets = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("corpus")), targets);
}

/// The engines give nothing at all, and junk, first of all.
#[test]
fn nothing_and_junk_hold() {
    for (_, property) in TARGETS {
        for data in [&b""[..], b"\0", b"\n\n\n\n", b"\xff\xfe", &[b'['; 200_000], &[b'{'; 1000]] {
            property(data);
        }
    }
}
