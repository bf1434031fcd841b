//! `GET /v1/audit-log/export`: every event that matches, as a file.
//!
//! The file has the events that matched when the export began. Events are sent in slices, each after the client has taken
//! the one before, so that memory is bounded and a slow client holds no connection to the file. A failure midway breaks the
//! connection, so that an incomplete file never looks complete. The audit record is written at the end and says whether the
//! file was complete. A line that is not an event replaces a damaged event, so that an import of the file stops there.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode, Version,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    web::{Bytes, Data},
};

use crate::{
    api::{
        csv_rows::CsvRows,
        incomplete::IncompleteFields,
        line::push_event,
        list::{self, SLICE_BYTES},
    },
    auth::Recorder,
    http::{
        ApiError, Context, actions,
        caller::Read,
        error::DamagedEvent,
        parameters,
        pieces::{self, Pieces},
    },
    model::{
        error::ParameterError,
        limits::QueryLimits,
        list_params::Accepts,
        query::{Includes, Query},
        self_audit::SelfAuditRequest,
        timestamp::Timestamp,
    },
    store::{Lease, PageReader, Slice},
};

/// The limit of an export without `limit`. The sum of it and 1 still fits its type.
const ALL_EVENTS: usize = usize::MAX / 2;

/// The parameter of exports alone, and its description.
pub(super) const FORMAT: (&str, &str) = ("format", "csv or ndjson");

/// Sends the events that match as a file.
pub(super) async fn export(
    caller: Read,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    if request.version() < Version::HTTP_11 {
        // In HTTP/1.0 the end of the connection is the end of the file: an incomplete file would look complete.
        return Err(ApiError::invalid(
            "HTTP: an export needs HTTP/1.1 or later; check the version that your proxy uses",
        ));
    }
    let (form, extension, query) = parse(request.query_string(), &context.query_limits)?;
    let media_type = form.media_type();
    let reading = context.reading(&caller.0, &request);
    let incomplete = IncompleteFields::of(&context.reader, &query.filter, &[]);
    // An invalid query is rejected before anything is sent.
    let mut export = Export { form, events: PageReader::all(query.clone()), ending: None };
    let (first, mut export) = reading.begin(move |lease| Ok((export.first(lease, &query)?, export))).await?;
    let own = caller.0.self_audit_request(&request, actions::recording_of(&request).0);
    // A HEAD request sends no file; the middleware records it.
    let is_file = request.method() != Method::HEAD;
    let ending = Ending { recorder: context.recorder.clone(), request: is_file.then_some(own), events: first.1 };
    export.ending = Some(ending);
    // RFC 3339 without the characters that some systems forbid in file names.
    let time: String = Timestamp::now().to_string().chars().take(19).filter(|char| *char != ':').collect();
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"audit-log-{time}Z.{extension}\"")))
        .insert_header((CACHE_CONTROL, "no-store"));
    incomplete.set_header(&mut response);
    Ok(pieces::respond(response, &request, first.0, export, reading))
}

fn parse(query: &str, limits: &QueryLimits) -> Result<(Form, &'static str, Query), ApiError> {
    let (pairs, problems) = parameters::decode_valid(query);
    let (own, filters): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| name.as_ref() == FORMAT.0);
    let limits = QueryLimits { list_default: ALL_EVENTS, list_max: ALL_EVENTS, ..*limits };
    let mut params = list::parse((filters, problems), Accepts::List, &limits);
    let format = match own.as_slice() {
        [(_, format)] => format.as_ref(),
        _ => "",
    };
    if !["csv", "ndjson"].contains(&format) {
        params.problems.push(ParameterError::new(FORMAT.0, "must be csv or ndjson, once"));
    }
    if format == "csv" && params.includes.is_some() {
        let message = "is for ndjson; the columns of csv are always the same";
        params.problems.push(ParameterError::new("includes", message));
    }
    let mut query = params.valid()?.query(&limits)?;
    query.count = false;
    let includes = query.includes.take();
    Ok(match format {
        "csv" => (Form::Table(CsvRows::new()), "csv", query),
        _ => (Form::Lines(includes), "ndjson", query),
    })
}

/// The format of the file.
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
                    match event {
                        Ok(body) => push_event(&mut text, body, includes.as_ref()),
                        // No event, so that an import of the file stops here.
                        Err(damaged) => {
                            text.extend(["{\"damaged\":", &DamagedEvent::from(damaged).to_json(), "}"]);
                        }
                    }
                    text.push('\n');
                }
                Ok(text.into_bytes())
            }
        }
    }
}

/// The rest of an export.
struct Export {
    form: Form,
    events: PageReader,
    /// Set when the response begins.
    ending: Option<Ending>,
}

/// Records the export as complete or, if dropped earlier, as incomplete.
struct Ending {
    recorder: Recorder,
    request: Option<SelfAuditRequest>,
    /// Number of events sent.
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
            let message = format!("interrupted after {} events: the file is incomplete", self.events);
            self.recorder.record_broken(&request, StatusCode::OK.as_u16(), &message);
        }
    }
}

impl Export {
    /// The first piece of the file and the number of events in it.
    fn first(&mut self, lease: &Lease, query: &Query) -> Result<(Bytes, usize), ApiError> {
        lease.beginning(query)?;
        let slice = self.events.next(lease, SLICE_BYTES)?.unwrap_or_default();
        Ok((self.form.write(&slice)?.into(), slice.events.len()))
    }
}

impl Pieces for Export {
    const WHAT: &'static str = "an export";

    fn next(&mut self, lease: &Lease) -> Result<Option<Bytes>, ApiError> {
        let Some(slice) = self.events.next(lease, SLICE_BYTES)? else {
            self.ending.as_mut().map(Ending::complete);
            return Ok(None);
        };
        if let Some(ending) = &mut self.ending {
            ending.events += slice.events.len();
        }
        Ok(Some(self.form.write(&slice)?.into()))
    }
}
