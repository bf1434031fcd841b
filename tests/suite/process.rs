//! The program as an operator runs it, for cases that the harness's server does not cover: first starts, TLS, the
//! demonstration.

use std::{
    fs::File,
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    harness::{SOON, eventually},
    platform::signal,
};

/// A running program whose output is collected.
pub(crate) struct Process {
    child: Child,
    outputs: TempDir,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_reading(command, Stdio::null())
    }

    /// Starts the program with an input.
    pub(crate) fn start_reading(command: &mut Command, input: Stdio) -> Self {
        let outputs = tempfile::tempdir().unwrap();
        let file = |name| File::create(outputs.path().join(name)).unwrap();
        let child = command.stdin(input).stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Self { child, outputs }
    }

    /// Its standard output up to now.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.outputs.path().join("out")).unwrap()
    }

    /// Its standard error up to now.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.outputs.path().join("err")).unwrap()
    }

    /// The URL that it prints once it listens.
    pub(crate) fn url(&self) -> String {
        eventually("a line with the address", || {
            let output = self.output();
            let line =
                output.lines().find(|line| line.starts_with("auditbox ") && output.contains(&format!("{line}\n")));
            line.and_then(|line| line.split(" at ").nth(1).map(str::to_owned))
        })
    }

    /// The URL that it prints once it listens, or its output if it ends before.
    pub(crate) fn started(&mut self) -> Result<String, String> {
        eventually("a start, or an end", || {
            let ended = self.child.try_wait().unwrap().is_some();
            let output = self.output();
            let line = output.split_inclusive('\n').find(|line| line.starts_with("auditbox ") && line.ends_with('\n'));
            match line.and_then(|line| line.trim_end().split(" at ").nth(1)) {
                Some(url) => Some(Ok(url.to_owned())),
                None => ended.then(|| Err(self.log())),
            }
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; the process may already have ended.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Stops it as a supervisor would.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        assert!(signal(self.pid(), "TERM"), "the program has ended already\n{}", self.log());
        self.end()
    }

    /// Waits until it ends by itself.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < SOON, "the program does not end\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The exit code and message of a program that must not start. A program that does start is stopped.
pub(crate) fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let mut process = Process::start(command);
    (process.end().code(), process.log())
}
