//! Disks that are full, read-only, failing, hanging or gone. Writers receive an error with advice, readers are served,
//! and no acknowledged event is lost. If the disk recovers by itself, so does the server.

use std::{fs, sync::Arc, thread, time::Duration};

use serde_json::{Value, json};

use super::{
    CHECKPOINT_BYTES, Random, can_trace,
    ledger::Ledger,
    make_chunked,
    medium::{Image, Medium},
    mount::{can_mount, mount},
    subject::{Place, SYNC, Subject, inject},
};
use crate::{
    harness::{Answer, CLIENT_ID, CLIENT_SECRET, eventually, exchange},
    platform::signal,
    process::refusal,
    skip::{MOUNT, runs},
    wire::Connection,
};

/// A file system in memory whose size can be changed; unmounted when dropped.
struct Small {
    at: tempfile::TempDir,
}

impl Small {
    /// Returns `None` if the test may not mount; it is then skipped.
    fn of(size: &str) -> Option<Self> {
        let at = tempfile::tempdir().unwrap();
        let mounted = runs("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "none", at.path().to_str()?]);
        MOUNT.is_met(mounted).then_some(Self { at })
    }

    fn set(&self, option: &str) {
        assert!(runs("mount", &["-o", &format!("remount,{option}"), self.at.path().to_str().unwrap()]), "{option}");
    }

    /// Uses all remaining space.
    fn fill(&self) {
        // The command is meant to end with an error.
        let filler = format!("of={}", self.at.path().join("filler").display());
        assert!(!runs("dd", &["if=/dev/zero", "bs=4k", &filler]));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        runs("umount", &["-l", self.at.path().to_str().unwrap()]);
    }
}

/// An event of about 20 kB that cannot be compressed to less than half.
fn event(n: usize) -> Value {
    let mut random = Random::new(n as u64);
    let noise: String = (0..1_250).map(|_| format!("{:016x}", random.bits())).collect();
    json!({ "identifier": format!("e{n}"), "action": "READ", "resourceType": "x", "additionalData": noise })
}

/// Sends events one by one until one is not stored. Returns the number of stored events, and the response to the
/// rejected one.
fn send_until_refused(subject: &Subject, first: usize) -> (usize, Answer) {
    for n in first..first + 2_000 {
        let answer = subject.post("/v1/audit-log", &event(n).to_string());
        if answer.status != 201 {
            return (n, answer);
        }
    }
    panic!("no event was rejected");
}

/// The server has exactly these events.
fn has_exactly(subject: &Subject, events: usize) {
    let answer = subject.get("/v1/audit-log?sort=received&order=asc&includes=identifier&limit=100000");
    assert_eq!(answer.identifiers(), (0..events).map(|n| format!("e{n}")).collect::<Vec<_>>());
}

/// Reads work in every way, with an existing token and with a new one.
fn can_be_read(subject: &Subject) {
    for path in
        ["/healthz", "/v1/audit-log?limit=1", "/v1/audit-log/stats", "/v1/audit-log/e0", "/audit-logs?range=all"]
    {
        for _ in 0..10 {
            let answer = subject.get(path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        }
    }
    let login = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET }).to_string();
    assert_eq!(subject.post("/v1/auth/access_token", &login).status, 200);
    let form = format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let origin = [("origin", &*subject.url)];
    let entered = exchange(&subject.url, 0, "POST", "/sign-in", &origin, form.as_bytes()).unwrap();
    assert_eq!(entered.status, 303, "{}", entered.text);
}

/// The server has stopped writing: it says so, rejects writes, serves reads, and exits with an error.
fn has_stopped_writing(subject: &mut Subject, refused: &Answer) {
    assert_eq!(refused.refusal(), (503, "overloaded".to_owned()));
    assert!(refused.text.contains("restarted") && refused.header("retry-after").is_some(), "{}", refused.text);
    assert_eq!(subject.get("/readyz").status, 503);
    assert_eq!(subject.post("/v1/audit-log", &event(9_999).to_string()).status, 503);
    can_be_read(subject);
    assert_eq!(subject.process.stop().code(), Some(1), "{}", subject.process.log());
}

