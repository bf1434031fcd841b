//! `GET /v1/audit-log/stats`: how many events match, their most common values, and how they spread over time.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use serde_json::{Value, json};

use crate::{
    api::list::parse,
    http::{ApiError, Context, caller::Read, parameters},
    model::{
        list_params::Accepts,
        stats::{Bucket, Facet, Histogram, Stats},
    },
};

/// Counts the events that match.
pub(super) async fn stats(
    caller: Read,
    request: HttpRequest,
    context: Data<Context>,
) -> Result<HttpResponse, ApiError> {
    let pairs = parameters::decode(request.query_string())?;
    let query = parse(pairs, Accepts::Stats, &context.query_limits)?.stats(&context.query_limits)?;
    let stats = context.reading(&caller.0, &request).begin(move |lease| Ok(lease.stats(&query)?)).await?;
    Ok(HttpResponse::Ok().json(view(&stats)))
}

fn view(stats: &Stats) -> Value {
    let facets: serde_json::Map<_, _> = stats
        .facets
        .iter()
        .filter_map(|facet| Some((facet.field.spec().name()?.to_owned(), view_facet(facet))))
        .collect();
    json!({
        "ok": true,
        "count": stats.count,
        "facets": facets,
        "histogram": stats.histogram.as_ref().map(view_histogram),
    })
}

fn view_facet(facet: &Facet) -> Value {
    let values: Vec<_> =
        facet.values.iter().map(|value| json!({ "value": value.value, "count": value.count })).collect();
    json!({ "values": values, "distinct": facet.distinct })
}

fn view_histogram(histogram: &Histogram) -> Value {
    let buckets: Vec<_> = histogram.buckets.iter().map(|bucket| view_bucket(histogram, bucket)).collect();
    json!({
        "interval": histogram.interval.name(),
        "tz": histogram.zone.name(),
        "buckets": buckets,
        "before": histogram.before,
        "after": histogram.after,
    })
}

fn view_bucket(histogram: &Histogram, bucket: &Bucket) -> Value {
    json!({
        "start": histogram.zone.format(bucket.start),
        "end": histogram.zone.format(bucket.end),
        "success": bucket.success,
        "failure": bucket.failure,
    })
}
