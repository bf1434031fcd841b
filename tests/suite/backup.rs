//! A backup under full ingest, and its restore. The copy holds everything that was acknowledged before the backup
//! began, byte for byte. The write-ahead log grows by no more than is written during the backup.

use std::{
    collections::HashMap,
    fs,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    faults,
    harness::{Server, eventually, program, run},
    held,
    platform::{assert_private, signal},
    wire::Connection,
};

/// Far below the bound of the file, and far above what is written while so small a file is copied.
const WAL_BYTES_MAX: u64 = 320 * 1024 * 1024;
const SENDERS: usize = 8;

fn event(sender: usize, number: usize) -> Value {
    json!({
        "identifier": format!("s{sender}-{number}"), "action": "UPDATE", "resourceType": "entity",
        "context": { "entity": format!("svc-{}", number % 50), "runId": format!("run-{sender}-{number}") },
        "additionalData": { "text": format!("{sender} changed {number}, as it was to be changed") },
    })
}

#[test]
fn a_backup_under_full_ingest_has_all_events_acknowledged_before_it() {
    let server = Server::start_chunked(4_096);
    let (url, token) = (server.url.clone(), server.token.clone());
    let (stop, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    let acknowledged = Mutex::new(Vec::<String>::new());
    let copy = server.directory().join("copy.db");
    let log = server.database().with_extension("db-wal");
    let before = thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (url, token, stop, acknowledged) = (&url, &token, &stop, &acknowledged);
            scope.spawn(move || {
                let mut connection = Connection::open(url).unwrap();
                for batch in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let events: Vec<_> = (0..50).map(|number| event(sender, batch * 50 + number)).collect();
                    let body = Value::from(events.clone()).to_string();
                    let reply = connection.request("POST", "/v1/audit-log", token, &body).unwrap();
                    if reply.status == 201 {
                        let names = events.iter().map(|event| event["identifier"].as_str().unwrap().to_owned());
                        acknowledged.lock().unwrap().extend(names);
                    }
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                longest.fetch_max(fs::metadata(&log).map_or(0, |file| file.len()), Ordering::Relaxed);
                thread::yield_now();
            }
        });
        eventually("ingest", || (acknowledged.lock().unwrap().len() > 10_000).then_some(()));
        let before = acknowledged.lock().unwrap().clone();
        let made = run(server.directory(), &["backup", "copy.db"]);
        stop.store(true, Ordering::Relaxed);
        assert!(made.status.success(), "{made:?}");
        before
    });
    assert!(acknowledged.lock().unwrap().len() > before.len(), "no event arrived during the backup");
    let longest = longest.into_inner();
    assert!(longest < WAL_BYTES_MAX, "{longest}");
    assert_private(&copy);
    let original: HashMap<String, String> = lines(&server);

    let (status, directory) = server.stop();
    assert!(status.success());
    let refused = run(directory.path(), &["restore", "copy.db"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    let restored = run(directory.path(), &["restore", "copy.db", "--force"]);
    assert!(restored.status.success(), "{restored:?}");
    let examined = run(directory.path(), &["doctor"]);
    assert!(examined.status.success(), "{examined:?}");
    let server = Server::start_in(directory, &[]);
    let copied = lines(&server);
    for identifier in &before {
        assert_eq!(copied.get(identifier), original.get(identifier), "{identifier}");
        assert!(copied.contains_key(identifier), "{identifier}");
    }
    for (identifier, line) in copied.iter().filter(|(identifier, _)| identifier.starts_with('s')) {
        assert_eq!(original.get(identifier), Some(line), "{identifier}");
    }
    println!(
        "{} acknowledged before the backup, {} events in it; the log's largest size was {longest} bytes",
        before.len(),
        copied.len()
    );
}

/// Every event that was sent, by identifier.
fn lines(server: &Server) -> HashMap<String, String> {
    let answer = server.get("/v1/audit-log/export?format=ndjson");
    assert_eq!(answer.status, 200);
    let named = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        (event["identifier"].as_str().unwrap().to_owned(), line.to_owned())
    };
    answer.text.lines().map(named).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_backup_has_its_name_only_once_it_is_on_the_disk() {
    if !faults::can_trace() {
        return;
    }
    let server = Server::start();
    server.store(&[event(0, 1)]);
    let plain = program(server.directory());
    let calls = "trace=fsync,fdatasync,rename,renameat,renameat2";
    let mut traced = Command::new("strace");
    // `-y` prints the path of each descriptor.
    traced.args(["-f", "-y", "-qq", "-e", calls, "-o", "trace"]).arg(plain.get_program()).args(["backup", "copy.db"]);
    let made = traced.current_dir(server.directory()).stdin(Stdio::null()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let trace = fs::read_to_string(server.directory().join("trace")).unwrap();
    let lines: Vec<_> = trace.lines().filter(|line| line.ends_with("= 0")).collect();
    let renamed = lines.iter().position(|line| line.contains("rename") && line.contains("copy.db.part"));
    let renamed = renamed.unwrap_or_else(|| panic!("{trace}"));
    let is_sync_of = |line: &&str, name: &str| line.contains("sync(") && line.contains(&format!("{name}>"));
    assert!(lines[..renamed].iter().any(|line| is_sync_of(line, "/copy.db.part")), "its content first: {trace}");
    let directory = fs::canonicalize(server.directory()).unwrap().display().to_string();
    assert!(lines[renamed..].iter().any(|line| is_sync_of(line, &directory)), "then its name: {trace}");
}

/// A backup of this server that was stopped midway; it continues when this is dropped.
struct Stopped(std::process::Child);

impl Stopped {
    fn begin(server: &Server) -> Self {
        let (part, copy) = (server.directory().join("copy.db.part"), server.directory().join("copy.db"));
        eventually("a backup that is stopped midway", || {
            drop(fs::remove_file(&copy));
            let mut command = program(server.directory());
            let mut stopped = Self(command.args(["backup", "copy.db"]).stdout(Stdio::null()).spawn().unwrap());
            let length = || fs::metadata(&part).map_or(0, |file| file.len());
            while length() == 0 && stopped.0.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_micros(200));
            }
            stopped.signal("STOP");
            // Much must remain to be copied. A backup that is past that point continues.
            let is_midway = (1..fs::metadata(server.database()).unwrap().len() / 2).contains(&length());
            is_midway.then_some(stopped)
        })
    }

    fn signal(&self, name: &str) {
        signal(self.0.id(), name);
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("CONT");
        drop(self.0.wait());
    }
}