#[test]
fn a_full_disk_is_reported_until_there_is_room() {
    let Some(small) = Small::of("3m") else { return };
    let place = Place::with_file_in(small.at.path());
    let mut subject = Subject::must_start(&place);
    let (events, refused) = send_until_refused(&subject, 0);
    assert_eq!(refused.refusal(), (507, "disk_full".to_owned()));
    assert!(refused.text.contains("make room") && refused.header("retry-after").is_some(), "{}", refused.text);
    can_be_read(&subject);
    let change = subject.post("/v1/credentials", r#"{"name":"another","scopes":["read"]}"#);
    assert_eq!(change.refusal(), (507, "disk_full".to_owned()));
    has_exactly(&subject, events);
    small.set("size=64m");
    eventually("room", || (subject.post("/v1/audit-log", &event(events).to_string()).status == 201).then_some(()));
    has_exactly(&subject, events + 1);
    // The reads of the meantime were recorded.
    eventually("the record", || {
        let own = subject.get("/v1/audit-log?origin=auditbox&limit=1&count=true");
        (own.json()["count"].as_u64().unwrap() >= 30).then_some(())
    });
    place.doctor();
    assert!(subject.process.stop().success());
}

#[test]
fn sealing_training_and_checkpoints_continue_once_there_is_room() {
    let Some(small) = Small::of("5m") else { return };
    let place = Place::with_file_in(small.at.path()).set(CHECKPOINT_BYTES);
    make_chunked(&place.database);
    let mut subject = Subject::must_start(&place);
    let pid = subject.process.pid();
    let mut ledger = Ledger::default();
    ledger.send(&subject, "full", 8, |acknowledged| {
        let mut names = 0..;
        eventually("a full disk", || {
            let wanted = json!({ "name": format!("probe-{}", names.next()?), "scopes": ["read"] });
            (subject.post("/v1/credentials", &wanted.to_string()).status == 507).then_some(())
        });
        thread::sleep(Duration::from_millis(700));
        assert_eq!(subject.get("/v1/audit-log?limit=10").status, 200);
        small.set("size=500m");
        let before = acknowledged();
        eventually("room", || (acknowledged() > before + 3_000).then_some(()));
        assert!(signal(pid, "TERM"));
    });
    assert!(subject.process.end().success(), "{}", subject.process.log());
    let subject = Subject::must_start(&place);
    ledger.check(&subject);
    place.doctor();
    let database = rusqlite::Connection::open(&place.database).unwrap();
    let count = |table: &str| -> u32 {
        database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert!(count("dictionary") > 0 && count("chunk") > 10);
}

#[test]
fn no_room_for_the_wal_index_is_a_full_disk() {
    if !can_trace() {
        return;
    }
    let place = Place::new();
    let shm = format!("{}-shm", fs::canonicalize(place.directory.path()).unwrap().join("auditbox.db").display());
    // The server creates the first eight pages of the index at startup, and the next when the WAL has 4,096 pages.
    let mut wrapper = inject("pwrite64:error=ENOSPC:when=9..12");
    wrapper.extend(["-P".to_owned(), shm]);
    let mut subject = Subject::start(&place, &wrapper).unwrap();
    let (events, refused) = send_until_refused(&subject, 0);
    assert_eq!(refused.refusal(), (507, "disk_full".to_owned()));
    eventually("room", || (subject.post("/v1/audit-log", &event(events).to_string()).status != 507).then_some(()));
    has_exactly(&subject, events + 1);
    assert!(subject.process.stop().success());
    place.doctor();
}

#[test]
fn a_disk_that_is_full_or_read_only_at_the_start_is_named() {
    let Some(small) = Small::of("16k") else { return };
    let place = Place::with_file_in(small.at.path());
    let is_refused = |says: &str| {
        let (code, log) = refusal(&mut place.command());
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("auditbox.db") && log.contains(says), "{log}");
    };
    is_refused("the disk is full");
    small.set("size=8m");
    let mut subject = Subject::must_start(&place);
    assert_eq!(subject.post("/v1/audit-log", &event(0).to_string()).status, 201);
    // An orderly stop, because the files that a kill leaves have used their space already.
    assert!(subject.process.stop().success());
    small.fill();
    is_refused("the disk is full");
    fs::remove_file(small.at.path().join("filler")).unwrap();
    small.set("ro");
    is_refused("read-only");
    small.set("rw");
    let mut subject = Subject::must_start(&place);
    has_exactly(&subject, 1);
    place.doctor();
    subject.kill();
}

#[test]
fn after_a_disk_error_nothing_is_written_until_a_restart() {
    if !can_trace() {
        return;
    }
    let sync = format!("{SYNC}:error=EIO:when=12+");
    for injection in [&sync, "pwrite64:error=EIO:when=90+", "pwrite64:error=EROFS:when=90+"] {
        let place = Place::new();
        // The file is created beforehand, so that the errors come while the server runs.
        assert!(Subject::must_start(&place).process.stop().success());
        let mut subject = Subject::start(&place, &inject(injection)).unwrap_or_else(|log| panic!("{injection}: {log}"));
        let (events, refused) = send_until_refused(&subject, 0);
        assert!(events > 0, "{injection}");
        has_exactly(&subject, events);
        has_stopped_writing(&mut subject, &refused);
        let mut subject = Subject::must_start(&place);
        assert!(matches!(subject.post("/v1/audit-log", &event(events).to_string()).status, 200 | 201));
        has_exactly(&subject, events + 1);
        place.doctor();
        assert!(subject.process.stop().success());
    }
}

#[test]
fn a_moved_or_deleted_file_is_not_written_to() {
    for is_moved in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let (at, elsewhere) = (directory.path().join("data"), directory.path().join("moved"));
        fs::create_dir(&at).unwrap();
        let place = Place::with_file_in(&at);
        let mut subject = Subject::must_start(&place);
        assert_eq!(subject.post("/v1/audit-log", &event(0).to_string()).status, 201);
        if is_moved {
            fs::rename(&at, &elsewhere).unwrap();
        } else {
            fs::remove_dir_all(&at).unwrap();
        }
        let refused = subject.post("/v1/audit-log", &event(1).to_string());
        has_stopped_writing(&mut subject, &refused);
        assert!(subject.process.log().contains("is no longer the file that was opened"), "{}", subject.process.log());
        if is_moved {
            fs::rename(&elsewhere, &at).unwrap();
            let mut subject = Subject::must_start(&place);
            assert!(matches!(subject.post("/v1/audit-log", &event(1).to_string()).status, 200 | 201));
            has_exactly(&subject, 2);
            subject.kill();
        } else {
            let (code, log) = refusal(&mut place.command());
            assert!(code == Some(1) && log.contains("check that its directory exists and is writable"), "{log}");
        }
    }
}

