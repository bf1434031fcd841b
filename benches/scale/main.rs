//! Measures whether auditbox stays fast as it grows, and compares it with a plain SQLite table and with PostgreSQL.
//!
//! `cargo bench --bench scale` loads 100,000 events over HTTP into the release program and runs typical audit queries,
//! then loads and queries the other systems. `-- --size 10m --keep DIR` does so with ten million events and keeps the
//! files, so that another run only queries. It uses auditbox over HTTP and through its command line, and reads only the
//! sizes of tables from the file. Events and queries are seeded: every system gets the same.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints its figures, and panics if it cannot measure them"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "figures are printed with a few digits; numbers of events are small"
)]

mod bars;
mod client;
mod contender;
mod events;
mod kept;
mod load;
mod plain_http;
mod plot;
mod postgresql;
mod queries;
mod random;
mod report;
mod server;
mod sqlite;
mod storage;
mod timing;
mod world;

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};

use contender::{Answer, Contender};
use events::{Event, Maker};
use kept::Kept;
use postgresql::Postgres;
use queries::{Filter, Query};
use report::{IDLE_SECONDS, Memory, Report, SQLITE, SQLITE_OVER_HTTP, SystemResults};
use server::Server;
use sqlite::PlainTable;
use timing::{Effort, NamedTiming};

/// Events of the loads whose rates are compared: into an empty file, and into the full one.
const COMPARED_EVENTS: u64 = 100_000;
/// The same from a million events on, where a longer measurement is affordable.
const COMPARED_EVENTS_LARGE: u64 = 300_000;
const LARGE_SIZE_MIN: u64 = 1_000_000;
/// The page of a scan that is compared with the first page.
const PAGE: usize = 1_000;
/// Sets of values per query.
const VALUES: usize = 200;
/// Above this size, a query may take longer before its measurements are cut short. A run in a fresh clone stays short.
const QUICK_SIZE_MAX: u64 = 100_000;

#[derive(Parser)]
struct Arguments {
    /// Events to load
    #[arg(long, default_value = "100k", value_parser = parse_size)]
    size: u64,
    /// Events to load into the others, if fewer: the first of the same
    #[arg(long, value_parser = parse_size)]
    baseline_size: Option<u64>,
    /// Systems to compare auditbox with, or `none`
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    against: Vec<Baseline>,
    /// The parts to measure; missing files are loaded first
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Keep the loaded files in this directory, and use the files in it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Write plots into this directory
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_TARGET_TMPDIR"), "/scale.json"))]
    json: PathBuf,
    /// Build the other systems' indexes after loading: faster, but without a comparable rate
    #[arg(long)]
    bulk: bool,
    /// The seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The flag that cargo passes to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Baseline {
    Sqlite,
    Postgres,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// First 100 of the ten queries
    Lists,
    /// Their exact counts
    Counts,
    /// A scan by cursor
    Pages,
    /// Facets and histogram
    Stats,
    /// Words
    Search,
    /// Bytes per table
    Tables,
    /// More events into the full file
    Growth,
    /// The real events, 40 times
    Real,
    /// How fast events are generated, which must not be a bottleneck
    Generator,
}

fn parse_size(text: &str) -> Result<u64, String> {
    let lower = text.to_lowercase();
    let (digits, factor) = match lower.strip_suffix(['k', 'm']) {
        Some(digits) => (digits, if lower.ends_with('k') { 1_000 } else { 1_000_000 }),
        None => (lower.as_str(), 1),
    };
    let number = digits.parse::<u64>().map_err(|_| "must be a number such as 100k or 10m".to_owned())?;
    Some(number * factor).filter(|size| *size >= 1_000).ok_or_else(|| "must be at least 1000".to_owned())
}

/// Events of the loads whose rates are compared, for a file of `size`.
fn compared_events(size: u64) -> u64 {
    if size >= LARGE_SIZE_MIN { COMPARED_EVENTS_LARGE } else { COMPARED_EVENTS.min(size) }
}

fn main() {
    let bench = Bench::new(Arguments::parse());
    bench.run();
}

/// A run: its options, the loaded files, the results.
struct Bench {
    arguments: Arguments,
    kept: Kept,
    maker: Maker,
    queries: Vec<Query>,
    report: Report,
    begun: Instant,
}

