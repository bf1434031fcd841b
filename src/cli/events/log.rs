//! Where events are read: the file itself, or a server.

use std::{
    cell::{Cell, RefCell},
    io::{BufReader, Read},
    path::PathBuf,
};

use serde::Deserialize;
use serde_json::Value;
use ureq::{Body, http::Response};

use crate::{
    api,
    cli::{
        client::{Client, ServerArguments, reason, refusal},
        events::flags::{Asked, in_flags},
        failure::Failure,
        local,
    },
    config::Config,
    model::{cursor::Position, field::Field, filter::Filter, query::Query, records::Records},
    store::{self, Damaged, PageReader, Reader, Slice},
    terminal,
};

/// Bytes of events fetched from the file at once.
const SLICE_BYTES: usize = 1024 * 1024;
/// Events in one request to a server.
const PAGE_EVENTS: usize = 10_000;
/// Maximum number of bytes of one event in a response.
const EVENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A log that can be read.
pub(super) enum Log {
    /// The file.
    File(Box<Reader>),
    /// The server that the arguments name.
    Server(Client),
    /// The server that runs on the file, and the file's path.
    Local(Client, PathBuf),
}

/// What is known of a list after its events.
#[derive(Default)]
pub(super) struct Listed {
    /// Number of events.
    pub(super) events: usize,
    /// The cursor of the next page, if there is one.
    pub(super) next: Option<String>,
    /// The number of all that match, if it was requested.
    pub(super) count: Option<u64>,
    /// Descriptions of the damaged events.
    pub(super) damaged: Vec<Value>,
}

/// The end of a server's response: what follows the events.
#[derive(Deserialize)]
struct Tail {
    next: Option<String>,
    count: Option<u64>,
    damaged: Option<DamagedEvents>,
}

#[derive(Deserialize)]
struct DamagedEvents {
    count: usize,
    events: Vec<Value>,
}

impl Log {
    /// The server that the arguments name, or else the configured file. A server that runs on the file is faster than reading
    /// the file's index.
    pub(super) fn open(config: &Config, server: &ServerArguments) -> Result<Self, Failure> {
        if let Some(client) = server.client()? {
            return Ok(Self::Server(client));
        }
        let path = &config.database.path;
        match local::find(path) {
            Some(client) => Ok(Self::Local(client, path.clone())),
            None => Ok(Self::File(Box::new(store::open_for_reading(path)?))),
        }
    }

    /// Asks the server, or reads the file: also if the server on the file does not respond as it should, unless `has_begun`
    /// because a part of its response has been used.
    pub(super) fn read<T>(
        &self,
        ask: impl FnOnce(&Client) -> Result<T, Failure>,
        has_begun: impl FnOnce() -> bool,
        read: impl FnOnce(&Reader) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let answer = match self {
            Self::File(reader) => read(reader),
            Self::Server(client) => ask(client),
            Self::Local(client, path) => match ask(client) {
                Err(failure) if !failure.is_of_usage() && !has_begun() => read(&store::open_for_reading(path)?),
                answer => answer,
            },
        };
        // The names of parameters are those of flags.
        answer.map_err(|failure| if failure.is_of_usage() { failure.in_words(in_flags) } else { failure })
    }

    /// Passes the events of a list to `each`, in order, until it returns false. Without a limit these are all events.
    pub(super) fn list(&self, asked: &Asked, each: &mut dyn FnMut(&str) -> bool) -> Result<Listed, Failure> {
        let (has_begun, each) = (Cell::new(false), RefCell::new(each));
        let pass = |event: &str| {
            has_begun.set(true);
            (each.borrow_mut())(event)
        };
        self.read(
            |client| list_server(client, asked, &mut { pass }),
            || has_begun.get(),
            |reader| list_file(reader, asked, &mut { pass }),
        )
    }
}

fn list_file(reader: &Reader, asked: &Asked, each: &mut dyn FnMut(&str) -> bool) -> Result<Listed, Failure> {
    let query = asked.params.query(&asked.limits).map_err(|error| Failure::usage(error.to_string()))?;
    report_incomplete_in(reader, &query.filter, &[]);
    let (lease, mut listed) = (reader.unbounded(), Listed::default());
    let cursor = |position: Position| query.cursor(lease.cursor_at(position));
    let mut pass = |slice: Slice| slice_events(&query, slice, &mut listed, each);
    if asked.params.limit.is_some() {
        let mut opened = PageReader::list(&lease, query.clone(), SLICE_BYTES)?;
        let (next, count) = (api::next_position(&query, &opened), opened.count);
        let mut is_wanted = pass(std::mem::take(&mut opened.first));
        while is_wanted && let Some(slice) = opened.rest.next(&lease, SLICE_BYTES)? {
            is_wanted = pass(slice);
        }
        (listed.next, listed.count) = (next.map(cursor), count);
        return Ok(listed);
    }
    lease.beginning(&query)?;
    let mut all = PageReader::all(query.clone());
    while let Some(slice) = all.next(&lease, SLICE_BYTES)? {
        if !pass(slice) {
            break;
        }
    }
    listed.count = query.count.then_some((listed.events + listed.damaged.len()) as u64);
    listed.next = query.follows().then(|| cursor(Position::of_arrival(all.through_seq())));
    Ok(listed)
}

