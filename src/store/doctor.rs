//! Looking for damage: every event is read, and every chunk of the index made again and compared.
//!
//! Nothing is written. Each chunk is looked at on a snapshot of its own, so that a server beside may go on writing and
//! copying its log.

use std::path::Path;

use rusqlite::Connection;

use crate::{
    index::{self, Entry, IndexError, MemoryChunk, Side, TermWriter},
    model::field::Field,
    store::{
        OpenError, Progress,
        body::{Bodies, Decoder},
        dropped::{self, Dropped},
        event as events, open, reindex,
        tail::Read,
    },
};

/// Something that is not as it should be.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about: an event, a chunk of the index, or the file.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Events read.
    pub events: u64,
    /// Events that retention has dropped.
    pub dropped: u64,
    /// Chunks of the index compared.
    pub chunks: u32,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Findings that are listed. A disk that is failing would yield millions.
const FINDINGS_MAX: usize = 1_000;

/// Looks through the file at `path`.
pub fn examine(path: &Path, progress: &dyn Progress) -> Result<Report, OpenError> {
    open::check_readable(path)?;
    let mut connection = open::reading(path).map_err(|error| open::refused(path, &error))?;
    let mut examination = Examination { report: Report::default(), terms: TermWriter::default() };
    examination.file(&mut connection, progress).map_err(|error| open::failed(path, &error.to_string()))?;
    Ok(examination.report)
}

struct Examination {
    report: Report,
    terms: TermWriter,
}

impl Examination {
    fn file(&mut self, connection: &mut Connection, progress: &dyn Progress) -> Result<(), IndexError> {
        progress.advance("looking at the pages of the file", 0, 0);
        self.pages(connection)?;
        let chunk_events = reindex::chunk_events(connection)?;
        let bodies = Bodies::load(connection)?;
        let mut number = 0;
        loop {
            let transaction = connection.transaction()?;
            let last_seq = events::last_seq(&transaction)?;
            if i64::from(number) * i64::from(chunk_events) >= last_seq {
                return Ok(());
            }
            progress.advance("reading events", i64::from(number) * i64::from(chunk_events), last_seq);
            self.chunk(&transaction, &bodies, number, chunk_events)?;
            number += 1;
        }
    }

    /// SQLite's own look at the structure of the file.
    fn pages(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("PRAGMA integrity_check(100)")?;
        let messages: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        messages.into_iter().filter(|message| message != "ok").for_each(|message| self.find("the file", message));
        Ok(())
    }

    fn chunk(
        &mut self,
        connection: &Connection,
        bodies: &Bodies,
        number: u32,
        chunk_events: u32,
    ) -> Result<(), IndexError> {
        let decoder = Decoder::new(connection, bodies);
        // A server beside may have taken terms out, and given others in their place.
        self.terms.forget();
        let mut chunk = MemoryChunk::new(number, chunk_events);
        let (first, last) = dropped::span(number, chunk_events);
        let dropped = Dropped::within(connection, first, last)?;
        let is_dropping = dropped::dropping(connection)? == Some(number);
        let mut expected = dropped.next_kept(first);
        reindex::each_event(connection, number, chunk_events, |row| {
            let read = Read::row(row, &decoder)?;
            if dropped.holds(read.seq) {
                if !is_dropping {
                    self.find(&format!("event {}", read.seq), "was dropped, and is still there".to_owned());
                }
                return Ok(());
            }
            if read.seq != expected {
                self.find(&format!("event {expected}"), format!("is missing: the next is {}", read.seq));
            }
            expected = dropped.next_kept(read.seq + 1);
            self.report.events += 1;
            chunk.push(&self.event(connection, &read)?);
            Ok(())
        })?;
        self.report.dropped += u64::try_from(dropped.count()).unwrap_or(0);
        if number < reindex::next_chunk(connection)? {
            self.sealed(connection, &chunk, expected <= last)?;
        }
        Ok(())
    }

    /// Looks at a chunk below the newest that is sealed.
    fn sealed(&mut self, connection: &Connection, chunk: &MemoryChunk, is_cut: bool) -> Result<(), IndexError> {
        let subject = format!("chunk {} of the index", chunk.number());
        if is_cut {
            self.find(&subject, "events at its end are missing".to_owned());
        }
        match (index::side_of(connection, chunk.number())?, chunk.length()) {
            (None, 0) => {}
            (Some(_), 0) => self.find(&subject, "is there, but none of its events is".to_owned()),
            (side, _) => {
                self.report.chunks += 1;
                self.compare(connection, chunk, side.unwrap_or(Side::First))?;
            }
        }
        Ok(())
    }

    /// Checks one event against what its row says, and makes its entry.
    fn event(&mut self, connection: &Connection, read: &Read) -> rusqlite::Result<Entry> {
        let mut wrong = Vec::new();
        let subject = match &read.body {
            Err(message) => {
                wrong.push(format!("is damaged: {message}"));
                format!("event {}", read.seq)
            }
            Ok((timestamp, values)) => {
                if *timestamp != read.timestamp {
                    wrong.push(format!("stands at {}, but happened at {timestamp}", read.timestamp));
                }
                format!("event {} ({})", read.seq, values.first(Field::Identifier).unwrap_or_default())
            }
        };
        let terms = &mut self.terms;
        let entry = read.entry(|field, value| {
            let ordinal = terms.known(connection, field, value)?;
            let label = field.spec().label;
            if read.columns.iter().any(|(own, column)| *own == field && *column != ordinal) {
                wrong.push(format!("its {label} is {value:?}, but its row says another"));
            }
            if ordinal.is_none() {
                wrong.push(format!("{label} {value:?} is not in the dictionary"));
            }
            Ok(ordinal)
        })?;
        for message in wrong {
            self.find(&subject, message);
        }
        Ok(entry)
    }

    fn compare(&mut self, connection: &Connection, chunk: &MemoryChunk, side: Side) -> Result<(), IndexError> {
        let subject = format!("chunk {} of the index", chunk.number());
        let (rows, sealed) = index::seal(chunk, side).map_err(|error| IndexError::Damaged(error.to_string()))?;
        if let Some(difference) = index::difference(connection, &rows, &sealed, reindex::chunk_events(connection)?)? {
            self.find(&subject, difference);
        }
        Ok(())
    }

    fn find(&mut self, subject: &str, message: String) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { subject: subject.to_owned(), message });
        }
    }
}
