//! Searches for identifiers that belong to more than one event.
//!
//! The writer rejects duplicates, so those that exist were written by two programs at once, or by a program that is not
//! auditbox. The search reads the events and not the index, which may have been built after the
//! duplicates were stored.
//!
//! Memory is bounded. Identifiers are compared by 64 bits of their hash; where there are more than fit, they are
//! divided by hash into parts, and all events are read once for each part (the first while they are examined anyway).
//! Hashes that occur twice are candidates: one more reading finds their events, and compares the identifiers
//! themselves.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use rusqlite::Connection;

use crate::{
    index::{IndexError, value_hash},
    model::event::same_submission,
    store::{
        event::{chunks, codec::BodyCodec, row as events, stored::Fetch, tombstones::Dropped},
        file::progress::Progress,
        write::replay::{self, ReplayedRow},
    },
};

/// Maximum number of hashes in memory: 64 MiB.
const HASHES_MAX: usize = 8 * 1024 * 1024;
/// Minimum size of an event in the file, including its index entries.
const EVENT_BYTES_MIN: i64 = 64;
/// Maximum number of identifiers that are named.
const NAMED_MAX: usize = 10_000;
/// Maximum number of events of one identifier that are named and compared.
const EVENTS_MAX: usize = 10;

/// An identifier that belongs to more than one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The identifier.
    pub identifier: String,
    /// The seqs of the first events that have it.
    pub seqs: Vec<i64>,
    /// The number of events that have it.
    pub events: u64,
    /// Whether their content differs. If so, they are not copies of one event.
    pub differs: bool,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "identifier {:?} belongs to events ", self.identifier)?;
        let unnamed = self.events - self.seqs.len() as u64;
        for (number, seq) in self.seqs.iter().enumerate() {
            let before = match number {
                0 => "",
                _ if number + 1 == self.seqs.len() && unnamed == 0 => " and ",
                _ => ", ",
            };
            write!(f, "{before}{seq}")?;
        }
        if unnamed > 0 {
            write!(f, " and {unnamed} more")?;
        }
        f.write_str(if self.differs { "; their content differs" } else { "" })
    }
}

/// The result of a search.
#[derive(Debug, Default)]
pub(in crate::store) struct DuplicateMatch {
    /// The first [`NAMED_MAX`], in order of arrival.
    pub(in crate::store) named: Vec<Duplicate>,
    /// The number of identifiers that belong to more than one event, including those not named.
    pub(in crate::store) count: u64,
}

/// A search in progress.
pub(in crate::store) struct DuplicateSearch {
    parts: u64,
    /// The hashes of the present part.
    hashes: Vec<u64>,
    candidates: HashSet<u64>,
    /// Number of candidates in addition to those in memory.
    unnamed: u64,
}

impl DuplicateSearch {
    /// A search among the events of a file.
    pub(in crate::store) fn among_events_of(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        // A damaged seq may be far beyond what the file can hold.
        let most = number("page_count")?.saturating_mul(number("page_size")?) / EVENT_BYTES_MIN;
        Ok(Self::in_parts_of(events::last_seq(connection)?.min(most), HASHES_MAX))
    }

    /// A search that finds nothing.
    pub(in crate::store) fn done() -> Self {
        Self::in_parts_of(0, HASHES_MAX)
    }

    fn in_parts_of(events: i64, hashes_max: usize) -> Self {
        let events = usize::try_from(events).unwrap_or(0);
        let parts = events.div_ceil(hashes_max).max(1);
        // Parts differ a little in size.
        let hashes = Vec::with_capacity(events / parts + events / parts / 64);
        Self { parts: parts as u64, hashes, candidates: HashSet::new(), unnamed: 0 }
    }

    /// Notes an event, for the first part.
    pub(in crate::store) fn note(&mut self, read: &ReplayedRow) {
        self.note_for(0, read);
    }

    fn note_for(&mut self, part: u64, read: &ReplayedRow) {
        if let Some(hash) = read.identifier().map(value_hash)
            && hash % self.parts == part
        {
            self.hashes.push(hash);
        }
    }