fn slice_events(query: &Query, slice: Slice, listed: &mut Listed, each: &mut dyn FnMut(&str) -> bool) -> bool {
    for (_, event) in slice.events {
        let is_wanted = match event {
            Ok(body) => {
                listed.events += 1;
                each(&query.includes.as_ref().map_or(body.clone(), |includes| includes.project(&body)))
            }
            Err(damaged) => {
                listed.damaged.push(Damaged::to_json(&damaged));
                true
            }
        };
        if !is_wanted {
            return false;
        }
    }
    true
}

fn list_server(client: &Client, asked: &Asked, each: &mut dyn FnMut(&str) -> bool) -> Result<Listed, Failure> {
    let (mut listed, mut left, mut cursor) = (Listed::default(), asked.params.limit, asked.cursor().map(str::to_owned));
    loop {
        let limit = left.unwrap_or(PAGE_EVENTS);
        let (mut more, is_first) = (vec![("limit", limit.to_string())], cursor.as_deref() == asked.cursor());
        more.extend(cursor.map(|cursor| ("cursor", cursor)));
        let response = success(client.get(&format!("/v1/audit-log?{}", asked.query_string(&more)))?)?;
        if is_first {
            report_incomplete_of(&response);
        }
        let clamped = response.headers().get("x-limit-clamped").and_then(|value| value.to_str().ok()?.parse().ok());
        let (tail, events, is_wanted) = read_page(response, each)?;
        let found = events + tail.damaged.as_ref().map_or(0, |damaged| damaged.count);
        listed.events += events;
        listed.count = listed.count.or(tail.count);
        listed.damaged.extend(tail.damaged.into_iter().flat_map(|damaged| damaged.events));
        listed.next.clone_from(&tail.next);
        left = left.map(|left| left.saturating_sub(found));
        let is_full = found >= clamped.unwrap_or(limit);
        if !is_wanted || !is_full || left == Some(0) || tail.next.is_none() {
            return Ok(listed);
        }
        cursor = tail.next;
    }
}

/// Passes the events of a response to `each`. Returns what follows them, their number, and whether more are wanted.
fn read_page(response: Response<Body>, each: &mut dyn FnMut(&str) -> bool) -> Result<(Tail, usize, bool), Failure> {
    let broken = |what: String| Failure::new(format!("the server's response is incomplete: {what}"));
    let mut records = Records::new(body(response), EVENT_BYTES_MAX);
    let (mut events, mut is_wanted) = (0, true);
    for record in records.by_ref() {
        let text = record.map_err(|error| broken(error.to_string()))?.text.map_err(|bad| broken(bad.message))?;
        // The rest is read too: what follows the events is needed.
        is_wanted = is_wanted && each(&text);
        events += 1;
        if !is_wanted {
            let tail = Tail { next: None, count: None, damaged: None };
            return Ok((tail, events, false));
        }
    }
    let members = records.tail().get(1..).unwrap_or_default();
    let tail = serde_json::from_slice(&[b"{", members].concat()).map_err(|error| broken(error.to_string()))?;
    Ok((tail, events, is_wanted))
}

/// The body of a response of any length.
pub(super) fn body(response: Response<Body>) -> impl Read {
    BufReader::new(response.into_body().into_with_config().limit(u64::MAX).reader())
}

/// The response, or its error.
pub(super) fn success(response: Response<Body>) -> Result<Response<Body>, Failure> {
    if response.status().is_success() { Ok(response) } else { Err(refused(response)) }
}

/// Reports the declared fields that a response uses and older events do not have yet.
pub(super) fn report_incomplete_of(response: &Response<Body>) {
    let fields = response.headers().get(api::INCOMPLETE_HEADER).and_then(|value| value.to_str().ok());
    report_incomplete(fields.unwrap_or_default());
}

fn report_incomplete(fields: &str) {
    if !fields.is_empty() {
        terminal::line(format_args!("older events do not have these fields yet: {fields}"));
    }
}

/// Reports the declared fields that a query uses and older events of the file do not have yet.
pub(super) fn report_incomplete_in(reader: &Reader, filter: &Filter, facets: &[Field]) {
    report_incomplete(&api::IncompleteFields::of(reader, filter, facets).to_text());
}

/// The error that a response describes. Rejected parameters are a usage error, like those rejected before a request.
pub(super) fn refused(response: Response<Body>) -> Failure {
    match response.status().as_u16() {
        422 => Failure::usage(reason(response)),
        _ => refusal(response),
    }
}
