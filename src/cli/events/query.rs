//! `query`: a list of events as a table, or one event per line.

use clap::Args;

use crate::{
    cli::{
        client::ServerArguments,
        events::{
            flags::{Flags, Given},
            log::{Listed, Log},
            resume,
            table::{self, Table},
        },
        failure::Failure,
        output::{Output, plural},
    },
    config::Config,
    model::list_params::Accepts,
    terminal,
};

/// Number of events in a table without a limit: a screenful or two.
const TABLE_EVENTS: &str = "100";

/// The flags of `query`.
pub(super) struct ListFlags;

impl Flags for ListFlags {
    const WITHOUT: &'static [&'static str] = &["facets", "histogram"];
    const ACCEPTS: Accepts = Accepts::List;
}

/// Query events; prints a table of the newest 100, or with --json every event on one line
///
/// The flags are the parameters of GET /v1/audit-log. A flag given more than once matches any of its values; different flags
/// must all match. The cursor of the next page goes to standard error.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox query --entity api --status FAILURE --from 24h
  auditbox query --resources entity,blueprint --from 2024-05-01 --to 2024-05-31 --tz Europe/Berlin --json
  auditbox query --not-actor ci-deployer --status-code 4xx --url http://127.0.0.1:8686 --token abx_…")]
pub(in crate::cli) struct QueryArguments {
    /// Print one event per line, byte for byte as stored; on a terminal, control characters are escaped
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: Given<ListFlags>,
    #[command(flatten)]
    server: ServerArguments,
}

/// Prints the events that match.
pub(in crate::cli) fn run(config: &Config, arguments: &QueryArguments, out: &mut Output) -> Result<(), Failure> {
    let mut more = Vec::new();
    if !arguments.json {
        // The table says how many there are.
        let defaults = [("limit", TABLE_EVENTS), ("count", "true")].into_iter();
        more.extend(
            defaults.filter(|(name, _)| !arguments.filters.has(name)).map(|(name, text)| (name, text.to_owned())),
        );
    }
    let asked = arguments.filters.parse(config, &arguments.server, &more)?;
    let log = Log::open(config, &arguments.server)?;
    let listed = if arguments.json {
        log.list(&asked, &mut |event| out.event(event))?
    } else {
        let mut table =
            Table::new(asked.params.includes.as_ref(), &asked.params.zone, table::Times::of(&arguments.filters, out));
        let listed = log.list(&asked, &mut |event| table.add(event))?;
        table.print(out);
        listed
    };
    out.flush();
    if !arguments.json {
        terminal::line(summary(&listed));
    } else if let Some(count) = listed.count {
        let verb = if count == 1 { "event matches" } else { "events match" };
        terminal::line(format_args!("{} {verb}", table::grouped(count)));
    }
    if let Some(next) = listed.next.as_ref().filter(|_| !out.is_lost()) {
        resume::print(&asked, next);
    }
    report_damaged(&listed)
}

fn summary(listed: &Listed) -> String {
    let events = table::grouped(listed.events as u64);
    match listed.count {
        Some(count) if count > listed.events as u64 => {
            format!("{events} of {}; use --limit N or --json for more", table::grouped(count))
        }
        _ => format!("{events} event{}", plural(listed.events as u64)),
    }
}

/// Reports damaged events on standard error, so that standard output has only events. They make the command fail.
pub(super) fn report_damaged(listed: &Listed) -> Result<(), Failure> {
    for event in &listed.damaged {
        terminal::line(format_args!("damaged, left out: {event}"));
    }
    match listed.damaged.len() {
        0 => Ok(()),
        _ => Err(Failure::new(
            "some matching events are damaged and left out; `auditbox doctor` describes the damage, and a backup may have them \
             intact",
        )),
    }
}
