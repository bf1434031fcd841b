//! `doctor` and `reindex`: looking a file through, and making its index anew.

use crate::{
    cli::{Failure, bar::Bar, output::Output},
    config::Config,
    store::{self, Finding, Remedy, Report},
};

/// Looks the configured file through and prints what is wrong with it. Writes nothing.
pub(super) fn examine(config: &Config, out: &mut Output) -> Result<(), Failure> {
    let report = {
        let bar = Bar::default();
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
    if report.findings.is_empty() {
        out.line("Nothing is wrong.");
        return Ok(());
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
    Err(Failure::new(format!("{} things are wrong.{restore}{reindex}", report.findings.len())))
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
}

/// Makes the index of the configured file anew.
pub(super) fn reindex(config: &Config, out: &mut Output) -> Result<(), Failure> {
    {
        let bar = Bar::default();
        store::reindex(&config.database.path, &bar)?;
    }
    out.line(format_args!("The index of {} is made anew.", config.database.path.display()));
    Ok(())
}
