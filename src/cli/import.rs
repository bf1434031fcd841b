//! `import`: events from files, directly into the database file or through a running server.
//!
//! An interrupted import can be run again: it loses no event and stores none twice. An event without an identifier gets one
//! that is derived from its place in the file and its text, so that this holds for it too.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};

use crate::{
    cli::{
        client::{Client, ServerArguments, refusal},
        failure::Failure,
        output::Output,
        serve, source,
    },
    config::{Config, LimitsConfig},
    model::{
        credential::IMPORT_NAME,
        error::FieldError,
        event::{Receipt, Sender},
        limits::EventLimits,
        mask::Mask,
        masked_event::MaskedEvent,
        retention::{KeepBy, Rules},
        timestamp::Timestamp,
    },
    store::{Outcome, Policy, Prepared, Store},
    terminal,
};

/// Events per batch: many share the cost of one commit, and an invalid line delays few others.
const BATCH_EVENTS: usize = 500;
/// Bytes per batch, well within a server's default limit.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Batches in flight while the next is read.
const IN_FLIGHT: usize = 4;
/// Attempts per batch with a server that asks to retry later.
const TRIES: u32 = 60;

/// Import events from files
///
/// A file contains NDJSON or a JSON array, plain or compressed with gzip or zstd; - is standard input.
///
/// Writes to the configured file, which no server may have open; with --url, sends to a running server. Events that are
/// already stored count as duplicates: run an interrupted import again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox import events.ndjson.zst
  zcat old.ndjson.gz | auditbox import - --url http://127.0.0.1:8686 --token abx_…")]
