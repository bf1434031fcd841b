//! `tail`: events as they arrive.
//!
//! A server sends them (`GET /v1/audit-log/stream`). After an interruption the stream continues at the event after the last
//! one that was printed, so none is missing and none is printed twice. Without a server, the file is read again when it
//! changes.

use std::{
    cell::{Cell, RefCell},
    io::{BufRead, BufReader},
    mem,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use ureq::{Body, http::Response};

use crate::{
    cli::{
        client::{Client, ServerArguments, refusal},
        events::{
            flags::{Asked, Flags, Given},
            log::{self, Log},
            resume::Resume,
            table::{Table, Times},
        },
        failure::Failure,
        output::Output,
    },
    config::Config,
    model::{
        list_params::Accepts,
        query::{Order, Query, Sort},
    },
    platform::file::{self, FileState},
    store::{self, PageReader, ReadError, Reader},
    terminal,
};

/// Wait before the first attempt to reconnect; it doubles with each failure.
const WAIT: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the file is checked for changes.
const POLL: Duration = Duration::from_millis(500);
/// Bytes of events fetched from the file at once.
const SLICE_BYTES: usize = 1024 * 1024;

/// The flags of `tail`.
pub(super) struct TailFlags;

impl Flags for TailFlags {
    const WITHOUT: &'static [&'static str] = &["limit", "count", "sort", "order", "facets", "histogram"];
    const ACCEPTS: Accepts = Accepts::List;
}

/// Print events as they arrive
///
/// Begins with the next event, or after --cursor. If the connection to a server breaks, it is made again, and no event is
/// missed or printed twice.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox tail --status FAILURE
  auditbox tail --json --url http://127.0.0.1:8686 --token abx_… | jq .action")]
pub(in crate::cli) struct TailArguments {
    /// Print one event per line, byte for byte as stored
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: Given<TailFlags>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Prints events until the output has no reader, or until an error that does not pass.
pub(in crate::cli) fn run(config: &Config, arguments: &TailArguments, out: &mut Output) -> Result<(), Failure> {
    let mut asked = arguments.filters.parse(config, &arguments.server, &[])?;
    (asked.params.sort, asked.params.order) = (Some(Sort::Received), Some(Order::Ascending));
    let times = Times::of(&arguments.filters, out);
    let table = Table::new(asked.params.includes.as_ref(), &asked.params.zone, times);
    let resume = Resume::print_when_interrupted(&asked);
    let mut printer = Printer { resume, out, table: (!arguments.json).then_some(table) };
    let (has_begun, printer) = (Cell::new(false), RefCell::new(&mut printer));
    Log::open(config, &arguments.server)?.read(
        |client| follow_server(client, &asked, &has_begun, &mut printer.borrow_mut()),
        || has_begun.get(),
        |reader| follow_file(&config.database.path, reader, &asked, &mut printer.borrow_mut()),
    )
}

/// Prints events one by one.
struct Printer<'o> {
    resume: Resume,
    out: &'o mut Output,
    table: Option<Table>,
}

impl Printer<'_> {
    /// Prints an event; returns whether more are wanted.
    fn print(&mut self, event: &str) -> bool {
        match &mut self.table {
            None => drop(self.out.event(event)),
            Some(table) => {
                table.add(event);
                table.print_last(self.out);
            }
        }
        self.out.flush();
        !self.out.is_lost()
    }
}

