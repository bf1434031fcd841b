//! The bars for the index at ten million events, each compared with the measured figure.
//!
//! A smaller size meets them more easily, so the table states its size.

use crate::{
    report::{Report, SQLITE_OVER_HTTP, grid, megabytes},
    timing::NamedTiming,
};

const LIST_P99_MS: f64 = 15.0;
const PAGE_RATIO: f64 = 2.0;
const COUNT_MS: f64 = 40.0;
const OVERVIEW_MS: f64 = 300.0;
const FILTERED_OVERVIEW_MS: f64 = 60.0;
const WORST_TIMES_FASTER: f64 = 20.0;
const SLOWER_TIMES: f64 = 3.0;
const SLOWER_MS: f64 = 3.0;
const INGEST_EVENTS_PER_SECOND: f64 = 70_000.0;
const INGEST_SHARE_OF_EMPTY: f64 = 0.8;
const PROCESSOR_US: f64 = 20.0;
const WRITER_US: f64 = 9.0;
const STALL_MS: f64 = 200.0;
const FILE_SHARE: f64 = 0.26;
const RESIDENT_MEGABYTES: f64 = 200.0;
const START_SECONDS: f64 = 1.0;
/// By the order of the searches: a common word, a rare one, one in a single diff, and one that occurs nowhere.
const SEARCH_MS: [f64; 4] = [20.0, 150.0, 150.0, 100.0];

/// A bar and its measured figure; `None` if it was not measured.
struct Bar {
    what: String,
    text: String,
    figure: Option<f64>,
    is_met: fn(f64, f64) -> bool,
    limit: f64,
}

impl Bar {
    fn below(what: &str, limit: f64, unit: &str, figure: Option<f64>) -> Self {
        let text = format!("under {limit}{unit}");
        Self { what: what.to_owned(), text, figure, is_met: |figure, limit| figure < limit, limit }
    }

    fn at_most(what: &str, limit: f64, unit: &str, figure: Option<f64>) -> Self {
        let text = format!("at most {limit}{unit}");
        Self { what: what.to_owned(), text, figure, is_met: |figure, limit| figure <= limit, limit }
    }

    fn at_least(what: &str, limit: f64, unit: &str, figure: Option<f64>) -> Self {
        let text = format!("at least {limit}{unit}");
        Self { what: what.to_owned(), text, figure, is_met: |figure, limit| figure >= limit, limit }
    }
}

/// Prints every bar, its figure, and whether it is met.
pub(crate) fn print(report: &Report) {
    println!();
    let title = format!("The bars, which are for 10 million events; this is {}", report.size);
    let mut grid = grid(&title, &["what", "bar", "measured", "met"]);
    for bar in queries(report).into_iter().chain(searches(report)).chain(against_sqlite(report)).chain(the_rest(report))
    {
        let (figure, verdict) = match bar.figure {
            None => ("-".to_owned(), "not measured"),
            Some(figure) if (bar.is_met)(figure, bar.limit) => (format!("{figure:.2}"), "yes"),
            Some(figure) => (format!("{figure:.2}"), "NO"),
        };
        grid.add_row([bar.what, bar.text, figure, verdict.to_owned()]);
    }
    println!("{grid}");
}

fn queries(report: &Report) -> Vec<Bar> {
    let mut bars = Vec::new();
    for (kind, answers, limit) in
        [("list", &report.auditbox.lists, LIST_P99_MS), ("count", &report.auditbox.counts, COUNT_MS)]
    {
        for answer in answers {
            let what = format!("p99, {kind}: {}", answer.name);
            bars.push(Bar::below(&what, limit, " ms", Some(answer.timing.p99_ms)));
        }
    }
    let page = match report.pages.as_slice() {
        [first, last] => Some(last.timing.median_ms / first.timing.median_ms),
        _ => None,
    };
    let overview = |place: usize| report.auditbox.overviews.get(place).map(|answer| answer.timing.p99_ms);
    bars.extend([
        Bar::at_most("last page against the first", PAGE_RATIO, " times", page),
        Bar::below("p99, count, 6 facets, histogram: everything", OVERVIEW_MS, " ms", overview(0)),
        Bar::below("p99, count, 6 facets, histogram: 1 %", FILTERED_OVERVIEW_MS, " ms", overview(1)),
    ]);
    bars
}

