//! The house rules that a program can keep: doors, sizes, file docs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on must say so and stop"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use testkit::places;

/// Who may use whom. An edge that is not here fails the test; the table of
/// `ARCHITECTURE.md` must say the same.
const DOORS: &[(&str, &[&str])] = &[
    ("aws", &[]),
    ("tunnel", &[]),
    ("access", &["aws"]),
    ("pki", &["access"]),
    ("audit", &["access", "aws"]),
    ("api", &["access", "audit", "pki"]),
    ("auth", &["access", "api", "audit", "pki"]),
    ("proxy", &["access", "api", "audit", "pki", "tunnel"]),
    ("agent", &["access", "api", "audit", "aws", "pki", "tunnel"]),
    ("cli", &["access", "api", "audit", "aws", "pki"]),
    ("daemon", &["access", "agent", "api", "auth", "pki", "proxy"]),
];

const LONGEST_FILE: usize = 600;

#[test]
fn no_crate_uses_another_but_by_the_doors_of_the_plan() {
    let doors: BTreeMap<&str, &[&str]> = DOORS.iter().copied().collect();
    let crates: BTreeSet<String> = folders(&places::root().join("crates"))
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    for name in crates.iter().filter(|name| *name != "testkit") {
        let allowed = doors
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} is not in the table of doors"));
        let manifest = places::root().join("crates").join(name).join("Cargo.toml");
        for used in dependencies(&manifest).intersection(&crates) {
            assert!(
                allowed.contains(&used.as_str()),
                "{name} uses {used}, which the table of doors does not allow"
            );
        }
    }
}

#[test]
fn the_table_of_doors_is_the_one_of_the_architecture_page() {
    let page = fs::read_to_string(places::root().join("ARCHITECTURE.md")).unwrap();
    for (name, allowed) in DOORS {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}` |")))
            .unwrap_or_else(|| panic!("ARCHITECTURE.md has no row for {name}"));
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        let written: BTreeSet<&str> =
            cell.split(',').map(str::trim).filter(|name| *name != "–").collect();
        let meant: BTreeSet<&str> = allowed.iter().copied().collect();
        assert_eq!(written, meant, "the row of {name}");
    }
}

#[test]
fn no_file_is_longer_than_a_reader_bears() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(&text);
        let lines = code.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines before its tests", file.display());
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not begin with //!", file.display());
    }
}

#[test]
fn nothing_is_left_undone() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimple", "mented!"),
        concat!("to", "do!("),
    ];
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for word in words {
            assert!(!text.contains(word), "{} contains {word}", file.display());
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in ["crates", "sandbox/src"] {
        rust_files(&places::root().join(root), &mut found);
    }
    assert!(found.len() > 50, "the walk found too few files");
    found
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// Names under `[dependencies]` of a manifest.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let section = text.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section.lines().filter_map(|line| line.split(['.', '=', ' ']).next());
    names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
