//! The results: kept as figures, printed as tables, written as JSON, and compared with the bars.

use std::{collections::BTreeMap, fs, path::Path};

use comfy_table::{CellAlignment, Table as Grid, presets::ASCII_MARKDOWN};
use serde::{Deserialize, Serialize};

use crate::{
    load::Load,
    storage::{Size, Table},
    timing::{Timing, Timings},
};

/// The plain SQLite table, queried in the bench's own process.
pub(crate) const SQLITE: &str = "sqlite";
/// The same table, queried over HTTP like auditbox.
pub(crate) const SQLITE_OVER_HTTP: &str = "sqlite over HTTP";

/// How long after the last request memory is measured again.
pub(crate) const IDLE_SECONDS: u64 = 10;

/// How a baseline was loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BaselineLoad {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    /// The indexes were built after loading, which is faster than maintaining them.
    #[serde(default)]
    pub(crate) in_bulk: bool,
    pub(crate) file_bytes: u64,
}

/// The results of one system.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct SystemResults {
    /// The number of events when it was queried.
    pub(crate) events: u64,
    pub(crate) lists: Timings,
    pub(crate) counts: Timings,
    pub(crate) overviews: Timings,
    /// How it was loaded. auditbox's own loads are listed separately.
    pub(crate) load: Option<BaselineLoad>,
}

/// Memory of auditbox's process, as the kernel counts it.
#[expect(clippy::struct_field_names, reason = "each name ends in its unit")]
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Memory {
    /// After the last query.
    pub(crate) resident_bytes: u64,
    /// The part that is not file pages.
    pub(crate) anonymous_bytes: u64,
    /// The peak.
    pub(crate) peak_resident_bytes: u64,
    /// Again, after a pause.
    pub(crate) idle_resident_bytes: u64,
}

/// All results. Parts that were not measured are empty.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// The time of the run, in RFC 3339.
    pub(crate) at: String,
    pub(crate) size: u64,
    pub(crate) seed: u64,
    pub(crate) first_load: Option<Load>,
    pub(crate) load: Option<Load>,
    pub(crate) growth: Option<Load>,
    pub(crate) auditbox: SystemResults,
    pub(crate) baselines: BTreeMap<&'static str, SystemResults>,
    pub(crate) pages: Timings,
    /// The cheapest response over the same connection: the cost of HTTP itself.
    pub(crate) http_floor: Option<Timing>,
    /// `count=true` on the list endpoint.
    pub(crate) list_counts: Timings,
    pub(crate) searches: Timings,
    pub(crate) tables: Vec<Table>,
    /// Events in the file when its tables were measured.
    pub(crate) tables_events: u64,
    pub(crate) file: Option<Size>,
    pub(crate) real: Option<Size>,
    pub(crate) start_seconds: Option<f64>,
    pub(crate) memory: Option<Memory>,
    /// Remarks about the measured files.
    pub(crate) notes: Vec<String>,
    /// Queries that systems with the same events answered differently.
    pub(crate) differences: Vec<String>,
}

impl Report {
    pub(crate) fn write_json(&self, path: &Path) {
        fs::write(path, serde_json::to_string_pretty(self).unwrap()).unwrap();
        println!("figures as JSON: {}", path.display());
    }

    pub(crate) fn print(&self) {
        self.print_loads();
        self.print_against("First 100, full bodies: median / p99 in ms", |asked| &asked.lists);
        self.print_against("Exact count: median / p99 in ms", |asked| &asked.counts);
        self.print_against("Count, 6 facets, histogram by day: median / p99 in ms", |asked| &asked.overviews);
        if let Some(floor) = &self.http_floor {
            println!("Of auditbox's figures, HTTP itself (GET /healthz): {} ms\n", figures(floor));
        }
        print_answers("count=true on a list of one", &self.list_counts);
        print_answers("Pages of a scan by cursor", &self.pages);
        print_answers("Search words, first 100", &self.searches);
        self.print_storage();
        for note in &self.notes {
            println!("NOTE: {note}");
        }
        for difference in &self.differences {
            println!("ANSWERED DIFFERENTLY: {difference}");
        }
    }

