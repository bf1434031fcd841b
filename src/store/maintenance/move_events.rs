//! Moves the events of an earlier format into narrow rows and blocks.
//!
//! Formats 1 to 3 had the body of each event in its row. A migration first renames their table. Then each transaction
//! here inserts a few thousand events in the present form, deletes their former rows, and records how far it came. So
//! the file hardly grows, and a kill costs one transaction.
//!
//! A damaged event keeps its stored form, in a separate block: it stays as damaged as before.
//! Where SQLite cannot read a former row, the event gets a row without a body, which is reported as damaged. The former
//! table then stays in the file, and `doctor` reports it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::{
    index::TermWriter,
    model::{field::Field, values},
    store::{
        event::{
            block::BlockText,
            block_rows,
            checksum::Columns,
            codec::{BodyCodec, Decoder},
            stored::{self, Stored},
            tombstones,
        },
        file::{
            checkpoint,
            format::{self, MOVED_EVENTS},
            open,
            progress::Progress,
        },
    },
};

/// The name of the step in reports of progress. The space is that of the write-ahead log of one transaction.
const STEP: &str = "moving the events into blocks, which needs up to 128 MB of free disk space";
/// Events moved in one transaction, and the stored length of their bodies in bytes with which it ends earlier.
const STEP_EVENTS: i64 = 5_000;
const STEP_BYTES: usize = 4 * 1024 * 1024;
/// Seqs that are read one by one from the first unreadable row on.
const DAMAGED_STEP_EVENTS: i64 = 1_000;

/// Moves all events that are still in the table of an earlier format.
pub(in crate::store) fn finish(
    connection: &mut Connection,
    path: &Path,
    progress: &dyn Progress,
) -> rusqlite::Result<()> {
    if format::moved_events(connection)?.is_none() {
        return Ok(());
    }
    // The former rows must not stay readable on free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    let (bodies, reading) = (BodyCodec::load(connection)?, open::reading(path)?);
    let mut terms = TermWriter::default();
    for table in FormerTable::ALL {
        if !format::has_table(connection, table.name())? {
            continue;
        }
        let mover = Mover { table, reading: &reading, bodies: &bodies };
        mover.run(connection, &mut terms, progress)?;
        match connection.execute_batch(&format!("DROP TABLE {}", table.name())) {
            Err(error) if stored::is_damage(&error) => tracing::error!(
                %error, table = table.name(), "the file is damaged: a former table of events stays; run auditbox doctor"
            ),
            dropped => dropped?,
        }
    }
    connection.execute("DELETE FROM setting WHERE name = ?1", [MOVED_EVENTS])?;
    checkpoint::empty(connection)
}

/// The table of events of an earlier format.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FormerTable {
    /// The values of an event are in a column; there are no checksums.
    First,
    /// There are no checksums.
    Second,
    Third,
}

impl FormerTable {
    /// The order in which they are moved. A file has more than one if an earlier program was killed while it migrated
    /// the file from format 1: the later table then has the first events.
    const ALL: [Self; 3] = [Self::Third, Self::Second, Self::First];

    const fn name(self) -> &'static str {
        match self {
            Self::First => format::EVENTS_OF_FORMATS[0],
            Self::Second => format::EVENTS_OF_FORMATS[1],
            Self::Third => format::EVENTS_OF_FORMATS[2],
        }
    }

    /// The columns that [`FormerRow::new`] reads. `are_readable` leaves out those that may be on other pages.
    const fn columns(self, are_readable: bool) -> &'static str {
        match (self, are_readable) {
            (Self::First, true) => "seq, timestamp, filled, NULL, body, fields",
            (Self::First, false) => "seq, timestamp, filled, NULL, NULL, fields",
            (Self::Second, true) => "seq, timestamp, filled, NULL, body, entity, blueprint",
            (Self::Third, true) => "seq, timestamp, filled, checksum, body, entity, blueprint",
            (Self::Second | Self::Third, false) => "seq, timestamp, filled, NULL, NULL, entity, blueprint",
        }
    }
}

