//! Requirements of single tests, and the list of tests that were skipped because a machine lacks them.
//!
//! A skipped test adds a line to a file in cargo's directory for temporary test files. `tests/start.rs` deletes that file
//! before the suite runs, and `tests/summary.rs` prints it afterwards.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

/// The file that skipped tests are listed in; `tests/start.rs` and `tests/summary.rs` name it too.
const SKIPPED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped.tsv");

/// Something that some tests need and that a machine may lack.
pub struct Need {
    /// What is missing.
    missing: &'static str,
    /// How to make the tests run.
    enable: &'static str,
    /// The environment variable that makes the test fail instead of being skipped.
    required_by: &'static str,
}

pub const AXE: Need = Need {
    missing: "axe-core, the rules for accessible pages",
    enable: "run `npm install axe-core@4.14.1` outside the repository and set AUDITBOX_AXE to its axe.min.js",
    required_by: "AUDITBOX_REQUIRE_BROWSER",
};
pub const BASH: Need = Need { missing: "bash", enable: "install bash", required_by: "AUDITBOX_REQUIRE_TOOLS" };
pub const BROWSER: Need = Need {
    missing: "chromium or chromedriver",
    enable: "install both (Debian: chromium chromium-driver)",
    required_by: "AUDITBOX_REQUIRE_BROWSER",
};
pub const CARGO_DENY: Need = Need {
    missing: "cargo-deny",
    enable: "run `cargo install cargo-deny --locked`, or set AUDITBOX_CARGO_DENY to the program",
    required_by: "AUDITBOX_REQUIRE_CARGO_DENY",
};
pub const CURL: Need = Need { missing: "curl", enable: "install curl", required_by: "AUDITBOX_REQUIRE_TOOLS" };
pub const DPKG: Need = Need { missing: "dpkg-deb", enable: "install dpkg", required_by: "AUDITBOX_REQUIRE_TOOLS" };
pub const FAKETIME: Need = Need {
    missing: "libfaketime",
    enable: "install it (Debian: faketime), or set AUDITBOX_FAKETIME to libfaketimeMT.so.1",
    required_by: "AUDITBOX_REQUIRE_FAKETIME",
};
pub const FORMATS: Need = Need {
    missing: "files of native records of other systems",
    enable: "set AUDITBOX_FORMATS to the directory of the files",
    required_by: "AUDITBOX_REQUIRE_FORMATS",
};
pub const FUSE: Need = Need {
    missing: "/dev/fuse, or the right to mount",
    enable: "run the tests as root on Linux with the fuse module loaded",
    required_by: "AUDITBOX_REQUIRE_FUSE",
};
pub const GO: Need = Need { missing: "go", enable: "install Go 1.19 or later", required_by: "AUDITBOX_REQUIRE_GO" };
pub const LOGGER: Need =
    Need { missing: "logger", enable: "install util-linux (Debian: bsdutils)", required_by: "AUDITBOX_REQUIRE_TOOLS" };
pub const NODE: Need =
    Need { missing: "node", enable: "install Node.js 18 or later", required_by: "AUDITBOX_REQUIRE_TOOLS" };
pub const OPENSSL: Need = Need { missing: "openssl", enable: "install openssl", required_by: "AUDITBOX_REQUIRE_TOOLS" };
pub const PYTHON: Need =
    Need { missing: "python3", enable: "install Python 3.8 or later", required_by: "AUDITBOX_REQUIRE_TOOLS" };
pub const MOUNT: Need = Need {
    missing: "the right to mount a tmpfs",
    enable: "run the tests as root on Linux",
    required_by: "AUDITBOX_REQUIRE_MOUNT",
};
pub const REAL_EVENTS: Need = Need {
    missing: "a file of real events",
    enable: "set AUDITBOX_REAL_EVENTS to the absolute path of an NDJSON file of events, compressed with zstd",
    required_by: "AUDITBOX_REQUIRE_REAL_EVENTS",
};
pub const STRACE: Need = Need {
    missing: "strace, or the right to trace",
    enable: "install strace and run the tests where ptrace is allowed",
    required_by: "AUDITBOX_REQUIRE_STRACE",
};
pub const SYSTEMD: Need =
    Need { missing: "systemd-analyze", enable: "install systemd 250 or later", required_by: "AUDITBOX_REQUIRE_TOOLS" };