    fn print_loads(&self) {
        let mut grid = grid(
            "Durable loading",
            &["what", "events", "events/s", "longest request", "longest gap", "CPU (writer)", "bytes per event"],
        );
        let loads = [
            ("auditbox, empty", &self.first_load),
            ("auditbox, to size", &self.load),
            ("auditbox, at size", &self.growth),
        ];
        for (name, load) in loads {
            let Some(load) = load else { continue };
            grid.add_row([
                name.to_owned(),
                load.events.to_string(),
                format!("{:.0}", load.rate()),
                format!("{:.0} ms", load.longest_request_ms),
                format!("{:.0} ms", load.longest_gap_ms),
                format!("{:.1} ({:.1}) us", load.processor_us, load.writer_us),
                String::new(),
            ]);
        }
        for (name, asked) in &self.baselines {
            let Some(load) = &asked.load else { continue };
            let (rate, bytes) = (load.events as f64 / load.seconds, load.file_bytes as f64 / load.events as f64);
            let (none, name) =
                (String::new(), if load.in_bulk { format!("{name}, in bulk") } else { (*name).to_owned() });
            grid.add_row([
                name,
                load.events.to_string(),
                format!("{rate:.0}"),
                none.clone(),
                none.clone(),
                none,
                format!("{bytes:.0}"),
            ]);
        }
        println!("{grid}\n");
    }

    fn print_against(&self, title: &str, part: fn(&SystemResults) -> &Timings) {
        let answers = part(&self.auditbox);
        if answers.is_empty() {
            return;
        }
        let mut head = vec!["query".to_owned(), format!("auditbox, {} events, HTTP", self.auditbox.events)];
        for (name, asked) in &self.baselines {
            head.extend([format!("{name}, {} events", asked.events), format!("auditbox / {name}")]);
        }
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let mut grid = grid(title, &head);
        for (place, own) in answers.iter().enumerate() {
            let mut row = vec![own.name.clone(), figures(&own.timing)];
            for asked in self.baselines.values() {
                let Some(other) = part(asked).get(place) else { continue };
                row.extend([figures(&other.timing), format!("{:.3}", own.timing.median_ms / other.timing.median_ms)]);
            }
            grid.add_row(row);
        }
        println!("{grid}\n");
    }

    fn print_storage(&self) {
        if !self.tables.is_empty() {
            let mut grid =
                grid("Bytes per event, by table and index (SQLite's dbstat)", &["table or index", "bytes per event"]);
            for table in &self.tables {
                grid.add_row([table.name.clone(), format!("{:.1}", table.bytes as f64 / self.tables_events as f64)]);
            }
            println!("{grid}\n");
        }
        for (what, size) in [("the file", &self.file), ("the file with the real events, 40 times", &self.real)] {
            if let Some(size) = size {
                println!("{what}: {} bytes for {} of JSON ({:.3})", size.file_bytes, size.raw_bytes, size.share());
            }
        }
        if let Some(memory) = &self.memory {
            println!(
                "memory: {:.1} MB resident, {:.1} MB of it anonymous; {IDLE_SECONDS} s later {:.1} MB; at most {:.1} MB",
                megabytes(memory.resident_bytes),
                megabytes(memory.anonymous_bytes),
                megabytes(memory.idle_resident_bytes),
                megabytes(memory.peak_resident_bytes)
            );
        }
        if let Some(start) = self.start_seconds {
            println!("start with the loaded file, up to the response to the first query: {start:.3} s\n");
        }
    }
}

pub(crate) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// An empty table with a title, figures right-aligned.
pub(crate) fn grid(title: &str, head: &[&str]) -> Grid {
    println!("{title}");
    let mut grid = Grid::new();
    grid.load_style(ASCII_MARKDOWN).set_header(head.iter().copied());
    for column in grid.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    grid
}

/// The number of measurements, if there are too few for a 99th percentile.
fn figures(timing: &Timing) -> String {
    let few = if timing.times < 100 { format!(" (of {})", timing.times) } else { String::new() };
    format!("{:.2} / {:.2}{few}", timing.median_ms, timing.p99_ms)
}

fn print_answers(title: &str, answers: &Timings) {
    if answers.is_empty() {
        return;
    }
    let mut grid = grid(title, &["what", "median / p99 in ms"]);
    for answer in answers {
        grid.add_row([answer.name.clone(), figures(&answer.timing)]);
    }
    println!("{grid}\n");
}