    /// Completes the search after all events were noted for the first part.
    pub(in crate::store) fn finish(
        mut self,
        connection: &mut Connection,
        bodies: &BodyCodec,
        progress: &dyn Progress,
    ) -> Result<DuplicateMatch, IndexError> {
        self.end_part();
        for part in 1..self.parts {
            each_event(connection, bodies, progress, |read| self.note_for(part, read))?;
            self.end_part();
        }
        self.hashes = Vec::new();
        if self.candidates.is_empty() {
            return Ok(DuplicateMatch::default());
        }
        let mut seqs: HashMap<String, (u64, Vec<i64>)> = HashMap::new();
        each_event(connection, bodies, progress, |read| {
            let identifier = read.identifier().filter(|identifier| self.candidates.contains(&value_hash(identifier)));
            if let Some(identifier) = identifier {
                let (count, seqs) = seqs.entry(identifier.to_owned()).or_default();
                *count += 1;
                if seqs.len() < EVENTS_MAX {
                    seqs.push(read.seq);
                }
            }
        })?;
        let mut found = DuplicateMatch { named: Vec::new(), count: self.unnamed };
        for (identifier, (events, seqs)) in seqs.into_iter().filter(|(_, (events, _))| *events > 1) {
            let differs = differ(connection, bodies, &seqs)?;
            found.named.push(Duplicate { identifier, seqs, events, differs });
        }
        found.count += found.named.len() as u64;
        found.named.sort_unstable_by(|one, other| one.seqs.cmp(&other.seqs));
        Ok(found)
    }

    /// Finds the hashes that occur twice in the present part.
    fn end_part(&mut self) {
        self.hashes.sort_unstable();
        for equal in self.hashes.chunk_by(|one, next| one == next).filter(|equal| equal.len() > 1) {
            if self.candidates.len() < NAMED_MAX {
                self.candidates.extend(equal.first());
            } else {
                self.unnamed += 1;
            }
        }
        self.hashes.clear();
    }
}

/// Calls `each` with every event. The examination itself reports those that cannot be read.
fn each_event(
    connection: &mut Connection,
    bodies: &BodyCodec,
    progress: &dyn Progress,
    mut each: impl FnMut(&ReplayedRow),
) -> Result<(), IndexError> {
    let chunk_events = chunks::chunk_events(connection)?;
    let mut through = 0;
    loop {
        // One snapshot a chunk, so that the write-ahead log can be emptied meanwhile.
        let transaction = connection.transaction()?;
        let Some(next) = replay::next_seq(&transaction, through)? else { return Ok(()) };
        let Ok(number) = u32::try_from((next - 1) / i64::from(chunk_events)) else { return Ok(()) };
        let last_seq = events::last_seq(&transaction)?;
        progress.advance("comparing identifiers", next, last_seq);
        let (first, last) = chunks::span(number, chunk_events);
        let dropped = Dropped::within(&transaction, first, last)?;
        let read = replay::each_event((&transaction, bodies), (first, last.min(last_seq)), &dropped, |read| {
            each(read);
            Ok(())
        });
        match read {
            Err(error) if !error.is_damage() => return Err(error),
            _ => through = last,
        }
    }
}

