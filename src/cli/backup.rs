//! `backup` and `restore`: a copy of the file, and putting one in its place.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{Failure, bar::TerminalProgress, doctor, output::Output},
    config::Config,
    model::credential::Credential,
    store::{self, Access, Difference, RestoreOptions},
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
/// The backup is examined first, and brought to the present format if it is older; its write-ahead log is read too, if there
/// is one. What ended since the backup stays ended: revoked and disabled credentials, sessions, used sign-in links. Programs
/// that follow the log from a position that the restored log does not have get 422 (`cursor`), with the cursor from which
/// they miss nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox restore /mnt/backup/auditbox-monday.db --force --config /etc/auditbox.toml
  auditbox restore auditbox.db.before-20240501120000 --force     undo that")]
pub(super) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Set the file that is there aside, instead of refusing
    #[arg(long)]
    force: bool,
    /// Accept credentials as the backup has them, also those revoked, disabled or restricted since
    #[arg(long)]
    revive: bool,
}

/// Makes a backup of the configured file.
pub(super) fn backup(config: &Config, arguments: &BackupArguments, out: &mut Output) -> Result<(), Failure> {
    let made = {
        let bar = TerminalProgress::default();
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
    let options = RestoreOptions { replace: arguments.force, revive: arguments.revive };
    let restored = {
        let bar = TerminalProgress::default();
        store::restore(path, &arguments.source, options, &bar)?
    };
    doctor::print(&restored.report, out);
    if !restored.report.findings.is_empty() {
        let source = arguments.source.display();
        return Err(Failure::new(format!("{source} is not sound; nothing was changed")));
    }
    out.line(format_args!("{}: {} events from the backup, sound.", path.display(), restored.report.events));
    if let Some(aside) = &restored.aside {
        out.line(format_args!("The file that was there is now {}.", aside.display()));
    }
    match restored.undone {
        Some((shared, newest)) if shared < newest => {
            out.line(format_args!("The backup does not have its events {} to {newest}.", shared + 1));
        }
        _ => {}
    }
    match &restored.access {
        Some(access) => print_access(access, out),
        None => out.line(
            "Credentials are as the backup has them: there was no file, or none that can be read, to learn from which of \
             them were revoked since. Check them with `auditbox credential list`.",
        ),
    }
    Ok(())
}

/// Says which credentials are not as the backup has them, and which are that were not before.
fn print_access(access: &Access, out: &mut Output) {
    let mut print = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            out.line(title);
            for line in lines {
                out.line(format_args!("  {line}"));
            }
        }
    };
    let line = |credential: &Credential, what: &str| {
        format!("{} ({}): {what}", credential.name.as_str(), credential.client_id.as_str())
    };
    let differences = |all: &[Difference]| all.iter().map(|one| line(&one.credential, &one.what)).collect();
    let credentials = |all: &[Credential], what: &str| all.iter().map(|one| line(one, what)).collect();
    print(
        "Restrictions kept from that file (--revive accepts these credentials as the backup has them):",
        differences(&access.restricted),
    );
    print("Revived, though that file restricts them:", differences(&access.revived));
    print(
        "Disabled, as in the backup (`auditbox credential enable` enables them again):",
        credentials(&access.disabled, "enabled since"),
    );
    print(
        "Made after the backup, and lost (`auditbox credential create`):",
        credentials(&access.lost, "not in the backup"),
    );
    if access.tickets > 0 {
        out.line(format_args!(
            "Sessions that have ended and sign-in links that were used stay so: {} more than in the backup.",
            access.tickets
        ));
    }
    if access.key_kept {
        out.line("The signing key is the one of the replaced file: what the backup's key signed is not valid.");
    }
}