/// Follows a server; `has_begun` is set once it has responded.
fn follow_server(
    client: &Client,
    asked: &Asked,
    has_begun: &Cell<bool>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let path = format!("/v1/audit-log/stream?{}", asked.query_string(&[]));
    let (mut cursor, mut wait, mut is_lost) = (asked.cursor().map(str::to_owned), WAIT, false);
    loop {
        let response = client.stream(&path, cursor.as_deref());
        let interruption = match response {
            Ok(response) if response.status().is_success() => {
                if !has_begun.replace(true) {
                    log::report_incomplete_of(&response);
                }
                if mem::take(&mut is_lost) {
                    terminal::line("connected again");
                }
                match read_stream(response, &mut cursor, printer) {
                    Ending::Unwanted => return Ok(()),
                    Ending::Broken(0) => "the server sent nothing".to_owned(),
                    // A stream has an end: that of its token, or the time limit for one.
                    Ending::Broken(_) => {
                        wait = WAIT;
                        continue;
                    }
                }
            }
            Ok(response) => {
                let later = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
                let refused = if has_begun.get() { refusal(response) } else { log::refused(response) };
                let Some(seconds) = later else { return Err(refused) };
                wait = wait.max(Duration::from_secs(seconds));
                refused.to_string()
            }
            // A server that was never reached is probably not there.
            Err(failure) if !has_begun.get() => return Err(failure),
            Err(failure) => failure.to_string(),
        };
        if !mem::replace(&mut is_lost, true) {
            terminal::line(format_args!("lost the connection ({interruption}); connecting again"));
        }
        thread::sleep(wait);
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Why a stream has ended.
enum Ending {
    /// The output has no reader.
    Unwanted,
    /// The connection broke after this number of messages.
    Broken(usize),
}

/// Prints the events of a stream (HTML Standard, section 9.2.6). `cursor` follows the printed ones.
fn read_stream(response: Response<Body>, cursor: &mut Option<String>, printer: &mut Printer<'_>) -> Ending {
    let (mut id, mut data, mut is_damaged, mut messages) = (None, None, false, 0);
    for line in BufReader::new(log::body(response)).lines() {
        let Ok(line) = line else { break };
        if let Some(text) = line.strip_prefix("id: ") {
            id = Some(text.to_owned());
        } else if let Some(text) = line.strip_prefix("data: ") {
            data = Some(text.to_owned());
        } else if line == "event: damaged" {
            is_damaged = true;
        } else if line.is_empty() {
            messages += 1;
            match data.take() {
                Some(event) if is_damaged => terminal::line(format_args!("damaged, left out: {event}")),
                Some(event) if !printer.print(&event) => return Ending::Unwanted,
                _ => {}
            }
            // Only now: an event that did not arrive in full is sent again.
            *cursor = id.take().or(cursor.take());
            printer.resume.set(cursor.as_deref());
            is_damaged = false;
        }
    }
    Ending::Broken(messages)
}

/// Follows the file. Its index is read again after each change, so that takes turns with waiting for as long as it takes.
fn follow_file(path: &Path, reader: &Reader, asked: &Asked, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let mut query = asked.params.query(&asked.limits).map_err(|error| Failure::usage(error.to_string()))?;
    let mut known = state(path);
    log::report_incomplete_in(reader, &query.filter, &[]);
    query.after = Some(reader.unbounded().beginning(&query)?);
    let mut is_wanted = print_new(reader, &mut query, printer)?;
    while is_wanted {
        while state(path) == known {
            thread::sleep(POLL);
        }
        known = state(path);
        let begun = Instant::now();
        is_wanted = print_new(&store::open_for_reading(path)?, &mut query, printer)?;
        thread::sleep(begun.elapsed() * 4);
    }
    Ok(())
}

/// Prints the events after the position of the query, and moves it. Returns whether more are wanted.
fn print_new(reader: &Reader, query: &mut Query, printer: &mut Printer<'_>) -> Result<bool, Failure> {
    let lease = reader.unbounded();
    lease.beginning(query)?;
    let mut events = PageReader::follow(query.clone());
    while !events.is_at_end() {
        let slice = match events.next(&lease, SLICE_BYTES) {
            Ok(slice) => slice.unwrap_or_default(),
            // The file is read again.
            Err(ReadError::Changed) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        for (position, event) in slice.events {
            match event {
                Ok(body) => {
                    let body = query.includes.as_ref().map_or(body.clone(), |includes| includes.project(&body));
                    if !printer.print(&body) {
                        return Ok(false);
                    }
                }
                Err(damaged) => terminal::line(format_args!("damaged, left out: {}", damaged.to_json())),
            }
            query.after = Some(lease.cursor_at(position));
            printer.resume.set(query.after.map(|after| query.cursor(after)).as_deref());
        }
    }
    query.after = events.query().after;
    printer.resume.set(query.after.map(|after| query.cursor(after)).as_deref());
    Ok(true)
}

/// What changes with every write: the database, and its write-ahead log.
fn state(path: &Path) -> [Option<FileState>; 2] {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    [file::state(path), file::state(&PathBuf::from(wal))]
}
