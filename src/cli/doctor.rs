//! `doctor` and `reindex`: looking a file through, and making its index anew.

use crate::{
    cli::{Failure, bar::Bar},
    config::Config,
    store,
};

/// Looks the configured file through and prints what is wrong with it. Writes nothing.
pub(super) fn examine(config: &Config) -> Result<(), Failure> {
    let report = {
        let bar = Bar::default();
        store::examine(&config.database.path, &bar)?
    };
    for finding in &report.findings {
        println!("{}: {}", finding.subject, finding.message);
    }
    let path = config.database.path.display();
    println!("{path}: {} events read, {} chunks of the index compared", report.events, report.chunks);
    if report.dropped > 0 {
        println!("{} events were dropped by retention; the records of it are events like any other.", report.dropped);
    }
    match report.findings.len() {
        0 => {
            println!("Nothing is wrong.");
            Ok(())
        }
        found => Err(Failure::new(format!(
            "{found} things are wrong. If they are of the index, `auditbox reindex` makes it anew from the events; an event \
             that is damaged can only be had from a backup: keep a copy of the file as it is"
        ))),
    }
}

/// Makes the index of the configured file anew.
pub(super) fn reindex(config: &Config) -> Result<(), Failure> {
    {
        let bar = Bar::default();
        store::reindex(&config.database.path, &bar)?;
    }
    println!("The index of {} is made anew.", config.database.path.display());
    Ok(())
}
