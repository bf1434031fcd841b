//! The command line: one module per command.
//!
//! Exit codes: 0 success, 1 failure, 2 invalid arguments. Results go to standard output; progress, warnings and errors go to
//! standard error.

mod backup;
mod bar;
mod client;
mod credential;
mod demo;
mod doctor;
mod doors;
mod events;
mod failure;
mod follow;
mod generate;
mod import;
mod input;
mod layout;
mod local;
mod login_link;
mod output;
mod preset;
mod retention;
mod serve;
mod status;
mod usage;

use std::{env, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, Loaded},
    terminal,
};
use failure::Failure;
use output::Output;

/// A self-hosted audit log: who did what, to what, when, and what changed.
///
/// Without a command it runs the server, like `auditbox serve`.
#[derive(Parser)]
#[command(
    name = "auditbox",
    version = generate::version(),
    max_term_width = 100,
    after_help = "\
Examples:
  auditbox                                   serve on 127.0.0.1:8686, events in ./auditbox.db
  auditbox demo                              a temporary log with synthetic events
  auditbox import events.ndjson.zst          add the events of a file to the log
  auditbox query --entity api --status FAILURE --from 24h"
)]
struct CommandLine {
    /// Configuration file; without one, every setting has its default (see config.example.toml)
    #[arg(long, value_name = "FILE", global = true, env = "AUDITBOX_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default)
    #[command(after_help = "Example:\n  auditbox serve --config /etc/auditbox.toml")]
    Serve,
    Import(import::ImportArguments),
    Follow(follow::FollowArguments),
    Query(events::QueryArguments),
    Tail(events::TailArguments),
    Export(events::ExportArguments),
    Stats(events::StatsArguments),
    Event(events::EventArguments),
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    LoginLink(login_link::LoginLinkArguments),
    #[command(subcommand)]
    Preset(preset::PresetCommand),
    Doors(doors::DoorsArguments),
    /// Check the configuration and print the settings in effect as TOML
    #[command(after_help = "Example:\n  auditbox check-config --config auditbox.toml")]
    CheckConfig,
    Healthcheck(status::StatusArguments),
    Demo(demo::DemoArguments),
    /// Check every event and the index of the file; writes nothing
    ///
    /// Also finds identifiers that two events share. May run while the server runs.
    #[command(after_help = "Example:\n  AUDITBOX_DATABASE_PATH=/var/lib/auditbox/auditbox.db auditbox doctor")]
    Doctor,
    Retention(retention::RetentionArguments),
    /// Rebuild the index from the events; the server must be stopped
    ///
    /// If this fails, the old index stays.
    #[command(after_help = "Example:\n  AUDITBOX_DATABASE_PATH=/var/lib/auditbox/auditbox.db auditbox reindex")]
    Reindex,
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
    Completions(generate::CompletionArguments),
    Man(generate::ManArguments),
}

/// Runs the command that the process's arguments name.
pub fn run() -> ExitCode {
    terminal::report_panics();
    let mut out = Output::of_process();
    let code = match CommandLine::try_parse() {
        Ok(arguments) => match execute(arguments, &mut out) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                out.flush();
                failure.report()
            }
        },
        Err(error) => usage::explain(error, &mut out),
    };
    out.finish().map_or_else(Failure::report, |()| code)
}

fn execute(arguments: CommandLine, out: &mut Output) -> Result<(), Failure> {
    let load = || -> Result<Loaded, Failure> {
        let loaded = Config::load(arguments.config.as_deref(), variables()?.into_iter())?;
        for warning in &loaded.warnings {
            terminal::line(format_args!("auditbox: {warning}"));
        }
        Ok(loaded)
    };
    let config = || load().map(|loaded| loaded.config);
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&config()?, out),
        Command::Import(arguments) => import::run(&config()?, &arguments, out),
        Command::Follow(arguments) => follow::run(&config()?, arguments),
        Command::Query(arguments) => events::query(&config()?, &arguments, out),
        Command::Tail(arguments) => events::tail(&config()?, &arguments, out),
        Command::Export(arguments) => events::export(&config()?, &arguments, out),
        Command::Stats(arguments) => events::stats(&config()?, &arguments, out),
        Command::Event(arguments) => events::event(&config()?, &arguments, out),
        Command::Credential(command) => credential::run(&config()?, command, out),
        Command::LoginLink(arguments) => login_link::run(&config()?, &arguments, out),
        Command::Doors(arguments) => doors::run(&config()?, &arguments, out),
        Command::Preset(command) => preset::run(&config()?, &command, out),
        Command::CheckConfig => {
            out.generated(load()?.effective.as_bytes());
            Ok(())
        }
        Command::Healthcheck(arguments) => status::healthcheck(&config()?, &arguments, out),
        Command::Demo(arguments) => demo::run(config()?, &arguments, out),
        Command::Doctor => doctor::examine(&config()?, out),
        Command::Retention(arguments) => retention::run(&config()?, &arguments, out),
        Command::Reindex => doctor::reindex(&config()?, out),
        Command::Backup(arguments) => backup::backup(&config()?, &arguments, out),
        Command::Restore(arguments) => backup::restore(&config()?, &arguments, out),
        // These need no configuration, not even a valid one.
        Command::Completions(arguments) => {
            generate::completions(&arguments, out);
            Ok(())
        }
        Command::Man(arguments) => generate::man(&arguments, out),
    }
}

/// The environment variables that are UTF-8. Other programs may set variables that are not; one of auditbox's own must be
/// UTF-8, except for a path.
fn variables() -> Result<Vec<(String, String)>, Failure> {
    let mut variables = Vec::new();
    for (name, value) in env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => variables.push((name, value)),
            (Ok(name), Err(_)) if name.starts_with("AUDITBOX_") && name != "AUDITBOX_CONFIG" => {
                return Err(Failure::new(format!("{name}: is not UTF-8")));
            }
            _ => {}
        }
    }
    Ok(variables)
}
