//! Power loss: the real program on a disk that forgets unsynced data, or part of it, or part of each page.
//!
//! `AUDITBOX_CUTS=50 cargo test --test suite -- faults::power --nocapture` runs the long form.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fuser::BackgroundSession;
use serde_json::json;
use tempfile::TempDir;

use super::{
    CHECKPOINT_BYTES, Random,
    ledger::Ledger,
    make_chunked,
    medium::{Act, Image, Medium, Mercy},
    mount::{can_mount, mount},
    number,
    subject::{Place, Subject},
};
use crate::platform::signal;

/// Cuts in the short form.
const CUTS: u64 = 6;
const CONNECTIONS: usize = 12;
/// Cuts per disk.
const CUTS_OF_A_DISK: u64 = 10;
/// Maximum wait for the operation that a cut waits for.
const PATIENCE: Duration = Duration::from_secs(4);
/// Disks on which a WAL without syncs may persist by luck.
const CARELESS_ROUNDS: u64 = 20;

/// A disk in use.
struct Disk {
    medium: Arc<Medium>,
    _mounted: BackgroundSession,
}

impl Disk {
    fn with(image: Image, at: &Path) -> Self {
        let medium = Arc::new(Medium::new(image));
        Self { _mounted: mount(&medium, at).unwrap(), medium }
    }

    /// Cuts the power; what remains becomes another disk.
    fn after_cut(self, mercy: Mercy, random: &mut Random, at: &Path) -> Self {
        self.medium.cut();
        let image = self.medium.image(mercy, random);
        drop(self);
        Self::with(image, at)
    }
}

/// A file with small chunks, as a disk image.
fn chunked_image() -> Image {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("auditbox.db");
    make_chunked(&path);
    Image::from([("auditbox.db".to_owned(), std::fs::read(path).unwrap())])
}

fn choose_act(random: &mut Random) -> Option<(Act, u64)> {
    match random.below(8) {
        0 | 1 => Some((Act::Sync, 1 + random.below(60))),
        2 | 3 => Some((Act::Write, 1 + random.below(1_500))),
        4 => Some((Act::Truncate, 1)),
        5 => Some((Act::SyncNames, 1 + random.below(2))),
        _ => None,
    }
}

fn choose_mercy(random: &mut Random) -> Mercy {
    match random.below(8) {
        0..=2 => Mercy::Nothing,
        3 => Mercy::Everything,
        _ => Mercy::Some,
    }
}

/// Sends until the power goes off, by itself or after the given number of acknowledgements. The process has then ended
/// as well.
fn send_until_cut(subject: &mut Subject, medium: &Medium, ledger: &mut Ledger, prefix: &str, enough: usize) {
    let pid = subject.process.pid();
    ledger.send(subject, prefix, CONNECTIONS, |acknowledged| {
        let begun = Instant::now();
        while !medium.is_cut() && acknowledged() < enough && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
        medium.cut();
        signal(pid, "KILL");
    });
    subject.process.end();
}

#[derive(Debug, Default)]
struct Figures {
    cuts: u64,
    while_starting: u64,
    acknowledged: usize,
    resent: usize,
}

