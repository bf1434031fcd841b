//! Declared fields: a thread that fills them into the chunks that were sealed before their declaration, and deletes the rows
//! of removed ones.
//!
//! It computes at a low priority; only the writer writes, in small jobs that share transactions with other jobs. Chunks are
//! filled from the newest to the oldest, each with all fields that it lacks: rows that an earlier attempt has left are
//! deleted, the new ones are written, and then one job records that the chunk has the fields. A crash before it costs
//! filling this chunk again; after it, the next one follows. If events of the chunk expire meanwhile, it changes its
//! generation, and is filled again.

mod job;
mod reconcile;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub(in crate::store) use reconcile::reconcile;

use crate::{
    index::{self, ChunkSlot, Index, IndexError, Occurrence, SealedChunk, TermWriter},
    model::{
        field::{self, Field, Slot},
        values::{self, Values},
    },
    platform,
    store::{
        error::{OpenError, WriteError},
        event::{codec::BodyCodec, fields::FieldRow, stored::Fetch},
        file::{open, open_reads::OpenReads},
        maintenance::{reindex, sealer},
        write::writer::Writer,
    },
};
use job::{FieldJob, Step};

/// Events that are read in one transaction. Their values are in memory at once.
const SLICE_EVENTS: i64 = 4_096;
/// Chunks from which one job deletes the rows of a removed field.
const PIECE_CHUNKS: u32 = 16;
/// How long to wait before a failed step is repeated.
const RETRY: Duration = Duration::from_secs(5);
/// How often the thread looks whether it has to stop while it waits.
const STOP_CHECK: Duration = Duration::from_millis(100);

/// The running thread.
pub(in crate::store) struct FieldThread {
    is_stopping: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

/// Starts the thread, if a field is not in all chunks or has been removed.
pub(in crate::store) fn start(
    path: &Path,
    writer: Writer,
    index: Arc<Index>,
    rows: Option<Vec<FieldRow>>,
    reads: OpenReads,
) -> Result<Option<FieldThread>, OpenError> {
    let rows: Vec<_> = rows.into_iter().flatten().filter(|row| row.is_removed || row.first > 0).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let is_stopping = Arc::new(AtomicBool::new(false));
    let bodies = writer.bodies();
    let filler = Filler { path: path.to_owned(), writer, index, bodies, reads, is_stopping: Arc::clone(&is_stopping) };
    let run = move || {
        platform::thread::lower_priority();
        while let Err(failed) = filler.run(&rows) {
            match failed {
                Failed::Stopped => break,
                Failed::Index(error) => {
                    tracing::error!(%error, "filling in declared fields failed, and will be repeated");
                    filler.pause(RETRY);
                }
            }
        }
    };
    let handle = thread::Builder::new().name("fields".to_owned()).spawn(run).map_err(OpenError::Thread)?;
    Ok(Some(FieldThread { is_stopping, handle }))
}

impl FieldThread {
    /// Stops the thread after its current job, and waits for it. The writer must still be running.
    pub(in crate::store) fn finish(self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        // The next start continues with the rest.
        drop(self.handle.join());
    }
}

/// Why a round ended early.
enum Failed {
    Stopped,
    Index(IndexError),
}

impl<E: Into<IndexError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Index(error.into())
    }
}

/// The ordinals of a field's values in a chunk, each with the rank of an event that has it.
type RankedTerms = Vec<Occurrence>;
/// A value of a field, and the seqs of the events that have it.
struct FoundValue {
    field: Field,
    value: String,
    seqs: Vec<i64>,
}

struct Filler {
    path: PathBuf,
    writer: Writer,
    index: Arc<Index>,
    bodies: BodyCodec,
    reads: OpenReads,
    is_stopping: Arc<AtomicBool>,
}

impl Filler {
    fn run(&self, rows: &[FieldRow]) -> Result<(), Failed> {
        let mut lacking: Vec<(Slot, u32)> = Vec::new();
        for row in rows {
            if row.is_removed {
                self.remove(row)?;
            } else {
                lacking.push((row.slot, self.index.first_with(row.slot)));
            }
        }
        self.fill(lacking)
    }