pub const WEBHOOK_LIBRARIES: Need = Need {
    missing: "the libraries with which senders sign webhooks",
    enable: "run `npm install @octokit/webhooks@14 stripe@23 standardwebhooks@1 svix@1` outside the repository and set \
             AUDITBOX_WEBHOOK_LIBRARIES to its directory",
    required_by: "AUDITBOX_REQUIRE_TOOLS",
};

pub const SENDERS: Need = Need {
    missing: "the programs that send to the doors",
    enable: "run `.ci/senders DIRECTORY` with a directory outside the repository and set AUDITBOX_SENDERS to it",
    required_by: "AUDITBOX_REQUIRE_TOOLS",
};

impl Need {
    /// Whether the test can run. If it cannot, it is listed as skipped, or fails if the environment requires it.
    pub fn is_met(&self, works: bool) -> bool {
        if !works {
            let Self { missing, enable, required_by } = self;
            assert!(
                env::var_os(required_by).is_none(),
                "{required_by} is set, but this machine lacks {missing}: {enable}"
            );
            println!("skipped, no {missing}: {enable}");
            // The harness names a test's thread after the test, unless it runs all tests on the main thread.
            let test = thread::current().name().unwrap_or_default().to_owned();
            let line = format!("{missing}\t{enable}\t{test}\n");
            let mut list = OpenOptions::new().create(true).append(true).open(SKIPPED).unwrap();
            // A single write, so that concurrent tests do not mix their lines.
            list.write_all(line.as_bytes()).unwrap();
        }
        works
    }
}

/// The file of real events: the one that `AUDITBOX_REAL_EVENTS` names, or the one in `shared/data` next to the project.
/// Without either, the test is skipped.
pub fn real_events() -> Option<PathBuf> {
    let named = env::var_os("AUDITBOX_REAL_EVENTS").map(PathBuf::from);
    let path = named.unwrap_or_else(|| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/real-events.ndjson.zst"))
    });
    REAL_EVENTS.is_met(path.is_file()).then_some(path)
}

#[test]
fn tests_run_no_program_that_a_machine_may_lack_unless_they_ask_for_it() {
    // A POSIX shell and its utilities are everywhere; every other program belongs to a requirement.
    let everywhere = ["cp", "dd", "mkfifo", "powershell", "sh", "sha256sum", "taskkill", "umount"];
    let needs = [
        ("bash", "BASH"),
        ("curl", "CURL"),
        ("dpkg-deb", "DPKG"),
        ("go", "GO"),
        ("mount", "MOUNT"),
        ("node", "NODE"),
        ("logger", "LOGGER"),
        ("openssl", "OPENSSL"),
        ("python3", "PYTHON"),
        ("strace", "STRACE"),
        ("strace", "can_trace"),
        ("systemd-analyze", "SYSTEMD"),
    ];
    let (mut directories, mut found) = (vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite"))], 0);
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            for start in ["Command::new(\"", "runs(\""] {
                for program in text.split(start).skip(1).map(|rest| rest.split('"').next().unwrap()) {
                    let is_asked_for = needs.iter().any(|(name, need)| program == *name && text.contains(need));
                    let may = everywhere.contains(&program) || is_asked_for;
                    assert!(may, "{}: {program:?} may be missing: see skip.rs", path.display());
                    found += 1;
                }
            }
        }
    }
    assert!(found > 15);
}

/// Whether this command runs and succeeds.
pub fn runs(tool: &str, arguments: &[&str]) -> bool {
    let run =
        Command::new(tool).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}
