//! CONTRIBUTING.md names every switch and every tool of the tests, and nothing that no longer exists.

use std::{collections::BTreeSet, fs, path::Path};

/// Variables that the program reads in addition to its settings.
const OF_THE_PROGRAM: [&str; 5] =
    ["AUDITBOX_ADMIN_CLIENT_ID", "AUDITBOX_ADMIN_CLIENT_SECRET", "AUDITBOX_CONFIG", "AUDITBOX_TOKEN", "AUDITBOX_URL"];
/// Misspelled on purpose, in tests of the error message.
const MISSPELLED: [&str; 1] = ["AUDITBOX_SERVER_LISEN"];

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variables of this program that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    let is_part = |char: char| char.is_ascii_uppercase() || char.is_ascii_digit() || char == '_';
    text.match_indices("AUDITBOX_")
        .map(|(at, _)| text[at..].chars().take_while(|char| is_part(*char)).collect::<String>())
        // Excludes the bare prefix, and prefixes of names that code assembles.
        .filter(|name| !name.ends_with('_'))
        .collect()
}

/// The variables that override settings, from the example that lists each setting.
fn settings(root: &Path) -> BTreeSet<String> {
    let example: toml::Table = read(&root.join("config.example.toml")).parse().unwrap();
    let sections = example.iter().filter_map(|(section, keys)| Some((section, keys.as_table()?)));
    sections
        .flat_map(|(section, keys)| keys.keys().map(move |key| format!("AUDITBOX_{section}_{key}").to_uppercase()))
        .collect()
}

fn variables_under(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| !["target", "corpus", "artifacts"].iter().any(|name| path.ends_with(name)))
        .flat_map(|path| if path.is_dir() { variables_under(&path) } else { variables(&read(&path)) })
        .collect()
}

#[test]
fn every_switch_of_the_tests_is_described() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeSet<_> = settings(root)
        .into_iter()
        .chain([&OF_THE_PROGRAM[..], &MISSPELLED].concat().into_iter().map(str::to_owned))
        .collect();
    let used: BTreeSet<_> =
        ["tests", "benches", "fuzz", ".ci"].iter().flat_map(|name| variables_under(&root.join(name))).collect();
    let used: BTreeSet<_> = used.difference(&known).cloned().collect();
    assert!(used.len() > 20, "{used:?}");
    let described = variables(&read(&root.join("CONTRIBUTING.md")));
    let missing: Vec<_> = used.difference(&described).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md does not describe {missing:?}");
    let gone: Vec<_> = described.difference(&used).collect();
    assert!(gone.is_empty(), "CONTRIBUTING.md describes {gone:?}, which nothing reads");
}

#[test]
fn every_path_in_it_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = read(&root.join("CONTRIBUTING.md"));
    let mut paths = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        let path = quoted.split(' ').next().unwrap();
        if ["src/", "tests/", ".ci/", "fuzz/", "docs/", ".github/"].iter().any(|start| path.starts_with(start)) {
            assert!(root.join(path.trim_end_matches('…')).exists(), "{quoted}");
            paths += 1;
        }
    }
    assert!(paths > 15);
}
