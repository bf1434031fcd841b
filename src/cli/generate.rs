//! `completions` and `man`: descriptions of the command line for shells and for `man`.

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    cli::{CommandLine, failure::Failure, output::Output},
    store,
};

/// Print a completion script for a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox completions bash > /usr/share/bash-completion/completions/auditbox
  auditbox completions zsh > ~/.zfunc/_auditbox")]
pub(super) struct CompletionArguments {
    /// The shell
    shell: Shell,
}

/// Print the manual page of auditbox or of one of its commands
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox man | man -l -
  auditbox man credential create > auditbox-credential-create.1")]
pub(super) struct ManArguments {
    /// The command; without one, auditbox itself
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// What `--version` prints after the program's name.
pub(super) fn version() -> String {
    let commit = option_env!("AUDITBOX_COMMIT").unwrap_or("unknown");
    format!("{} (commit {commit}, SQLite {})", env!("CARGO_PKG_VERSION"), store::sqlite_version())
}

/// Prints a shell's script.
pub(super) fn completions(arguments: &CompletionArguments, out: &mut Output) {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut CommandLine::command(), "auditbox", &mut script);
    out.generated(&script);
}

/// Prints a manual page.
pub(super) fn man(arguments: &ManArguments, out: &mut Output) -> Result<(), Failure> {
    let mut program = CommandLine::command();
    // Adds the global options and the full name to each command.
    program.build();
    let command = arguments.command.iter().try_fold(&program, |command, name| {
        let find = |known: &&Command| known.get_name() == name;
        command.get_subcommands().find(find).ok_or_else(|| {
            let known: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
            Failure::usage(format!(
                "{} has no command {name:?}: choose one of {}",
                command.get_name(),
                known.join(", ")
            ))
        })
    })?;
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    out.generated(&page);
    Ok(())
}
