//! One transaction of the writer: the outcome of each event, and the rows of those that are stored.
//!
//! A request is decided before any of it is written, so a rejected request has nothing to roll back.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::{
    index::{Entry, IndexError, Snapshot, TermWriter},
    model::event,
    store::{
        error::{AppendError, WriteError},
        event::{
            codec::{BodyCodec, Decoder},
            prepared::Prepared,
            row as events,
            stored::Fetch,
        },
        write::job::{Outcome, Policy},
    },
};

/// What an event writes to the WAL in addition to its bytes: whole pages of the table and its indexes.
const LOG_BYTES_PER_EVENT: usize = 2 * 1024;

/// The transaction in progress.
pub(in crate::store) struct WriteBatch<'t> {
    pub(in crate::store) transaction: &'t Connection,
    /// The index before this transaction.
    pub(in crate::store) snapshot: Snapshot<'t>,
    pub(in crate::store) terms: &'t mut TermWriter,
    pub(in crate::store) bodies: &'t BodyCodec,
    pub(in crate::store) last_seq: i64,
    /// The events stored in this transaction, in order.
    pub(in crate::store) entries: Vec<Entry>,
    /// The same events by identifier. The index does not know them yet.
    pub(in crate::store) fresh: HashMap<String, i64>,
    /// Approximate size of what the transaction writes.
    pub(in crate::store) log_bytes: usize,
    /// Events on damaged pages, so that later transactions do not read these pages again.
    pub(in crate::store) unreadable: &'t mut HashSet<i64>,
    /// Set when a damaged page was read: the transaction can no longer be committed.
    pub(in crate::store) spoilt: Option<PageFault>,
}

/// What happens to the job that read a damaged page. The other jobs of its transaction are repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum PageFault {
    /// It has its reply, and wrote nothing.
    Answered,
    /// It is repeated as well, now that the event on that page is known.
    Again,
}

impl WriteBatch<'_> {
    /// Decides the outcome of each event, and stores those that are new.
    pub(in crate::store) fn append(
        &mut self,
        batch: &[Prepared],
        policy: Policy,
    ) -> Result<Result<Vec<Outcome>, AppendError>, IndexError> {
        let decided = match self.decide(batch, policy) {
            Err(error) if error.is_damage() => {
                // Whether these are new cannot be decided. Other senders' events can still be stored.
                self.spoilt = error.is_of_a_page().then_some(PageFault::Answered);
                tracing::error!(
                    %error,
                    "the index is damaged: events were rejected; stop the server and run auditbox reindex"
                );
                return Ok(Err(WriteError::IndexDamaged.into()));
            }
            decided => decided?,
        };
        if let (Ok(outcomes), None) = (&decided, self.spoilt) {
            for (event, _) in batch.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Stored) {
                self.store(event)?;
            }
        }
        Ok(decided)
    }

    /// Stores an event that is known to be new.
    pub(in crate::store) fn store(&mut self, event: &Prepared) -> rusqlite::Result<()> {
        self.last_seq += 1;
        self.log_bytes += LOG_BYTES_PER_EVENT + event.bytes();
        self.entries.push(events::insert(self.transaction, self.terms, self.last_seq, event)?);
        self.fresh.insert(event.identifier().to_owned(), self.last_seq);
        Ok(())
    }

    /// The outcome of each event of a batch. Nothing is written.
    fn decide(&mut self, batch: &[Prepared], policy: Policy) -> Result<Result<Vec<Outcome>, AppendError>, IndexError> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut earlier: HashMap<&str, &Prepared> = HashMap::new();
        for (index, event) in batch.iter().enumerate() {
            let outcome = if let Some(twin) = earlier.get(event.identifier()) {
                let own = Decoder::of_own(self.bodies);
                own.decode(&twin.stored).map_or(Outcome::Conflict, |body| self.compare((&body, twin.filled), event))
            } else {
                match self.known(event)? {
                    Known::New => Outcome::Stored,
                    Known::Stored(body, filled) => self.compare((&body, filled), event),
                    // An unreadable event is not known to be equal.
                    Known::Damaged => Outcome::Conflict,
                }
            };
            if outcome == Outcome::Conflict && policy == Policy::AllOrNothing {
                return Ok(Err(AppendError::Conflict { index, identifier: event.identifier().to_owned() }));
            }
            if outcome == Outcome::Stored && batch.len() > 1 {
                earlier.insert(event.identifier(), event);
            }
            outcomes.push(outcome);
        }
        Ok(Ok(outcomes))
    }

    /// The stored event that has this event's identifier.
    fn known(&mut self, event: &Prepared) -> Result<Known, IndexError> {
        let seq = match self.fresh.get(event.identifier()) {
            Some(seq) => Some(*seq),
            None => self.snapshot.find_probed(event.identifier(), &event.probe)?,
        };
        let Some(seq) = seq else {
            return Ok(Known::New);
        };
        if self.unreadable.contains(&seq) {
            return Ok(Known::Damaged);
        }
        let mut fetch = Fetch::new(self.transaction, self.bodies)?;
        Ok(match fetch.row(seq)? {
            None => Known::New,
            Some(Err(_)) => {
                self.unreadable.insert(seq);
                self.spoilt = Some(PageFault::Again);
                Known::Damaged
            }
            Some(Ok(stored)) => match stored.open(fetch.decoder()) {
                Ok(body) => Known::Stored(body.into_owned(), stored.filled()),
                Err(_) => Known::Damaged,
            },
        })
    }

    fn compare(&self, known: (&str, event::DefaultedFields), new: &Prepared) -> Outcome {
        let own = Decoder::of_own(self.bodies).decode(&new.stored);
        let is_same = own.is_ok_and(|own| event::same_submission(known, (&own, new.filled)));
        if is_same { Outcome::Duplicate } else { Outcome::Conflict }
    }
}

/// What a lookup of an identifier found.
enum Known {
    New,
    Stored(String, event::DefaultedFields),
    Damaged,
}
