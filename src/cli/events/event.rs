//! `event`: one event by its identifier.

use clap::Args;

use crate::{
    cli::{
        client::ServerArguments,
        events::{
            flags::{Flags, Given},
            log::Log,
            query::report_damaged,
        },
        failure::Failure,
        output::Output,
    },
    config::Config,
    model::list_params::Accepts,
};

/// Print one event, byte for byte as stored
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox event deploy-1
  auditbox event deploy-1 --includes diff | jq .")]
pub(in crate::cli) struct EventArguments {
    /// Its identifier
    // An empty filter would be no filter.
    #[arg(value_name = "ID", allow_hyphen_values = true, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    identifier: String,
    #[command(flatten)]
    filters: Given<EventFlags>,
    #[command(flatten)]
    server: ServerArguments,
}

/// The flags of `event`.
pub(super) struct EventFlags;

impl Flags for EventFlags {
    const WITHOUT: &'static [&'static str] = &[];
    const ACCEPTS: Accepts = Accepts::List;
    const ONLY: Option<&'static [&'static str]> = Some(&["includes"]);
}

/// Prints the event.
pub(in crate::cli) fn run(config: &Config, arguments: &EventArguments, out: &mut Output) -> Result<(), Failure> {
    // A list also finds identifiers that are the names of other paths, and auditbox's own records.
    let identifier = ("identifier", arguments.identifier.clone());
    let asked =
        arguments.filters.parse(config, &arguments.server, &[identifier, ("include_own", "true".to_owned())])?;
    let listed = Log::open(config, &arguments.server)?.list(&asked, &mut |event| out.event(event))?;
    out.flush();
    report_damaged(&listed)?;
    match listed.events {
        0 => Err(Failure::new(format!("there is no event {:?}", arguments.identifier))),
        _ => Ok(()),
    }
}
