//! The dependencies of the program and its packaging: licenses and sources of the crates, the systemd unit, the
//! container.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use crate::skip::{CARGO_DENY, SYSTEMD};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether the allowed licenses satisfy a license expression (SPDX, annex D).
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let one_of = |part: &str| {
        part.split(" AND ").all(|license| allowed.contains(&license.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    if !expression.contains('(') {
        return plain.split(" OR ").any(one_of);
    }
    // In `(a OR b) AND c`, each part of the AND must be satisfied; the parts contain no further parentheses here.
    expression
        .replace(") AND", ")\u{0}")
        .replace("AND (", "\u{0}(")
        .split('\u{0}')
        .all(|part| part.replace(['(', ')'], " ").split(" OR ").any(one_of))
}

#[test]
fn the_bundled_sqlite_has_the_expected_options() {
    let database = rusqlite::Connection::open_in_memory().unwrap();
    let mut options = database.prepare("PRAGMA compile_options").unwrap();
    let options: BTreeSet<String> = options.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(options.contains("DEFAULT_MEMSTATUS=0") && !options.contains("ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
}

#[test]
fn every_crate_has_an_allowed_license_and_comes_from_the_registry() {
    let policy: toml::Table = read("deny.toml").parse().unwrap();
    let allowed = policy["licenses"]["allow"].as_array().unwrap();
    let allowed: BTreeSet<_> = allowed.iter().map(|license| license.as_str().unwrap().to_owned()).collect();
    let metadata = metadata();
    let shipped = shipped(&metadata);
    assert!(shipped.len() > 100);
    let banned = policy["bans"]["deny"].as_array().unwrap();
    assert!(banned.iter().any(|ban| ban["crate"].as_str() == Some("rsa")));
    for package in metadata["packages"].as_array().unwrap() {
        if package["name"] != "auditbox" && shipped.contains(package["id"].as_str().unwrap()) {
            let is_banned = |ban: &toml::Value| package["name"] == ban["crate"].as_str().unwrap();
            assert!(!banned.iter().any(is_banned), "{} is banned by deny.toml", package["name"]);
            let license = package["license"].as_str().unwrap_or_default();
            assert!(is_met(license, &allowed), "{}: {license}", package["name"]);
            assert_eq!(
                package["source"], "registry+https://github.com/rust-lang/crates.io-index",
                "{}",
                package["name"]
            );
        }
    }
}

/// cargo's metadata of every crate: those for all systems if their sources are present (`cargo fetch --locked`),
/// otherwise those for this system, from which the program was built.
fn metadata() -> Value {
    let cargo = |arguments: &[&str]| {
        Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
    };
    let metadata = ["metadata", "--format-version=1", "--locked", "--offline"];
    let mut output = cargo(&metadata);
    if !output.status.success() {
        let version = String::from_utf8(cargo(&["-vV"]).stdout).unwrap();
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        output = cargo(&[&metadata[..], &["--filter-platform", host]].concat());
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The crates of the program, without those of its tests.
fn shipped(metadata: &Value) -> BTreeSet<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut waiting = vec![metadata["resolve"]["root"].as_str().unwrap()];
    let mut shipped = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if shipped.insert(id) {
            let node = nodes.iter().find(|node| node["id"] == id).unwrap();
            let is_built =
                |needed: &&Value| needed["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"] != "dev");
            let needed = node["deps"].as_array().unwrap().iter().filter(is_built);
            waiting.extend(needed.map(|needed| needed["pkg"].as_str().unwrap()));
        }
    }
    shipped
}

#[test]
fn license_expressions_are_evaluated_correctly() {
    let allowed =
        BTreeSet::from(["MIT", "Apache-2.0", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned));
    for met in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "MIT AND Apache-2.0",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for other in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR GPL-3.0) AND GPL-2.0",
        "GPL-2.0 AND (MIT OR Apache-2.0)",
        "GPL-3.0 OR AGPL-3.0",
    ] {
        assert!(!is_met(other, &allowed), "{other}");
    }
}

#[test]
fn cargo_deny_finds_nothing() {
    let deny = |arguments: &[&str]| {
        let mut command = Command::new(std::env::var_os("AUDITBOX_CARGO_DENY").unwrap_or_else(|| "cargo-deny".into()));
        command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output()
    };
    let output = deny(&["--offline", "check", "licenses", "bans", "sources"]);
    if !CARGO_DENY.is_met(output.is_ok()) {
        return;
    }
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_compiler_forbids_unsafe_code_in_everything_that_is_built_here() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    // The lints apply to the package: its library, program, build script, tests and benches. Nothing else is built, and
    // the script runs git and no compiler.
    assert!(!manifest.contains_key("workspace") && !manifest.contains_key("build-dependencies"));
    assert_eq!(read("build.rs").matches("Command::new").collect::<Vec<_>>().len(), 1);
    assert!(read("build.rs").contains("(\"git\")"));
}

#[test]
fn the_systemd_unit_is_sandboxed() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/auditbox.service");
    let output = Command::new("systemd-analyze").args(["security", "--offline=true"]).arg(&unit).output();
    if !SYSTEMD.is_met(output.is_ok()) {
        return;
    }
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let level = text.lines().find_map(|line| line.split("Overall exposure level for auditbox.service: ").nth(1));
    let level: f64 = level.unwrap_or_else(|| panic!("{output:?}")).split(' ').next().unwrap().parse().unwrap();
    assert!(level <= 2.0, "{text}");
}

