//! The parts of a release, built by the scripts that the hosted workflow runs: the archive, the Debian package,
//! checksums, the version and its notes. They contain the program under test.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::skip::{BASH, DPKG, runs};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs a script of `.ci/release` that writes its files to `dist`.
fn script(dist: &Path, name: &str, arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("bash");
    command.arg(root.join(".ci/release").join(name)).args(arguments).current_dir(root);
    command.env("DIST", dist).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap()
}

/// Runs a script that must succeed. Returns its output.
fn made(dist: &Path, name: &str, arguments: &[&str]) -> String {
    let output = script(dist, name, arguments);
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A small program that is packed quickly: a copy of the one under test would take seconds to compress.
fn small_program(directory: &Path) -> String {
    let path = directory.join("program");
    fs::write(&path, format!("#!/bin/sh\n[ \"$1\" = check-config ] || echo auditbox {VERSION}\n")).unwrap();
    // Artifacts of workflows lose the execute permission.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn an_archive_holds_a_program_that_runs_and_two_of_one_commit_are_the_same() {
    if !BASH.is_met(runs("bash", &["--version"])) {
        return;
    }
    let (dist, again, files) = (directory(), directory(), directory());
    let program = small_program(files.path());
    let archive = made(dist.path(), "archive", &[TARGET, &program]);
    assert_eq!(archive, dist.path().join(format!("auditbox-{VERSION}-{TARGET}.tar.gz")).to_str().unwrap());
    assert!(made(dist.path(), "try", &[TARGET]).ends_with(" works"));
    let other = made(again.path(), "archive", &[TARGET, &program]);
    assert!(fs::read(&archive).unwrap() == fs::read(other).unwrap(), "two archives of one commit differ");

    let sums = made(dist.path(), "checksums", &[]);
    let verified = Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(dist.path()).output().unwrap();
    assert!(verified.status.success() && sums.lines().count() == 1, "{sums}");

    // A program of another version is not released.
    fs::write(&program, "#!/bin/sh\necho auditbox 0.0.0\n").unwrap();
    made(dist.path(), "archive", &[TARGET, &program]);
    let refused = script(dist.path(), "try", &[TARGET]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("0.0.0"), "{refused:?}");
}

#[test]
fn a_debian_package_has_the_unit_the_documents_and_scripts_that_keep_the_log() {
    if !DPKG.is_met(runs("dpkg-deb", &["--version"])) || !BASH.is_met(runs("bash", &["--version"])) {
        return;
    }
    let (dist, files, root) = (directory(), directory(), directory());
    let package = made(dist.path(), "deb", &[TARGET, &small_program(files.path())]);
    assert!(package.ends_with(&format!("auditbox_{VERSION}_amd64.deb")), "{package}");
    let dpkg = |arguments: &[&str]| {
        let output = Command::new("dpkg-deb").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        dpkg(&["--field", &package, "Version", "Architecture"]),
        format!("Version: {VERSION}\nArchitecture: amd64\n")
    );
    let unpacked = root.path().to_str().unwrap();
    dpkg(&["--raw-extract", &package, unpacked]);
    let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
    let unit = read("usr/lib/systemd/system/auditbox.service");
    assert!(unit.contains("\nExecStart=/usr/bin/auditbox serve\n") && !unit.contains("/usr/local"), "{unit}");
    let mode = fs::metadata(root.path().join("usr/bin/auditbox")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    for document in ["README.md", "SECURITY.md", "copyright", "changelog.gz", "config.example.toml"] {
        assert!(root.path().join("usr/share/doc/auditbox").join(document).exists(), "{document}");
    }
    for name in ["postinst", "prerm", "postrm"] {
        let path = root.path().join("DEBIAN").join(name);
        assert!(runs("sh", &["-n", path.to_str().unwrap()]), "{name}");
        let text = read(&format!("DEBIAN/{name}"));
        assert!(!text.contains("rm -") && !text.contains("userdel"), "{name} deletes something: {text}");
    }
    let refused = script(dist.path(), "deb", &["riscv64gc-unknown-linux-gnu", "x"]);
    assert!(!refused.status.success(), "{refused:?}");
}

#[test]
fn a_tag_must_name_the_version_and_a_dated_section_of_the_changes() {
    if !BASH.is_met(runs("bash", &["--version"])) {
        return;
    }
    let dist = directory();
    assert_eq!(made(dist.path(), "version", &[]), VERSION);
    let notes = made(dist.path(), "notes", &[]);
    assert!(notes.starts_with("### ") && !notes.contains("\n## "), "{notes}");
    let other = script(dist.path(), "version", &["v0.0.0"]);
    let message = String::from_utf8_lossy(&other.stderr);
    assert!(!other.status.success() && message.contains("v0.0.0") && message.contains(VERSION), "{message}");
    // A section without a date is not released.
    let changes = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("CHANGELOG.md")).unwrap();
    let is_unreleased = changes.contains(&format!("\n## {VERSION} - unreleased\n"));
    assert_eq!(script(dist.path(), "version", &[&format!("v{VERSION}")]).status.success(), !is_unreleased);
}

#[test]
fn workflows_run_existing_scripts_with_few_permissions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = 0;
    for name in ["ci.yml", "release.yml"] {
        let text = fs::read_to_string(root.join(".github/workflows").join(name)).unwrap();
        // A job has only the permissions that it is given; only jobs that publish are given more.
        assert!(text.contains("\npermissions:\n  contents: read\n"), "{name}");
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            if let Some(action) = line.trim_start().trim_start_matches("- ").strip_prefix("uses: ") {
                let version = action.split_once('@').map_or("", |(_, version)| version);
                assert!(version.starts_with('v') && version.len() > 1, "{name}: {action} is not pinned to a version");
            }
            for word in line.split([' ', '(', '"']).filter(|word| word.starts_with(".ci/")) {
                let mode =
                    fs::metadata(root.join(word)).unwrap_or_else(|error| panic!("{word}: {error}")).permissions();
                assert!(mode.mode() & 0o111 != 0, "{word} cannot be run");
                scripts += 1;
            }
        }
    }
    assert!(scripts > 10, "the workflows do not run the scripts");
}
