//! `doctor` and `reindex`: checking a file, and rebuilding its index.

use crate::{
    cli::{
        bar::TerminalProgress,
        failure::Failure,
        output::{Output, counted},
    },
    config::Config,
    store::{self, Finding, Remedy, Report},
};

/// Checks the configured file and prints the problems. Writes nothing.
pub(super) fn examine(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let report = {
        let bar = TerminalProgress::default();
        store::examine(&config.database.path, &bar)?
    };
    print(&report, out);
    let path = config.database.path.display();
    let (events, chunks) = (counted(report.events, "event"), counted(report.chunks.into(), "chunk"));
    out.line(format_args!("{path}: {events} read, {chunks} of the index compared"));
    if report.dropped > 0 {
        let dropped = counted(report.dropped, "event");
        out.line(format_args!("Retention has deleted {dropped}; the log contains a record of each deletion."));
    }
    if report.without_checksum > 0 {
        let older = report.without_checksum;
        let subject = if older == 1 { "1 event was".to_owned() } else { format!("{older} events were") };
        out.line(format_args!(
            "{subject} stored before events had checksums, so fewer of their parts can be checked (see schema.sql)."
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
             programs have written to the file at once: make sure that only one does. To remove the duplicates, restore a \
             backup from before them (`auditbox restore`) and send the later events again; or keep the file unchanged."
        ));
    }
    Err(Failure::new(wrong.join("\n")))
}

/// One line with the remedies for the damage, if there is any.
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
        "can only be repaired from a backup (`auditbox restore`): keep a copy of the file; everything that is not named here \
         is intact and is served.",
    );
    let reindex = part(Remedy::Reindex, "concern only the index, which `auditbox reindex` rebuilds from the events.");
    vec![format!("{} things are wrong.{restore}{reindex}", report.findings.len())]
}

/// Prints each problem with its remedy.
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

/// Rebuilds the index of the configured file.
pub(super) fn reindex(config: &Config, out: &mut Output) -> Result<(), Failure> {
    {
        let bar = TerminalProgress::default();
        store::reindex(&config.database.path, &bar)?;
    }
    out.line(format_args!("The index of {} is rebuilt.", config.database.path.display()));
    Ok(())
}