impl Bench {
    fn new(arguments: Arguments) -> Self {
        let kept = Kept::open(arguments.keep.as_deref(), arguments.seed, arguments.size);
        let maker = Maker::new(kept.loaded.plan.clone());
        let report = Report {
            at: jiff::Timestamp::now().to_string(),
            size: arguments.size,
            seed: arguments.seed,
            ..Report::default()
        };
        let queries = queries::ten(&maker, VALUES);
        Self { arguments, kept, maker, queries, report, begun: Instant::now() }
    }

    fn wants(&self, part: Part) -> bool {
        self.arguments.only.is_empty() || self.arguments.only.contains(&part)
    }

    fn effort(&self, times: usize, seconds: u64) -> Effort {
        let patience = if self.arguments.size > QUICK_SIZE_MAX { 4 } else { 1 };
        Effort::new(times, patience * seconds)
    }

    /// Prints the next step and the time: a run at ten million takes an hour.
    fn say(&self, what: &str) {
        println!("[{:6.1} s] {what}", self.begun.elapsed().as_secs_f64());
    }

    fn run(mut self) {
        if self.wants(Part::Generator) {
            self.generate();
        }
        let answers = self.auditbox();
        for baseline in [Baseline::Sqlite, Baseline::Postgres] {
            if self.arguments.against.contains(&baseline) {
                self.baseline(baseline, answers.as_ref());
            }
        }
        if self.wants(Part::Real) {
            self.say("auditbox: importing the real events");
            self.report.real = storage::real(&self.kept.path(""));
            if self.report.real.is_none() {
                println!("real events: skipped, AUDITBOX_REAL_EVENTS names no file");
            }
        }
        self.say("done\n");
        self.report.print();
        bars::print(&self.report);
        self.report.write_json(&self.arguments.json);
        if let Some(directory) = &self.arguments.plots {
            plot::write(&self.report, directory);
        }
    }

    fn generate(&self) {
        let (mut event, mut bytes, begun) = (Event::default(), 0, Instant::now());
        for number in 0..COMPARED_EVENTS {
            self.maker.make(number, &mut event);
            bytes += event.body.len();
        }
        let rate = COMPARED_EVENTS as f64 / begun.elapsed().as_secs_f64();
        println!("generator: {rate:.0} events/s on one core, mean {} bytes", bytes / COMPARED_EVENTS as usize);
    }

    /// Loads and queries auditbox; returns its answers for the comparison, if its file has the same events as the
    /// others.
    fn auditbox(&mut self) -> Option<Vec<Answer>> {
        let path = self.kept.path("auditbox.db");
        if self.kept.loaded.sent == 0 {
            self.load();
        }
        self.report.first_load.clone_from(&self.kept.loaded.first_load);
        self.report.load.clone_from(&self.kept.loaded.load);
        let file_bytes = storage::file_bytes(&path);
        self.say("auditbox: starting on the loaded file");
        self.kept.warm("auditbox.db");
        let server = Server::start(&path);
        self.report.start_seconds = Some(server.start.as_secs_f64());
        self.look_at_kept(&server);
        let raw_bytes = self.kept.loaded.raw_bytes;
        self.report.file = raw_bytes.map(|raw_bytes| storage::Size { file_bytes, raw_bytes });
        self.ask_auditbox(&server);
        let stored = self.kept.loaded.stored();
        let answers = (stored == self.arguments.size).then(|| contender::answers(&mut server.connect(), &self.queries));
        if self.wants(Part::Tables) {
            self.say("auditbox: measuring tables");
            self.report.tables = storage::tables(&path);
            self.report.tables_events = stored;
        }
        if self.wants(Part::Growth) {
            self.grow(&server);
        }
        self.report.memory = Some(self.memory(&server));
        answers
    }

    /// An earlier run may have been interrupted while it added events: the file states how many there are.
    fn look_at_kept(&mut self, server: &Server) {
        let found = server.connect().count(&Filter::default());
        if let Some(note) = self.kept.reconcile(found) {
            self.say(&note);
            self.report.notes.push(note);
        }
    }

