//! Checks a file for damage: reads every event, rebuilds every chunk of the index in memory, and compares it.
//!
//! Nothing is written. Each chunk is checked in another snapshot, so that a running server can go on writing and
//! emptying the write-ahead log. Damage that ends one check does not prevent the others.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    index::{self, Entry, Generation, IndexError, MemoryChunk, TermWriter},
    model::field::{CUSTOM_CODES, Field, fields as all_fields},
    store::{
        admin::duplicates::{Duplicate, DuplicateSearch},
        error::OpenError,
        event::{
            block_replacement, block_rows, chunks,
            codec::{self, BodyCodec},
            fields::{self, FieldRow},
            row as events, stored,
            tombstones::{self, Dropped},
            zstd_dictionary,
        },
        file::{format, location, open, progress::Progress},
        maintenance::{reindex, sql_index},
        write::replay::{self, ReplayedRow},
    },
};

/// How to repair a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Rebuild the index from the events.
    Reindex,
    /// Restore a backup: only a backup has the lost content.
    Restore,
}

/// Damage that was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The damaged part: an event, a chunk of the index, or the file.
    pub subject: String,
    /// What is wrong.
    pub message: String,
    /// How to repair it.
    pub remedy: Remedy,
}

/// What was checked, and what was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Number of events read.
    pub events: u64,
    /// Number of events that retention has dropped.
    pub dropped: u64,
    /// Number of those events that were stored before files had checksums.
    pub without_checksum: u64,
    /// Number of chunks of the index that were compared.
    pub chunks: u32,
    /// The damage.
    pub findings: Vec<Finding>,
    /// Identifiers that belong to more than one event: the first of them, and their total number. The events themselves
    /// are undamaged.
    pub duplicates: (Vec<Duplicate>, u64),
    /// Ways in which other users could read or replace the file.
    pub exposures: Vec<String>,
}

/// Codes from this one on are those of declared fields, whose terms are deleted with them.
const FIRST_CUSTOM_CODE: i64 = *CUSTOM_CODES.start() as i64;
/// Maximum number of findings in a report. A failing disk would cause millions.
const FINDINGS_MAX: usize = 1_000;

/// Checks the file at `path`.
pub fn examine(path: &Path, progress: &dyn Progress) -> Result<Report, OpenError> {
    let path = &format::check_readable(path)?;
    let refused = |error| open::refused(path, &error);
    let mut connection = open::reading(path).map_err(refused)?;
    let mut examination = Examination {
        report: Report { exposures: location::exposures(path), ..Report::default() },
        terms: TermWriter::default(),
        identifiers: DuplicateSearch::among_events_of(&connection).unwrap_or_else(|_| DuplicateSearch::done()),
        fields: Vec::new(),
    };
    examination.check("the declared fields", |this| this.declared(&connection));
    progress.advance("checking the pages of the file", 0, 0);
    examination.check("the file", |this| this.pages(&connection));
    examination.check("the schema", |this| this.schema(&connection));
    examination.check("a zstd dictionary", |this| this.dictionaries(&connection));
    examination.check("the term dictionary", |this| this.values(&connection));
    let outcome = examination.chunks(&mut connection, progress);
    examination.note("the file", outcome);
    examination.end(&mut connection, progress);
    Ok(examination.report)
}

struct Examination {
    report: Report,
    terms: TermWriter,
    identifiers: DuplicateSearch,
    /// The declared fields.
    fields: Vec<FieldRow>,
}

impl Examination {
    fn check(&mut self, subject: &str, check: impl FnOnce(&mut Self) -> Result<(), IndexError>) {
        let outcome = check(self);
        self.note(subject, outcome);
    }

    /// Reports an error that ended a check as a finding.
    fn note(&mut self, subject: &str, outcome: Result<(), IndexError>) {
        if let Err(error) = outcome {
            self.find(subject, format!("cannot be read: {error}"), Remedy::Restore);
        }
    }

    /// Declares the fields of the file, so that their rows are checked too.
    fn declared(&mut self, connection: &Connection) -> Result<(), IndexError> {
        let rows = fields::all(connection)?;
        fields::declare(&rows)?;
        self.fields = rows;
        Ok(())
    }

    /// Whether a chunk may lack a field, or may still have the rows of a removed one.
    fn is_partial(&self, chunk: u32) -> bool {
        self.fields.iter().any(|row| row.is_removed || chunk < row.first)
    }