pub(super) struct ImportArguments {
    /// The files, in order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Report invalid lines and continue, instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// Imports the files and prints how many events were stored.
pub(super) fn run(config: &Config, arguments: &ImportArguments, out: &mut Output) -> Result<(), Failure> {
    for path in &arguments.files {
        source::check(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    }
    let (target, store) = match arguments.server.client()? {
        Some(client) => (Target::Server(client), None),
        None => {
            // The configured limits are for a server with many senders. Here the queue must hold this import's batches.
            let limits = LimitsConfig {
                queue_events_max: (IN_FLIGHT + 1) * BATCH_EVENTS,
                queue_bytes_max: LimitsConfig::default().queue_bytes_max,
                ..config.limits.clone()
            };
            let store = serve::open(&Config { limits, ..config.clone() })?;
            (Target::File(store.writer.clone()), Some(store))
        }
    };
    let mut import = Import {
        target,
        skip_bad: arguments.skip_bad,
        limits: config.limits.event(),
        retention: config.retention.clone(),
        // A server masks events by its own configuration.
        mask: if store.is_some() { config.mask.clone() } else { Mask::off() },
        progress: progress(&arguments.files),
        started: Instant::now(),
        file: String::new(),
        batch: ImportBatch::default(),
        in_flight: VecDeque::new(),
        counts: Counts::default(),
    };
    let outcome = import.files(&arguments.files);
    import.progress.finish_and_clear();
    out.line(import.summary());
    if let Some(warning) = import.retention_warning() {
        terminal::line(&warning);
    }
    let closed = store.map_or(Ok(()), Store::close);
    outcome.map_err(|failure| {
        failure.with_advice("The events counted above are stored. Fix the problem and run the same import again.")
    })?;
    Ok(closed?)
}

/// The destination of the events.
enum Target {
    File(crate::store::Writer),
    Server(Client),
}

/// The result for one event.
enum Fate {
    Stored,
    Duplicate,
    Bad(String),
}

/// An event of the file that is being imported.
struct PendingLine {
    /// The number of its line, from 1.
    number: u64,
    /// Whether the event has expired by its own time.
    is_past: bool,
}

/// A batch that was sent: the lines of its events, and a function that waits for their results.
struct InFlight {
    file: String,
    lines: Vec<PendingLine>,
    fates: Box<dyn FnOnce() -> Result<Vec<Fate>, Failure>>,
}

/// Events not yet sent.
#[derive(Default)]
struct ImportBatch {
    lines: Vec<PendingLine>,
    prepared: Vec<Prepared>,
    text: String,
    bytes: usize,
}

#[derive(Default)]
struct Counts {
    stored: u64,
    duplicates: u64,
    bad: u64,
    /// Stored events that have expired by their own time.
    past: u64,
}

struct Import {
    target: Target,
    skip_bad: bool,
    limits: EventLimits,
    retention: Rules,
    mask: Mask,
    progress: ProgressBar,
    started: Instant,
    file: String,
    batch: ImportBatch,
    in_flight: VecDeque<InFlight>,
    counts: Counts,
}

impl Import {
    /// Reads the files. Also after an error, waits for the batches that were sent and counts their events.
    fn files(&mut self, files: &[PathBuf]) -> Result<(), Failure> {
        let read = files.iter().try_for_each(|path| self.file(path));
        let sent = read.and_then(|()| self.send());
        let mut settled = Ok(());
        while let Some(batch) = self.in_flight.pop_front() {
            settled = settled.and(self.settle(batch));
        }
        sent.and(settled)
    }

    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        self.file = path.display().to_string();
        let unreadable = |error| Failure::new(format!("{}: {error}", path.display()));
        let progress = self.progress.clone();
        let input = source::open(path, move |bytes| progress.inc(bytes as u64)).map_err(unreadable)?;
        let bytes_max = self.limits.event_bytes_max;
        source::for_each(input, bytes_max, |line| self.line(line))
            .map_err(|failure| Failure::new(format!("{}: {failure}", path.display())))
    }

    fn line(&mut self, line: source::InputLine) -> Result<(), Failure> {
        let number = line.number;
        match line.text.and_then(|text| self.take(number, text.trim())) {
            Ok(()) => {}
            Err(message) => self.bad(&self.file.clone(), number, &message)?,
        }
        if self.batch.lines.len() >= BATCH_EVENTS || self.batch.bytes >= BATCH_BYTES {
            self.send()?;
        }
        Ok(())
    }

    /// Checks an event before it is sent, for both destinations, so that an error names its line.
    fn take(&mut self, number: u64, text: &str) -> Result<(), String> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let refuse = |error: FieldError| error.to_string();
        let sent = MaskedEvent::new(raw, &self.limits, &self.mask).map_err(refuse)?;
        let mut draft = sent.read(&self.limits, Sender::Client).map_err(refuse)?;
        if draft.identifier().is_none() {
            draft.name(&identifier_of(&self.file, number, text));
        }
        let now = Timestamp::now();
        let past = |at| self.retention.is_past_by_event_time(draft.resource_type(), at, now);
        let is_past = draft.happened_at().is_some_and(past);
        match &self.target {
            Target::Server(_) => {
                self.batch.text.push_str(&draft.into_json());
                self.batch.text.push('\n');
            }
            Target::File(writer) => {
                let receipt = Receipt { at: now, by: IMPORT_NAME };
                self.batch.prepared.push(writer.prepare(draft.accept(&receipt)));
            }
        }
        self.batch.lines.push(PendingLine { number, is_past });
        self.batch.bytes += text.len();
        Ok(())
    }