    /// Fills in fields, each from the chunk before the given one down to the first.
    fn fill(&self, mut lacking: Vec<(Slot, u32)>) -> Result<(), Failed> {
        let mut filled = 0_u64;
        while let Some(end) = lacking.iter().map(|(_, first)| *first).max().filter(|end| *end > 0) {
            let slots: Vec<_> = lacking.iter().filter(|(_, first)| *first == end).map(|(slot, _)| *slot).collect();
            let next = match self.index.sealed_before(end) {
                None => {
                    self.submit(FieldJob::FilledAll(slots.clone()))?;
                    0
                }
                Some(chunk) => {
                    // A field whose first chunk is this one joins here.
                    let number = chunk.slot().number;
                    if !self.fill_chunk(&chunk, &slots)? {
                        continue;
                    }
                    filled += 1;
                    number
                }
            };
            lacking.iter_mut().filter(|(_, first)| *first == end).for_each(|(_, first)| *first = next);
        }
        tracing::info!(chunks = filled, "declared fields were filled in");
        Ok(())
    }

    /// Fills fields into a chunk. False if the chunk has changed meanwhile.
    fn fill_chunk(&self, chunk: &Arc<SealedChunk>, slots: &[Slot]) -> Result<bool, Failed> {
        let Some(entries) = self.entries(chunk, slots)? else { return Ok(false) };
        for (slot, entries) in slots.iter().zip(entries) {
            let field = Field::Custom(*slot);
            loop {
                match self.submit(FieldJob::Clear(Arc::clone(chunk), field))? {
                    Step::More => {}
                    Step::Outdated => return Ok(false),
                    Step::Done => break,
                }
            }
            let rows = index::posting_rows(chunk.slot(), field, chunk.length(), entries);
            for slice in sealer::slices(rows, index::SealedRow::bytes) {
                if matches!(self.submit(FieldJob::Rows(Arc::clone(chunk), slice))?, Step::Outdated) {
                    return Ok(false);
                }
            }
        }
        Ok(!matches!(self.submit(FieldJob::Filled(Arc::clone(chunk), slots.to_vec()))?, Step::Outdated))
    }

    /// For each field, its terms in a chunk; `None` if the chunk has changed.
    fn entries(&self, chunk: &SealedChunk, slots: &[Slot]) -> Result<Option<Vec<RankedTerms>>, Failed> {
        let connection = open::reading(&self.path)?;
        let Some(ranks) = self.ranks(&connection, chunk)? else { return Ok(None) };
        let (first, last) = chunk.span();
        let mut entries = vec![Vec::new(); slots.len()];
        // No term of a field that is being filled in is deleted, so what is known stays valid.
        let mut terms = TermWriter::default();
        let mut from = first;
        while from <= last {
            let through = last.min(from + SLICE_EVENTS - 1);
            let values = self.values(&connection, (from, through), slots)?;
            let ordinals = self.ordinals(&connection, &mut terms, &values)?;
            for (FoundValue { field, seqs, .. }, ordinal) in values.iter().zip(ordinals) {
                let offset = |seq: &i64| usize::try_from(seq - first).ok();
                let rank = |seq: &i64| offset(seq).and_then(|offset| ranks.get(offset).copied().flatten());
                let place = slots.iter().position(|slot| Field::Custom(*slot) == *field);
                if let Some(entries) = place.and_then(|place| entries.get_mut(place)) {
                    entries.extend(seqs.iter().filter_map(rank).map(|rank| Occurrence::new(ordinal, rank)));
                }
            }
            from = through + 1;
        }
        Ok(Some(entries))
    }

    fn ranks(
        &self,
        connection: &rusqlite::Connection,
        chunk: &SealedChunk,
    ) -> Result<Option<Vec<Option<u16>>>, Failed> {
        let _reading = self.reads.begin("filling in declared fields");
        let transaction = connection.unchecked_transaction()?;
        let ChunkSlot { number, generation } = chunk.slot();
        if index::generation_of(&transaction, number)? != Some(generation) {
            return Ok(None);
        }
        Ok(Some(chunk.ranks(&transaction)?))
    }

