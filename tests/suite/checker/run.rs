//! One episode: a server with a new file, a model of it, and operations in an order that a seed decides.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use auditbox::store::{Quiet, Store};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{
    commands::Backup,
    events::{Maker, Sent},
    followers::Follower,
    model::State,
    queries::OwnFollower,
};
use crate::{
    harness::{CLIENT_ID, Server, program, store_options},
    properties::Pools,
};

/// An episode ends when its log has this many events, because plain filters grow slow.
const EVENTS_MAX: usize = 1_500;
/// Maximum duration of an episode that runs alone.
const EPISODE_MAX: Duration = Duration::from_secs(600);
/// Operations to leave out, separated by commas. `respell` is not an operation of its own: it sends some events again in
/// another spelling.
const WITHOUT: &str = "AUDITBOX_CHECKER_WITHOUT";
/// A directory that receives a copy of what a failed episode leaves.
const KEEP: &str = "AUDITBOX_CHECKER_KEEP";

/// A kind of operation, and how often a round runs it.
type Operation = (&'static str, usize, fn(&mut Checker));
const OPERATIONS: &[Operation] = &[
    ("post", 20, Checker::post),
    ("partial", 6, Checker::post_partial),
    ("storm", 5, Checker::storm),
    ("ask", 16, Checker::ask),
    ("page", 6, Checker::page),
    ("identifier", 4, Checker::by_identifier),
    ("includes", 3, Checker::includes),
    ("export", 4, Checker::export),
    ("html", 2, Checker::html),
    ("follow", 14, Checker::follow_list),
    ("stream", 14, Checker::follow_stream),
    ("own", 2, Checker::own_records),
    ("credential", 5, Checker::change_credential),
    ("use", 6, Checker::use_credentials),
    ("kill", 2, Checker::kill),
    ("restart", 1, Checker::restart),
    ("reindex", 1, Checker::reindex),
    ("doctor", 1, Checker::doctor),
    ("backup", 2, Checker::backup),
    ("restore", 2, Checker::restore),
    ("retention", 1, Checker::retention),
    ("import", 2, Checker::import),
    ("link", 2, Checker::link),
];

/// The real program, and its expected state.
pub(super) struct Checker {
    pub(super) server: Server,
    pub(super) state: State,
    pub(super) maker: Maker,
    pub(super) followers: Vec<Follower>,
    pub(super) backups: Vec<Backup>,
    /// Some of the events that are, or were, in the log.
    pub(super) sent: Vec<Sent>,
    /// Files that were imported, with their events.
    pub(super) imported: Vec<(String, Vec<Sent>)>,
    /// The cursor from which reading back continues.
    pub(super) place: Option<String>,
    /// How many events have arrived in all.
    pub(super) arrivals: u64,
    /// The name of the admin's credential.
    pub(super) admin: String,
    /// Client ids of all credentials that were ever revoked.
    pub(super) revoked: HashSet<String>,
    /// Identifiers of all events that retention ever dropped.
    pub(super) dropped: HashSet<String>,
    pub(super) own: OwnFollower,
    pub(super) chunk_events: u32,
    pub(super) step: u64,
    pub(super) queries: TestRunner,
    pub(super) pools: Option<Pools>,
    without: Vec<String>,
    log: Vec<String>,
}

impl Checker {
    pub(super) fn new(seed: u64) -> Self {
        let mut maker = Maker::new(seed);
        let chunk_events = maker.pick(&[64, 100, 200, 300]);
        let directory = tempfile::tempdir().unwrap();
        let options = store_options(&directory.path().join("auditbox.db"), chunk_events);
        Store::open(&options, &Quiet).unwrap().close().unwrap();
        let config = directory.path().join("checker.toml");
        fs::write(&config, "").unwrap();
        let environment = [
            ("AUDITBOX_CONFIG", config.to_str().unwrap()),
            // Without masking, every byte must come back unchanged.
            ("AUDITBOX_MASK_ENABLED", "false"),
            // The checker keeps trying revoked credentials.
            ("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "1000000"),
        ];
        let server = Server::start_in(directory, &environment);
        let credentials = server.get("/v1/credentials").json();
        let of_admin = |one: &&serde_json::Value| one["clientId"] == CLIENT_ID;
        let admin = credentials["credentials"].as_array().unwrap().iter().find(of_admin).unwrap()["name"].clone();
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        Self {
            server,
            state: State::default(),
            maker,
            followers: Vec::new(),
            backups: Vec::new(),
            sent: Vec::new(),
            imported: Vec::new(),
            place: None,
            arrivals: 0,
            admin: admin.as_str().unwrap().to_owned(),
            revoked: HashSet::new(),
            dropped: HashSet::new(),
            own: OwnFollower::default(),
            chunk_events,
            step: 0,
            queries: TestRunner::new_with_rng(Config::default(), random),
            pools: None,
            without: env::var(WITHOUT).unwrap_or_default().split(',').map(str::to_owned).collect(),
            log: vec![format!("chunks of {chunk_events} events")],
        }
    }

    /// Whether operations with this name may run.
    pub(super) fn may(&self, name: &str) -> bool {
        !self.without.iter().any(|without| without == name)
    }

    /// Adds to the description of the present operation.
    pub(super) fn note(&mut self, what: impl AsRef<str>) {
        let line = self.log.last_mut().unwrap();
        line.push_str("; ");
        line.push_str(what.as_ref());
    }

    /// Runs a command on the database of this name in the server's directory.
    pub(super) fn command(&self, database: &str, arguments: &[&str]) -> Output {
        let mut command = program(self.server.directory());
        command.env("AUDITBOX_DATABASE_PATH", database).env("AUDITBOX_MASK_ENABLED", "false");
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs rounds of all operations, each in another order, until the log is large or the time is up.
    fn rounds(&mut self, deadline: Instant, counts: &mut BTreeMap<&'static str, u64>) {
        loop {
            let mut round: Vec<_> = OPERATIONS
                .iter()
                .filter(|(name, ..)| self.may(name))
                .flat_map(|operation| vec![operation; operation.1])
                .collect();
            for place in (1..round.len()).rev() {
                let other = self.maker.below(place + 1);
                round.swap(place, other);
            }
            for (name, _, operate) in round {
                self.step += 1;
                self.log.push(format!("{:>4} {name}", self.step));
                operate(self);
                *counts.entry(name).or_default() += 1;
                if self.state.events.len() >= EVENTS_MAX {
                    return;
                }
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Compares the whole state.
    pub(super) fn compare_everything(&mut self) {
        self.compare_log();
        for place in 0..self.followers.len() {
            self.catch_up(place);
        }
        self.use_credentials();
        self.own_records();
        self.doctor();
    }
}

/// Runs one episode. On a failure, prints its operations and how to repeat them.
fn episode(seed: u64, deadline: Instant, counts: &mut BTreeMap<&'static str, u64>) -> usize {
    let mut checker = Checker::new(seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        checker.rounds(deadline, counts);
        checker.step += 1;
        checker.log.push(format!("{:>4} the end", checker.step));
        checker.compare_everything();
    }));
    if let Err(failure) = outcome {
        println!("{}", checker.log.join("\n"));
        println!("AUDITBOX_CHECKER_SEED={seed} cargo test --test suite -- checker::random --nocapture");
        if let Ok(keep) = env::var(KEEP) {
            let copied = Command::new("cp").arg("-r").arg(checker.server.directory()).arg(&keep).status();
            println!("the remains are in {keep}: {copied:?}");
        }
        resume_unwind(failure);
    }
    checker.state.events.len()
}

/// How much to run.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    /// One round of an episode.
    Round,
    /// A whole episode.
    Episode,
    /// One episode after another.
    Time(Duration),
}

/// Runs episodes from this seed on.
pub(super) fn run(seed: u64, extent: Extent) {
    let (begun, mut counts, mut episodes, mut events) = (Instant::now(), BTreeMap::new(), 0, 0);
    let (length, until) = match extent {
        Extent::Round => (Duration::ZERO, begun),
        Extent::Episode => (Duration::ZERO, begun + EPISODE_MAX),
        Extent::Time(length) => (length, begun + length),
    };
    let mut told = begun;
    while episodes == 0 || begun.elapsed() < length {
        events += episode(seed.wrapping_add(episodes), until, &mut counts);
        episodes += 1;
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            let operations: u64 = counts.values().sum();
            println!("{:.0?}: {episodes} episodes, {operations} operations, {events} events", begun.elapsed());
        }
    }
    let operations: u64 = counts.values().sum();
    println!("seeds {seed} to {}: no difference", seed + episodes - 1);
    println!("{operations} operations in {:.0?}, {events} events at the ends of {episodes} episodes", begun.elapsed());
    println!("{counts:?}");
}

/// The position of each name; no name may occur twice.
pub(super) fn at_most_once(names: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut places = HashMap::new();
    for (place, name) in names.enumerate() {
        let before = places.insert(name.clone(), place);
        assert_eq!(before, None, "duplicate name {name}");
    }
    places
}