    fn bad(&mut self, file: &str, number: u64, message: &str) -> Result<(), Failure> {
        if !self.skip_bad {
            return Err(Failure::new(format!("line {number}: {message} (--skip-bad skips such lines)")));
        }
        self.counts.bad += 1;
        self.progress.suspend(|| terminal::line(format_args!("{file}: line {number}: {message}")));
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        if batch.lines.is_empty() {
            return Ok(());
        }
        let fates: Box<dyn FnOnce() -> Result<Vec<Fate>, Failure>> = match &self.target {
            Target::File(writer) => {
                writer.wait_for_room();
                let pending = writer.append(batch.prepared, Policy::Partial)?;
                Box::new(move || Ok(pending.wait()?.into_iter().map(Fate::from).collect()))
            }
            Target::Server(client) => {
                let client = client.clone();
                let sending = thread::spawn(move || post(&client, batch.text.as_bytes()));
                Box::new(move || sending.join().unwrap_or_else(|_| Err(Failure::new("a sending thread failed"))))
            }
        };
        self.in_flight.push_back(InFlight { file: self.file.clone(), lines: batch.lines, fates });
        match self.in_flight.len() {
            0..=IN_FLIGHT => Ok(()),
            _ => self.in_flight.pop_front().map_or(Ok(()), |batch| self.settle(batch)),
        }
    }

    fn settle(&mut self, batch: InFlight) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for (PendingLine { number, is_past }, fate) in batch.lines.into_iter().zip((batch.fates)()?) {
            match fate {
                Fate::Stored => {
                    self.counts.stored += 1;
                    self.counts.past += u64::from(is_past);
                }
                Fate::Duplicate => self.counts.duplicates += 1,
                // The rest of the batch still has to be counted.
                Fate::Bad(message) => outcome = outcome.and(self.bad(&batch.file, number, &message)),
            }
        }
        self.progress.set_message(format!("{} events", self.counts.stored + self.counts.duplicates));
        outcome
    }

    fn summary(&self) -> String {
        let Counts { stored, duplicates, bad, .. } = self.counts;
        let seconds = self.started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (stored + duplicates) as f64 / seconds.max(0.001);
        format!("{stored} stored, {duplicates} duplicates, {bad} bad lines in {seconds:.1} s ({rate:.0} events/s)")
    }

    /// A warning if events were imported that are older than the log keeps them: they will be deleted.
    fn retention_warning(&self) -> Option<String> {
        let past = Some(self.counts.past).filter(|past| *past > 0)?;
        let what = match self.retention.kept_by() {
            KeepBy::Both => "They stay for as long as [retention] keeps events, counted from now (keep_by = \"both\").",
            KeepBy::EventTime => {
                "The server deletes them within an hour (keep_by = \"event_time\"). To keep them, set keep_by = \"both\" or raise \
                 the number of days before you start the server."
            }
        };
        let whose = match self.target {
            Target::File(_) => "",
            Target::Server(_) => " This follows this command's configuration; the server follows its own.",
        };
        Some(format!(
            "Warning: {past} of the stored events are older than [retention] keeps such events. {what}{whose}"
        ))
    }
}

impl From<Outcome> for Fate {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Stored => Self::Stored,
            Outcome::Duplicate => Self::Duplicate,
            Outcome::Conflict => Self::Bad("its identifier already belongs to an event with other content".to_owned()),
        }
    }
}

/// Sends a batch; waits and retries if the server asks for it.
fn post(client: &Client, batch: &[u8]) -> Result<Vec<Fate>, Failure> {
    for _ in 0..TRIES {
        let mut response = client.post("/v1/audit-log?partial=true", batch)?;
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

/// An identifier that is the same in every run for the same text at the same line of a file with the same name, in any
/// directory.
fn identifier_of(file: &str, number: u64, text: &str) -> String {
    let name = Path::new(file).file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
    let digest = Sha256::new().chain_update(name).chain_update(number.to_le_bytes()).chain_update(text).finalize();
    format!("import_{}", BASE64_URL_SAFE_NO_PAD.encode(&digest[..16]))
}

fn progress(files: &[PathBuf]) -> ProgressBar {
    let lengths: Option<Vec<u64>> = files.iter().map(|path| Some(path.metadata().ok()?.len())).collect();
    let (bar, template) = match lengths {
        Some(lengths) => (
            ProgressBar::new(lengths.iter().sum()),
            "{wide_bar} {bytes}/{total_bytes}  {msg}  {bytes_per_sec}  {eta} left",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes}  {msg}  {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}