/// Whether these events differ in what their senders sent.
fn differ(connection: &Connection, bodies: &BodyCodec, seqs: &[i64]) -> Result<bool, IndexError> {
    let mut fetch = Fetch::new(connection, bodies)?;
    let mut first: Option<(String, _)> = None;
    for seq in seqs {
        let Some(Ok(stored)) = fetch.row(*seq)? else { continue };
        let Ok(body) = fetch.open(&stored)? else { continue };
        match &first {
            None => first = Some((body.to_owned(), stored.filled())),
            Some((known, filled)) if !same_submission((known, *filled), (body, stored.filled())) => return Ok(true),
            Some(_) => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::{KnownTerms, TermWriter},
        model::{
            event::{EventDraft, Receipt, Sender},
            limits::EventLimits,
            timestamp::Timestamp,
        },
        store::{
            event::prepared::Prepared,
            file::{format, progress::Quiet},
        },
    };

    /// A database in memory with these identifiers, in order. Every third event differs from the others.
    fn database(identifiers: impl Iterator<Item = String>) -> (Connection, BodyCodec) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(format::SCHEMA).unwrap();
        connection.execute_batch("INSERT INTO setting VALUES ('chunk_events', 64), ('checksums_from', 1)").unwrap();
        let (bodies, mut terms) = (BodyCodec::load(&connection).unwrap(), TermWriter::default());
        for (seq, identifier) in (1..).zip(identifiers) {
            let action = if seq % 3 == 0 { "DELETE" } else { "CREATE" };
            let text = format!(r#"{{"identifier":"{identifier}","action":"{action}","resourceType":"x"}}"#);
            let draft = EventDraft::parse(&text, &EventLimits::default(), Sender::Client);
            let event = draft.unwrap().accept(&Receipt { at: Timestamp::now(), by: "test" });
            let probe = crate::index::IdentifierProbe::new(&event.identifier);
            let prepared = Prepared::new(event, &bodies, probe, KnownTerms::default());
            events::append(&connection, &bodies, &mut terms, seq - 1, &[&prepared]).unwrap();
        }
        (connection, bodies)
    }

    fn search(connection: &mut Connection, bodies: &BodyCodec, hashes_max: usize) -> DuplicateMatch {
        let events = events::last_seq(connection).unwrap();
        let mut search = DuplicateSearch::in_parts_of(events, hashes_max);
        each_event(connection, bodies, &Quiet, |read| search.note(read)).unwrap();
        assert!(search.hashes.len() < hashes_max + hashes_max / 2 + 40, "{}", search.hashes.len());
        search.finish(connection, bodies, &Quiet).unwrap()
    }

    #[test]
    fn duplicates_are_found_whatever_the_number_of_parts() {
        // Within a chunk, across chunks, and three times.
        let identifier = |n: usize| {
            format!(
                "e{}",
                if n > 0 && n.is_multiple_of(50) {
                    7
                } else if n == 333 {
                    1
                } else {
                    n
                }
            )
        };
        let (mut connection, bodies) = database((0..400).map(identifier));
        let expected = [
            Duplicate { identifier: "e1".to_owned(), seqs: vec![2, 334], events: 2, differs: false },
            Duplicate {
                identifier: "e7".to_owned(),
                seqs: vec![8, 51, 101, 151, 201, 251, 301, 351],
                events: 8,
                differs: true,
            },
        ];
        for hashes_max in [1_000, 150, 40] {
            let found = search(&mut connection, &bodies, hashes_max);
            assert_eq!((&found.named[..], found.count), (&expected[..], 2), "{hashes_max}");
        }
    }

    #[test]
    fn distinct_identifiers_are_no_duplicates() {
        for events in [0, 1, 200] {
            let (mut connection, bodies) = database((0..events).map(|n| n.to_string()));
            assert_eq!(search(&mut connection, &bodies, 30).count, 0);
        }
    }

    #[test]
    fn a_duplicate_is_described_in_one_line() {
        let mut duplicate = Duplicate { identifier: "a\"b".to_owned(), seqs: vec![1, 5], events: 2, differs: false };
        assert_eq!(duplicate.to_string(), r#"identifier "a\"b" belongs to events 1 and 5"#);
        duplicate = Duplicate { seqs: vec![1, 5, 9], events: 3, differs: true, ..duplicate };
        assert_eq!(duplicate.to_string(), r#"identifier "a\"b" belongs to events 1, 5 and 9; their content differs"#);
        duplicate = Duplicate { events: 7, differs: false, ..duplicate };
        assert_eq!(duplicate.to_string(), r#"identifier "a\"b" belongs to events 1, 5, 9 and 4 more"#);
    }
}
