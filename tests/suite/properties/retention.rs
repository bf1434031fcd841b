//! The events that retention leaves are found as a plain filter finds them: any events, any rules, any division of the
//! index into chunks.

use std::fs;

use auditbox::{model::timestamp::Timestamp, testdata::Generator};
use rusqlite::Connection as Database;
use serde_json::Value;

use super::{Plain, ask, events, plain, read_back};
use crate::harness::{Server, eventually, received, run};

const DAY: i64 = 86_400_000_000;
/// Masking has its own tests.
const UNMASKED: (&str, &str) = ("AUDITBOX_MASK_ENABLED", "false");
/// Number of rule sets, unless this variable sets another.
const SEEDS: u64 = 3;
const SEEDS_VARIABLE: &str = "AUDITBOX_RETENTION_SEEDS";
/// Queries for each set of rules.
const QUERIES: u32 = 40;
/// Days that are kept, and events per chunk, to choose from.
const DAYS: [i64; 6] = [0, 1, 7, 20, 35, 50];
const CHUNKS: [u32; 4] = [64, 100, 700, 65_536];

/// Pseudorandom numbers that follow from a seed.
struct Choice(u64);

impl Choice {
    fn of<T: Copy>(&mut self, among: &[T]) -> T {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        among[usize::try_from(self.0 % among.len() as u64).unwrap()]
    }
}

/// The time of receipt of an event with this time.
fn receipt(choice: &mut Choice, at: i64, now: i64) -> i64 {
    // At the event's time; now, as in an import; some time ago; by a clock without a battery.
    let past = choice.of(&[at, at, now, now - 10 * DAY, now - 45 * DAY, 0]);
    // A clock that is ahead has its own test.
    past.min(now)
}

/// Days that are kept: for all events, and by lower-case type.
#[derive(Debug)]
struct Rules {
    by_event_time: bool,
    general: i64,
    by_type: Vec<(String, i64)>,
}

impl Rules {
    fn choose(choice: &mut Choice, types: &[String]) -> Self {
        let (general, by_event_time) = (choice.of(&DAYS), choice.of(&[false, false, true]));
        let some = types.iter().filter(|_| choice.of(&[true, false, false]));
        let some: Vec<_> = some.cloned().collect();
        Self { by_event_time, general, by_type: some.into_iter().map(|name| (name, choice.of(&DAYS))).collect() }
    }

    fn text(&self) -> String {
        let types = self.by_type.iter().map(|(name, days)| format!("{} = {days}\n", serde_json::json!(name)));
        let keep_by = if self.by_event_time { "event_time" } else { "both" };
        format!(
            "[retention]\nkeep_days = {}\nkeep_by = '{keep_by}'\n[retention.resource_types]\naudit_log = 0\n{}",
            self.general,
            types.collect::<String>()
        )
    }

    /// Whether an event with this time and receipt is kept; `None` if its age is within about a day of the
    /// limit, where either outcome is correct.
    fn keep(&self, event: &Value, (at, received): (i64, i64), now: Timestamp) -> Option<bool> {
        let name = event["resourceType"].as_str().unwrap().to_lowercase();
        let days = self.by_type.iter().find(|(own, _)| *own == name).map_or(self.general, |(_, days)| *days);
        let cutoff = now.micros() - days * DAY;
        // A time in the future does not count.
        let at = if at > now.micros() { received } else { at };
        match if self.by_event_time { at } else { at.max(received) } {
            _ if days == 0 => Some(true),
            micros if micros > cutoff + DAY / 12 => Some(true),
            micros if micros < cutoff - DAY - DAY / 12 => Some(false),
            _ => None,
        }
    }
}

#[test]
fn remaining_events_are_found_as_a_plain_filter_finds_them() {
    let seeds = std::env::var(SEEDS_VARIABLE).map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 1..=seeds {
        check(seed);
    }
}

