//! `backup` and `restore`: a copy of the file, and putting one in its place.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{Failure, bar::Bar, doctor, output::Output},
    config::Config,
    store,
};

/// Copy the file while the server runs, and look the copy through
///
/// The copy holds everything: events, credentials (secrets as hashes) and the key that signs access tokens. It is readable
/// by its owner alone; keep it so. It gets its name only when it is whole, on disk, and found sound.
#[derive(Args)]
#[command(after_help = "\
Example:
  auditbox backup /mnt/backup/auditbox-monday.db --config /etc/auditbox.toml")]
pub(super) struct BackupArguments {
    /// The file to make
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// Replace DEST if it is there
    #[arg(long)]
    force: bool,
}

/// Put a backup in the file's place; the server must be stopped
///
/// The backup is looked through first, and brought to the present format if it is older. Clients that follow the log from
/// a place that the backup does not have are told so (422, `cursor`), and begin again without it.
#[derive(Args)]
#[command(after_help = "\
Example:
  auditbox restore /mnt/backup/auditbox-monday.db --force --config /etc/auditbox.toml")]
pub(super) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Move the file that is there aside, instead of refusing
    #[arg(long)]
    force: bool,
}

/// Makes a backup of the configured file.
pub(super) fn backup(config: &Config, arguments: &BackupArguments, out: &mut Output) -> Result<(), Failure> {
    let made = {
        let bar = Bar::default();
        store::backup(&config.database.path, &arguments.destination, arguments.force, &bar)?
    };
    doctor::print(&made.report, out);
    let path = made.path.display();
    if made.report.findings.is_empty() {
        let events = made.report.events;
        out.line(format_args!("{path}: {events} events, sound. It holds the key that signs tokens: keep it private."));
        return Ok(());
    }
    Err(Failure::new(format!("the copy is not sound, as the file itself is not; it is kept as {path}")))
}

/// Puts a backup in the place of the configured file.
pub(super) fn restore(config: &Config, arguments: &RestoreArguments, out: &mut Output) -> Result<(), Failure> {
    let path = &config.database.path;
    let restored = {
        let bar = Bar::default();
        store::restore(path, &arguments.source, arguments.force, &bar)?
    };
    doctor::print(&restored.report, out);
    if !restored.report.findings.is_empty() {
        let source = arguments.source.display();
        return Err(Failure::new(format!("{source} is not sound; nothing was changed")));
    }
    if let Some(aside) = restored.aside {
        out.line(format_args!("What was there is now {}.", aside.display()));
    }
    out.line(format_args!("{}: {} events, sound.", path.display(), restored.report.events));
    Ok(())
}
