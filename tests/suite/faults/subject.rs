//! The program under test, where a tracing tool may kill it at any moment, on any disk.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
};

use tempfile::TempDir;

use crate::{
    harness::{Answer, CLIENT_ID, CLIENT_SECRET, exchange, program},
    process::Process,
};

/// The directory of a server, running or not.
pub(super) struct Place {
    pub(super) directory: TempDir,
    pub(super) database: PathBuf,
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Place {
    /// A temporary directory with the file in it.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { database: directory.path().join("auditbox.db"), directory, environment: Vec::new() }
    }

    /// A temporary directory, with the file in another directory.
    pub(super) fn with_file_in(at: &Path) -> Self {
        Self { database: at.join("auditbox.db"), ..Self::new() }
    }

    pub(super) fn set(mut self, (name, value): (&'static str, &str)) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub(super) fn command(&self) -> Command {
        let mut command = program(self.directory.path());
        command.env("AUDITBOX_DATABASE_PATH", &self.database);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Checks that the index agrees with the events.
    pub(super) fn doctor(&self) {
        let examined = self.run(&["doctor"]);
        let said = String::from_utf8_lossy(&examined.stdout);
        let log = String::from_utf8_lossy(&examined.stderr);
        assert!(examined.status.success() && said.contains("Nothing is wrong."), "{said}{log}");
    }
}

/// The command run by `outer`, whose arguments end with the program and its arguments.
pub(super) fn wrapped(outer: &[String], command: &Command) -> Command {
    let mut wrapped = Command::new(&outer[0]);
    wrapped.args(&outer[1..]).arg(command.get_program()).args(command.get_args());
    wrapped.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// The calls that sync a file: the program uses the first, SQLite the second.
pub(super) const SYNC: &str = "fsync,fdatasync";

/// `strace` that only injects this fault. It runs next to the program, which remains this process's child.
pub(super) fn inject(injection: &str) -> Vec<String> {
    let calls = injection.split(':').next().unwrap();
    let trace = format!("trace={calls}");
    let inject = format!("inject={injection}");
    ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject].map(str::to_owned).to_vec()
}

/// A running server.
pub(super) struct Subject {
    pub(super) process: Process,
    pub(super) url: String,
    pub(super) token: String,
}

impl Subject {
    /// Starts a server; the error is its output before it ended.
    pub(super) fn start(place: &Place, wrapper: &[String]) -> Result<Self, String> {
        let command = place.command();
        let mut command = if wrapper.is_empty() { command } else { wrapped(wrapper, &command) };
        let mut process = Process::start(&mut command);
        let url = process.started()?;
        let body = serde_json::json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET }).to_string();
        let answer = exchange(&url, 0, "POST", "/v1/auth/access_token", &[], body.as_bytes());
        let answer = answer.map_err(|error| error.to_string())?;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let token = answer.json()["accessToken"].as_str().unwrap().to_owned();
        Ok(Self { process, url, token })
    }

    /// Starts a server, which must succeed.
    pub(super) fn must_start(place: &Place) -> Self {
        Self::start(place, &[]).unwrap_or_else(|log| panic!("the server did not start\n{log}"))
    }

    pub(super) fn request_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        exchange(&self.url, 0, method, path, &[("authorization", &bearer)], body.as_bytes())
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.process.log()))
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.request_as(&self.token, "GET", path, "")
    }

    pub(super) fn post(&self, path: &str, body: &str) -> Answer {
        self.request_as(&self.token, "POST", path, body)
    }

    /// Kills it.
    pub(super) fn kill(&mut self) -> ExitStatus {
        self.process.signal("KILL");
        self.process.end()
    }
}

/// Whether a process was killed.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}
