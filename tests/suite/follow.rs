//! `auditbox follow`: every line of a log once, through rotations, truncations and kills.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cli::{bad, directory, err, event, good, gzip, ndjson},
    harness::{Server, eventually, program, run},
    process::Process,
};

/// A log, and the program that writes it.
struct Log {
    directory: TempDir,
    file: File,
    written: u64,
    random: u64,
}

impl Log {
    fn new(seed: u64) -> Self {
        let directory = directory();
        let file = append(&directory.path().join("audit.log"));
        Self { directory, file, written: 0, random: seed }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn rotated(&self, number: u32) -> PathBuf {
        self.directory.path().join(format!("audit.log.{number}"))
    }

    /// A number below `end` (xorshift).
    fn random(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    /// Writes lines, some of which are equal to others.
    fn write(&mut self, lines: u64) {
        for _ in 0..lines {
            let mut text = line(self.written);
            if self.written.is_multiple_of(5) {
                text.push_str(&line(u64::MAX));
            }
            self.file.write_all(text.as_bytes()).unwrap();
            self.written += 1;
        }
    }

    /// Renames the file, as logrotate does. The program may write to the old file for a while. The third file is compressed.
    fn rotate(&mut self) {
        let compressed = |number| PathBuf::from(format!("{}.gz", self.rotated(number).display()));
        let mut last = (3..999).find(|number| !compressed(*number).exists()).unwrap();
        while last > 3 {
            fs::rename(compressed(last - 1), compressed(last)).unwrap();
            last -= 1;
        }
        for number in (1..=2).rev().filter(|number| self.rotated(*number).exists()) {
            fs::rename(self.rotated(number), self.rotated(number + 1)).unwrap();
        }
        fs::rename(self.path(), self.rotated(1)).unwrap();
        if self.random(3) == 0 {
            drop(append(&self.path()));
            let lines = self.random(3);
            self.write(lines);
        }
        self.file = append(&self.path());
        let compressed = PathBuf::from(format!("{}.gz", self.rotated(3).display()));
        if self.rotated(3).exists() {
            fs::write(&compressed, gzip(&fs::read(self.rotated(3)).unwrap())).unwrap();
            fs::remove_file(self.rotated(3)).unwrap();
        }
    }

    /// Copies and truncates the file.
    fn truncate(&mut self) {
        let mut last = (1..999).find(|number| !self.rotated(*number).exists()).unwrap();
        while last > 1 {
            fs::rename(self.rotated(last - 1), self.rotated(last)).unwrap();
            last -= 1;
        }
        fs::copy(self.path(), self.rotated(1)).unwrap();
        self.file.set_len(0).unwrap();
    }

    fn follow(&self, server: &Server, token: &str) -> Process {
        let mut command = program(self.directory.path());
        Process::start(command.args(["follow", "audit.log", "--url", &server.url, "--token", token]))
    }

    /// Rotates `rotations` times, kills the follower `kills` times, and checks that each line is stored once.
    fn check(&mut self, rotations: u64, kills: u64, rotate: fn(&mut Self)) {
        let server = Server::start();
        let token = server.credential("follower", &["ingest"]);
        let mut follower = self.follow(&server, &token);
        // Files that were rotated before are not read.
        eventually("the follower has begun", || follower.log().contains("following").then_some(()));
        let every = rotations / kills;
        for rotation in 0..rotations {
            let lines = self.random(12);
            self.write(lines);
            thread::sleep(Duration::from_millis(self.random(40)));
            rotate(self);
            if rotation % every == 0 {
                follower.signal("KILL");
                follower.end();
                // Some rotations happen while nothing follows.
                for _ in 0..self.random(3) {
                    let lines = self.random(12);
                    self.write(lines);
                    rotate(self);
                }
                follower = self.follow(&server, &token);
            }
        }
        self.write(7);
        let expected = self.written;
        let mut stored = BTreeMap::new();
        // Then the difference is shown.
        let deadline = Instant::now() + Duration::from_secs(180);
        while Instant::now() < deadline && (0..expected).any(|line| !stored.contains_key(&line)) {
            thread::sleep(Duration::from_millis(200));
            stored = stored_lines(&server);
        }
        let missing: Vec<_> = (0..expected).filter(|line| !stored.contains_key(line)).collect();
        assert!(missing.is_empty(), "missing of {expected}: {missing:?}; {}", follower.log());
        let equal = stored.remove(&u64::MAX).unwrap_or(0);
        assert_eq!(equal, expected.div_ceil(5), "equal lines; {}", follower.log());
        let again: Vec<_> = stored.iter().filter(|(_, count)| **count > 1).collect();
        assert!(again.is_empty(), "stored more than once: {again:?}; {}", follower.log());
    }
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

/// A line of the log: an event without an identifier.
fn line(number: u64) -> String {
    format!("{}\n", json!({ "action": "RUN", "resourceType": "job", "additionalData": { "line": number } }))
}

/// How often each line is stored.
fn stored_lines(server: &Server) -> BTreeMap<u64, u64> {
    let answer = server.get("/v1/audit-log/export?format=ndjson&resource_type=job");
    let mut lines = BTreeMap::new();
    for line in answer.text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        *lines.entry(event["additionalData"]["line"].as_u64().unwrap()).or_default() += 1;
    }
    lines
}

#[test]
fn every_line_is_stored_once_through_200_rotations_and_50_kills() {
    Log::new(0x9e37_79b9_7f4a_7c15).check(200, 50, Log::rotate);
}

#[test]
fn every_line_is_stored_once_through_truncations_and_kills() {
    Log::new(0x2545_f491_4f6c_dd1d).check(60, 12, Log::truncate);
}

#[test]
fn records_of_other_systems_and_broken_lines_are_read_line_by_line() {
    let server = Server::start();
    let token = server.credential("follower", &["ingest"]);
    let directory = directory();
    let path = directory.path().join("access.log");
    let record = |path: &str| format!("192.0.2.7 - ada [02/Jan/2026:15:04:05 +0000] \"GET {path} HTTP/1.1\" 200 12\n");
    let mut file = append(&path);
    file.write_all(record("/one").as_bytes()).unwrap();
    file.write_all(b"\xff\xfe no text\n").unwrap();
    file.write_all(record("/two").trim_end().as_bytes()).unwrap();
    let arguments = ["follow", "access.log", "--format", "combined", "--url", &server.url, "--token", &token];
    let follower = Process::start(program(directory.path()).args(arguments));
    let paths = || -> Vec<Value> {
        let list = server.list("sort=received&order=asc&resource_type=http_request").json();
        list["audits"].as_array().unwrap().iter().map(|event| event["request"]["path"].clone()).collect()
    };
    eventually("the first line is stored", || (paths() == ["/one"]).then_some(()));
    eventually("the broken line is reported", || follower.log().contains("line 2: not UTF-8").then_some(()));
    // A line is read when it is complete.
    file.write_all(b"\n").unwrap();
    eventually("the last line is stored", || (paths() == ["/one", "/two"]).then_some(()));
    let (actor, mapping) = {
        let event = &server.list("path=/two").json()["audits"][0];
        (event["trigger"]["by"]["name"].clone(), event["mapping"]["preset"].clone())
    };
    assert_eq!((actor, mapping), (json!("ada"), json!("combined@1")));
}

#[test]
fn a_log_is_followed_into_the_file_and_from_its_end() {
    let directory = directory();
    let path = directory.path().join("audit.log");
    fs::write(&path, ndjson(&[event("old")])).unwrap();
    let mut follower = Process::start(program(directory.path()).args(["follow", "audit.log", "--from-end"]));
    eventually("the follower has begun", || follower.log().contains("following audit.log from line 2").then_some(()));
    append(&path).write_all(ndjson(&[event("new")]).as_bytes()).unwrap();
    let position = directory.path().join("audit.log.position");
    eventually("the position is behind the line", || {
        let position: Value = serde_json::from_slice(&fs::read(&position).ok()?).ok()?;
        (position["marks"][0]["lines"] == 2).then_some(())
    });
    follower.signal("KILL");
    follower.end();
    let found = good(directory.path(), &["query", "--json"]);
    assert!(found.contains("\"new\"") && !found.contains("\"old\""), "{found}");
}

#[test]
fn an_unreachable_server_is_tried_again_and_nothing_is_lost() {
    let mut server = Server::start();
    let token = server.credential("follower", &["ingest"]);
    let log = directory();
    let path = log.path().join("audit.log");
    let arguments = ["follow", "audit.log", "--url", &server.url, "--token", &token];
    let follower = Process::start(program(log.path()).args(arguments));
    append(&path).write_all(line(1).as_bytes()).unwrap();
    eventually("the first line is stored", || (stored_lines(&server).len() == 1).then_some(()));
    server.kill();
    append(&path).write_all(line(2).as_bytes()).unwrap();
    eventually("the failure is reported", || follower.log().contains("trying again in").then_some(()));
    let address = server.url.trim_start_matches("http://").to_owned();
    let again = Server::start_in(server.stop_killed(), &[("AUDITBOX_SERVER_LISTEN", &address)]);
    eventually("the second line is stored", || (stored_lines(&again).into_iter().eq([(1, 1), (2, 1)])).then_some(()));
}

#[test]
fn invalid_arguments_and_positions_are_named() {
    let directory = directory();
    assert!(bad(directory.path(), &["follow", "a.log", "--format", "nothing"], 2).contains("is not a preset"));
    fs::write(directory.path().join("a.log.position"), "{}").unwrap();
    let output = run(directory.path(), &["follow", "a.log"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("a.log.position: is not a position of auditbox follow"), "{}", err(&output));
}