fn searches(report: &Report) -> impl Iterator<Item = Bar> {
    let bars = report.searches.iter().zip(SEARCH_MS);
    bars.map(|(answer, limit)| {
        Bar::at_most(&format!("median, search: {}", answer.name), limit, " ms", Some(answer.timing.median_ms))
    })
}

/// Compared with SQLite over HTTP, because auditbox is queried over HTTP as well, and only if both have the same
/// events, apart from a twentieth that the bench may have added.
fn against_sqlite(report: &Report) -> Vec<Bar> {
    let sqlite =
        report.baselines.get(SQLITE_OVER_HTTP).filter(|asked| asked.events * 20 >= report.auditbox.events * 19);
    let lists = sqlite.map_or(&[][..], |asked| &asked.lists[..]);
    let own = &report.auditbox.lists;
    let worst = |answers: &[_]| answers.iter().map(median).reduce(f64::max);
    let faster = worst(lists).zip(worst(own)).map(|(plain, own)| plain / own);
    let pairs: Vec<(f64, f64)> = own.iter().map(median).zip(lists.iter().map(median)).collect();
    let ratio = pairs.iter().map(|(own, plain)| own / plain).reduce(f64::max);
    let slower = pairs.iter().filter(|(own, plain)| own > plain).map(|(own, _)| *own).reduce(f64::max);
    let slower = if pairs.is_empty() { None } else { Some(slower.unwrap_or(0.0)) };
    vec![
        Bar::at_least(
            "worst list, median, both over HTTP, plain SQLite / auditbox",
            WORST_TIMES_FASTER,
            " times",
            faster,
        ),
        Bar::at_most("any list, median, both over HTTP, auditbox / plain SQLite", SLOWER_TIMES, " times", ratio),
        Bar::at_most("slowest median of the lists that SQLite over HTTP answers faster", SLOWER_MS, " ms", slower),
    ]
}

fn median(answer: &NamedTiming) -> f64 {
    answer.timing.median_ms
}

fn the_rest(report: &Report) -> Vec<Bar> {
    let (first, growth) = (report.first_load.as_ref(), report.growth.as_ref());
    let share = growth.zip(first).map(|(growth, first)| growth.rate() / first.rate());
    let loads = [first, report.load.as_ref(), growth];
    let stall = loads.into_iter().flatten().map(|load| load.longest_request_ms).reduce(f64::max);
    vec![
        Bar::at_least(
            "ingest into an empty file",
            INGEST_EVENTS_PER_SECOND,
            " events/s",
            first.map(crate::load::Load::rate),
        ),
        Bar::at_most("CPU per event, empty file", PROCESSOR_US, " us", first.map(|load| load.processor_us)),
        Bar::at_most(
            "CPU of the writer thread per event, empty file",
            WRITER_US,
            " us",
            first.map(|load| load.writer_us),
        ),
        Bar::at_least("ingest at size against empty", INGEST_SHARE_OF_EMPTY, "", share),
        Bar::at_most("longest request while loading", STALL_MS, " ms", stall),
        Bar::at_most(
            "file / JSON, real events 40 times",
            FILE_SHARE,
            "",
            report.real.as_ref().map(crate::storage::Size::share),
        ),
        Bar::below(
            "resident memory after all",
            RESIDENT_MEGABYTES,
            " MB",
            report.memory.as_ref().map(|memory| megabytes(memory.resident_bytes)),
        ),
        Bar::below("start to first answer", START_SECONDS, " s", report.start_seconds),
    ]
}
