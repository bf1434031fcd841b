//! `GET /v1/audit-log/export`: every event that matches, as a file.
//!
//! The file is the log as it was when the export began, however long the client takes: what arrives meanwhile is left
//! out. Positions are found page by page and bodies follow in slices, each when the client has taken the one before it,
//! so that memory is bounded and a slow client holds no connection to the file. A failure midway breaks the connection:
//! a file never ends as if it were complete. Nor does its record: it is made when all is sent, or when it breaks off. In the
//! place of an event that is damaged stands a line that says so, and that is no event: an import of the file stops at it.

use std::collections::VecDeque;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode, Version,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    web::{self, Bytes, Data},
};
use futures_util::{Stream, stream};
use serde_json::json;

use crate::{
    access::Recorder,
    api::{csv_rows::CsvRows, line::push_line, list::SLICE_BYTES},
    http::{ApiError, Context, actions, caller::Read, parameters},
    model::{
        cursor::Position,
        error::ParameterError,
        limits::QueryLimits,
        own::OwnRequest,
        query::{Includes, Query},
        timestamp::Timestamp,
    },
    store::{Page, Reader, Slice},
};

/// Positions found at a time, at 16 bytes each.
const PAGE_EVENTS: usize = 4_096;
/// What stands for no limit. One more of it still fits its type.
const ALL_EVENTS: usize = usize::MAX / 2;

/// A parameter of its own, as the API's documentation lists it.
pub(super) const FORMAT: (&str, &str) = ("format", "csv or ndjson");

/// Sends the events that match as a file.
pub(super) async fn export(
    caller: Read,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    if request.version() < Version::HTTP_11 {
        // There the end of the connection is the end of the file, and one that breaks off looks complete.
        return Err(ApiError::invalid(
            "HTTP: an export needs HTTP/1.1 or later; a proxy may be what asks with an earlier",
        ));
    }
    let (form, extension, query) = parse(request.query_string(), &context.query_limits)?;
    let media_type = form.media_type();
    let mut export = Export::new(context.reader.clone(), form, query);
    let export = web::block(move || export.begin().map(|()| export)).await.map_err(ApiError::internal)??;
    // RFC 3339 without the characters that some systems do not take in a name.
    let own = caller.0.own_request(&request, actions::recording_of(&request).0);
    // A request for the head alone sends no file; the middleware records it.
    let is_file = request.method() != Method::HEAD;
    let ending = Ending { recorder: context.recorder.clone(), request: is_file.then_some(own), events: 0 };
    let export = Export { ending: Some(ending), ..export };
    let time: String = Timestamp::now().to_string().chars().take(19).filter(|char| *char != ':').collect();
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"audit-log-{time}Z.{extension}\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(export.stream()))
}

fn parse(query: &str, limits: &QueryLimits) -> Result<(Form, &'static str, Query), ApiError> {
    let (own, filters): (Vec<_>, Vec<_>) =
        parameters::decode(query)?.into_iter().partition(|(name, _)| name.as_ref() == FORMAT.0);
    let limits = QueryLimits { list_default: ALL_EVENTS, list_max: ALL_EVENTS, ..*limits };
    let mut query = Query::parse(filters, &limits)?;
    query.count = false;
    let includes = query.includes.take();
    match own.as_slice() {
        [(_, format)] if format == "ndjson" => Ok((Form::Lines(includes), "ndjson", query)),
        [(_, format)] if format == "csv" && includes.is_some() => {
            Err(ParameterError::new("includes", "is for ndjson; the columns of csv are always the same").into())
        }
        [(_, format)] if format == "csv" => Ok((Form::Table(CsvRows::new()), "csv", query)),
        _ => Err(ParameterError::new(FORMAT.0, "must be csv or ndjson, once").into()),
    }
}

/// How an event is written.
enum Form {
    Lines(Option<Includes>),
    Table(CsvRows),
}