#[test]
fn after_a_power_loss_acknowledged_events_are_there_exactly_once() {
    if !can_mount() {
        return;
    }
    let (cuts, mut random) = (number("AUDITBOX_CUTS", CUTS), Random::chosen(7));
    let (mut figures, begun) = (Figures::default(), Instant::now());
    while figures.cuts < cuts {
        let at = tempfile::tempdir().unwrap();
        // The server itself creates every second file, so that cuts hit the creation as well.
        let is_chunked = (figures.cuts / CUTS_OF_A_DISK).is_multiple_of(2);
        let mut disk = Disk::with(if is_chunked { chunked_image() } else { Image::new() }, at.path());
        let place = Place::with_file_in(at.path()).set(CHECKPOINT_BYTES);
        let mut ledger = Ledger::default();
        for round in 0..CUTS_OF_A_DISK.min(cuts - figures.cuts) {
            if let Some((act, count)) = choose_act(&mut random) {
                let while_starting = round % 3 == 0;
                disk.medium.cut_before(act, if while_starting { 1 + count % 8 } else { count });
            }
            match Subject::start(&place, &[]) {
                Ok(mut subject) => {
                    let enough = usize::try_from(1 + random.below(1_500)).unwrap();
                    send_until_cut(&mut subject, &disk.medium, &mut ledger, &format!("r{round}"), enough);
                }
                Err(log) => {
                    assert!(disk.medium.is_cut(), "{log}");
                    figures.while_starting += 1;
                }
            }
            figures.cuts += 1;
            let mercy = choose_mercy(&mut random);
            disk = disk.after_cut(mercy, &mut random, at.path());
            ledger.check_after_restart(&place, &mut random);
        }
        figures.acknowledged += ledger.acknowledged.len() - ledger.resent;
        figures.resent += ledger.resent;
    }
    println!("{figures:?}, lost: 0, in {} s", begun.elapsed().as_secs());
}

#[test]
fn a_wal_without_syncs_loses_events() {
    if !can_mount() {
        return;
    }
    let mut random = Random::chosen(11);
    let at = tempfile::tempdir().unwrap();
    let place = Place::with_file_in(at.path()).set(("AUDITBOX_REHEARSE_SYNCHRONOUS", "NORMAL"));
    for round in 1..=CARELESS_ROUNDS {
        let disk = Disk::with(chunked_image(), at.path());
        let (mut ledger, mut subject) = (Ledger::default(), Subject::must_start(&place));
        send_until_cut(&mut subject, &disk.medium, &mut ledger, "r", 200);
        let _disk = disk.after_cut(Mercy::Nothing, &mut random, at.path());
        let mut subject = Subject::must_start(&place);
        let lost = ledger.lost(&subject);
        subject.kill();
        if lost > 0 {
            println!("lost: {lost} of {} acknowledged, at cut {round}", ledger.acknowledged.len());
            return;
        }
    }
    panic!("no event was lost without syncs: this harness detects no losses");
}

/// A server restarts after the WAL could not be synced: the WAL's pages can be read, but they are not on the disk.
#[test]
fn data_of_a_failed_sync_does_not_count_as_stored() {
    if !can_mount() {
        return;
    }
    let (at, mut random): (TempDir, _) = (tempfile::tempdir().unwrap(), Random::new(13));
    let disk = Disk::with(Image::new(), at.path());
    let place = Place::with_file_in(at.path());
    let mut subject = Subject::must_start(&place);
    let event = |n: usize| json!({ "identifier": format!("e{n}"), "action": "READ", "resourceType": "x" }).to_string();
    assert_eq!(subject.post("/v1/audit-log", &event(1)).status, 201);
    disk.medium.fail_syncs("-wal", 1);
    let refused = subject.post("/v1/audit-log", &event(2));
    assert_eq!(refused.refusal(), (503, "overloaded".to_owned()));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        subject.post("/v1/audit-log", &event(3)).status,
        503,
        "it continues writing to a file that it cannot trust"
    );
    assert_eq!(subject.get("/readyz").status, 503);
    assert_eq!(subject.get("/v1/audit-log").identifiers(), ["e1"]);
    assert_eq!(subject.process.stop().code(), Some(1), "{}", subject.process.log());

    let mut subject = Subject::must_start(&place);
    for n in 1..=3 {
        assert!(matches!(subject.post("/v1/audit-log", &event(n)).status, 200 | 201));
    }
    disk.medium.cut();
    subject.kill();
    let _disk = disk.after_cut(Mercy::Nothing, &mut random, at.path());
    let mut subject = Subject::must_start(&place);
    let listed = subject.get("/v1/audit-log?sort=received&order=asc").identifiers();
    assert_eq!(listed.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
    place.doctor();
    subject.kill();
}
