//! `doctor` and `reindex`: looking a file through, and making its index anew.

use crate::{
    cli::{Failure, bar::TerminalProgress, output::Output},
    config::Config,
    store::{self, Finding, Remedy, Report},
};

/// Examines the configured file and prints what is wrong with it. Writes nothing.
pub(super) fn examine(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let report = {
        let bar = TerminalProgress::default();
        store::examine(&config.database.path, &bar)?
    };
    print(&report, out);
    let path = config.database.path.display();
    out.line(format_args!("{path}: {} events read, {} chunks of the index compared", report.events, report.chunks));
    if report.dropped > 0 {
        let dropped = report.dropped;
        out.line(format_args!(
            "{dropped} events were dropped by retention; the records of it are events like any other."
        ));
    }
    if report.without_checksum > 0 {
        let older = report.without_checksum;
        out.line(format_args!(
            "{older} events are from before events had checksums: less of them can be checked (schema.sql says what)."
        ));
    }
    for exposure in &report.exposures {
        out.line(format_args!("Warning: {exposure}"));
    }
    let (_, duplicates) = &report.duplicates;
    if report.findings.is_empty() && *duplicates == 0 {
        out.line("Nothing is wrong.");
        return Ok(());
    }
    let mut wrong = damage(&report);
    if *duplicates > 0 {
        let subject = if *duplicates == 1 { "identifier belongs" } else { "identifiers belong" };
        wrong.push(format!(
            "{duplicates} {subject} to more than one event. No event is lost: each of them is served and counted. Two \
             programs have written to the file at once: make sure that only one does. A backup from before the second of two \
             such events is without them: `auditbox restore` it and send again what came after it, or keep the file as it is."
        ));
    }
    Err(Failure::new(wrong.join("\n")))
}

/// What is to be done about damage, in one line; none, if there is no damage.
fn damage(report: &Report) -> Vec<String> {
    if report.findings.is_empty() {
        return Vec::new();
    }
    let of = |remedy| report.findings.iter().filter(|finding| finding.remedy == remedy).count();
    let part = |remedy, next: &str| match of(remedy) {
        0 => String::new(),
        count => format!(" {count} {next}"),
    };
    let restore = part(
        Remedy::Restore,
        "can only be mended from a backup (`auditbox restore`): keep a copy of the file as it is; what is not named here is \
         whole, and is served.",
    );
    let reindex = part(Remedy::Reindex, "are of the index alone, which `auditbox reindex` makes anew from the events.");
    vec![format!("{} things are wrong.{restore}{reindex}", report.findings.len())]
}

/// Prints what was found, and what is to be done about each.
pub(super) fn print(report: &Report, out: &mut Output) {
    for Finding { subject, message, remedy } in &report.findings {
        let next = match remedy {
            Remedy::Reindex => "reindex",
            Remedy::Restore => "restore",
        };
        out.line(format_args!("{subject}: {message} [{next}]"));
    }
    let (named, count) = &report.duplicates;
    for duplicate in named {
        out.line(duplicate);
    }
    if *count > named.len() as u64 {
        out.line(format_args!("{} more identifiers belong to more than one event", count - named.len() as u64));
    }
}

/// Makes the index of the configured file anew.
pub(super) fn reindex(config: &Config, out: &mut Output) -> Result<(), Failure> {
    {
        let bar = TerminalProgress::default();
        store::reindex(&config.database.path, &bar)?;
    }
    out.line(format_args!("The index of {} is made anew.", config.database.path.display()));
    Ok(())
}
