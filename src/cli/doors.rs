//! `doors`: the doors and routes of a running server, and what arrived by each.

use std::iter;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    cli::{
        client::{Client, ServerArguments, refusal},
        failure::Failure,
        layout, local,
        output::{Output, counted},
    },
    config::Config,
    model::timestamp::Timestamp,
};

/// The width of the table and of problems in a file or a pipe.
const WIDTH: usize = 80;
/// What precedes the sample of a problem.
const INDENT: &str = "  ";

/// List the doors and routes of the running server, and what arrived by each since it started
///
/// Below the table is the last problem of each, with the beginning of the record. Secrets in it are masked. 1 MIN is the
/// number of records in the last minute, and UNMAPPED that of stored records in which the preset found nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox doors
  auditbox doors --json | jq -r 'select(.rejected > 0).name'
  auditbox doors --url https://audit.example.org --token abx_…")]
pub(super) struct DoorsArguments {
    /// Print one door or route per line as JSON, as GET /v1/doors describes it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// The response of the server.
#[derive(Deserialize)]
struct DoorList<'a> {
    #[serde(borrow)]
    doors: Vec<&'a RawValue>,
}

/// A door or a route.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DoorState {
    name: String,
    state: String,
    stored: u64,
    duplicates: u64,
    rejected: u64,
    unmapped: u64,
    refused: u64,
    dropped: u64,
    records_last_minute: u64,
    last_record_at: Option<String>,
    last_problem: Option<DoorProblem>,
}

#[derive(Deserialize)]
struct DoorProblem {
    at: String,
    message: String,
    sample: Option<String>,
}

/// Prints the doors and routes.
pub(super) fn run(config: &Config, arguments: &DoorsArguments, out: &mut Output) -> Result<(), Failure> {
    let mut response = find(config, &arguments.server)?.get("/v1/doors")?;
    if !response.status().is_success() {
        return Err(refusal(response));
    }
    let text = response.body_mut().read_to_string().map_err(|error| Failure::new(error.to_string()))?;
    let list: DoorList<'_> = serde_json::from_str(&text)?;
    if arguments.json {
        list.doors.iter().all(|door| out.event(door.get()));
        return Ok(());
    }
    let doors = list.doors.iter().map(|door| serde_json::from_str(door.get())).collect::<Result<Vec<_>, _>>()?;
    print(&doors, Timestamp::now(), out);
    Ok(())
}

/// The server that the arguments name, or the one that runs on the file.
fn find(config: &Config, server: &ServerArguments) -> Result<Client, Failure> {
    if let Some(client) = server.client()? {
        return Ok(client);
    }
    let path = &config.database.path;
    local::find(path).ok_or_else(|| {
        Failure::new(format!("no server on this machine has {} open, and only a server counts records", path.display()))
            .with_advice(
                "Start it with `auditbox serve`. If it runs elsewhere, or with TLS, use --url and --token: the token of a \
                 credential with the scope admin.",
            )
    })
}

fn print(doors: &[DoorState], now: Timestamp, out: &mut Output) {
    let header = ["NAME", "STATE", "1 MIN", "STORED", "DUPLICATE", "REJECTED", "UNMAPPED", "LAST"];
    let row = |door: &DoorState| {
        let counts = [door.records_last_minute, door.stored, door.duplicates, door.rejected, door.unmapped].map(short);
        let last = door.last_record_at.as_deref().map_or_else(|| "never".to_owned(), |at| age(at, now));
        [door.name.clone(), door.state.clone()].into_iter().chain(counts).chain([last])
    };
    let width = out.width().unwrap_or(WIDTH);
    out.table_within(Some(width), &header, &["NAME"], doors.iter().map(row));
    for door in doors {
        let Some(problem) = &door.last_problem else { continue };
        out.line("");
        for line in describe(door, problem, now) {
            out.row(&layout::cut(&line, width), false);
        }
    }
}

/// The last problem of a door, in lines.
fn describe(door: &DoorState, problem: &DoorProblem, now: Timestamp) -> Vec<String> {
    let counts = [(door.refused, "refused request"), (door.dropped, "dropped datagram")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, thing)| counted(count, thing));
    let last = format!("{}: last problem {} ago", door.name, age(&problem.at, now));
    let mut lines = vec![iter::once(last).chain(counts).collect::<Vec<_>>().join(", ")];
    lines.push(format!("{INDENT}{}", problem.message));
    lines.extend(problem.sample.as_ref().map(|sample| format!("{INDENT}{sample}")));
    lines
}

/// A number in at most six characters: exact up to 99,999.
fn short(number: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    match UNITS.into_iter().find(|(unit, _)| number >= 100_000 && number >= *unit) {
        Some((unit, name)) => format!("{}.{}{name}", number / unit, number % unit * 10 / unit),
        None => number.to_string(),
    }
}

/// How long ago an instant was, in the largest unit that fits.
fn age(at: &str, now: Timestamp) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let Some(at) = Timestamp::parse(at) else { return "?".to_owned() };
    let seconds = (now.seconds() - at.seconds()).max(0);
    match UNITS.into_iter().find(|(unit, _)| seconds >= *unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0, 99_999, 100_000, 999_999, 1_000_000, 12_345_678_901, u64::MAX].map(short);
        assert_eq!(shown, ["0", "99999", "100.0k", "999.9k", "1.0M", "12.3G", "18446744.0T"]);
    }

    #[test]
    fn ages_have_one_unit() {
        let now = Timestamp::parse("2026-01-02T03:04:05Z").unwrap();
        for (at, expected) in [
            ("2026-01-02T03:04:05Z", "0 s"),
            ("2026-01-02T03:04:06Z", "0 s"),
            ("2026-01-02T03:03:06Z", "59 s"),
            ("2026-01-02T02:03:06Z", "1 h"),
            ("2025-12-02T02:03:06Z", "31 d"),
            ("soon", "?"),
        ] {
            assert_eq!(age(at, now), expected);
        }
    }
}