#[test]
fn a_deleted_wal_is_not_written_to() {
    let place = Place::new();
    let mut subject = Subject::must_start(&place);
    assert_eq!(subject.post("/v1/audit-log", &event(0).to_string()).status, 201);
    fs::remove_file(place.database.with_file_name("auditbox.db-wal")).unwrap();
    let refused = subject.post("/v1/audit-log", &event(1).to_string());
    has_stopped_writing(&mut subject, &refused);
}

#[test]
fn with_few_descriptors_fewer_connections_are_used_and_the_server_log_says_so() {
    for descriptors in [64, 300] {
        let place = Place::new();
        let limited = ["sh", "-c", &format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"")].map(str::to_owned);
        let mut subject = Subject::start(&place, &limited).unwrap();
        let log = subject.process.log();
        for said in [&format!("{descriptors} open files"), "[server] connections_max = 4096", "LimitNOFILE"] {
            assert!(log.contains(said), "{log}");
        }
        let kept = |_| {
            let mut connection = Connection::open(&subject.url).unwrap();
            assert_eq!(connection.request("GET", "/healthz", "", "").unwrap().status, 200);
            connection
        };
        let idle: Vec<_> = (0..2 * descriptors).map(kept).collect();
        for n in 0..20 {
            // The server closes connections of this address that have waited longer, and answers requests.
            let health = exchange(&subject.url, 0, "GET", "/healthz", &[], b"").unwrap();
            assert_eq!(health.status, 200);
            assert_eq!(subject.post("/v1/audit-log", &event(n).to_string()).status, 201);
            assert_eq!(subject.get(&format!("/v1/audit-log/e{n}")).status, 200);
        }
        drop(idle);
        has_exactly(&subject, 20);
        assert!(subject.process.stop().success());
        place.doctor();
    }
}

/// Releases a hanging disk when dropped.
struct Released<'m>(&'m Medium);

impl Drop for Released<'_> {
    fn drop(&mut self) {
        self.0.hang(false);
    }
}

/// The resident memory of a process in bytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn while_a_disk_hangs_reads_continue_and_the_queue_stays_bounded() {
    const QUEUE: usize = 100;
    // A queue's worth of these events is in the commit that hangs, and another queue's worth waits.
    const SENDERS: usize = 3 * QUEUE;
    if !can_mount() {
        return;
    }
    let at = tempfile::tempdir().unwrap();
    let medium = Arc::new(Medium::new(Image::new()));
    let _mounted = mount(&medium, at.path()).unwrap();
    let limit = QUEUE.to_string();
    let place = Place::with_file_in(at.path())
        .set(("AUDITBOX_LIMITS_QUEUE_EVENTS_MAX", &limit))
        .set(("AUDITBOX_LIMITS_BATCH_EVENTS_MAX", &limit));
    let mut subject = Subject::must_start(&place);
    assert_eq!(subject.post("/v1/audit-log", &event(0).to_string()).status, 201);
    let before = resident(subject.process.pid());
    medium.hang(true);
    thread::scope(|scope| {
        // If the test fails, the senders must not wait forever.
        let released = Released(&medium);
        let store = |n: usize| subject.post("/v1/audit-log", &event(n).to_string());
        let senders: Vec<_> = (1..=SENDERS).map(|n| scope.spawn(move || (n, store(n)))).collect();
        // Some senders wait for the disk; the others are rejected.
        let is_sent_away = || senders.iter().filter(|sender| sender.is_finished()).count() >= SENDERS - 2 * QUEUE;
        eventually("a full queue", || is_sent_away().then_some(()));
        for _ in 0..20 {
            can_be_read(&subject);
        }
        assert!(senders.iter().any(|sender| !sender.is_finished()), "the disk did not hang");
        let grown = resident(subject.process.pid()).saturating_sub(before);
        assert!(grown < 128 * 1024 * 1024, "{grown}");
        drop(released);
        for sender in senders {
            let (n, answer) = sender.join().unwrap();
            if answer.status == 503 {
                assert!(answer.header("retry-after").is_some());
                eventually("room", || matches!(store(n).status, 200 | 201).then_some(()));
            } else {
                assert_eq!(answer.status, 201, "{}", answer.text);
            }
        }
    });
    let count = subject.get("/v1/audit-log?limit=1&count=true").json()["count"].as_u64().unwrap();
    assert_eq!(count, SENDERS as u64 + 1);
    assert!(subject.process.stop().success());
    place.doctor();
}
