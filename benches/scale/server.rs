//! auditbox itself: the release program with its default configuration.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{client::Connection, contender::Contender, queries::Filter};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_auditbox");
const SECRET: &str = "a-secret-for-benches-0123456789";

/// The program, with its defaults, on a file.
pub(crate) fn command(database: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env("AUDITBOX_DATABASE_PATH", database)
        .env("AUDITBOX_SERVER_LISTEN", "127.0.0.1:0")
        .env("AUDITBOX_ADMIN_CLIENT_ID", "bench")
        .env("AUDITBOX_ADMIN_CLIENT_SECRET", SECRET)
        .env("AUDITBOX_LOG_LEVEL", "warn")
        .stdin(Stdio::null());
    command
}

/// The unit of processor time in `/proc` (`sysconf(_SC_CLK_TCK)` on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// The processor time of the server, and the part of it that its writer thread used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProcessorTime {
    pub(crate) all_seconds: f64,
    pub(crate) writer_seconds: f64,
}

/// User and system time in a `stat` file (`man 5 proc_pid_stat`, fields 14 and 15).
fn ticks(path: &Path) -> f64 {
    let stat = fs::read_to_string(path).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    after_name.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap()).sum()
}

/// A running server. Stopped on drop.
pub(crate) struct Server {
    child: Child,
    address: String,
    token: String,
    /// From the start of the process to the answer of its first query.
    pub(crate) start: Duration,
}

impl Server {
    pub(crate) fn start(database: &Path) -> Self {
        let begun = Instant::now();
        let mut child = command(database).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().to_owned();
        let login = format!("{{\"clientId\":\"bench\",\"clientSecret\":\"{SECRET}\"}}");
        let mut response = ureq::post(format!("http://{address}/v1/auth/access_token")).send(login).unwrap();
        let answer: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        let token = answer["accessToken"].as_str().unwrap().to_owned();
        let mut server = Self { child, address, token, start: Duration::ZERO };
        server.connect().list(&Filter::default());
        server.start = begun.elapsed();
        server
    }

    /// Stops it and waits; the file is complete afterwards.
    pub(crate) fn stop(self) {
        drop(self);
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.address, &self.token)
    }

    /// The processor time used so far.
    pub(crate) fn processor(&self) -> ProcessorTime {
        let process = format!("/proc/{}", self.child.id());
        let threads = fs::read_dir(format!("{process}/task")).unwrap().map(|entry| entry.unwrap().path());
        let is_writer = |thread: &PathBuf| fs::read_to_string(thread.join("comm")).is_ok_and(|name| name == "writer\n");
        let writer = threads.filter(is_writer).map(|thread| ticks(&thread.join("stat"))).sum::<f64>();
        ProcessorTime {
            all_seconds: ticks(Path::new(&format!("{process}/stat"))) / TICKS_PER_SECOND,
            writer_seconds: writer / TICKS_PER_SECOND,
        }
    }

    /// A line of the process's status, in bytes: `VmRSS`, `VmHWM` or `RssAnon`.
    pub(crate) fn memory_bytes(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.split(':').next() == Some(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}
