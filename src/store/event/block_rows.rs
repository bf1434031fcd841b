//! The rows of blocks: inserting them, and reading bodies from them.

use std::{collections::VecDeque, sync::Arc};

use rusqlite::{CachedStatement, Connection, params};

use crate::store::event::{
    block::OpenBlock,
    chunks::SeqRun,
    codec::{BodyCodec, Decoder},
    recent_blocks::RecentBlocks,
    stored,
};

/// Maximum number of decoded blocks that a reader keeps, and their length in bytes. In a list by time, events of a few
/// batches alternate.
const KEPT_BLOCKS: usize = 16;
const KEPT_BYTES: usize = 512 * 1024;

/// Inserts a block.
pub(in crate::store) fn insert(
    connection: &Connection,
    first: i64,
    events: usize,
    stored: &[u8],
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO block (first, events, bodies) VALUES (?1, ?2, ?3)")?
        .execute(params![first, u32::try_from(events).unwrap_or(u32::MAX), stored])
        .map(drop)
}

/// The seq of the last event with a body; 0 in an empty log.
pub(in crate::store) fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT coalesce((SELECT first + events - 1 FROM block ORDER BY first DESC LIMIT 1), 0)")?
        .query_row([], |row| row.get(0))
}

/// Why the body of an event cannot be read.
#[derive(Debug, Clone)]
pub(in crate::store) struct Unreadable {
    /// What is wrong.
    pub(in crate::store) message: String,
    /// Whether SQLite could not read a page. A transaction that has read a damaged page cannot commit.
    pub(in crate::store) of_page: bool,
}

/// Reads the bodies of events. Decodes each block once while its events are read one after another.
pub(in crate::store) struct BlockReader<'c> {
    statement: CachedStatement<'c>,
    decoder: Decoder<'c>,
    recent: &'c RecentBlocks,
    /// The blocks that were read last, the latest at the end.
    kept: VecDeque<Arc<OpenBlock>>,
}

impl<'c> BlockReader<'c> {
    pub(in crate::store) fn new(connection: &'c Connection, bodies: &'c BodyCodec) -> rusqlite::Result<Self> {
        let sql = "SELECT first, events, bodies FROM block WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
        let statement = connection.prepare_cached(sql)?;
        let decoder = Decoder::new(connection, bodies);
        Ok(Self { statement, decoder, recent: bodies.recent(), kept: VecDeque::new() })
    }

    /// The body of the event with this seq, not verified.
    pub(in crate::store) fn body(&mut self, seq: i64) -> rusqlite::Result<Result<&str, Unreadable>> {
        let place = match self.kept.iter().rposition(|block| block.body(seq).is_some()) {
            Some(place) => place,
            None => match self.open(seq) {
                Ok(Ok(block)) => self.keep(block),
                Ok(Err(message)) => return Ok(Err(Unreadable { message, of_page: false })),
                Err(error) if stored::is_damage(&error) => {
                    let message = format!("its page is damaged: {error}");
                    return Ok(Err(Unreadable { message, of_page: true }));
                }
                Err(error) => return Err(error),
            },
        };
        let body = self.kept.get(place).and_then(|block| block.body(seq));
        Ok(body.ok_or_else(|| Unreadable { message: "its body is missing".to_owned(), of_page: false }))
    }

    /// The block that has this seq, or the last one before it.
    fn open(&mut self, seq: i64) -> rusqlite::Result<Result<Arc<OpenBlock>, String>> {
        let mut rows = self.statement.query([seq])?;
        let Some(row) = rows.next()? else {
            return Ok(Err("its body is missing".to_owned()));
        };
        let (first, events, stored) = (row.get(0)?, row.get::<_, u32>(1)? as usize, row.get_ref(2)?.as_blob()?);
        if let Some(block) = self.recent.find(first, stored).filter(|block| block.events() == events) {
            return Ok(Ok(block));
        }
        let block = self.decoder.decode(stored).and_then(|text| OpenBlock::new(first, events, text));
        Ok(block.map(|block| {
            let block = Arc::new(block);
            self.recent.keep(stored, &block);
            block
        }))
    }

    /// Keeps a block; returns its place.
    fn keep(&mut self, block: Arc<OpenBlock>) -> usize {
        self.kept.push_back(block);
        while self.kept.len() > KEPT_BLOCKS
            || (self.kept.len() > 1 && self.kept.iter().map(|block| block.text().len()).sum::<usize>() > KEPT_BYTES)
        {
            self.kept.pop_front();
        }
        self.kept.len() - 1
    }
}

/// A block as stored.
pub(in crate::store) struct StoredBlock {
    pub(in crate::store) first: i64,
    pub(in crate::store) events: usize,
    pub(in crate::store) bodies: Vec<u8>,
}

impl StoredBlock {
    fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { first: row.get(0)?, events: row.get::<_, u32>(1)? as usize, bodies: row.get(2)? })
    }

    /// The seq after its last event.
    pub(in crate::store) fn end(&self) -> i64 {
        self.first.saturating_add(i64::try_from(self.events).unwrap_or(i64::MAX))
    }

    /// The decoded block. The error says what is wrong.
    pub(in crate::store) fn open(&self, decoder: &Decoder<'_>) -> Result<OpenBlock, String> {
        OpenBlock::new(self.first, self.events, decoder.decode(&self.bodies)?)
    }
}

/// Calls `each` with the blocks that have events from `first` to `last`, and with others next to them.
pub(in crate::store) fn each(
    connection: &Connection,
    (first, last): SeqRun,
    mut each: impl FnMut(StoredBlock) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT first, events, bodies FROM block \
         WHERE first >= coalesce((SELECT max(first) FROM block WHERE first <= ?1), ?1) AND first <= ?2 ORDER BY first",
    )?;
    let mut rows = statement.query([first, last])?;
    while let Some(row) = rows.next()? {
        each(StoredBlock::row(row)?)?;
    }
    Ok(())
}