/// The names at the top of the repository under which files lie that sources in a directory name by a path out of `src`. The
/// directory is `depth` below the top.
fn embedded_from_outside(directory: &Path, depth: usize) -> BTreeSet<String> {
    let (mut found, out) = (BTreeSet::new(), format!("\"{}", "../".repeat(depth)));
    for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(embedded_from_outside(&path, depth + 1));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split(&*out).skip(1).filter_map(|rest| rest.split(['/', '"']).next());
            found.extend(names.filter(|name| !matches!(*name, ".." | "src")).map(str::to_owned));
        }
    }
    found
}

#[test]
fn the_container_runs_one_program_as_an_unprivileged_user() {
    let file = read("packaging/Containerfile");
    let last = file.rsplit("\nFROM ").next().unwrap();
    assert!(last.starts_with("scratch\n"), "{last}");
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    for wanted in ["VOLUME /data", "HEALTHCHECK ", "ENTRYPOINT [\"/auditbox\"]", "COPY --from=build"] {
        assert!(last.contains(wanted), "{wanted}");
    }
    // Every file that the build reads exists.
    for line in file.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--")) {
        let mut sources: Vec<_> = line.split(' ').collect();
        sources.pop();
        for source in sources {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(source).exists(), "{source}");
        }
    }
    // Every file outside of src that the program embeds is copied.
    let copied: Vec<_> =
        file.lines().filter(|line| line.starts_with("COPY ")).flat_map(str::split_whitespace).collect();
    let embedded = embedded_from_outside(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), 1);
    assert!(embedded.contains("schema.sql") && embedded.contains("presets"), "{embedded:?}");
    for name in embedded {
        assert!(copied.contains(&&*name), "packaging/Containerfile does not copy {name}, which the program embeds");
    }
    // Cargo builds nothing if the manifest names a missing file.
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let made: Vec<_> = file.split_whitespace().collect();
    for kind in ["test", "bench"] {
        for target in manifest[kind].as_array().unwrap() {
            let path = target["path"].as_str().unwrap();
            assert!(made.contains(&path), "packaging/Containerfile does not make {path}, which Cargo.toml names");
        }
    }
    // The settings exist in the program.
    assert!(last.contains("AUDITBOX_SERVER_LISTEN=") && last.contains("AUDITBOX_DATABASE_PATH=/data/"));
}
