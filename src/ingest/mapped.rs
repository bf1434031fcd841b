//! Ingest of records of other systems: a preset maps each to an event, which is stored by itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::web::Data;
use tokio::time::sleep;

use super::{INLINE_BYTES_MAX, Item, ItemError, Reading, SentEvents, Stored, append, prepared, separate};
use crate::{
    http::{
        ApiError, Context,
        activity::{Arrival, Problem},
        body::Body,
        metrics::Ingested,
    },
    model::{
        batch::TooMany,
        error::FieldError,
        event::{Event, Receipt, Sender},
        mapping::{MappedRecord, Mapping, Record, RecordError, RecordKey},
        masked_event::MaskedEvent,
        records,
    },
    store::{AppendError, Outcome, Policy, Prepared},
};

/// Maximum number of bytes of a record's key in an identifier. Of a longer one, the hash is.
const KEY_BYTES_MAX: usize = 160;
/// How long the rest of a large request waits for room in the queue.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(20);
const ROOM_POLL: Duration = Duration::from_millis(20);

/// How records become events.
pub(crate) struct Format {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) identification: Identification,
    /// How the records arrive, as their events record it.
    pub(crate) door: &'static str,
    /// The door or route under which the records are counted.
    pub(crate) counted_as: Option<String>,
    pub(crate) read: ReadRecords,
}

/// Finds the records of a body. An error means that nothing in it can be read.
pub(crate) type ReadRecords =
    Box<dyn for<'b> Fn(&'b [u8], &Mapping) -> Result<Vec<SentRecord<'b>>, ApiError> + Send + Sync>;

/// A record as its protocol delivers it.
pub(crate) struct SentRecord<'b> {
    /// The record, or why it cannot be read.
    pub(crate) record: Result<Record<'b>, ItemError>,
    /// What the protocol calls the record, if it names records.
    pub(crate) key: Option<String>,
}

impl<'b> SentRecord<'b> {
    /// A record, or why it cannot be read, and its name.
    pub(crate) fn new(record: Result<Record<'b>, String>, key: Option<String>) -> Self {
        Self { record: record.map_err(ItemError::new), key }
    }
}

impl<'b> From<Record<'b>> for SentRecord<'b> {
    fn from(record: Record<'b>) -> Self {
        Self { record: Ok(record), key: None }
    }
}

impl From<ItemError> for SentRecord<'_> {
    fn from(error: ItemError) -> Self {
        Self { record: Err(error), key: None }
    }
}

/// Where a record without an identifier gets one.
pub(crate) enum Identification {
    /// From the key of the request, if it has one; otherwise it is a new one.
    Delivery {
        /// Whether a key that belongs to another record is an error. If not, the record gets another identifier.
        is_strict: bool,
    },
    /// From the name that the protocol gives to a record. A record without one counts as with `Delivery`.
    Named { source: String },
    /// From the source of the records, the number and the text.
    Source {
        name: String,
        /// The number of the first record.
        first: u64,
    },
    /// From the source and the text. The number does not count.
    Content { source: String },
    /// From the value in this place of the record. A record without it counts as with `Delivery`.
    Key { source: String, key: RecordKey },
}

impl Identification {
    /// The identifier of the record with this index in the request.
    fn derive(&self, index: usize, record: &Record<'_>, name: Option<&str>) -> Option<String> {
        match self {
            Self::Delivery { .. } => None,
            Self::Named { source } => name.map(|name| identifier_of(source, name)),
            Self::Source { name, first } => {
                Some(records::derived_identifier(name, first.saturating_add(index as u64), record.source()))
            }
            Self::Content { source } => Some(records::derived_identifier(source, 0, record.source())),
            Self::Key { source, key } => key.of(record).map(|key| identifier_of(source, &key)),
        }
    }

    /// Whether a record whose identifier belongs to an event with other content gets another identifier. The sender chose it, so the
    /// other event need not be the same record.
    const fn may_change(&self) -> bool {
        matches!(self, Self::Named { .. } | Self::Key { .. } | Self::Delivery { is_strict: false })
    }
}

/// The identifier of the record that its source calls `key`.
fn identifier_of(source: &str, key: &str) -> String {
    let is_fit = source.len() + key.len() <= KEY_BYTES_MAX && !key.contains('\0');
    if is_fit { format!("{source}/{key}") } else { records::derived_identifier(source, 0, key) }
}