impl Form {
    const fn media_type(&self) -> &'static str {
        match self {
            Self::Lines(_) => "application/x-ndjson",
            Self::Table(_) => "text/csv; charset=utf-8; header=present",
        }
    }

    fn write(&mut self, slice: &Slice) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::Table(rows) => rows.write(slice).map_err(ApiError::internal),
            Self::Lines(includes) => {
                let mut text = String::with_capacity(slice.bodies().map(|body| body.len() + 1).sum());
                for (_, event) in &slice.events {
                    match (event, &includes) {
                        (Ok(body), Some(includes)) => push_line(&mut text, &includes.project(body)),
                        (Ok(body), None) => push_line(&mut text, body),
                        (Err(damaged), _) => text.push_str(&json!({ "damaged": damaged.to_json() }).to_string()),
                    }
                    text.push('\n');
                }
                Ok(text.into_bytes())
            }
        }
    }
}

/// What is still to be sent.
struct Export {
    reader: Reader,
    form: Form,
    /// Begins after what has been found.
    query: Query,
    /// Events still to be found at most.
    wanted: usize,
    /// The newest event when the export began.
    through_seq: i64,
    /// Found, and not sent yet.
    positions: VecDeque<Position>,
    more: bool,
    ready: Option<(Vec<u8>, usize)>,
    /// From when the answer begins.
    ending: Option<Ending>,
}

/// Puts the export on the record, as complete or, if it is dropped before that, as broken off.
struct Ending {
    recorder: Recorder,
    request: Option<OwnRequest>,
    /// How many events have been handed over.
    events: usize,
}

impl Ending {
    fn complete(&mut self) {
        if let Some(request) = self.request.take() {
            self.recorder.record_now(&request, StatusCode::OK.as_u16(), None);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            let message = format!("broken off after {} events: the file is not complete", self.events);
            self.recorder.record_broken(&request, StatusCode::OK.as_u16(), &message);
        }
    }
}

impl Export {
    fn new(reader: Reader, form: Form, query: Query) -> Self {
        let wanted = query.limit;
        let positions = VecDeque::new();
        Self { reader, form, query, wanted, through_seq: 0, positions, more: true, ready: None, ending: None }
    }

    /// Finds the first events: what is wrong with the question shows before anything is sent.
    fn begin(&mut self) -> Result<(), ApiError> {
        let page = self.find(SLICE_BYTES)?;
        self.through_seq = page.found.through_seq;
        self.ready = Some((self.form.write(&page.first)?, page.first.events.len()));
        let first = page.first.positions;
        self.take(page, first);
        Ok(())
    }

    fn find(&mut self, first_bytes: usize) -> Result<Page, ApiError> {
        self.query.limit = PAGE_EVENTS.min(self.wanted);
        Ok(self.reader.page(&self.query, first_bytes)?)
    }

    /// Takes over what a page found, save for those that have been written.
    fn take(&mut self, page: Page, written: usize) {
        if let Some(last) = page.found.positions.last() {
            self.query.after = Some(self.reader.cursor_at(*last));
        }
        let through = self.through_seq;
        let before = page.found.positions.into_iter().filter(|position| position.seq <= through);
        let found: VecDeque<_> = before.collect();
        self.wanted -= found.len();
        self.more = page.found.more && self.wanted > 0;
        self.positions = found;
        self.positions.drain(..written);
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, ApiError>> {
        stream::try_unfold(self, Self::advance)
    }

    async fn advance(mut self) -> Result<Option<(Bytes, Self)>, ApiError> {
        if let Some((bytes, events)) = self.ready.take().filter(|(bytes, _)| !bytes.is_empty()) {
            self.sent(events);
            return Ok(Some((bytes.into(), self)));
        }
        let fetched = web::block(move || self.fetch()).await.map_err(ApiError::internal).flatten();
        fetched.inspect_err(|error| tracing::error!(cause = error.cause(), %error, "an export broke off"))
    }

    fn sent(&mut self, events: usize) {
        if let Some(ending) = &mut self.ending {
            ending.events += events;
        }
    }

    fn fetch(mut self) -> Result<Option<(Bytes, Self)>, ApiError> {
        loop {
            if self.positions.is_empty() {
                if !self.more {
                    self.ending.as_mut().map(Ending::complete);
                    return Ok(None);
                }
                let page = self.find(0)?;
                self.take(page, 0);
                continue;
            }
            let slice = self.reader.slice(self.positions.make_contiguous(), SLICE_BYTES)?;
            self.positions.drain(..slice.positions);
            let bytes = self.form.write(&slice)?;
            self.sent(slice.events.len());
            if !bytes.is_empty() {
                return Ok(Some((bytes.into(), self)));
            }
        }
    }
}
