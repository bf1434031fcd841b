//! Three plots as SVG, written by hand: few lines, no embedded fonts, readable in light and dark mode.
//!
//! Text and lines take their color from a style that follows the reader's preference; the background stays transparent.

use std::{fmt::Write as _, fs, path::Path};

use crate::report::{Report, SQLITE, SystemResults};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 50.0;
const ROW: f64 = 18.0;
const COLOURS: [&str; 3] = ["#2f81f7", "#d29922", "#a371f7"];

/// Writes every plot that `report` has data for into `directory`.
pub(crate) fn write(report: &Report, directory: &Path) {
    for (name, plot) in [
        ("scale-ingest.svg", ingest(report)),
        ("scale-queries.svg", queries(report)),
        ("scale-storage.svg", storage(report)),
    ] {
        if let Some(plot) = plot {
            let path = directory.join(name);
            fs::write(&path, plot).unwrap();
            println!("plot: {}", path.display());
        }
    }
}

/// A growing drawing.
struct Svg(String);

impl Svg {
    fn new(title: &str, height: f64) -> Self {
        let mut svg = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n\
             <style>text{{font:12px system-ui,sans-serif;fill:#57606a}}.title{{font-size:15px}}\
             line{{stroke:#8b949e;stroke-opacity:.35}}\
             @media(prefers-color-scheme:dark){{text{{fill:#c9d1d9}}}}</style>\n"
        ));
        svg.push(format_args!("<text class=\"title\" x=\"10\" y=\"22\">{title}</text>"));
        svg
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").unwrap();
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        self.push(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64) {
        self.push(format_args!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"));
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, color: &str) {
        self.push(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
        ));
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Events per second while the file grows.
fn ingest(report: &Report) -> Option<String> {
    const HEIGHT: f64 = 320.0;
    const BOTTOM: f64 = 280.0;
    const START: f64 = 70.0;
    let loads = [&report.first_load, &report.load, &report.growth];
    let points: Vec<(u64, f64)> = loads.into_iter().flatten().flat_map(|load| load.windows.iter().copied()).collect();
    let (stored_max, _) = *points.last()?;
    let rate_max = points.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let step = nice_step(rate_max / 5.0);
    let top = (rate_max / step).ceil() * step;
    let x = |stored: u64| START + (WIDTH - START - RIGHT) * stored as f64 / stored_max as f64;
    let y = |rate: f64| BOTTOM - (BOTTOM - TOP) * rate / top;
    let mut svg = Svg::new("Durable ingest over HTTP, events/s, while the file grows", HEIGHT);
    for tick in 0..=(top / step).round() as usize {
        let rate = tick as f64 * step;
        svg.line(START, y(rate), WIDTH - RIGHT, y(rate));
        svg.text(START - 8.0, y(rate) + 4.0, "end", &format!("{rate:.0}"));
    }
    for tick in 0..=4 {
        let stored = stored_max * tick / 4;
        svg.text(x(stored), BOTTOM + 18.0, "middle", &format!("{:.2} M", stored as f64 / 1e6));
    }
    svg.text(f64::midpoint(START, WIDTH - RIGHT), BOTTOM + 34.0, "middle", "events stored");
    let points: Vec<_> = points.iter().map(|(stored, rate)| format!("{:.1},{:.1}", x(*stored), y(*rate))).collect();
    let line = points.join(" ");
    svg.push(format_args!("<polyline points=\"{line}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>", COLOURS[0]));
    Some(svg.finish())
}

/// The medians of the ten queries, on a logarithmic scale.
fn queries(report: &Report) -> Option<String> {
    let mut contenders: Vec<(&str, &SystemResults)> = vec![("auditbox, over HTTP", &report.auditbox)];
    // SQLite in the bench's own process is omitted: the plot compares queries over HTTP.
    let others = report.baselines.iter().filter(|(name, _)| **name != SQLITE);
    contenders.extend(others.map(|(name, asked)| (*name, asked)));
    contenders.retain(|(_, asked)| !asked.lists.is_empty());
    let lists = &contenders.first()?.1.lists;
    let medians = contenders.iter().flat_map(|(_, asked)| asked.lists.iter().map(|answer| answer.timing.median_ms));
    let (low, high) = medians.fold((f64::MAX, 0.0_f64), |(low, high), ms| (low.min(ms), high.max(ms)));
    let (low, high) = (low.max(0.001).log10().floor(), high.max(0.01).log10().ceil());
    let x = |ms: f64| LEFT + (WIDTH - LEFT - RIGHT) * (ms.max(0.001).log10() - low) / (high - low).max(1.0);
    let group = ROW * contenders.len() as f64 + 12.0;
    let bottom = TOP + 20.0 + group * lists.len() as f64;
    let mut svg = Svg::new("First 100 events with their bodies, median in milliseconds (logarithmic)", bottom + 30.0);
    for power in low as i32..=high as i32 {
        let ms = 10_f64.powi(power);
        svg.line(x(ms), TOP + 14.0, x(ms), bottom);
        svg.text(x(ms), bottom + 16.0, "middle", &format!("{ms}"));
    }
    for (place, (name, asked)) in contenders.iter().enumerate() {
        let across = 10.0 + 260.0 * place as f64;
        svg.bar(across, TOP - 14.0, 10.0, 10.0, COLOURS[place % COLOURS.len()]);
        svg.text(across + 16.0, TOP - 5.0, "start", &format!("{name}, {} events", asked.events));
        for (query, answer) in asked.lists.iter().enumerate() {
            let y = TOP + 20.0 + group * query as f64 + ROW * place as f64;
            let ms = answer.timing.median_ms;
            svg.bar(LEFT, y, (x(ms) - LEFT).max(1.0), ROW - 3.0, COLOURS[place % COLOURS.len()]);
            svg.text(x(ms) + 5.0, y + 12.0, "start", &format!("{ms:.2}"));
        }
    }
    for (query, answer) in lists.iter().enumerate() {
        let y = TOP + 20.0 + group * query as f64 + f64::midpoint(group, 0.0) - 2.0;
        svg.text(LEFT - 10.0, y, "end", &answer.name);
    }
    Some(svg.finish())
}

/// Bytes per event, by table and index.
fn storage(report: &Report) -> Option<String> {
    /// Omits parts below a hundredth of a byte.
    const SHOWN: f64 = 0.01;
    let per_event = |bytes: u64| bytes as f64 / report.tables_events as f64;
    let tables: Vec<_> = report.tables.iter().filter(|table| per_event(table.bytes) > SHOWN).collect();
    let most = per_event(tables.first()?.bytes);
    let bottom = TOP + ROW * tables.len() as f64;
    let mut svg = Svg::new("auditbox's file: bytes per event, by table and index", bottom + 20.0);
    for (place, table) in tables.iter().enumerate() {
        let (y, bytes) = (TOP + ROW * place as f64, per_event(table.bytes));
        let width = (WIDTH - LEFT - RIGHT) * bytes / most;
        svg.bar(LEFT, y, width.max(1.0), ROW - 4.0, COLOURS[0]);
        svg.text(LEFT - 10.0, y + 11.0, "end", &table.name);
        svg.text(LEFT + width + 5.0, y + 11.0, "start", &format!("{bytes:.1}"));
    }
    Some(svg.finish())
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn nice_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= least).unwrap_or(power)
}