#[test]
#[cfg(unix)]
fn the_wal_stays_within_its_bound_during_a_backup() {
    let server = Server::start_with(&[("AUDITBOX_DATABASE_WAL_BYTES_MAX", &held::WAL_BYTES_MAX.to_string())]);
    let wal_bytes = || fs::metadata(server.database().with_extension("db-wal")).unwrap().len();
    let post = |number: usize| server.post("/v1/audit-log", &held::batch(number)).status;
    for number in 0..12 {
        assert_eq!(post(number), 201);
    }
    // Copied into the file and gone from the WAL, so that the file is large.
    eventually("an empty WAL", || (fs::metadata(server.database()).unwrap().len() > wal_bytes()).then_some(()));
    let mut stopped = Stopped::begin(&server);
    let mut stored = 12;
    while post(stored) == 201 {
        stored += 1;
        assert!(stored < 100, "the WAL has no bound: {} bytes", wal_bytes());
    }
    assert!(stored > 12, "writes are accepted while there is room");
    for number in 0..10 {
        assert_eq!(post(1_000 + number), 503);
    }
    assert!(wal_bytes() < held::WAL_BYTES_MAX + held::BEYOND_BYTES, "{}", wal_bytes());
    stopped.signal("CONT");
    assert!(stopped.0.wait().unwrap().success());
    eventually("taking events again", || (post(2_000) == 201).then_some(()));
    // The copy is a snapshot of the moment at which it began.
    let copy = rusqlite::Connection::open(server.directory().join("copy.db")).unwrap();
    let events: u32 =
        copy.query_row("SELECT count(*) FROM block WHERE length(bodies) > 500000", [], |row| row.get(0)).unwrap();
    assert_eq!(events as usize, 12 * held::BATCH_EVENTS);
}

#[test]
fn a_follower_ahead_of_a_restored_backup_gets_422_and_resumes() {
    let server = Server::start();
    server.store(&[event(0, 1)]);
    assert!(run(server.directory(), &["backup", "copy.db"]).status.success());
    server.store(&[event(0, 2), event(0, 3)]);
    let follow = "sort=received&order=asc&include_own=true&limit=1000";
    let ahead = server.list(follow).json()["next"].as_str().unwrap().to_owned();
    assert_eq!(run(server.directory(), &["restore", "copy.db", "--force"]).status.code(), Some(1));
    let (_, directory) = server.stop();
    assert!(run(directory.path(), &["restore", "copy.db", "--force"]).status.success());
    let server = Server::start_in(directory, &[]);
    assert_eq!(server.list(&format!("{follow}&cursor={ahead}")).refusal(), (422, "invalid_request".to_owned()));
    assert_eq!(server.list("resources=entity").identifiers(), ["s0-1"]);
    // Lost events are sent again, and clients that start over see them.
    assert_eq!(server.post("/v1/audit-log", &event(0, 2).to_string()).status, 201);
    assert_eq!(server.list("resources=entity&sort=received&order=asc").identifiers(), ["s0-1", "s0-2"]);
    let aside = fs::read_dir(server.directory())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("auditbox.db.before-"));
    assert!(aside.count() >= 1);
}

#[test]
fn a_backup_overwrites_only_with_force_and_only_if_sound() {
    let server = Server::start();
    server.store(&[event(0, 1)]);
    let directory = server.directory();
    assert!(run(directory, &["backup", "copy.db"]).status.success());
    let sound = fs::read(directory.join("copy.db")).unwrap();
    let refused = run(directory, &["backup", "copy.db"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is there already"));
    assert!(run(directory, &["backup", "copy.db", "--force"]).status.success());
    assert_eq!(run(directory, &["backup", "auditbox.db", "--force"]).status.code(), Some(1));
    let connection = rusqlite::Connection::open(server.database()).unwrap();
    connection.execute_batch("DROP TRIGGER event_is_never_changed").unwrap();
    connection.execute("UPDATE event SET filled = filled + 1 WHERE seq = 1", []).unwrap();
    let unsound = run(directory, &["backup", "copy.db", "--force"]);
    assert_eq!(unsound.status.code(), Some(1), "{unsound:?}");
    assert!(String::from_utf8_lossy(&unsound.stdout).contains("event 1 ("), "{unsound:?}");
    assert!(directory.join("copy.db.unsound").exists() && !directory.join("copy.db.part").exists());
    assert_eq!(fs::read(directory.join("copy.db")).unwrap().len(), sound.len());
    fs::write(directory.join("torn.db"), &sound[..sound.len() / 2]).unwrap();
    let (_, directory) = server.stop();
    let torn = run(directory.path(), &["restore", "torn.db", "--force"]);
    assert_eq!(torn.status.code(), Some(1), "{torn:?}");
    assert!(directory.path().join("auditbox.db").exists() && !directory.path().join("auditbox.db.part").exists());
}