/// An event in its former form.
struct FormerRow {
    seq: i64,
    timestamp: i64,
    filled: i64,
    checksum: Option<i64>,
    /// `None` if it cannot be read.
    body: Option<Vec<u8>>,
    terms: FormerTerms,
}

/// The entity and the blueprint of an event.
enum FormerTerms {
    /// Among all values.
    Values(Vec<u8>),
    Ordinals(Option<i64>, Option<i64>),
}

impl FormerRow {
    fn new(table: FormerTable, row: &Row<'_>) -> rusqlite::Result<Self> {
        let terms = match table {
            FormerTable::First => FormerTerms::Values(row.get(5)?),
            FormerTable::Second | FormerTable::Third => FormerTerms::Ordinals(row.get(5)?, row.get(6)?),
        };
        let (seq, timestamp, filled) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Self { seq, timestamp, filled, checksum: row.get(3)?, body: row.get(4)?, terms })
    }

    /// Its columns in the present form.
    fn columns(&self, terms: &mut TermWriter, writing: &Connection) -> rusqlite::Result<Columns> {
        let (entity, blueprint) = match &self.terms {
            FormerTerms::Ordinals(entity, blueprint) => (*entity, *blueprint),
            FormerTerms::Values(values) => {
                let mut ordinal = |wanted: Field| -> rusqlite::Result<Option<i64>> {
                    let value = values::iterate(values).find(|(field, _)| *field == wanted);
                    value.map(|(field, value)| terms.ordinal(writing, field, value).map(i64::from)).transpose()
                };
                (ordinal(Field::Entity)?, ordinal(Field::Blueprint)?)
            }
        };
        Ok(Columns { seq: self.seq, timestamp: self.timestamp, entity, blueprint, filled: self.filled })
    }
}

/// Former rows that are moved in one transaction.
#[derive(Default)]
struct Slice {
    rows: Vec<FormerRow>,
    /// The last seq that the slice covers.
    through: i64,
    /// Whether some of the rows could not be read. The former rows then stay.
    is_damaged: bool,
}

struct Mover<'m> {
    table: FormerTable,
    /// A transaction that has read a damaged page cannot commit, so former rows are read on a connection of their own.
    reading: &'m Connection,
    bodies: &'m BodyCodec,
}

