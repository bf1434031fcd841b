//! SIGKILL, at random and at chosen system calls, while events come in, chunks are sealed, dictionaries trained, the log
//! copied into the file, credentials changed; while the server starts, and while it stops.
//!
//! `AUDITBOX_KILLS=200 cargo test --test suite -- faults::crash --nocapture` is the long form.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection as Database;

use super::{
    CHECKPOINT_BYTES, Random, can_trace,
    ledger::Ledger,
    make_chunked, number,
    subject::{Place, SYNC, Subject, inject, was_killed},
};
use crate::platform::signal;

/// Kills in the short form.
const KILLS: u64 = 10;
const CONNECTIONS: usize = 24;
/// Kills that one file goes through: then another is begun, so that first things happen again.
const KILLS_OF_A_FILE: u64 = 20;
/// How long a call that was chosen is waited for. It may never come.
const PATIENCE: Duration = Duration::from_secs(4);

/// When the process is killed.
#[derive(Debug)]
enum Blow {
    /// After this number of acknowledgements.
    After(usize),
    /// When a thread makes this call for the `n`th time, under load.
    Call(&'static str, u64),
    /// The same, with a signal to stop before: at the last checkpoint, and when the files are closed.
    Stop(&'static str, u64),
    /// The same, before it serves.
    Start(&'static str, u64),
}

impl Blow {
    fn choose(round: u64, random: &mut Random) -> Self {
        match round % 10 {
            0 | 5 => Self::After(usize::try_from(1 + random.below(1_500)).unwrap()),
            1 => Self::Call(SYNC, 8 + random.below(60)),
            2 => Self::Call("pwrite64", 40 + random.below(1_500)),
            3 => Self::Stop("ftruncate", 1 + random.below(2)),
            4 => Self::Start(SYNC, 1 + random.below(4)),
            6 => Self::Stop(SYNC, 2 + random.below(60)),
            7 => Self::Call("writev", 1 + random.below(60)),
            8 => Self::Stop("unlink", 1 + random.below(2)),
            _ => Self::Start("pwrite64", 1 + random.below(40)),
        }
    }

    fn injection(&self) -> Vec<String> {
        match self {
            Self::After(_) => Vec::new(),
            Self::Call(call, n) | Self::Stop(call, n) | Self::Start(call, n) => {
                inject(&format!("{call}:signal=KILL:when={n}"))
            }
        }
    }
}

#[derive(Debug, Default)]
struct Figures {
    kills: u64,
    attempts: u64,
    while_sealing: u64,
    while_starting: u64,
    acknowledged: usize,
    resent: usize,
}

/// Runs a server until the blow falls; false if it never did, and the server stopped in order.
fn strike(place: &Place, blow: &Blow, ledger: &mut Ledger, prefix: &str, figures: &mut Figures) -> bool {
    let Ok(mut subject) = Subject::start(place, &blow.injection()) else {
        figures.while_starting += 1;
        return true;
    };
    let pid = subject.process.pid();
    ledger.send(&subject, prefix, CONNECTIONS, |acknowledged| {
        let (begun, stops_after) = (Instant::now(), 400);
        loop {
            let is_enough = match blow {
                Blow::After(enough) => acknowledged() >= *enough,
                Blow::Stop(..) => acknowledged() >= stops_after,
                Blow::Call(..) | Blow::Start(..) => false,
            };
            if is_enough || begun.elapsed() > PATIENCE || is_dead(pid) {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        signal(pid, if matches!(blow, Blow::After(_)) { "KILL" } else { "TERM" });
    });
    let ended = subject.process.end();
    assert!(was_killed(ended) || ended.success(), "{ended}: {}", subject.process.log());
    was_killed(ended)
}

/// Whether a process of this test has ended. It stays a zombie until the test collects its exit status.
fn is_dead(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

/// Rows of a chunk that was not yet sealed: what a kill in the middle leaves. Looked at in a copy, so that it is the server
/// that finds the log.
fn was_sealing(database: &Path) -> bool {
    let copy = tempfile::tempdir().unwrap();
    for end in ["", "-wal"] {
        let name = format!("auditbox.db{end}");
        let from = database.with_file_name(&name);
        if from.exists() {
            fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    let rows =
        "SELECT count(*) FROM chunk_posting WHERE place >= (SELECT coalesce(max(number), -1) + 1 FROM chunk) << 38";
    let database = Database::open(copy.path().join("auditbox.db")).unwrap();
    // The first start may have been killed before there were tables.
    database.query_row(rows, [], |row| row.get::<_, u32>(0)).is_ok_and(|rows| rows > 0)
}

#[test]
fn whenever_it_is_killed_what_was_acknowledged_is_there_once() {
    if !can_trace() {
        return;
    }
    let (kills, mut random) = (number("AUDITBOX_KILLS", KILLS), Random::chosen(5));
    let mut figures = Figures::default();
    let begun = Instant::now();
    while figures.kills < kills {
        let place = Place::new().set(CHECKPOINT_BYTES);
        // Every other file is made by the server itself, so that kills hit that too.
        if (figures.kills / KILLS_OF_A_FILE).is_multiple_of(2) {
            make_chunked(&place.database);
        }
        let (mut ledger, mut rounds) = (Ledger::default(), 0);
        while rounds < KILLS_OF_A_FILE && figures.kills < kills {
            figures.attempts += 1;
            let blow = Blow::choose(figures.attempts - 1, &mut random);
            if !strike(&place, &blow, &mut ledger, &format!("r{}", figures.attempts), &mut figures) {
                continue;
            }
            figures.kills += 1;
            rounds += 1;
            figures.while_sealing += u64::from(was_sealing(&place.database));
            ledger.check_after_restart(&place, &mut random);
        }
        figures.acknowledged += ledger.acknowledged.len() - ledger.resent;
        figures.resent += ledger.resent;
    }
    println!("{figures:?}, lost: 0, in {} s", begun.elapsed().as_secs());
}
