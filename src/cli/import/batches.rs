//! Sends events in batches, several of which are on their way at once.

use std::{collections::VecDeque, thread, time::Duration};

use serde_json::Value;

use crate::{
    cli::{
        client::{Client, refusal},
        failure::Failure,
    },
    model::{
        credential::IMPORT_NAME,
        event::{EventDraft, Receipt},
        mapping,
        records::Place,
        timestamp::Timestamp,
    },
    store::{Outcome, Policy, Prepared, Writer},
};

/// Events per batch: many share the cost of one commit, and an invalid line delays few others.
pub(super) const BATCH_EVENTS: usize = 500;
/// Bytes per batch, well within a server's default limit.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Batches in flight while the next is read.
pub(super) const IN_FLIGHT: usize = 4;
/// Attempts per batch with a server that asks to retry later.
const TRIES: u32 = 60;

/// Where a server takes events.
const EVENTS: &str = "/v1/audit-log?partial=true";

/// The destination of the events.
pub(super) enum Target {
    File(Writer),
    Server(Client),
}

/// The result for one event.
pub(super) enum Fate {
    Stored,
    Duplicate,
    /// Its identifier belongs to an event with other content.
    Conflict,
    Bad(String),
}

/// What to do if an event's identifier belongs to an event with other content.
pub(super) enum OnConflict {
    /// Report the record as invalid.
    Refuse,
    /// Map the record again, with another identifier.
    MapAgain {
        /// The index of its preset.
        format: usize,
        record: mapping::Record<'static>,
    },
    /// Count the record as known. Its identifier is derived from its text, so the other event is an earlier mapping of it.
    IsKnown,
}

/// An event that was sent.
pub(super) struct Sent {
    /// The index of its file.
    pub(super) file: usize,
    pub(super) place: Place,
    /// Whether the event has expired by its own time.
    pub(super) is_past: bool,
    /// Whether its identifier follows from its source, its number and its text.
    pub(super) is_derived: bool,
    pub(super) on_conflict: OnConflict,
}

/// A batch that was sent: its events, and a function that waits for their results.
struct InFlight {
    events: Vec<Sent>,
    fates: Box<dyn FnOnce() -> Result<Vec<Fate>, Failure>>,
}

/// A record as a server takes it.
pub(super) struct RawRecord {
    pub(super) text: String,
    pub(super) preset: String,
    /// The key of its source.
    pub(super) source: String,
    /// Its number in the source.
    pub(super) number: u64,
}

/// Records that are sent together: those of one preset that follow one another in one source.
struct Run {
    preset: String,
    source: String,
    first: u64,
    next: u64,
}

impl Run {
    /// The path that takes them.
    fn path(&self) -> String {
        // Names of presets and keys of sources need no encoding.
        format!("{EVENTS}&format={}&source={}&first={}", self.preset, self.source, self.first)
    }
}

/// Sends events, and waits for their results in the same order.
pub(super) struct Batches {
    target: Target,
    events: Vec<Sent>,
    prepared: Vec<Prepared>,
    text: String,
    /// What the records in the text are, if they are not events.
    run: Option<Run>,
    bytes: usize,
    in_flight: VecDeque<InFlight>,
}

