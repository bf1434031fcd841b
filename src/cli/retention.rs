//! `retention`: lists expired events before they are deleted, and confirms the clock.

use clap::Args;

use crate::{
    cli::{failure::Failure, output::Output},
    config::Config,
    model::{retention::KeepBy, timestamp::Timestamp},
    store::{self, Due},
};

/// Show which events have expired, rule by rule; deletes nothing
///
/// The running server deletes them within 25 hours. The first run reads every event in those parts of the log that contain
/// expired events: some seconds per million.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox retention --config auditbox.toml
  AUDITBOX_RETENTION_KEEP_DAYS=90 auditbox retention   what another number would delete
  auditbox retention --trust-clock                     after the server has reported that the clock is far ahead")]
pub(super) struct RetentionArguments {
    /// Only show what would be deleted; this is the default
    #[arg(long)]
    dry_run: bool,
    /// Confirm that the clock is right; the server deletes nothing while the clock is far ahead of the log
    #[arg(long, conflicts_with = "dry_run")]
    trust_clock: bool,
}

/// Prints the expired events, or confirms the clock.
pub(super) fn run(config: &Config, arguments: &RetentionArguments, out: &mut Output) -> Result<(), Failure> {
    let (path, now) = (&config.database.path, Timestamp::now());
    if arguments.trust_clock {
        store::trust_clock(path, now)?;
        out.line(format_args!("The time {now} is confirmed: a running server continues within a minute."));
        return Ok(());
    }
    if config.retention.keep_everything() {
        out.line("[retention] is not set: every event is kept forever.");
        return Ok(());
    }
    let dues = store::open_for_reading(path)?.unbounded().due(&config.retention, now)?;
    if dues.is_empty() {
        out.line("No event has expired.");
        return Ok(());
    }
    out.table(
        &["RULE", "BEFORE", "RESOURCE TYPE", "EVENTS", "EARLIEST", "LATEST"],
        &["RULE", "RESOURCE TYPE"],
        dues.iter().map(row),
    );
    let events: u64 = dues.iter().map(|due| due.count).sum();
    let counted = match config.retention.kept_by() {
        KeepBy::Both => "Ages count from an event's own time or its receipt, whichever is later.",
        KeepBy::EventTime => "Ages count from an event's own time (keep_by = \"event_time\").",
    };
    let subject = if events == 1 { "1 event has".to_owned() } else { format!("{events} events have") };
    out.line(format_args!("{subject} expired. Nothing was deleted: the server does that. {counted}"));
    Ok(())
}

fn row(due: &Due) -> [String; 6] {
    [
        due.rule.clone(),
        due.before.to_string(),
        due.resource_type.clone().unwrap_or_else(|| "(others)".to_owned()),
        due.count.to_string(),
        due.times.0.to_string(),
        due.times.1.to_string(),
    ]
}