    fn chunks(&mut self, connection: &mut Connection, progress: &dyn Progress) -> Result<(), IndexError> {
        let chunk_events = chunks::chunk_events(connection)?;
        let bodies = BodyCodec::load(connection)?;
        let mut number = 0;
        loop {
            let transaction = connection.transaction()?;
            let last_seq = events::last_seq(&transaction)?;
            let first = i64::from(number) * i64::from(chunk_events);
            if first >= last_seq {
                return self.beyond(&transaction, number);
            }
            progress.advance("reading events", first, last_seq);
            let subject = format!("chunk {number}");
            let outcome = self.chunk(&transaction, &bodies, number, (chunk_events, last_seq));
            self.note(&subject, outcome);
            // A damaged seq may be far away. The range before it is one gap, not many chunks.
            let (_, through) = chunks::span(number, chunk_events);
            let Some(next) = replay::next_seq(&transaction, through)? else {
                return self.beyond(&transaction, number + 1);
            };
            number = u32::try_from((next - 1) / i64::from(chunk_events)).unwrap_or(u32::MAX);
            if number == u32::MAX {
                self.find("the file", format!("has an event numbered {next}"), Remedy::Restore);
                return Ok(());
            }
            self.gap(&transaction, (through + 1, i64::from(number) * i64::from(chunk_events)))?;
        }
    }

    /// Checks whole chunks without events: all of their events must have been dropped.
    fn gap(&mut self, connection: &Connection, (first, last): (i64, i64)) -> Result<(), IndexError> {
        if last < first {
            return Ok(());
        }
        let dropped = Dropped::within(connection, first, last)?.count();
        self.report.dropped += u64::try_from(dropped).unwrap_or(0);
        let missing = last - first + 1 - dropped;
        if missing > 0 {
            self.find(&format!("events {first} to {last}"), format!("{missing} are missing"), Remedy::Restore);
        }
        Ok(())
    }

    /// Searches the events that were read for duplicate identifiers.
    fn end(&mut self, connection: &mut Connection, progress: &dyn Progress) {
        let identifiers = std::mem::replace(&mut self.identifiers, DuplicateSearch::done());
        let bodies = BodyCodec::load(connection).map_err(IndexError::from);
        match bodies.and_then(|bodies| identifiers.finish(connection, &bodies, progress)) {
            Ok(found) => self.report.duplicates = (found.named, found.count),
            Err(error) => self.note("the events", Err(error)),
        }
    }