    /// Adds as many events as were measured into the empty file.
    fn grow(&mut self, server: &Server) {
        let size = self.arguments.size;
        let events = self.report.first_load.as_ref().map_or_else(|| compared_events(size), |first| first.events);
        self.say(&format!("auditbox: loading {events} more"));
        // Recorded before they are sent. If this run is interrupted, the next one must send others and know of these.
        let (first, raw_bytes) = (self.kept.loaded.sent, self.kept.loaded.raw_bytes.take());
        self.kept.loaded.sent += events;
        self.kept.save();
        let growth = load::load(server, &self.maker, first, first + events);
        self.kept.loaded.raw_bytes = raw_bytes.map(|raw_bytes| raw_bytes + growth.raw_bytes);
        self.kept.save();
        self.report.growth = Some(growth);
    }

    /// Memory of the server after its last request, and after a pause.
    fn memory(&self, server: &Server) -> Memory {
        let (resident_bytes, anonymous_bytes) = (server.memory_bytes("VmRSS"), server.memory_bytes("RssAnon"));
        self.say(&format!("auditbox: idle for {IDLE_SECONDS} s"));
        thread::sleep(Duration::from_secs(IDLE_SECONDS));
        Memory {
            resident_bytes,
            anonymous_bytes,
            peak_resident_bytes: server.memory_bytes("VmHWM"),
            idle_resident_bytes: server.memory_bytes("VmRSS"),
        }
    }

    fn load(&mut self) {
        self.say("auditbox: loading");
        let server = Server::start(&self.kept.fresh("auditbox.db"));
        let size = self.arguments.size;
        let compared = compared_events(size);
        let first = load::load(&server, &self.maker, 0, compared);
        let rest = (compared < size).then(|| load::load(&server, &self.maker, compared, size));
        self.say("auditbox: stopping");
        server.stop();
        let loaded = &mut self.kept.loaded;
        loaded.sent = size;
        loaded.raw_bytes = Some(first.raw_bytes + rest.as_ref().map_or(0, |rest| rest.raw_bytes));
        (loaded.first_load, loaded.load) = (Some(first), rest);
        self.kept.save();
    }

    fn ask_auditbox(&mut self, server: &Server) {
        let mut connection = server.connect();
        let floor = self.effort(VALUES, 1).measure(|_| {
            connection.get("/healthz");
        });
        self.report.http_floor = Some(floor);
        self.report.auditbox = self.ask("auditbox", &mut connection, self.kept.loaded.stored());
        if self.wants(Part::Counts) {
            let effort = self.effort(50, 1);
            let ask = |query: &Query| {
                let timing = effort.measure(|time| {
                    let filter = query.filters[time % query.filters.len()].query_string();
                    connection.get(&format!("/v1/audit-log?count=true&limit=1&{filter}"));
                });
                NamedTiming::new(query.name, timing)
            };
            self.report.list_counts = self.queries.iter().map(ask).collect();
        }
        if self.wants(Part::Pages) {
            self.say("auditbox: pages");
            self.report.pages = pages(&mut connection, self.effort(VALUES, 2));
        }
        if self.wants(Part::Search) {
            self.say("auditbox: searches");
            let one = |word: &str| vec![word.to_owned()];
            // Each time another word, so that nothing is known of it from the time before.
            let absent = (0..VALUES).map(|number| format!("{}{number}", world::ABSENT_WORD)).collect();
            let words = [
                ("common", one(world::COMMON_WORD)),
                ("rare", one(world::RARE_WORD)),
                ("in one diff", queries::words_in_diffs(&self.maker, VALUES)),
                ("nothing found", absent),
            ];
            let search = |(what, words): (&str, Vec<String>)| {
                let timing = self.effort(VALUES, 2).measure(|time| {
                    let word = &words[time % words.len()];
                    connection.get(&format!("/v1/audit-log?limit={}&q={word}", queries::LIMIT));
                });
                NamedTiming::new(&format!("{what}: {}", words[0]), timing)
            };
            self.report.searches = words.into_iter().map(search).collect();
        }
    }

    /// The queries of every system.
    fn ask(&self, name: &str, contender: &mut dyn Contender, events: u64) -> SystemResults {
        let mut asked = SystemResults { events, ..SystemResults::default() };
        if self.wants(Part::Lists) {
            self.say(&format!("{name}: lists"));
            asked.lists = contender::lists(contender, &self.queries, self.effort(VALUES, 2));
        }
        if self.wants(Part::Counts) {
            self.say(&format!("{name}: counts"));
            asked.counts = contender::counts(contender, &self.queries, self.effort(VALUES, 1));
        }
        if self.wants(Part::Stats) {
            self.say(&format!("{name}: facets and histograms"));
            asked.overviews = contender::overviews(contender, self.effort(50, 2));
        }
        asked
    }