impl Batches {
    pub(super) const fn new(target: Target) -> Self {
        Self {
            target,
            events: Vec::new(),
            prepared: Vec::new(),
            text: String::new(),
            run: None,
            bytes: 0,
            in_flight: VecDeque::new(),
        }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// Adds an event of `bytes` to the batch.
    pub(super) fn add(&mut self, sent: Sent, draft: EventDraft<'_>, bytes: usize) {
        match &self.target {
            Target::Server(_) => {
                self.text.push_str(&draft.into_json());
                self.text.push('\n');
            }
            Target::File(writer) => {
                let receipt = Receipt { at: Timestamp::now(), by: IMPORT_NAME };
                self.prepared.push(writer.prepare(draft.accept(&receipt)));
            }
        }
        self.events.push(sent);
        self.bytes += bytes;
    }

    /// Whether results of events are outstanding.
    pub(super) fn is_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Whether this record may join the batch.
    pub(super) fn takes(&self, preset: &str, source: &str, number: u64) -> bool {
        let is_next = |run: &Run| run.preset == preset && run.source == source && run.next == number;
        self.run.as_ref().is_none_or(is_next)
    }

    /// Adds a record that the server maps.
    pub(super) fn add_record(&mut self, sent: Sent, record: RawRecord) {
        self.text.push_str(&record.text);
        self.text.push('\n');
        self.events.push(sent);
        self.bytes += record.text.len();
        let RawRecord { preset, source, number, .. } = record;
        let next = number + 1;
        match &mut self.run {
            Some(run) => run.next = next,
            None => self.run = Some(Run { preset, source, first: number, next }),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= BATCH_EVENTS || self.bytes >= BATCH_BYTES
    }

    /// Sends the batch. Returns the results of an earlier one if many are in flight.
    pub(super) fn send(&mut self) -> Result<Vec<(Sent, Fate)>, Failure> {
        if self.events.is_empty() {
            return Ok(Vec::new());
        }
        self.bytes = 0;
        let fates: Box<dyn FnOnce() -> Result<Vec<Fate>, Failure>> = match &self.target {
            Target::File(writer) => {
                writer.wait_for_room();
                let pending = writer.append(std::mem::take(&mut self.prepared), Policy::Partial)?;
                Box::new(move || Ok(pending.wait()?.into_iter().map(Fate::from).collect()))
            }
            Target::Server(client) => {
                let (client, text) = (client.clone(), std::mem::take(&mut self.text));
                let path = self.run.take().map_or_else(|| EVENTS.to_owned(), |run| run.path());
                let sending = thread::spawn(move || post(&client, &path, text.as_bytes()));
                Box::new(move || sending.join().unwrap_or_else(|_| Err(Failure::new("a sending thread failed"))))
            }
        };
        self.in_flight.push_back(InFlight { events: std::mem::take(&mut self.events), fates });
        if self.in_flight.len() > IN_FLIGHT { self.settle().unwrap_or_else(|| Ok(Vec::new())) } else { Ok(Vec::new()) }
    }

    /// Waits for the results of the oldest batch in flight, if there is one.
    pub(super) fn settle(&mut self) -> Option<Result<Vec<(Sent, Fate)>, Failure>> {
        let batch = self.in_flight.pop_front()?;
        let (sent, fates) = (batch.events, (batch.fates)());
        Some(fates.and_then(|fates| {
            if fates.len() != sent.len() {
                let (results, records) = (fates.len(), sent.len());
                return Err(Failure::new(format!("the server's response has {results} results for {records} records")));
            }
            Ok(sent.into_iter().zip(fates).collect())
        }))
    }
}

impl From<Outcome> for Fate {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Stored => Self::Stored,
            Outcome::Duplicate => Self::Duplicate,
            Outcome::Conflict => Self::Conflict,
        }
    }
}

/// Sends a batch; waits and retries if the server asks for it.
fn post(client: &Client, path: &str, batch: &[u8]) -> Result<Vec<Fate>, Failure> {
    for _ in 0..TRIES {
        let mut response = client.post(path, batch)?;
        let later = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        match (response.status().as_u16(), later) {
            (200, _) => {
                let answer = response.body_mut().read_to_string().map_err(|error| Failure::new(error.to_string()))?;
                return fates(&serde_json::from_str(&answer)?);
            }
            (429 | 503 | 507, Some(seconds)) => thread::sleep(Duration::from_secs(seconds)),
            _ => return Err(refusal(response)),
        }
    }
    Err(Failure::new(format!("the server is still overloaded after {TRIES} attempts")))
}

fn fates(answer: &Value) -> Result<Vec<Fate>, Failure> {
    let results = answer["results"].as_array().ok_or_else(|| Failure::new("the server's response has no results"))?;
    let fate = |result: &Value| match result["status"].as_u64() {
        Some(201) => Fate::Stored,
        Some(200) => Fate::Duplicate,
        _ => {
            let [field, message] = ["field", "message"].map(|key| result[key].as_str().unwrap_or_default());
            Fate::Bad(format!("{field} {message}").trim_start().to_owned())
        }
    };
    Ok(results.iter().map(fate).collect())
}