    /// Runs SQLite's own check of the structure of the file.
    fn pages(&mut self, connection: &Connection) -> Result<(), IndexError> {
        let mut statement = connection.prepare("PRAGMA integrity_check(100)")?;
        let mut rows = statement.query([])?;
        let mut messages = Vec::new();
        let mut outcome = Ok(());
        loop {
            match rows.next().and_then(|row| row.map(|row| row.get::<_, String>(0)).transpose()) {
                Ok(Some(message)) if message == "ok" => {}
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error.into());
                    break;
                }
            }
        }
        // If the table is damaged too, its indexes cannot be rebuilt from it.
        let only_entries = outcome.is_ok() && messages.iter().all(|message| sql_index::named_in(message).is_some());
        let remedy = if only_entries { Remedy::Reindex } else { Remedy::Restore };
        for message in messages {
            self.find("the file", message, remedy);
        }
        outcome
    }

    /// Compares the tables, indexes and triggers of the file with those of the format.
    fn schema(&mut self, connection: &Connection) -> Result<(), IndexError> {
        let described = Connection::open_in_memory()?;
        described.execute_batch(format::SCHEMA)?;
        let read = |connection: &Connection| -> rusqlite::Result<Vec<[Option<String>; 4]>> {
            let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
            let rows = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
            connection.prepare(sql)?.query_map([], rows)?.collect()
        };
        let (found, described) = (read(connection)?, read(&described)?);
        let is_as_described = |(found, described): (&[Option<String>; 4], &[Option<String>; 4])| {
            let is_former = || found[3].as_deref().is_some_and(sql_index::is_former);
            found == described || (found[..3] == described[..3] && is_former())
        };
        if found.len() != described.len() || !found.iter().zip(&described).all(is_as_described) {
            self.find("the schema", "does not match the format of the file".to_owned(), Remedy::Restore);
        }
        Ok(())
    }

    fn dictionaries(&mut self, connection: &Connection) -> Result<(), IndexError> {
        let mut statement = connection.prepare("SELECT number, bytes, checksum FROM dictionary ORDER BY number")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            let bytes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if zstd_dictionary::checksum(number, bytes) != row.get::<_, i64>(2)? {
                let message = "is damaged: events compressed with the damaged part are unreadable".to_owned();
                self.find(&format!("dictionary {number}"), message, Remedy::Restore);
            }
        }
        Ok(())
    }

    /// Checks that each term is found by its ordinal, and each ordinal by its term.
    fn values(&mut self, connection: &Connection) -> Result<(), IndexError> {
        let mut find = connection.prepare("SELECT ordinal FROM term WHERE field = ?1 AND value = ?2")?;
        let mut statement = connection.prepare("SELECT field, ordinal, value FROM term ORDER BY field, ordinal")?;
        let mut rows = statement.query([])?;
        // Retention deletes terms that no event has any more.
        let may_have_gaps = tombstones::drops(connection)? > 0;
        let mut next = (0_i64, 0_i64);
        while let Some(row) = rows.next()? {
            let (field, ordinal): (i64, i64) = (row.get(0)?, row.get(1)?);
            let value = row.get_ref(2)?.as_str().map(str::to_owned);
            let found = match &value {
                Ok(value) => find.query_row(params![field, value], |row| row.get::<_, i64>(0)).optional()?,
                Err(_) => None,
            };
            if field != next.0 {
                next = (field, 0);
            }
            let may_have_gaps = may_have_gaps || field >= FIRST_CUSTOM_CODE;
            if found != Some(ordinal) || (ordinal != next.1 && !may_have_gaps) {
                let (label, value) = (label_of(field), value.unwrap_or_default());
                let message = "is damaged: searches and counts by it are wrong".to_owned();
                self.find(&format!("term {ordinal} of {label} ({value:?})"), message, Remedy::Restore);
            }
            next.1 = ordinal + 1;
        }
        Ok(())
    }

    fn chunk(
        &mut self,
        connection: &Connection,
        bodies: &BodyCodec,
        number: u32,
        (chunk_events, last_seq): (u32, i64),
    ) -> Result<(), IndexError> {
        // A running server may have deleted terms and added others since.
        self.terms.forget();
        let (first, last) = chunks::span(number, chunk_events);
        let dropped = Dropped::within(connection, first, last)?;
        if tombstones::dropping(connection)? != Some(number) {
            for seq in dropped.still_there(connection)? {
                let message = "was dropped, but its row still exists".to_owned();
                self.find(&format!("event {seq}"), message, Remedy::Restore);
            }
            for run in dropped.runs() {
                for seq in block_replacement::with_bodies(connection, bodies, *run)? {
                    let message = "was dropped, but its body still exists".to_owned();
                    self.find(&format!("event {seq}"), message, Remedy::Restore);
                }
            }
        }
        let is_sealed = number < reindex::next_chunk(connection)?;
        let mut chunk = MemoryChunk::new(number, chunk_events);
        let mut damaged = Vec::new();
        let from = codec::checksums_from(connection)?;
        replay::each_event((connection, bodies), (first, last.min(last_seq)), &dropped, |read| {
            self.report.events += 1;
            self.identifiers.note(read);
            self.report.without_checksum += u64::from(read.seq < from);
            if read.body.is_err() {
                damaged.push(read.seq);
            }
            chunk.push(&self.event(connection, read, is_sealed.then_some((number, chunk_events)))?);
            Ok(())
        })?;
        self.report.dropped += u64::try_from(dropped.count()).unwrap_or(0);
        if is_sealed {
            self.sealed(connection, &chunk, !damaged.is_empty())?;
        }
        Ok(())
    }

    /// Checks a sealed chunk.
    fn sealed(&mut self, connection: &Connection, chunk: &MemoryChunk, has_damaged: bool) -> Result<(), IndexError> {
        let subject = format!("chunk {} of the index", chunk.number());
        match (index::generation_of(connection, chunk.number())?, chunk.length()) {
            (None, 0) => {}
            (Some(_), 0) => {
                self.find(&subject, "exists, but none of its events does".to_owned(), Remedy::Reindex);
            }
            (side, _) => {
                self.report.chunks += 1;
                self.compare(connection, chunk, side.unwrap_or(Generation::First), has_damaged)?;
            }
        }
        Ok(())
    }

    /// Compares one event with the columns of its row, and returns its index entry.
    fn event(
        &mut self,
        connection: &Connection,
        read: &ReplayedRow,
        sealed_in: Option<(u32, u32)>,
    ) -> rusqlite::Result<Entry> {
        let mut wrong = Vec::new();
        let subject = match &read.body {
            Err(damage) => {
                wrong.push(format!("is damaged: {}", damage.message));
                let own = damage.identifier.clone();
                // The event was undamaged when its chunk was sealed, so the index has its identifier.
                let indexed = || {
                    let (chunk, chunk_events) = sealed_in?;
                    index::identifier_of(connection, chunk, chunk_events, read.seq).ok()?
                };
                match own.or_else(indexed) {
                    Some(identifier) => format!("event {} ({identifier})", read.seq),
                    None => format!("event {} (identifier unknown, about {})", read.seq, read.timestamp),
                }
            }
            Ok((timestamp, values)) => {
                if *timestamp != read.timestamp {
                    wrong.push(format!("has the time {timestamp} in its body, but {} in its row", read.timestamp));
                }
                format!("event {} ({})", read.seq, values.first(Field::Identifier).unwrap_or_default())
            }
        };
        let lacks = |row: &&FieldRow| sealed_in.is_some_and(|(chunk, _)| chunk < row.first);
        let partial: Vec<_> = self.fields.iter().filter(lacks).map(|row| Field::Custom(row.slot)).collect();
        let terms = &mut self.terms;
        let entry = read.entry(|field, value| {
            let ordinal = terms
                .known(connection, field, value)
                .or_else(|error| if stored::is_damage(&error) { Ok(None) } else { Err(error) })?;
            if ordinal.is_none() && partial.contains(&field) {
                return Ok(None);
            }
            let label = field.spec().label;
            if read.columns.iter().any(|(own, column)| *own == field && *column != ordinal) {
                wrong.push(format!("its {label} is {value:?}, but its row has another"));
            }
            if ordinal.is_none() {
                wrong.push(format!("{label} {value:?} is not in the term dictionary"));
            }
            Ok(ordinal)
        })?;
        for message in wrong {
            self.find(&subject, message, Remedy::Restore);
        }
        Ok(entry)
    }

    fn compare(
        &mut self,
        connection: &Connection,
        chunk: &MemoryChunk,
        side: Generation,
        has_damaged: bool,
    ) -> Result<(), IndexError> {
        let subject = format!("chunk {} of the index", chunk.number());
        let (rows, sealed) = index::seal(chunk, side).map_err(|error| IndexError::Damaged(error.to_string()))?;
        let form = (chunks::chunk_events(connection)?, !self.is_partial(chunk.number()));
        match index::difference(connection, chunk, (&rows, sealed), form) {
            Ok(None) => {}
            // The sealed chunk was built while the events were undamaged, and has values that they have lost.
            Ok(Some(_)) if has_damaged => {
                let message = "could not be compared, because events of it are damaged".to_owned();
                self.find(&subject, message, Remedy::Restore);
            }
            Ok(Some(difference)) => self.find(&subject, difference, Remedy::Reindex),
            Err(error) if error.is_damage() => {
                self.find(&subject, format!("cannot be read: {error}"), Remedy::Reindex);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Checks that the index has no chunk, and that there is no body, after the newest event.
    fn beyond(&mut self, connection: &Connection, chunks: u32) -> Result<(), IndexError> {
        let (last, last_body) = (events::last_seq(connection)?, block_rows::last_seq(connection)?);
        if last_body > last {
            let message = format!("has the bodies of events up to {last_body}, but rows only up to {last}");
            self.find("the file", message, Remedy::Restore);
        }
        let next = reindex::next_chunk(connection)?;
        if next > chunks {
            self.find("the index", format!("has {next} chunks of events, but the log has {chunks}"), Remedy::Reindex);
        }
        Ok(())
    }

    fn find(&mut self, subject: &str, message: String, remedy: Remedy) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { subject: subject.to_owned(), message, remedy });
        }
    }
}

fn label_of(field: i64) -> &'static str {
    let spec = all_fields().find(|spec| i64::from(spec.field.code()) == field);
    spec.map_or("an unknown field", |spec| spec.label)
}
