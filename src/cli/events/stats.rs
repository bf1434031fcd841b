//! `stats`: how many events match, their most common values, and how they spread over time.

use clap::Args;
use serde_json::Value;

use crate::{
    api,
    cli::{
        client::{Client, ServerArguments},
        events::{
            flags::{Asked, Flags, Given},
            log::{self, Log},
            table::grouped,
        },
        failure::Failure,
        layout,
        output::{Output, plural},
    },
    config::Config,
    model::{list_params::Accepts, printable::printable},
    store::{ActorNames, Reader},
};

/// The facets of a command that names none and wants no histogram.
const FACETS: &str = "action,resources,actor,status";
/// Number of values of a facet that are printed without --json.
const VALUES_SHOWN: usize = 10;
/// Width of a count and the gap after it.
const COUNT_WIDTH: usize = 16;
/// Width of the longest bar.
const BAR_WIDTH: usize = 40;
/// Width of a line without a bar: a time with an offset, a count and two gaps.
const BEFORE_BAR: usize = 25 + 2 + 11 + 2;

/// The flags of `stats`.
pub(super) struct StatsFlags;

impl Flags for StatsFlags {
    const WITHOUT: &'static [&'static str] = &["limit", "includes", "sort", "order", "cursor", "count"];
    const ACCEPTS: Accepts = Accepts::Stats;
}

/// Count events: how many match, their most common values, and how they spread over time
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox stats --from 7d
  auditbox stats --facets actor,entity --status FAILURE --json
  auditbox stats --histogram 1d --tz Europe/Berlin --from 2024-05-01")]
pub(in crate::cli) struct StatsArguments {
    /// Print the response of GET /v1/audit-log/stats
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: Given<StatsFlags>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Prints the counts.
pub(in crate::cli) fn run(config: &Config, arguments: &StatsArguments, out: &mut Output) -> Result<(), Failure> {
    let is_chosen = ["facets", "histogram"].iter().any(|name| arguments.filters.has(name));
    let facets = [("facets", FACETS.to_owned())];
    let asked = arguments.filters.parse(config, &arguments.server, if is_chosen { &[] } else { &facets })?;
    let stats = count(&Log::open(config, &arguments.server)?, &asked)?;
    if arguments.json {
        out.event(&stats.to_string());
        return Ok(());
    }
    let count = stats["count"].as_u64().unwrap_or(0);
    out.line(format_args!("{} event{}", grouped(count), plural(count)));
    for (name, facet) in stats["facets"].as_object().into_iter().flatten() {
        print_facet(name, facet, out);
    }
    if stats["histogram"].is_object() {
        print_histogram(&stats["histogram"], out);
    }
    Ok(())
}

fn count(log: &Log, asked: &Asked) -> Result<Value, Failure> {
    let ask = |client: &Client| {
        let mut response = log::success(client.get(&format!("/v1/audit-log/stats?{}", asked.query_string(&[])))?)?;
        log::report_incomplete_of(&response);
        let text = response.body_mut().read_to_string().map_err(|error| Failure::new(error.to_string()))?;
        Ok(serde_json::from_str(&text)?)
    };
    let read = |reader: &Reader| {
        let query = asked.params.stats(&asked.limits).map_err(|error| Failure::usage(error.to_string()))?;
        log::report_incomplete_in(reader, &query.query.filter, &query.facets);
        let lease = reader.unbounded();
        let stats = lease.stats(&query)?;
        let actors = ActorNames::of_facet(&lease, &stats, &asked.params, &asked.limits);
        Ok(api::stats_response(&stats, &actors)?)
    };
    log.read(ask, || false, read)
}

fn print_facet(name: &str, facet: &Value, out: &mut Output) {
    let values = facet["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    out.line("");
    let distinct = facet["distinct"].as_u64().unwrap_or(0);
    out.line(format_args!("{}, {} distinct", name, grouped(distinct)));
    for value in values.iter().take(VALUES_SHOWN) {
        let count = grouped(value["count"].as_u64().unwrap_or(0));
        let (label, value) = (value["label"].as_str(), value["value"].as_str().unwrap_or_default());
        let text = label.map_or_else(|| value.to_owned(), |label| format!("{label} ({value})"));
        let value = printable(&text);
        let room = out.width().map_or(usize::MAX, |width| width.saturating_sub(COUNT_WIDTH));
        out.line(format_args!("{count:>14}  {}", layout::cut(&value, room)));
    }
    if distinct > VALUES_SHOWN as u64 {
        out.line(format_args!("{:>14}  more; --json has up to 100", grouped(distinct - VALUES_SHOWN as u64)));
    }
}

fn print_histogram(histogram: &Value, out: &mut Output) {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let buckets = histogram["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let total = |bucket: &Value| number(&bucket["success"]) + number(&bucket["failure"]);
    let most = buckets.iter().map(total).max().unwrap_or(0).max(1);
    out.line("");
    for (what, key) in [("before", "before"), ("after", "after")] {
        let events = number(&histogram[key]);
        if events > 0 {
            out.line(format_args!("{} event{} {what} these", grouped(events), plural(events)));
        }
    }
    let failures = |bucket: &Value| match number(&bucket["failure"]) {
        0 => String::new(),
        failed => format!(" {} failed", grouped(failed)),
    };
    let failures_width = buckets.iter().map(|bucket| failures(bucket).len()).max().unwrap_or(0);
    let room = out.width().unwrap_or(usize::MAX).saturating_sub(BEFORE_BAR + failures_width);
    let bar_width = BAR_WIDTH.min(room) as u64;
    for bucket in buckets {
        let (count, failed) = (total(bucket), failures(bucket));
        let bar = "#".repeat(usize::try_from((count * bar_width).div_ceil(most)).unwrap_or(0));
        let start = bucket["start"].as_str().unwrap_or_default();
        out.row(format!("{start}  {:>11}  {bar}{failed}", grouped(count)).trim_end(), !failed.is_empty());
    }
}
