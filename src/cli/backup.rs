//! `backup` and `restore`: copying the database file, and replacing it with a copy.

use std::path::PathBuf;

use clap::Args;

use crate::{
    cli::{
        bar::TerminalProgress,
        doctor,
        failure::Failure,
        output::{Output, counted},
    },
    config::Config,
    model::credential::Credential,
    store::{self, Access, Difference, RestoreOptions},
};

/// Copy the file while the server runs, and check the copy
///
/// The copy contains everything: events, credentials (secrets as hashes) and the key that signs access tokens. Only its owner
/// can read it; keep it private. It gets its name when it is complete, checked and on disk.
#[derive(Args)]
#[command(after_help = "\
Example:
  auditbox backup /mnt/backup/auditbox-monday.db --config /etc/auditbox.toml")]
pub(super) struct BackupArguments {
    /// The file to create
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// Replace DEST if it exists
    #[arg(long)]
    force: bool,
}

/// Replace the file with a backup; the server must be stopped
///
/// First the backup is checked, together with its write-ahead log if there is one, and an older format is upgraded.
/// Credentials revoked or disabled since the backup stay so; ended sessions and used sign-in links stay invalid. A program
/// that follows the log from a position that the restored log does not have gets 422 (`cursor`), with the cursor from which
/// it misses nothing.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox restore /mnt/backup/auditbox-monday.db --force --config /etc/auditbox.toml
  auditbox restore auditbox.db.before-20240501120000 --force     undo that")]
pub(super) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Move an existing file aside instead of failing
    #[arg(long)]
    force: bool,
    /// Accept the credentials as the backup has them, including those revoked, disabled or restricted since
    #[arg(long)]
    revive: bool,
}

/// Backs up the configured file.
pub(super) fn backup(config: &Config, arguments: &BackupArguments, out: &mut Output) -> Result<(), Failure> {
    let made = {
        let bar = TerminalProgress::default();
        store::backup(&config.database.path, &arguments.destination, arguments.force, &bar)?
    };
    doctor::print(&made.report, out);
    let path = made.path.display();
    if made.report.findings.is_empty() {
        let events = counted(made.report.events, "event");
        out.line(format_args!("{path}: {events}, sound. It holds the key that signs tokens: keep it private."));
        return Ok(());
    }
    Err(Failure::new(format!("the copy is damaged because the file itself is; it is kept as {path}")))
}

/// Replaces the configured file with a backup.
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
        return Err(Failure::new(format!("{source} is damaged; nothing was changed")));
    }
    let events = counted(restored.report.events, "event");
    out.line(format_args!("{}: {events} from the backup, sound.", path.display()));
    if let Some(aside) = &restored.aside {
        out.line(format_args!("The replaced file is now {}.", aside.display()));
    }
    match restored.undone {
        Some((shared, newest)) if shared < newest => {
            out.line(format_args!("The backup does not contain its events {} to {newest}.", shared + 1));
        }
        _ => {}
    }
    match &restored.access {
        Some(access) => print_access(access, out),
        None => out.line(
            "Credentials are as the backup has them: no readable file shows which of them were revoked since. Check them with \
             `auditbox credential list`.",
        ),
    }
    Ok(())
}

/// Lists the credentials that differ from the backup or from the replaced file.
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
        "Restrictions kept from the replaced file (--revive accepts these credentials as the backup has them):",
        differences(&access.restricted),
    );
    print("Revived, although the replaced file restricts them:", differences(&access.revived));
    print(
        "Disabled, as in the backup (`auditbox credential enable` enables them again):",
        credentials(&access.disabled, "enabled since"),
    );
    print(
        "Created after the backup, and lost (`auditbox credential create`):",
        credentials(&access.lost, "not in the backup"),
    );
    if access.tickets > 0 {
        out.line(format_args!(
            "Ended sessions and used sign-in links stay invalid: {} more than in the backup.",
            access.tickets
        ));
    }
    if access.key_kept {
        out.line("The signing key is that of the replaced file: tokens signed with the backup's key are invalid.");
    }
}