    /// The values of some events.
    fn values(
        &self,
        connection: &rusqlite::Connection,
        (first, last): (i64, i64),
        slots: &[Slot],
    ) -> Result<Vec<FoundValue>, Failed> {
        self.check_stopping()?;
        let _reading = self.reads.begin("filling in declared fields");
        let transaction = connection.unchecked_transaction()?;
        let mut fetch = Fetch::new(&transaction, &self.bodies)?;
        let mut found: HashMap<Field, HashMap<String, Vec<i64>>> = HashMap::new();
        for seq in first..=last {
            // Nothing is known of an event that is damaged or deleted.
            let Some(Ok(body)) = fetch.event(seq)? else { continue };
            let mut own = Values::default();
            field::extract(&body, &mut own);
            for (field, value) in values::iterate(own.as_bytes()) {
                if !field.slot().is_some_and(|slot| slots.contains(&slot)) {
                    continue;
                }
                let found = found.entry(field).or_default();
                match found.get_mut(value) {
                    Some(seqs) => seqs.push(seq),
                    None => drop(found.insert(value.to_owned(), vec![seq])),
                }
            }
        }
        let of_field = |(field, found): (Field, HashMap<_, _>)| {
            found.into_iter().map(move |(value, seqs)| FoundValue { field, value, seqs })
        };
        Ok(found.into_iter().flat_map(of_field).collect())
    }

    /// The ordinals of values. New ones are added to the term dictionary.
    fn ordinals(
        &self,
        connection: &rusqlite::Connection,
        terms: &mut TermWriter,
        values: &[FoundValue],
    ) -> Result<Vec<u32>, Failed> {
        let known = |terms: &mut TermWriter| -> Result<Vec<Option<u32>>, Failed> {
            let ordinals = values.iter().map(|own| terms.known(connection, own.field, &own.value));
            Ok(ordinals.collect::<rusqlite::Result<_>>()?)
        };
        let found = known(terms)?;
        let new = values.iter().zip(&found).filter(|(_, ordinal)| ordinal.is_none());
        let new: Vec<_> = new.map(|(own, _)| (own.field, own.value.clone())).collect();
        for piece in new.chunks(job::PIECE_TERMS) {
            self.submit(FieldJob::Terms(piece.to_vec()))?;
        }
        let found = if new.is_empty() { found } else { known(terms)? };
        let all: Option<Vec<u32>> = found.into_iter().collect();
        all.ok_or_else(|| IndexError::Damaged("a term that was added is not in the term dictionary".to_owned()).into())
    }

    /// Deletes what remains of a removed field.
    fn remove(&self, row: &FieldRow) -> Result<(), Failed> {
        let end = reindex::next_chunk(&open::reading(&self.path)?)?;
        for first in (0..end).step_by(PIECE_CHUNKS as usize) {
            let chunks = (first, end.min(first + PIECE_CHUNKS));
            while matches!(self.submit(FieldJob::Remove(row.slot, chunks))?, Step::More) {}
        }
        while matches!(self.submit(FieldJob::RemoveTerms(row.slot))?, Step::More) {}
        self.submit(FieldJob::Removed(row.slot))?;
        tracing::info!(field = row.definition.name, "a field that is no longer declared was removed");
        Ok(())
    }

    fn check_stopping(&self) -> Result<(), Failed> {
        if self.is_stopping.load(Ordering::Relaxed) { Err(Failed::Stopped) } else { Ok(()) }
    }

    /// Waits, unless the thread has to stop.
    fn pause(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && self.check_stopping().is_ok() {
            thread::sleep(STOP_CHECK.min(left));
            left = left.saturating_sub(STOP_CHECK);
        }
    }

    /// Has the writer apply a step, and retries while the writer may recover.
    fn submit(&self, step: FieldJob) -> Result<Step, Failed> {
        self.check_stopping()?;
        match self.writer.submit_until_done(&Arc::new(step), || self.is_stopping.load(Ordering::Relaxed)) {
            Err(WriteError::IndexDamaged) => {
                Err(IndexError::Damaged("rows of declared fields could not be written".to_owned()).into())
            }
            Err(_) => Err(Failed::Stopped),
            Ok(done) => Ok(done),
        }
    }
}
