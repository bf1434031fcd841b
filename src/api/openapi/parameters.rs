//! The query parameters of the operations, made from the tables that the server parses them by.

use utoipa::openapi::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, RefOr, Required, Schema, SchemaFormat, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
};

use crate::{
    api::{
        event_schema::{DATE_TIME, NO_NUL},
        export::FORMAT,
    },
    doors::CHALLENGE,
    ingest::KEY_HEADER,
    model::{
        field::{FieldSpec, Matching, fields},
        idempotency_key::KEY_CHARS_MAX,
        limits::QueryLimits,
        query::{CONTROLS, Control, INCLUDABLE},
        search_language::SEARCH_BYTES_MAX,
        stats::STATS_CONTROLS,
        zone::Interval,
    },
};

/// A status code such as `404`, or a class such as `4xx`. The server also accepts a comma-separated list of them.
const STATUS_CODE: &str = "^[1-9]([0-9]{2}|[xX]{2})$";

/// The filters, and the parameters of a list.
pub(super) fn of_list(limits: &QueryLimits) -> Vec<Parameter> {
    let filters = fields().flat_map(|spec| {
        spec.parameters.iter().flat_map(move |name| {
            let excluded = format!("Excludes events that {name} would match");
            [query(name, spec.summary, filter(spec)), query(&format!("not.{name}"), &excluded, filter(spec))]
        })
    });
    filters.chain(controls(CONTROLS, limits)).collect()
}

/// The parameters of a request that sends events.
pub(super) fn of_ingest() -> Vec<Parameter> {
    let partial = "true to store the valid events of a batch that has invalid ones";
    let key = "Marks the retry of a request whose events have no identifiers: the same key from the same credential stores \
               them once. It is remembered for as long as the events are kept";
    let format =
        "The preset that maps the records of the body to events. Each record is stored by itself, as with partial=true";
    let source = "With format: the name of the records' source. A record without an identifier gets one from its source, its \
                  number and its text, so that sending it again stores nothing";
    let first = "With source: the number of the first record in the source";
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).description(Some("1 if absent"));
    vec![
        query("partial", partial, ObjectBuilder::new().schema_type(Type::Boolean)),
        query("format", format, string()),
        query("source", source, string().min_length(Some(1))),
        query("first", first, number),
        parameter(KEY_HEADER, ParameterIn::Header, key, string().min_length(Some(1)).max_length(Some(KEY_CHARS_MAX))),
    ]
}

/// The header with which a program asks a server for the proof that it has a file open.
pub(super) fn of_health() -> Vec<Parameter> {
    let text = "32 random bytes in base64url without padding: asks for X-Auditbox-Proof";
    vec![parameter("X-Auditbox-Challenge", ParameterIn::Header, text, string())]
}

/// The parameter of the request by which a sender verifies a route.
pub(super) fn of_verification() -> Parameter {
    let mut challenge =
        parameter(CHALLENGE, ParameterIn::Header, "The text to answer with", string().min_length(Some(1)));
    challenge.required = Required::True;
    challenge
}

/// The parameters of a stream: it has no end to limit or count.
pub(super) fn of_stream(limits: &QueryLimits) -> Vec<Parameter> {
    let last = "Continue after the message with this id, as cursor does. Without either, the stream starts with the next event";
    let last = parameter("Last-Event-ID", ParameterIn::Header, last, string());
    let parameters = of_list(limits).into_iter().filter(|parameter| !["limit", "count"].contains(&&*parameter.name));
    parameters.chain([last]).collect()
}

/// The parameters of an export.
pub(super) fn of_export(limits: &QueryLimits) -> Vec<Parameter> {
    let (name, summary) = FORMAT;
    let mut format = query(name, summary, string().enum_values(Some(["csv", "ndjson"])));
    format.required = Required::True;
    [format].into_iter().chain(of_list(limits)).collect()
}

/// The parameters of counts.
pub(super) fn of_stats(limits: &QueryLimits) -> Vec<Parameter> {
    of_list(limits).into_iter().chain(controls(STATS_CONTROLS, limits)).collect()
}

/// A parameter of the query string.
pub(super) fn query(name: &str, summary: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, ParameterIn::Query, summary, schema)
}

/// A part of the path.
pub(super) fn path(name: &str, summary: &str, schema: ObjectBuilder) -> Parameter {
    let mut parameter = parameter(name, ParameterIn::Path, summary, schema);
    parameter.required = Required::True;
    parameter
}

pub(super) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn parameter(name: &str, place: ParameterIn, summary: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new().name(name).parameter_in(place).description(Some(summary)).schema(Some(schema)).build()
}

fn controls(controls: &'static [Control], limits: &QueryLimits) -> impl Iterator<Item = Parameter> {
    controls.iter().map(|control| query(control.name, control.summary, control_schema(control.name, limits)))
}

fn filter(spec: &FieldSpec) -> ArrayBuilder {
    let value = match spec.matching {
        Matching::OneOf(values) => string().enum_values(Some(values.iter().copied())),
        Matching::StatusCode => string().pattern(Some(STATUS_CODE)),
        _ => string().pattern(Some(NO_NUL)),
    };
    ArrayBuilder::new().items(value)
}

fn control_schema(name: &str, limits: &QueryLimits) -> RefOr<Schema> {
    // No schema has a `default`: some generated clients send it, also where another parameter excludes it.
    let choice =
        |values: [&str; 2]| string().enum_values(Some(values)).description(Some(format!("{} if absent", values[0])));
    match name {
        "from" | "to" => {
            let date = string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)));
            OneOfBuilder::new().item(string().format(Some(DATE_TIME))).item(date).into()
        }
        "limit" | "per_page" => ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .description(Some(format!("At most {}; {} if absent", limits.list_max, limits.list_default)))
            .into(),
        "includes" => ArrayBuilder::new().items(string().enum_values(Some(INCLUDABLE.iter().copied()))).into(),
        "q" | "search" => string().max_length(Some(SEARCH_BYTES_MAX)).into(),
        "page" => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(1)).into(),
        "facets" => {
            let names = fields().filter(|spec| spec.is_countable()).flat_map(|spec| spec.parameters).copied();
            ArrayBuilder::new().items(string().enum_values(Some(names))).into()
        }
        "histogram" => {
            let widths = std::iter::once("auto").chain(Interval::ALL.iter().map(|(name, _)| *name));
            string().enum_values(Some(widths)).into()
        }
        "sort" => choice(["time", "received"]).into(),
        "order" => choice(["desc", "asc"]).into(),
        "count" | "highlight" | "include_own" | "include_deleted_entities" => {
            ObjectBuilder::new().schema_type(Type::Boolean).description(Some("false if absent")).into()
        }
        _ => string().into(),
    }
}
