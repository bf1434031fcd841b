//! The job that appends events: it decides the outcome of each event, and stores those that are new.
//!
//! A request is decided before any of it is written, so a rejected request has nothing to roll back.

use std::collections::HashMap;

use crate::{
    index::IndexError,
    model::event,
    store::{
        error::{AppendError, Conflict, WriteError},
        event::{codec::Decoder, prepared::Prepared, stored::Fetch},
        write::{
            batch::{PageFault, WriteBatch},
            job::Job,
            queue::Weight,
        },
    },
};

/// What happens to a batch that contains a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing of it is stored.
    AllOrNothing,
    /// The rest is stored.
    Partial,
}

/// The outcome of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Stored now.
    Stored,
    /// Stored before: the same identifier and content.
    Duplicate,
    /// Not stored: the same identifier, other content.
    Conflict,
}

/// The events of one request.
pub(in crate::store) struct Append {
    pub(in crate::store) batch: Vec<Prepared>,
    pub(in crate::store) policy: Policy,
    /// Whether they are auditbox's own records, which may use the reserve of the queue.
    pub(in crate::store) reserved: bool,
}

impl Job for Append {
    type Output = Vec<Outcome>;
    type Error = AppendError;

    fn weight(&self) -> Weight {
        let bytes = self.batch.iter().map(Prepared::bytes).sum();
        Weight { events: self.batch.len(), bytes, reserved: self.reserved }
    }

    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<Result<Vec<Outcome>, AppendError>, IndexError> {
        let decided = match batch.decide(&self.batch, self.policy) {
            Err(error) if error.is_damage() => {
                // Whether these are new cannot be decided. Other senders' events can still be stored.
                batch.page_fault = error.is_of_a_page().then_some(PageFault::Answered);
                tracing::error!(
                    %error,
                    "the index is damaged: events were rejected; stop the server and run auditbox reindex"
                );
                return Ok(Err(WriteError::IndexDamaged.into()));
            }
            decided => decided?,
        };
        if let (Ok(outcomes), None) = (&decided, batch.page_fault) {
            for (event, _) in self.batch.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Stored) {
                batch.store(event)?;
            }
        }
        Ok(decided)
    }
}

impl WriteBatch<'_> {
    /// The outcome of each event of a batch. Nothing is written.
    fn decide(&mut self, batch: &[Prepared], policy: Policy) -> Result<Result<Vec<Outcome>, AppendError>, IndexError> {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut conflicts = Vec::new();
        let mut earlier: HashMap<&str, &Prepared> = HashMap::new();
        let mut of_assigned = None;
        for (index, event) in batch.iter().enumerate() {
            let mut outcome = if let Some(twin) = earlier.get(event.identifier()) {
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
            // An assigned identifier is known only if the request is a retry. Then all of them are.
            if policy == Policy::AllOrNothing
                && event.is_identifier_assigned()
                && *of_assigned.get_or_insert(outcome) != outcome
            {
                outcome = Outcome::Conflict;
            }
            if outcome == Outcome::Conflict && policy == Policy::AllOrNothing {
                conflicts.push(Conflict { index, identifier: event.identifier().to_owned() });
            }
            if outcome == Outcome::Stored && batch.len() > 1 {
                earlier.insert(event.identifier(), event);
            }
            outcomes.push(outcome);
        }
        Ok(if conflicts.is_empty() { Ok(outcomes) } else { Err(AppendError::Conflict(conflicts)) })
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
                self.page_fault = Some(PageFault::Again);
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