fn check(seed: u64) {
    let mut choice = Choice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let now = Timestamp::now();
    // A seed that differs from the seed of the other events, because equal seeds produce equal identifiers.
    let mut texts: Vec<_> = Generator::new(1_000 + seed, 1_000, now, 60 * 86_400).collect();
    // Old events arrive late, and some of them claim to be from the future.
    for (place, odd) in events::synthetic().into_iter().step_by(25).enumerate() {
        texts.insert(place * 17, odd);
    }
    let mut types: Vec<_> =
        texts.iter().map(|text| read(text)["resourceType"].as_str().unwrap().to_lowercase()).collect();
    types.sort();
    types.dedup();
    let rules = Rules::choose(&mut choice, &types);
    let mut dated: Vec<_> = texts
        .into_iter()
        .map(|text| {
            let at = read(&text)["trigger"]["at"].as_str().map(plain::micros);
            let received = receipt(&mut choice, at.unwrap_or(now.micros()), now.micros());
            (text, plain::ordered_at(at.unwrap_or(received), received), Timestamp::from_micros(received))
        })
        .collect();
    dated.retain(|(text, at, received)| rules.keep(&read(text), (*at, received.micros()), now).is_some());
    let kept =
        dated.iter().filter(|(text, at, received)| rules.keep(&read(text), (*at, received.micros()), now).unwrap());
    let kept: Vec<_> = kept.map(|(text, ..)| text.clone()).collect();
    let sent: Vec<_> = dated.iter().map(|(text, ..)| text.clone()).collect();
    let chunk_events = choice.of(&CHUNKS);
    println!("seed {seed}: chunks of {chunk_events}, {} of {} stay, {rules:?}", kept.len(), sent.len());

    let dated: Vec<_> = dated.into_iter().map(|(text, _, received)| (text, received)).collect();
    let server = Server::start_in(received(chunk_events, &dated), &[UNMASKED]);
    let mut left = read_back(&server, &sent);
    left.retain(|plain| rules.keep(&plain.event, (plain.micros, plain.received_micros), now).unwrap());
    assert_eq!(left.len(), kept.len());
    let (status, directory) = server.stop();
    assert!(status.success());
    let path = directory.path().join("rules.toml");
    fs::write(&path, rules.text()).unwrap();
    let mut server = Server::start_in(directory, &[UNMASKED, ("AUDITBOX_CONFIG", path.to_str().unwrap())]);
    settle(&server, left.len());
    equals_remaining(&server, &left);
    server.kill();
    server.start_again();
    settle(&server, left.len());
    equals_remaining(&server, &left);
    // A dropped event may be sent again and is new; a kept event is a duplicate.
    let named: Vec<_> = kept.iter().filter(|text| read(text)["identifier"].is_string()).map(String::as_str).collect();
    if !named.is_empty() {
        let answer = server.post("/v1/audit-log", &named.join("\n"));
        assert_eq!(answer.json()["duplicates"], named.len(), "{}", answer.text);
    }
    let (status, directory) = server.stop();
    assert!(status.success());
    let doctor = run(directory.path(), &["reindex"]);
    assert!(doctor.status.success(), "{doctor:?}");
    let server = Server::start_in(directory, &[]);
    equals_remaining(&server, &left);
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Waits until this many events are left, and all data of the others is gone.
fn settle(server: &Server, left: usize) {
    eventually("retention", || {
        let found = server.list("limit=1&count=true&include_own=false").json();
        (found["count"] == left && is_clean(&Database::open(server.database()).unwrap())).then_some(())
    });
}

/// Whether retention has finished, and has deleted everything.
pub(crate) fn is_clean(database: &Database) -> bool {
    let settings = "SELECT name IN ('dropping', 'terms_unswept') FROM setting WHERE name <> 'retention_clock'";
    let mut statement = database.prepare(settings).unwrap();
    let unclean: Vec<bool> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    !unclean.contains(&true)
}

fn equals_remaining(server: &Server, left: &[Plain]) {
    if left.is_empty() {
        assert!(server.list("limit=10").identifiers().is_empty());
    } else {
        ask(server, left, QUERIES);
    }
    let doctor = run(server.directory(), &["doctor"]);
    assert!(doctor.status.success(), "{doctor:?}");
}
