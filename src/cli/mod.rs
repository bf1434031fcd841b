//! The command line: one module a command.
//!
//! Exit codes: 0 when the command did what it was asked, 1 when it failed, 2 when it was asked wrongly. Results go to
//! standard output; progress, warnings and errors to standard error.

mod backup;
mod bar;
mod client;
mod credential;
mod demo;
mod doctor;
mod generate;
mod import;
mod login_link;
mod output;
mod query;
mod retention;
mod serve;
mod source;
mod status;
mod usage;

use std::{env, fmt, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    config::{Config, ConfigError, Loaded},
    model::error::FieldError,
    server::StartError,
    store::{AppendError, BackupError, ChangeError, CloseError, OpenError, ReadError, WriteError},
    terminal,
};
use output::Output;

/// A self-hosted audit log: who did what, to what, when, and what changed.
///
/// Without a command it serves, as `auditbox serve` does.
#[derive(Parser)]
#[command(
    name = "auditbox",
    version = generate::version(),
    max_term_width = 100,
    after_help = "\
Examples:
  auditbox                                   serve on 127.0.0.1:8686, events in ./auditbox.db
  auditbox demo                              a throw-away log full of synthetic events
  auditbox import events.ndjson.zst          events from a file into the log
  auditbox query --entity api --status FAILURE"
)]
struct CommandLine {
    /// The configuration file (config.example.toml shows every key); without one, the defaults
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
    Query(query::QueryArguments),
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    LoginLink(login_link::LoginLinkArguments),
    /// Read the configuration, say what is wrong with it, and print what is in force
    #[command(after_help = "Example:\n  auditbox check-config --config auditbox.toml")]
    CheckConfig,
    Healthcheck(status::StatusArguments),
    Demo(demo::DemoArguments),
    /// Read every event of the file, check the index against them, and find identifiers that two events have; writes nothing,
    /// and may run while the server runs
    #[command(after_help = "Example:\n  AUDITBOX_DATABASE_PATH=/var/lib/auditbox/auditbox.db auditbox doctor")]
    Doctor,
    Retention(retention::RetentionArguments),
    /// Make the index of the file anew from its events; where that fails, it stays as it was. The server must be stopped
    #[command(after_help = "Example:\n  AUDITBOX_DATABASE_PATH=/var/lib/auditbox/auditbox.db auditbox reindex")]
    Reindex,
    Backup(backup::BackupArguments),
    Restore(backup::RestoreArguments),
    Completions(generate::CompletionArguments),
    Man(generate::ManArguments),
}

/// Runs the command that the process was started with.
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
        Command::Query(arguments) => query::run(&config()?, &arguments, out),
        Command::Credential(command) => credential::run(&config()?, command, out),
        Command::LoginLink(arguments) => login_link::run(&config()?, &arguments, out),
        Command::CheckConfig => {
            out.generated(load()?.toml.as_bytes());
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

/// The variables that are text. Any program may have set others; one of auditbox's own must be understood, save for a
/// path, which need not be text.
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

/// Why a command ended early, and with which code.
#[derive(Debug)]
struct Failure {
    message: String,
    /// Whether the message has lines, which only the parser of the configuration makes.
    is_in_lines: bool,
    /// What to do next, in a line after it.
    advice: Option<String>,
    code: ExitCode,
}

impl Failure {
    /// The command could not do what it was asked.
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_in_lines: false, advice: None, code: ExitCode::FAILURE }
    }

    /// The command was asked wrongly.
    fn usage(message: impl Into<String>) -> Self {
        Self { code: ExitCode::from(2), ..Self::new(message) }
    }

    /// The same, followed by what to do next.
    fn with_advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Writes the failure to standard error; returns the exit code.
    fn report(self) -> ExitCode {
        let message = format_args!("auditbox: {}", self.message);
        if self.is_in_lines {
            terminal::lines(message);
        } else {
            terminal::line(message);
        }
        if let Some(advice) = self.advice {
            terminal::line(advice);
        }
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        // The parser shows the line that it cannot read, and where in it.
        Self { is_in_lines: matches!(error, ConfigError::Toml { .. }), ..Self::new(error.to_string()) }
    }
}

macro_rules! failures {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.to_string())
            }
        })*
    };
}

failures!(BackupError, OpenError, CloseError, ReadError, WriteError, AppendError, ChangeError);
failures!(FieldError, StartError, std::io::Error, serde_json::Error);
