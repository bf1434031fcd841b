//! `import`: events from files, directly into the database file or through a running server.
//!
//! An interrupted import can be run again: it loses no event and stores none twice. An event without an identifier gets one
//! that is derived from its source, its place and its text (`source.rs`), so that this holds for it too.

mod batches;
mod formats;
mod mapped;
mod pieces;
mod source;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, value::RawValue};

use crate::{
    cli::{
        client::{Client, ServerArguments},
        failure::Failure,
        input,
        output::{Output, counted},
        serve,
    },
    config::{Config, LimitsConfig},
    model::{
        error::FieldError,
        event::Sender,
        limits::EventLimits,
        mask::Mask,
        masked_event::MaskedEvent,
        records::{IMPORTED, Place, Record, Records, SentRecord},
        retention::{KeepBy, Rules},
        timestamp::Timestamp,
    },
    store::{CloseError, Store},
    terminal,
};
pub(super) use pieces::{LineImport, Numbers};
pub(super) use source::{base as log_name, without_compression};

use batches::{BATCH_EVENTS, Batches, Fate, IN_FLIGHT, OnConflict, Sent, Target};
use formats::{Formats, Known};
use source::{Beginnings, Source};

/// Bytes that a stored event may have besides those that its sender sent: the keys that a server sets.
const SERVER_BYTES: usize = 64 * 1024;

