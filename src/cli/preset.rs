//! `preset`: lists presets, shows one, and tries one on a file of records.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    cli::{
        failure::Failure,
        input,
        output::{Output, counted},
    },
    config::Config,
    model::{
        limits::EventLimits,
        mapping::{MappedRecord, Mapping, Presets, Record, UNMAPPED},
        mask::Mask,
    },
};

/// Maximum number of bytes of a file of records, after decompression. The command is for samples.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Maximum number of records that are shown in full.
const RECORDS_SHOWN: usize = 100;

/// Try the presets that turn records of other systems into events
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  auditbox preset list
  auditbox preset show cloudtrail
  auditbox preset test cloudtrail sample.json.gz")]
pub(super) enum PresetCommand {
    /// List the presets: those of the program, and those of the configuration
    #[command(after_help = "Example:\n  auditbox preset list")]
    List,
    /// Print a preset as TOML
    #[command(after_help = "Example:\n  auditbox preset show cloudtrail")]
    Show {
        /// The name of the preset
        name: String,
    },
    Test(TestArguments),
}

/// Run a preset's own tests, or try it on a file
///
/// With a file, prints the event of each record, and which values of the record the event has only in its additionalData. Nothing
/// is stored.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox preset test                                   the tests of every preset
  auditbox preset test cloudtrail sample.json.gz         the events of a file
  auditbox preset test mine sample.ndjson --config auditbox.toml")]
pub(super) struct TestArguments {
    /// The name of the preset; without one, every preset is tested
    name: Option<String>,
    /// A file of records, plain or compressed with gzip or zstd; - is standard input
    #[arg(requires = "name")]
    file: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(config: &Config, command: &PresetCommand, out: &mut Output) -> Result<(), Failure> {
    let presets = &config.presets;
    match command {
        PresetCommand::List => {
            list(presets, out);
            Ok(())
        }
        PresetCommand::Show { name } => {
            out.lines(find(presets, name)?.source());
            Ok(())
        }
        PresetCommand::Test(TestArguments { name: Some(name), file: Some(file) }) => {
            try_file(&find(presets, name)?, file, &config.limits.event(), out)
        }
        PresetCommand::Test(TestArguments { name, .. }) => {
            let names = name.as_deref().map_or_else(|| presets.names(), |name| vec![name]);
            for name in names {
                let mapping = find(presets, name)?;
                mapping.check().map_err(|error| Failure::new(format!("{name}: {error}")))?;
                out.line(format_args!("{name}: {} tests passed", mapping.tests()));
            }
            Ok(())
        }
    }
}

fn find(presets: &Presets, name: &str) -> Result<Mapping, Failure> {
    presets.get(name).ok_or_else(|| {
        let names = presets.names().join(", ");
        Failure::usage(format!("{name:?} is not a preset; the presets are {names}"))
    })
}

fn list(presets: &Presets, out: &mut Output) {
    let rows = presets.names().into_iter().filter_map(|name| presets.get(name)).map(|mapping| {
        let origin = if presets.own().any(|own| own.name() == mapping.name()) { "configuration" } else { "auditbox" };
        [mapping.name_and_version(), origin.to_owned(), mapping.title().to_owned()]
    });
    out.table(&["PRESET", "FROM", "FORMAT"], &["FORMAT"], rows);
}

/// What became of the records of a file.
#[derive(Default)]
struct Counts {
    records: usize,
    unmapped: usize,
    with_problems: usize,
    bad: usize,
}

fn try_file(mapping: &Mapping, file: &Path, limits: &EventLimits, out: &mut Output) -> Result<(), Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", file.display()));
    input::check(file).map_err(|error| unreadable(&error))?;
    let mut bytes = Vec::new();
    let input = input::open(file, |_| ()).map_err(|error| unreadable(&error))?;
    input.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(&format_args!("is larger than {FILE_BYTES_MAX} bytes: use a sample")));
    }
    let mut counts = Counts::default();
    for document in mapping.documents(&bytes) {
        match document
            .map_err(|error| error.message)
            .and_then(|text| mapping.records(text).map_err(|error| error.to_string()))
        {
            Ok(records) => records.iter().for_each(|record| one_record(mapping, record, limits, &mut counts, out)),
            Err(error) => {
                counts.bad += 1;
                out.line(error);
            }
        }
    }
    let Counts { records, unmapped, with_problems, bad } = counts;
    if records > RECORDS_SHOWN {
        out.line(format_args!("The first {RECORDS_SHOWN} records are shown."));
    }
    out.line(format_args!(
        "{}: {unmapped} unmapped, {with_problems} with problems; {bad} could not be read",
        counted(records as u64, "record")
    ));
    if bad > 0 { Err(Failure::new(format!("{} could not be read", counted(bad as u64, "record")))) } else { Ok(()) }
}

fn one_record(mapping: &Mapping, record: &Record<'_>, limits: &EventLimits, counts: &mut Counts, out: &mut Output) {
    counts.records += 1;
    let mapped = match mapping.map(record, limits, &Mask::default()) {
        Ok(mapped) => mapped,
        Err(error) => {
            counts.bad += 1;
            out.line(format_args!("record {}: {error}", counts.records));
            return;
        }
    };
    counts.with_problems += usize::from(!mapped.problems().is_empty());
    let event = without_record(&mapped);
    counts.unmapped += usize::from(event["resourceType"] == UNMAPPED);
    if counts.records > RECORDS_SHOWN {
        return;
    }
    out.line(format_args!("record {}", counts.records));
    out.lines(format_args!("{event:#}"));
    if !mapped.problems().is_empty() {
        out.line(format_args!("problems: {}", mapped.problems().join("; ")));
    }
    let rest = mapping.explain(record, limits).unmapped;
    if !rest.is_empty() {
        out.line(format_args!("only in additionalData: {}", rest.join(" ")));
    }
    out.line("");
}

/// The event without its `additionalData`, which is the record.
fn without_record(mapped: &MappedRecord) -> Value {
    let mut event: Value = serde_json::from_str(mapped.event()).unwrap_or_default();
    if let Value::Object(members) = &mut event {
        members.shift_remove("additionalData");
    }
    event
}
