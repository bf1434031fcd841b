//! `GET /v1/audit-log/stats`: how many events match, their most common values, and how they spread over time.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::{
    api::{
        incomplete::{IncompleteField, IncompleteFields},
        list::parse,
    },
    http::{
        ApiError, Context,
        caller::Read,
        parameters,
        schema::{Always, True},
    },
    model::{
        field::Field,
        list_params::Accepts,
        stats::{self, Stats},
    },
    store::{ActorNames, Lease},
};

/// Counts the events that match.
pub(super) async fn stats(
    caller: Read,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let decoded = parameters::decode_valid(request.query_string());
    let limits = context.query_limits;
    let params = parse(decoded, Accepts::Stats, &limits).valid()?;
    let query = params.stats(&limits)?;
    let incomplete = IncompleteFields::of(&context.reader, &query.query.filter, &query.facets);
    let count = move |lease: &Lease| {
        let stats = lease.stats(&query)?;
        let actors = ActorNames::of_facet(lease, &stats, &params, &limits);
        Ok((stats, actors))
    };
    let (stats, actors) = context.reading(&caller.0, &request).begin(count).await?;
    let mut response = HttpResponse::Ok();
    incomplete.set_header(&mut response);
    let incomplete_fields = incomplete.members();
    Ok(response.json(StatsResponse { incomplete_fields, ..StatsResponse::new(&stats, &actors) }))
}

/// The response that reports these counts.
pub(crate) fn response(stats: &Stats, actors: &ActorNames) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(StatsResponse::new(stats, actors))
}

/// How many events match, and how they are distributed.
#[derive(Serialize, ToSchema)]
pub(super) struct StatsResponse<'a> {
    #[schema(inline)]
    ok: True,
    /// Number of matching events.
    count: u64,
    /// For each field in `facets`, its values among the events that match all filters except those on the field itself.
    #[serde(serialize_with = "as_object")]
    #[schema(value_type = std::collections::BTreeMap<String, Facet>)]
    facets: Vec<(&'a str, Facet<'a>)>,
    #[schema(required)]
    histogram: Option<Histogram>,
    /// Declared fields that the query uses and older events do not have yet.
    #[serde(rename = "incompleteFields", skip_serializing_if = "Option::is_none")]
    #[schema(inline, nullable = false)]
    incomplete_fields: Option<Vec<IncompleteField>>,
}

/// The values of one field.
#[derive(Serialize, ToSchema)]
struct Facet<'a> {
    /// The most common values, most common first, then those that the filter names.
    values: Vec<FacetValue<'a>>,
    /// Number of different values in all.
    distinct: u64,
}

/// A value and the number of events that a filter by it finds.
#[derive(Serialize, ToSchema)]
struct FacetValue<'a> {
    value: &'a str,
    /// Of an actor: the latest name, otherwise the e-mail address, if it differs from the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    count: u64,
}

/// How the matching events are spread over time. Each is in one bucket, in `before`, or in `after`. Without `to`, the
/// buckets end now.
#[derive(Serialize, ToSchema)]
struct Histogram {
    /// The width of the buckets.
    interval: &'static str,
    /// The time zone in which days begin.
    tz: String,
    buckets: Vec<Bucket>,
    /// Events before the first bucket: without `from`, up to one in twenty that are much older than the rest.
    before: u64,
    /// Events whose time is after now, if there is no `to`.
    after: u64,
}

/// The events of one interval.
#[derive(Serialize, ToSchema)]
struct Bucket {
    /// The first instant of the interval.
    #[schema(format = DateTime)]
    start: String,
    /// The first instant after the interval.
    #[schema(format = DateTime)]
    end: String,
    success: u64,
    failure: u64,
}

impl<'a> StatsResponse<'a> {
    fn new(stats: &'a Stats, actors: &'a ActorNames) -> Self {
        let facets =
            stats.facets.iter().filter_map(|facet| Some((facet.field.spec().name()?, Facet::new(facet, actors))));
        Self {
            ok: Always,
            count: stats.count,
            facets: facets.collect(),
            histogram: stats.histogram.as_ref().map(Into::into),
            incomplete_fields: None,
        }
    }
}

impl<'a> Facet<'a> {
    fn new(facet: &'a stats::Facet, actors: &'a ActorNames) -> Self {
        let label = |value: &'a str| actors.name(value).filter(|_| facet.field == Field::Actor);
        let values = facet.values.iter();
        let values =
            values.map(|value| FacetValue { value: &value.value, label: label(&value.value), count: value.count });
        Self { values: values.collect(), distinct: facet.distinct }
    }
}

impl From<&stats::Histogram> for Histogram {
    fn from(histogram: &stats::Histogram) -> Self {
        let format = |at| histogram.zone.format(at);
        let buckets = histogram.buckets.iter().map(|bucket| Bucket {
            start: format(bucket.start),
            end: format(bucket.end),
            success: bucket.success,
            failure: bucket.failure,
        });
        Self {
            interval: histogram.interval.name(),
            tz: histogram.zone.name().to_owned(),
            buckets: buckets.collect(),
            before: histogram.before,
            after: histogram.after,
        }
    }
}

/// Writes pairs as an object, in their order.
fn as_object<S: Serializer>(pairs: &[(&str, Facet<'_>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, facet)| (name, facet)))
}