/// Import events from files
///
/// A file contains events as POST /v1/audit-log accepts them, an export, or a saved response of the list: NDJSON, JSON over
/// several lines, or arrays; plain, gzip or zstd; UTF-8 or UTF-16. - is standard input. With --format, it contains records of
/// another system.
///
/// Writes to the configured file, which no server may have open; with --url, sends to a running server. Events that are
/// already stored count as duplicates: run an interrupted import again.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox import events.ndjson.zst
  auditbox import /var/log/app/audit.log /var/log/app/audit.log.1.gz
  auditbox import --format cloudtrail logs/*.json.gz
  zcat old.ndjson.gz | auditbox import - --source app --url http://127.0.0.1:8686 --token abx_…")]
pub(super) struct ImportArguments {
    /// The files, in order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The preset that maps the records (auditbox preset list), or auto to recognize the format of each
    #[arg(long, value_name = "NAME", conflicts_with = "keep_received")]
    format: Option<String>,
    /// Report invalid records and continue, instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    /// Keep receivedAt, receivedBy and the other keys that a server has set, as members of the key "imported"
    #[arg(long)]
    keep_received: bool,
    /// Name of the source: records without identifiers are duplicates of equal ones from the same source. By default, the
    /// path of each file without endings such as .1 or .gz
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    source: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Imports the files and prints how many events were stored.
pub(super) fn run(config: &Config, arguments: &ImportArguments, out: &mut Output) -> Result<(), Failure> {
    for path in &arguments.files {
        input::check(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    }
    let formats = Formats::of(arguments, config)?;
    let destination = Destination::new(config, arguments.server.client()?)?;
    let mut import = Import::new(config, arguments, formats, destination.target());
    import.progress = progress(&arguments.files);
    let outcome = import.files();
    import.progress.finish_and_clear();
    out.line(import.summary());
    if let Some(recognized) = import.formats.as_ref().and_then(Formats::recognized) {
        out.line(recognized);
    }
    out.flush();
    import.notices().iter().for_each(terminal::line);
    drop(import);
    let closed = destination.close();
    outcome.map_err(|failure| {
        failure.with_advice("The events counted above are stored. Fix the problem and run the same import again.")
    })?;
    Ok(closed?)
}

/// Where the events go.
enum Destination {
    File(Box<Store>),
    Server(Client),
}

impl Destination {
    /// The server, or else the file of the configuration.
    fn new(config: &Config, client: Option<Client>) -> Result<Self, Failure> {
        if let Some(client) = client {
            return Ok(Self::Server(client));
        }
        // The configured limits are for a server with many senders. Here the queue must hold this import's batches.
        let limits = LimitsConfig {
            queue_events_max: (IN_FLIGHT + 1) * BATCH_EVENTS,
            queue_bytes_max: LimitsConfig::default().queue_bytes_max,
            ..config.limits.clone()
        };
        serve::open(&Config { limits, ..config.clone() }).map(|store| Self::File(Box::new(store)))
    }

    fn target(&self) -> Target {
        match self {
            Self::File(store) => Target::File(store.writer.clone(), store.writer.preparer()),
            Self::Server(client) => Target::Server(client.clone()),
        }
    }

    fn close(self) -> Result<(), CloseError> {
        match self {
            Self::File(store) => store.close(),
            Self::Server(_) => Ok(()),
        }
    }
}

#[derive(Default)]
struct Counts {
    stored: u64,
    duplicates: u64,
    bad: u64,
    /// auditbox's own records, which were skipped.
    own: u64,
    /// Stored events that have expired by their own time.
    past: u64,
    /// Records with keys that only a server sets.
    received: u64,
    /// Events that got an identifier that another import would not give them.
    nameless: u64,
}

/// What one file contributed.
#[derive(Default)]
struct Yield {
    records: u64,
    /// auditbox's own records, which were skipped.
    own: u64,
    /// The events that are in the log now.
    in_log: u64,
    /// Records without identifiers that were known.
    known: u64,
    /// Whether a record without an identifier was new.
    has_new: bool,
    /// Whether such a record was known after another that was new. A file that has grown has its new records at its end.
    is_mixed: bool,
}

/// Reads records, sends their events and counts the results.
pub(super) struct Import<'a> {
    arguments: &'a ImportArguments,
    /// The presets that map the records, if these are not events.
    formats: Option<Formats>,
    known: Known,
    /// Records to map again.
    conflicts: Vec<Sent>,
    limits: EventLimits,
    retention: Rules,
    mask: Mask,
    batches: Batches,
    progress: ProgressBar,
    started: Instant,
    yields: Vec<Yield>,
    beginnings: Beginnings,
    counts: Counts,
    notices: Vec<String>,
}

impl<'a> Import<'a> {
    /// An import into `target`, without a progress bar.
    fn new(config: &Config, arguments: &'a ImportArguments, formats: Option<Formats>, target: Target) -> Self {
        Self {
            arguments,
            formats,
            known: Known::new(&config.presets),
            conflicts: Vec::new(),
            limits: config.limits.event(),
            retention: config.retention.clone(),
            // A server masks events by its own configuration.
            mask: if matches!(target, Target::File(..)) { config.mask.clone() } else { Mask::off() },
            batches: Batches::new(target),
            progress: ProgressBar::hidden(),
            started: Instant::now(),
            yields: arguments.files.iter().map(|_| Yield::default()).collect(),
            beginnings: Beginnings::of(arguments.files.len()),
            counts: Counts::default(),
            notices: Vec::new(),
        }
    }

    /// Reads the files.
    fn files(&mut self) -> Result<(), Failure> {
        let read = (0..self.arguments.files.len()).try_for_each(|file| self.file(file));
        self.finish(read).and_then(|()| self.check_yields())
    }

    /// Sends the rest and waits for all results. Also after an error, waits for the batches that were sent and counts their
    /// events.
    fn finish(&mut self, read: Result<(), Failure>) -> Result<(), Failure> {
        let mut outcome = read.and_then(|()| self.send());
        loop {
            while let Some(results) = self.batches.settle() {
                outcome = outcome.and(results.and_then(|results| self.count(results)));
            }
            outcome = outcome.and_then(|()| self.map_conflicts()).and_then(|()| self.send());
            if outcome.is_err() || !self.batches.is_in_flight() {
                break;
            }
        }
        outcome
    }

    /// A file has failed if it has records other than auditbox's own and none of them is in the log.
    fn check_yields(&self) -> Result<(), Failure> {
        for (path, Yield { records, own, in_log, .. }) in self.arguments.files.iter().zip(&self.yields) {
            if records > own && *in_log == 0 {
                let path = path.display();
                let none = if *records == 1 {
                    "its only record was not".to_owned()
                } else {
                    format!("none of its {records} records was")
                };
                return Err(Failure::new(format!("{path}: {none} stored or known")));
            }
        }
        Ok(())
    }

    fn file(&mut self, file: usize) -> Result<(), Failure> {
        let path = self.arguments.files[file].clone();
        let in_file = |message: String| Failure::new(format!("{}: {message}", path.display()));
        let unreadable = |error: std::io::Error| in_file(error.to_string());
        let progress = self.progress.clone();
        let mut source = Source::of(&path, self.arguments.source.as_deref()).map_err(unreadable)?;
        let input = input::open(&path, move |bytes| progress.inc(bytes as u64)).map_err(unreadable)?;
        if self.formats.is_some() {
            return self.mapped_file(file, input, &mut source);
        }
        // A stored event is longer than the sent one. The limit for events comes after.
        let bytes_max = self.limits.event_bytes_max.saturating_mul(2).saturating_add(SERVER_BYTES);
        let mut records = Records::new(input, bytes_max);
        for record in records.by_ref() {
            let record = match record {
                Ok(record) => record,
                // What could be read is kept.
                Err(error) => return self.send().and(Err(unreadable(error))),
            };
            let place = record.place;
            self.yields[file].records += 1;
            if let Err(message) = self.take(file, record, &mut source) {
                self.bad(file, place, &message)?;
            }
            if self.batches.is_full() {
                self.send()?;
            }
        }
        self.note_tail(&path, records.tail());
        Ok(())
    }

    /// Checks a record before it is sent, for both destinations, so that an error names its line.
    fn take(&mut self, file: usize, record: Record<'_>, source: &mut Source) -> Result<(), String> {
        let (place, envelope) = (record.place, record.envelope);
        let known = &self.known;
        let named = |text: &str, message: String| known.describe(text, envelope).unwrap_or(message);
        let text = record.text.map_err(|bad| named(&bad.start, bad.message))?;
        source.read(&text);
        self.beginnings.read(file, source.key(), &text);
        let event = SentRecord::of(&text, self.arguments.keep_received);
        if event.is_own {
            self.counts.own += 1;
            self.yields[file].own += 1;
            return Ok(());
        }
        let refuse = |message: String| named(&text, message);
        let raw: &RawValue = serde_json::from_str(&event.text).map_err(|error| refuse(format!("not JSON: {error}")))?;
        let in_words = |error: FieldError| refuse(error.to_string());
        let sent = MaskedEvent::new(raw.get(), &self.limits, &self.mask).map_err(in_words)?;
        let mut draft = sent.read(&self.limits, Sender::Client).map_err(in_words)?;
        let is_derived = draft.identifier().is_none();
        if is_derived {
            draft.name(&source.identifier(self.yields[file].records, &text));
            self.counts.nameless += u64::from(source.is_nameless);
        }
        self.counts.received += u64::from(event.was_received);
        let now = Timestamp::now();
        let past = |at| self.retention.is_past_by_event_time(draft.resource_type(), at, now);
        let is_past = draft.happened_at().is_some_and(past);
        self.batches.add(Sent { file, place, is_past, is_derived, on_conflict: OnConflict::Refuse }, draft, text.len());
        Ok(())
    }

    /// Notes what the response of a list says after its events: that it is not complete.
    fn note_tail(&mut self, path: &Path, tail: &[u8]) {
        let members = tail.get(1..).map(|members| [b"{", members].concat());
        let Some(Ok(tail)) = members.map(|members| serde_json::from_slice::<Value>(&members)) else { return };
        if tail["next"].is_string() {
            self.notices.push(format!("{}: this is one page of a list, and more follow it", path.display()));
        }
        if let Some(damaged) = tail["damaged"]["count"].as_u64() {
            self.notices.push(format!("{}: the list lacks {}", path.display(), counted(damaged, "damaged event")));
        }
    }

    fn bad(&mut self, file: usize, place: Place, message: &str) -> Result<(), Failure> {
        let path = self.arguments.files[file].display();
        if !self.arguments.skip_bad {
            return Err(Failure::new(format!("{path}: {place}: {message} (--skip-bad skips such records)")));
        }
        self.counts.bad += 1;
        self.progress.suspend(|| terminal::line(format_args!("{path}: {place}: {message}")));
        Ok(())
    }

    fn send(&mut self) -> Result<(), Failure> {
        let results = self.batches.send()?;
        self.count(results)?;
        self.map_conflicts()
    }

    fn count(&mut self, results: Vec<(Sent, Fate)>) -> Result<(), Failure> {
        let mut outcome = Ok(());
        for (sent, fate) in results {
            match fate {
                Fate::Stored => {
                    self.counts.stored += 1;
                    self.counts.past += u64::from(sent.is_past);
                    self.yields[sent.file].in_log += 1;
                    self.yields[sent.file].has_new |= sent.is_derived;
                }
                Fate::Duplicate => self.duplicate(&sent),
                Fate::Conflict => match sent.on_conflict {
                    OnConflict::MapAgain { .. } => self.conflicts.push(sent),
                    OnConflict::IsKnown => self.duplicate(&sent),
                    OnConflict::Refuse => {
                        let message = "its identifier already belongs to an event with other content";
                        outcome = outcome.and(self.bad(sent.file, sent.place, message));
                    }
                },
                // The rest of the batch still has to be counted.
                Fate::Bad(message) => outcome = outcome.and(self.bad(sent.file, sent.place, &message)),
            }
        }
        self.progress.set_message(counted(self.counts.stored + self.counts.duplicates, "event"));
        outcome
    }

    fn duplicate(&mut self, sent: &Sent) {
        self.counts.duplicates += 1;
        let own = &mut self.yields[sent.file];
        own.in_log += 1;
        own.known += u64::from(sent.is_derived);
        own.is_mixed |= sent.is_derived && own.has_new;
    }

    fn summary(&self) -> String {
        let Counts { stored, duplicates, bad, own, .. } = self.counts;
        let seconds = self.started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (stored + duplicates) as f64 / seconds.max(0.001);
        let own =
            if own == 0 { String::new() } else { format!(", {} of auditbox skipped", counted(own, "own record")) };
        let (duplicates, bad) = (counted(duplicates, "duplicate"), counted(bad, "bad record"));
        format!("{stored} stored, {duplicates}, {bad}{own} in {seconds:.1} s ({rate:.0} events/s)")
    }

    /// What the reader of the summary should know.
    fn notices(&self) -> Vec<String> {
        let Counts { received, nameless, .. } = self.counts;
        let mut notices = self.notices.clone();
        if received > 0 && !self.arguments.keep_received {
            notices.push(format!(
                "{} came from another log. What its server had recorded (receivedAt, receivedBy and others) was left out; \
                 --keep-received keeps it under {IMPORTED:?}.",
                counted(received, "record")
            ));
        }
        if nameless > 0 {
            notices.push(format!(
                "{} had no identifier, and a stream has no name: the same input would be stored again. To prevent this, name \
                 it with --source.",
                counted(nameless, "event")
            ));
        }
        notices.extend(self.retention_warning());
        notices.extend(self.files_that_may_be_others());
        notices
    }

    /// A warning for each file that has records in common with another file of its source, although it is not the same file.
    fn files_that_may_be_others(&self) -> impl Iterator<Item = String> {
        let files = self.arguments.files.iter().zip(&self.yields).enumerate();
        let others =
            files.filter(|(file, (_, own))| own.known > 0 && (own.is_mixed || self.beginnings.is_other(*file)));
        others.map(|(_, (path, Yield { known, .. }))| {
            let verb = if *known == 1 { "counts" } else { "count" };
            format!(
                "Warning: {}: {} without an identifier {verb} as known, because another file of the same source begins with \
                 the same record and has equal records in the same places. If this is not that file in a corrected form, \
                 import it with --source and a name of its own.",
                path.display(),
                counted(*known, "record")
            )
        })
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
        let whose = match self.batches.target() {
            Target::File(..) => "",
            Target::Server(_) => " This follows this command's configuration; the server follows its own.",
        };
        let subject = if past == 1 { "1 stored event is".to_owned() } else { format!("{past} stored events are") };
        Some(format!("Warning: {subject} older than [retention] keeps such events. {what}{whose}"))
    }
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