    fn baseline(&mut self, baseline: Baseline, auditbox: Option<&Vec<Answer>>) {
        let size = self.arguments.baseline_size.map_or(self.arguments.size, |size| size.min(self.arguments.size));
        match baseline {
            Baseline::Sqlite => {
                let mut table = self.plain_table(size);
                let load = self.kept.loaded.baselines[SQLITE].clone();
                let mut asked = self.ask(SQLITE, &mut table, load.events);
                let mut connection = plain_http::serve(table);
                let over_http = self.ask(SQLITE_OVER_HTTP, &mut connection, load.events);
                // Over HTTP only: the statements are the same, and a count may take seconds.
                self.compare(SQLITE_OVER_HTTP, &mut connection, load.events, auditbox);
                asked.load = Some(load);
                self.report.baselines.extend([(SQLITE, asked), (SQLITE_OVER_HTTP, over_http)]);
            }
            Baseline::Postgres if Postgres::is_here() => {
                const NAME: &str = "postgres";
                let mut postgres = self.postgres(size);
                let load = self.kept.loaded.baselines[NAME].clone();
                let mut asked = self.ask(NAME, &mut postgres, load.events);
                self.compare(NAME, &mut postgres, load.events, auditbox);
                asked.load = Some(load);
                self.report.baselines.insert(NAME, asked);
            }
            Baseline::Postgres => println!("postgres: skipped, its binaries are not on this machine"),
            Baseline::None => {}
        }
    }

    /// Records the queries that `contender`, which holds `events`, answers differently from auditbox.
    fn compare(&mut self, name: &str, contender: &mut dyn Contender, events: u64, auditbox: Option<&Vec<Answer>>) {
        let Some(auditbox) = auditbox.filter(|_| events == self.arguments.size) else { return };
        self.say(&format!("{name}: comparing answers"));
        let answers = contender::answers(contender, &self.queries);
        let differences = contender::differences(&self.queries, auditbox, &answers);
        println!("{name}: {} queries, {} answered differently", answers.len(), differences.len());
        self.report.differences.extend(differences.into_iter().map(|text| format!("auditbox and {name}: {text}")));
    }

    fn plain_table(&mut self, size: u64) -> PlainTable {
        if !self.kept.loaded.baselines.contains_key(SQLITE) {
            self.say(&format!("sqlite: loading {size}"));
            let load = PlainTable::load(&self.kept.fresh("plain.db"), &self.maker, size, self.arguments.bulk);
            self.kept.loaded.baselines.insert(SQLITE.to_owned(), load);
            self.kept.save();
        }
        self.kept.warm("plain.db");
        PlainTable::open(&self.kept.path("plain.db"))
    }

    fn postgres(&mut self, size: u64) -> Postgres {
        let is_loaded = self.kept.loaded.baselines.contains_key("postgres");
        let directory = if is_loaded { self.kept.path("postgres") } else { self.kept.fresh("postgres") };
        let mut postgres = Postgres::start(&directory);
        if !is_loaded {
            self.say(&format!("postgres: loading {size}"));
            let load = postgres.load(&self.maker, size, self.arguments.bulk);
            self.kept.loaded.baselines.insert("postgres".to_owned(), load);
            self.kept.save();
        }
        postgres
    }
}

/// Follows the cursors of an unfiltered scan, then times the first page and the last one reached.
fn pages(connection: &mut client::Connection, effort: Effort) -> Vec<NamedTiming> {
    let first = format!("/v1/audit-log?limit={}&{}", queries::LIMIT, Filter::default().query_string());
    let (mut last, mut number) = (first.clone(), 1);
    while number < PAGE {
        let answer = connection.get_json(&last);
        let Some(next) = answer["next"].as_str() else { break };
        last = format!("{first}&cursor={next}");
        number += 1;
    }
    [(1, first), (number, last)]
        .into_iter()
        .map(|(number, path)| {
            let timing = effort.measure(|_| {
                connection.get(&path);
            });
            NamedTiming::new(&format!("page {number}"), timing)
        })
        .collect()
}