/// The records of a body that is made of documents of the format.
pub(crate) fn documents(events_max: usize) -> ReadRecords {
    Box::new(move |body, mapping| {
        let too_many = || ApiError::invalid(format!("body: more than {events_max} events in one request"));
        let mut sent = Vec::new();
        for document in mapping.documents_within(body, events_max).map_err(|TooMany| too_many())? {
            let records = match document {
                Ok(text) => match mapping.records_within(text, events_max) {
                    Err(RecordError::TooMany) => return Err(too_many()),
                    records => records.map_err(invalid),
                },
                Err(error) => Err(error.into()),
            };
            match records {
                Ok(records) if sent.len() + records.len() > events_max => return Err(too_many()),
                Ok(records) => sent.extend(records.into_iter().map(SentRecord::from)),
                Err(error) => sent.push(error.into()),
            }
        }
        Ok(sent)
    })
}

/// What to do if an event's identifier belongs to an event with other content.
enum OnConflict {
    /// Reject the event.
    Refuse,
    /// Map the record again, with another identifier: this one, or the record's own with a hash.
    MapAgain(Record<'static>, Option<String>),
    /// Count the event as a duplicate. Its identifier is derived from its text, so the other event is an earlier mapping of it.
    IsKnown,
}

/// Stores the records of a body.
pub(crate) async fn records(
    format: Format,
    reading: Reading,
    body: Body,
    context: &Data<Context>,
) -> Result<Stored, ApiError> {
    map_records(format, reading, body, context).await?.store(context).await
}

/// The records of a body as events that are ready to be stored.
pub(crate) struct MappedRecords {
    batch: Arc<Batch>,
    read: ReadBatch,
}

/// Maps the records of a body.
pub(crate) async fn map_records(
    format: Format,
    reading: Reading,
    body: Body,
    context: &Data<Context>,
) -> Result<MappedRecords, ApiError> {
    let batch = Arc::new(Batch { format, reading });
    let read = if body.bytes.len() <= INLINE_BYTES_MAX {
        batch.read(&body.bytes)
    } else {
        let batch = Arc::clone(&batch);
        context.body_limits.work(move || batch.read(&body.bytes)).await?
    };
    let read = read.inspect_err(|_| context.metrics.ingested(Ingested::Rejected, 1))?;
    Ok(MappedRecords { batch, read })
}

impl MappedRecords {
    /// Stores the records.
    pub(crate) async fn store(self, context: &Data<Context>) -> Result<Stored, ApiError> {
        let Self { batch, read: ReadBatch { items, unmapped, problem } } = self;
        let (good, results) = separate(items);
        let (places, good): (Vec<_>, Vec<_>) = good.into_iter().unzip();
        let (events, conflicts): (Vec<_>, Vec<_>) = good.into_iter().unzip();
        let sent = SentEvents::of(&events);
        let outcomes = append_slices(context, events, batch.reading.events_max).await?;
        let counted_as = batch.format.counted_as.clone();
        let arrival = Arrival { unmapped, problem, ..Arrival::default() };
        let mut stored = Stored { results, places, sent, outcomes, counted_as, arrival };
        batch.settle(&mut stored, conflicts, context).await?;
        Ok(stored)
    }
}

/// A record that is mapped.
struct Read {
    event: Event,
    on_conflict: OnConflict,
    is_unmapped: bool,
    problem: Option<Problem>,
}

/// The records of a request.
struct Batch {
    format: Format,
    reading: Reading,
}

/// The records of a request, read.
struct ReadBatch {
    items: Vec<Item<OnConflict>>,
    /// Number of records in which the preset found nothing.
    unmapped: u64,
    problem: Option<Problem>,
}

impl Batch {
    fn read(&self, body: &[u8]) -> Result<ReadBatch, ApiError> {
        let sent = (self.format.read)(body, &self.format.mapping)?;
        let (mut items, mut preparer) = (Vec::with_capacity(sent.len()), self.reading.writer.preparer());
        let (mut unmapped, mut problem) = (0, None);
        for (index, SentRecord { record, key }) in sent.into_iter().enumerate() {
            // One problem of a request is shown: its sample costs more than the mapping of a record.
            let is_sought = problem.is_none() && self.format.counted_as.is_some();
            let item = record.and_then(|record| self.record(index, record, key.as_deref(), is_sought));
            let item = item.map(|Read { event, on_conflict, is_unmapped, problem: found }| {
                preparer.add(event);
                unmapped += u64::from(is_unmapped);
                problem = problem.take().or(found);
                on_conflict
            });
            if let Some(error) = item.as_ref().err().filter(|_| is_sought) {
                problem = Some(Problem::of_bytes(error.error.to_string(), error.place_in(body)));
            }
            items.push(item);
        }
        Ok(ReadBatch { items: prepared(items, preparer.finish()), unmapped, problem })
    }

