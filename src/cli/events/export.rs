//! `export`: every event that matches, as NDJSON or CSV.

use std::{
    cell::{Cell, RefCell},
    io::{self, BufRead, BufReader, ErrorKind},
};

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::{
    api::CsvRows,
    cli::{
        client::{Client, ServerArguments},
        events::{
            flags::{Asked, Flags, Given},
            log::{self, Log},
        },
        failure::Failure,
        output::{Output, counted},
    },
    config::Config,
    model::list_params::Accepts,
    store::{PageReader, Reader, Slice},
};

/// Bytes of events fetched from the file at once.
const SLICE_BYTES: usize = 1024 * 1024;
/// The beginning of a line in the place of a damaged event.
const DAMAGED: &[u8] = b"{\"damaged\":";

/// The flags of `export`.
pub(super) struct ExportFlags;

impl Flags for ExportFlags {
    const WITHOUT: &'static [&'static str] = &["count", "facets", "histogram"];
    const ACCEPTS: Accepts = Accepts::List;
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Ndjson,
    Csv,
}

/// Write every event that matches to standard output, as NDJSON or CSV
///
/// `auditbox import` reads the NDJSON. In CSV, a cell that a spreadsheet would run as a formula begins with an apostrophe.
/// If the exit code is not 0, the output is not complete.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox export --sort received --order asc > events.ndjson
  auditbox export --format csv --entity checkout --from 30d > checkout.csv")]
pub(in crate::cli) struct ExportArguments {
    /// ndjson or csv
    #[arg(long, value_enum, default_value_t = Format::Ndjson)]
    format: Format,
    #[command(flatten)]
    filters: Given<ExportFlags>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Writes the events.
pub(in crate::cli) fn run(config: &Config, arguments: &ExportArguments, out: &mut Output) -> Result<(), Failure> {
    if arguments.format == Format::Csv && arguments.filters.has("includes") {
        return Err(Failure::usage("--includes is for ndjson; the columns of csv are always the same"));
    }
    let asked = arguments.filters.parse(config, &arguments.server, &[])?;
    let (format, has_begun) = (arguments.format, Cell::new(false));
    let shared = RefCell::new(out);
    let damaged = Log::open(config, &arguments.server)?.read(
        |client| from_server(client, &asked, format, &has_begun, &mut shared.borrow_mut()),
        || has_begun.get(),
        |reader| from_file(reader, &asked, format, &mut shared.borrow_mut()),
    )?;
    match damaged {
        0 => Ok(()),
        1 => Err(Failure::new(
            "1 event is damaged, and a line in its place says so; `auditbox doctor` describes the damage",
        )),
        _ => Err(Failure::new(format!(
            "{damaged} events are damaged, and a line in the place of each says so; `auditbox doctor` describes the damage"
        ))),
    }
}

fn from_file(reader: &Reader, asked: &Asked, format: Format, out: &mut Output) -> Result<usize, Failure> {
    let query = asked.params.query(&asked.limits).map_err(|error| Failure::usage(error.to_string()))?;
    log::report_incomplete_in(reader, &query.filter, &[]);
    let lease = reader.unbounded();
    lease.beginning(&query)?;
    let (mut rows, mut damaged) = ((format == Format::Csv).then(CsvRows::new), 0);
    let mut events = PageReader::all(query.clone());
    while !out.is_lost()
        && let Some(slice) = events.next(&lease, SLICE_BYTES)?
    {
        damaged += slice.damaged().count();
        match &mut rows {
            Some(rows) => {
                let rows = rows.write(&slice).map_err(|error| Failure::new(error.to_string()))?;
                out.text_lines(&rows);
            }
            None => write_lines(&slice, asked, out),
        }
    }
    Ok(damaged)
}

fn write_lines(slice: &Slice, asked: &Asked, out: &mut Output) {
    for (_, event) in &slice.events {
        match (event, &asked.params.includes) {
            (Ok(body), None) => out.event(body),
            (Ok(body), Some(includes)) => out.event(&includes.project(body)),
            // No event, so that an import of the file stops here.
            (Err(damaged), _) => out.event(&json!({ "damaged": damaged.to_json() }).to_string()),
        };
    }
}

/// The failure of an export whose response ended early, after this number of lines.
fn incomplete(lines: u64, error: &io::Error) -> Failure {
    // The decompressor's words for the end of the connection are about the compression.
    let text = error.to_string();
    let what = if error.kind() == ErrorKind::UnexpectedEof || text.contains("disconnected") {
        "the server closed the connection".to_owned()
    } else {
        text
    };
    Failure::new(format!("the export is incomplete: {what} after {}", counted(lines, "line")))
        .with_advice("Run the same export again: what it has written so far is sound, but not complete.")
}

fn from_server(
    client: &Client,
    asked: &Asked,
    format: Format,
    has_begun: &Cell<bool>,
    out: &mut Output,
) -> Result<usize, Failure> {
    let name = if format == Format::Csv { "csv" } else { "ndjson" };
    let mut more = vec![("format", name.to_owned())];
    more.extend(asked.params.limit.map(|limit| ("limit", limit.to_string())));
    more.extend(asked.cursor().map(|cursor| ("cursor", cursor.to_owned())));
    let response = log::success(client.get(&format!("/v1/audit-log/export?{}", asked.query_string(&more)))?)?;
    log::report_incomplete_of(&response);
    has_begun.set(true);
    let (mut input, mut line, mut damaged, mut lines) = (BufReader::new(log::body(response)), Vec::new(), 0, 0_u64);
    loop {
        line.clear();
        let length = input.read_until(b'\n', &mut line).map_err(|error| incomplete(lines, &error))?;
        lines += 1;
        if length == 0 || out.is_lost() {
            return Ok(damaged);
        }
        damaged += usize::from(format == Format::Ndjson && line.starts_with(DAMAGED));
        out.text_lines(&line);
    }
}
