//! `retention`: what is past its time, before it is dropped; and an operator's word that the clock is right.

use clap::Args;

use crate::{
    cli::{Failure, output::Output},
    config::Config,
    model::{retention::KeepBy, timestamp::Timestamp},
    store::{self, Due},
};

/// Say what of the log is past its time, rule by rule; nothing is deleted
///
/// The running server deletes it, within a day and an hour. Of sealed parts of the log that hold events past their time, the
/// first look reads every event: some seconds for each million.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox retention --config auditbox.toml
  AUDITBOX_RETENTION_KEEP_DAYS=90 auditbox retention   what another number would drop
  auditbox retention --trust-clock                     after the server has said that the clock is far ahead")]
pub(super) struct RetentionArguments {
    /// Only say what would be dropped: what the command does without this, too
    #[arg(long)]
    dry_run: bool,
    /// Let the server drop by the present time, which it has refused because the clock is far ahead of the log
    #[arg(long, conflicts_with = "dry_run")]
    trust_clock: bool,
}

/// Prints what would be dropped, or believes the clock.
pub(super) fn run(config: &Config, arguments: &RetentionArguments, out: &mut Output) -> Result<(), Failure> {
    let (path, now) = (&config.database.path, Timestamp::now());
    if arguments.trust_clock {
        store::trust_clock(path, now)?;
        out.line(format_args!("{now} is believed: a running server goes on within a minute."));
        return Ok(());
    }
    if config.retention.keep_everything() {
        out.line("[retention] is not set: every event is kept for ever.");
        return Ok(());
    }
    let dues = store::open_for_reading(path)?.unbounded().due(&config.retention, now)?;
    if dues.is_empty() {
        out.line("Nothing is past its time.");
        return Ok(());
    }
    out.table(&["RULE", "BEFORE", "RESOURCE TYPE", "EVENTS", "EARLIEST", "LATEST"], dues.iter().map(row));
    let events: u64 = dues.iter().map(|due| due.count).sum();
    let counted = match config.retention.kept_by() {
        KeepBy::Both => "Ages count from an event's own time or its receipt, whichever is later.",
        KeepBy::EventTime => "Ages count from an event's own time (keep_by = \"event_time\").",
    };
    out.line(format_args!("{events} events are past their time. Nothing was dropped: the server does that. {counted}"));
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