    /// Maps the record with this index. Its problem is described if it is sought.
    fn record(&self, index: usize, record: Record<'_>, key: Option<&str>, is_sought: bool) -> Result<Read, ItemError> {
        let Format { mapping, identification, .. } = &self.format;
        let mapped = mapping.map(&record, &self.reading.limits, &self.reading.mask).map_err(invalid)?;
        let derived = identification.derive(index, &record, key);
        let (event, is_own) = self.event_of(&mapped, index, derived.as_deref())?;
        let problem = is_sought.then(|| self.problem_of(&mapped, &record)).flatten();
        let is_unmapped = mapped.is_unmapped();
        let on_conflict = match derived {
            _ if is_own => OnConflict::MapAgain(record.into_owned(), None),
            _ if identification.may_change() => {
                let name = format!("{}~{}", event.identifier, records::digest(record.source()));
                OnConflict::MapAgain(record.into_owned(), Some(name))
            }
            Some(_) => OnConflict::IsKnown,
            None => OnConflict::Refuse,
        };
        Ok(Read { event, on_conflict, is_unmapped, problem })
    }

    /// The first problem of a record, with the beginning of the record.
    fn problem_of(&self, mapped: &MappedRecord, record: &Record<'_>) -> Option<Problem> {
        let message = match mapped.problems() {
            [first, ..] => first.clone(),
            [] if mapped.is_unmapped() => {
                format!("the preset {} found nothing in the record", self.format.mapping.name())
            }
            [] => return None,
        };
        Some(Problem::of_record(message, &self.reading.mask, record.source()))
    }

    /// Completes a mapped record. Also returns whether it has its own identifier; otherwise it gets the derived one, or the one
    /// that follows from the request's key.
    fn event_of(
        &self,
        mapped: &MappedRecord,
        index: usize,
        derived: Option<&str>,
    ) -> Result<(Event, bool), FieldError> {
        let Reading { at, by, key, mask, .. } = &self.reading;
        let limits = MappedRecord::limits(&self.reading.limits);
        let sent = MaskedEvent::new(mapped.event(), &limits, mask)?;
        let mut draft = sent.read(&limits, Sender::Client)?;
        let is_own = draft.identifier().is_some();
        if let Some(derived) = derived {
            draft.name(derived);
        } else if let Some(key) = key {
            draft.assign(&key.identifier(index));
        }
        let provenance = mapped.provenance(self.format.door);
        let event = draft.with_mapping(&provenance).accept(&Receipt { at: *at, by });
        Ok((event, is_own))
    }

    /// Stores the records whose identifiers belong to events with other content.
    async fn settle(&self, stored: &mut Stored, conflicts: Vec<OnConflict>, context: &Context) -> Result<(), ApiError> {
        let (mut preparer, mut places) = (self.reading.writer.preparer(), Vec::new());
        for (place, on_conflict) in conflicts.into_iter().enumerate() {
            match on_conflict {
                _ if stored.outcomes[place] != Outcome::Conflict => {}
                OnConflict::Refuse => {}
                OnConflict::IsKnown => stored.outcomes[place] = Outcome::Duplicate,
                OnConflict::MapAgain(record, name) => {
                    let (mapping, limits) = (&self.format.mapping, &self.reading.limits);
                    let mapped = match &name {
                        None => mapping.map_again(&record, limits, &self.reading.mask),
                        Some(_) => mapping.map(&record, limits, &self.reading.mask),
                    };
                    let event = mapped.map(|mapped| self.event_of(&mapped, place, name.as_deref()));
                    // The record was mapped before, so it can be mapped again.
                    if let Ok(Ok((event, _))) = event {
                        event.identifier.clone_into(&mut stored.sent.identifiers[place]);
                        preparer.add(event);
                        places.push(place);
                    }
                }
            }
        }
        let outcomes = append(context, preparer.finish(), Policy::Partial).await?;
        for (place, outcome) in places.into_iter().zip(outcomes) {
            // The identifier follows from the record, so another event with it is an earlier mapping of the record.
            stored.outcomes[place] = if outcome == Outcome::Conflict { Outcome::Duplicate } else { outcome };
        }
        Ok(())
    }
}

/// Stores events, as many at once as a request may have. Once the first are stored, the others wait for room: a sender that is
/// told to send everything again would send those twice.
async fn append_slices(
    context: &Context,
    mut events: Vec<Prepared>,
    events_max: usize,
) -> Result<Vec<Outcome>, AppendError> {
    let mut outcomes = Vec::with_capacity(events.len());
    loop {
        let rest = events.split_off(events.len().min(events_max));
        outcomes.extend(append(context, events, Policy::Partial).await?);
        if rest.is_empty() {
            return Ok(outcomes);
        }
        events = rest;
        let end = Instant::now() + WAIT_FOR_ROOM;
        while context.writer.check_room().is_err() && Instant::now() < end {
            sleep(ROOM_POLL).await;
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn invalid(error: RecordError) -> ItemError {
    FieldError::new("", error.to_string()).into()
}