impl Mover<'_> {
    fn run(
        &self,
        connection: &mut Connection,
        terms: &mut TermWriter,
        progress: &dyn Progress,
    ) -> rusqlite::Result<()> {
        let last = format!("SELECT coalesce(max(seq), 0) FROM {}", self.table.name());
        let last: i64 = self.reading.query_row(&last, [], |row| row.get(0))?;
        loop {
            let moved = format::moved_events(connection)?.unwrap_or(i64::MAX);
            progress.advance(STEP, moved.min(last), last);
            if moved >= last {
                return Ok(());
            }
            let slice = self.slice(moved, last)?;
            match self.apply(connection, terms, &slice, !slice.is_damaged) {
                Err(error) if stored::is_damage(&error) && !slice.is_damaged => {
                    terms.forget();
                    self.apply(connection, terms, &slice, false)?;
                }
                applied => applied?,
            }
            terms.committed();
            checkpoint::empty(connection)?;
        }
    }

    /// The next rows.
    fn slice(&self, after: i64, last: i64) -> rusqlite::Result<Slice> {
        let (columns, table) = (self.table.columns(true), self.table.name());
        let sql = format!("SELECT {columns} FROM {table} WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let mut statement = self.reading.prepare_cached(&sql)?;
        let mut rows = statement.query([after, STEP_EVENTS])?;
        let (mut slice, mut bytes) = (Slice { through: after, ..Slice::default() }, 0);
        while bytes < STEP_BYTES {
            match rows.next().and_then(|row| row.map(|row| FormerRow::new(self.table, row)).transpose()) {
                Ok(Some(row)) => {
                    bytes += row.body.as_ref().map_or(0, Vec::len);
                    slice.through = row.seq;
                    slice.rows.push(row);
                }
                Ok(None) => {
                    if slice.rows.is_empty() {
                        slice.through = last;
                    }
                    break;
                }
                Err(error) if stored::is_damage(&error) => {
                    self.read_singly(&mut slice, last)?;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(slice)
    }

    /// Adds the next rows of a slice, read one by one as far as possible.
    fn read_singly(&self, slice: &mut Slice, last: i64) -> rusqlite::Result<()> {
        slice.is_damaged = true;
        let newest = "SELECT coalesce((SELECT timestamp FROM event ORDER BY seq DESC LIMIT 1), 0)";
        let mut before = match slice.rows.last() {
            Some(row) => row.timestamp,
            None => self.reading.query_row(newest, [], |row| row.get(0))?,
        };
        let end = last.min(slice.through + DAMAGED_STEP_EVENTS);
        for seq in slice.through + 1..=end {
            if let Some(row) = self.damaged_row(seq, before)? {
                before = row.timestamp;
                slice.rows.push(row);
            }
        }
        slice.through = end;
        Ok(())
    }

    /// One row, as far as it can be read. If nothing of it can be read, it gets the time `before`.
    fn damaged_row(&self, seq: i64, before: i64) -> rusqlite::Result<Option<FormerRow>> {
        for are_readable in [true, false] {
            let (columns, table) = (self.table.columns(are_readable), self.table.name());
            let mut statement =
                self.reading.prepare_cached(&format!("SELECT {columns} FROM {table} WHERE seq = ?1"))?;
            match statement.query_row([seq], |row| FormerRow::new(self.table, row)).optional() {
                Err(error) if stored::is_damage(&error) => {}
                found => return found,
            }
        }
        let terms = FormerTerms::Ordinals(None, None);
        Ok(Some(FormerRow { seq, timestamp: before, filled: 0, checksum: None, body: None, terms }))
    }

    /// Moves the rows of a slice, and deletes the former ones if `is_deleting`, in one transaction.
    fn apply(
        &self,
        connection: &mut Connection,
        terms: &mut TermWriter,
        slice: &Slice,
        is_deleting: bool,
    ) -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.insert(&transaction, terms, &slice.rows)?;
        if is_deleting {
            let delete = format!("DELETE FROM {} WHERE seq <= ?1", self.table.name());
            transaction.prepare_cached(&delete)?.execute([slice.through])?;
        }
        let moved = "UPDATE setting SET value = ?1 WHERE name = ?2";
        transaction.prepare_cached(moved)?.execute(params![slice.through, MOVED_EVENTS])?;
        transaction.commit()
    }

    fn insert(
        &self,
        transaction: &Transaction<'_>,
        terms: &mut TermWriter,
        rows: &[FormerRow],
    ) -> rusqlite::Result<()> {
        let decoder = Decoder::new(self.reading, self.bodies);
        let mut insert = transaction.prepare_cached(
            "INSERT INTO event (seq, timestamp, entity, blueprint, filled, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let (mut text, mut first) = (BlockText::default(), 0);
        let end_block = |text: &mut BlockText, first: i64| {
            let full = std::mem::take(text);
            match full.events() {
                0 => Ok(()),
                events => block_rows::insert(transaction, first, events, &full.encode_stored(self.bodies, first)),
            }
        };
        for row in rows {
            // The rows of dropped events were about to be deleted.
            if tombstones::is_dropped(transaction, row.seq)? {
                continue;
            }
            let columns = row.columns(terms, transaction)?;
            let Columns { seq, timestamp, entity, blueprint, filled } = columns;
            insert.execute(params![seq, timestamp, entity, blueprint, filled, row.checksum])?;
            let Some(stored) = &row.body else { continue };
            let former = Stored::new(columns, row.checksum);
            let body = decoder.decode(stored).ok().filter(|body| former.is_whole(body, self.bodies));
            let is_next = i64::try_from(text.events()).is_ok_and(|events| first + events == seq);
            if !is_next || !body.as_ref().is_some_and(|body| text.takes(body.len())) {
                end_block(&mut text, first)?;
                first = seq;
            }
            match body {
                Some(body) => text.push(&body, 1),
                None => block_rows::insert(transaction, seq, 1, stored)?,
            }
        }
        end_block(&mut text, first)
    }
}
