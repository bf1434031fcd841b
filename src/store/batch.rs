//! One transaction of the writer: what becomes of each event, and the rows of those that are stored.
//!
//! A request is decided before anything of it is written, so that one that is refused has nothing to be taken back.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::{
    index::{Entry, IndexError, Snapshot, TermWriter},
    model::event,
    store::{
        AppendError, Outcome, Policy, Prepared, WriteError,
        body::{Bodies, Decoder},
        event as events,
        stored::Fetch,
    },
};

/// What an event writes to the log beside its bytes: whole pages of the table and its indexes.
const LOG_BYTES_PER_EVENT: usize = 2 * 1024;

/// One transaction under way.
pub(super) struct Batch<'t> {
    pub(super) transaction: &'t Connection,
    /// The index as it was before.
    pub(super) snapshot: Snapshot<'t>,
    pub(super) terms: &'t mut TermWriter,
    pub(super) bodies: &'t Bodies,
    pub(super) last_seq: i64,
    /// What was stored in this transaction, in order.
    pub(super) entries: Vec<Entry>,
    /// The same by identifier: the index does not know of it yet.
    pub(super) fresh: HashMap<String, i64>,
    /// About how much the transaction writes.
    pub(super) log_bytes: usize,
}

impl Batch<'_> {
    /// Decides what is to become of each event, and stores those that are to be stored.
    pub(super) fn append(
        &mut self,
        batch: &[Prepared],
        policy: Policy,
    ) -> Result<Result<Vec<Outcome>, AppendError>, IndexError> {
        let decided = match self.decide(batch, policy) {
            Err(error) if error.is_damage() => {
                // Whether these are new cannot be known; what others send can still be stored.
                tracing::error!(
                    %error,
                    "the index is damaged: events were refused; stop the server and run auditbox reindex"
                );
                return Ok(Err(WriteError::IndexDamaged.into()));
            }
            decided => decided?,
        };
        if let Ok(outcomes) = &decided {
            for (event, _) in batch.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Stored) {
                self.store(event)?;
            }
        }
        Ok(decided)
    }

    /// Stores an event that is known to be new.
    pub(super) fn store(&mut self, event: &Prepared) -> rusqlite::Result<()> {
        self.last_seq += 1;
        self.log_bytes += LOG_BYTES_PER_EVENT + event.bytes();
        self.entries.push(events::insert(self.transaction, self.terms, self.last_seq, event)?);
        self.fresh.insert(event.identifier().to_owned(), self.last_seq);
        Ok(())
    }

    /// What is to become of each event of a batch. Nothing is written.
    fn decide(&self, batch: &[Prepared], policy: Policy) -> Result<Result<Vec<Outcome>, AppendError>, IndexError> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut earlier: HashMap<&str, &Prepared> = HashMap::new();
        for (index, event) in batch.iter().enumerate() {
            let outcome = if let Some(twin) = earlier.get(event.identifier()) {
                let own = Decoder::of_own(self.bodies);
                let body = own.decode(&twin.stored).ok();
                self.compare(body.as_deref().map(|body| (body, twin.filled)), event)
            } else {
                match self.known(event.identifier())? {
                    Some(known) => self.compare(known.as_ref().map(|(body, filled)| (body.as_str(), *filled)), event),
                    None => Outcome::Stored,
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

    /// The event that has this identifier already; `None` within if it is damaged.
    fn known(&self, identifier: &str) -> Result<Option<Option<(String, event::Filled)>>, IndexError> {
        let seq = match self.fresh.get(identifier) {
            Some(seq) => Some(*seq),
            None => self.snapshot.find_identifier(identifier)?,
        };
        let Some(seq) = seq else {
            return Ok(None);
        };
        let mut fetch = Fetch::new(self.transaction, self.bodies)?;
        Ok(fetch.row(seq)?.map(|row| {
            let stored = row.ok()?;
            let body = stored.open(fetch.decoder()).ok()?.into_owned();
            Some((body, stored.filled()))
        }))
    }

    /// An event that cannot be read any more is not known to be the same: its sender hears of a conflict.
    fn compare(&self, known: Option<(&str, event::Filled)>, new: &Prepared) -> Outcome {
        let own = Decoder::of_own(self.bodies);
        let same = || Some(event::same_submission(known?, (&own.decode(&new.stored).ok()?, new.filled)));
        if same().unwrap_or(false) { Outcome::Duplicate } else { Outcome::Conflict }
    }
}
