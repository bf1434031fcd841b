//! `query`: the endpoint's filters as flags, on the file itself or on a running server.

use std::borrow::Cow;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use serde_json::{Value, value::RawValue};

use crate::{
    cli::{
        client::{ServerArguments, refusal},
        failure::Failure,
        output::Output,
    },
    config::Config,
    model::{event::ORDERED_BY, field::FIELDS, list_params::ListParams, query::CONTROLS},
    store::{self, PageReader},
    terminal,
};

/// Default limit: a screenful or two.
const LIMIT_DEFAULT: &str = "100";
/// Bytes of events fetched from the file at once.
const SLICE_BYTES: usize = 1024 * 1024;

/// Query events; prints a table, or with --json one event per line
///
/// The flags are the parameters of GET /v1/audit-log. A flag given more than once matches any of its values; different flags
/// must all match.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox query --entity api --status FAILURE
  auditbox query --resources entity,blueprint --from 2024-05-01T00:00:00Z --json
  auditbox query --not-actor ci-deployer --status-code 4xx --url http://127.0.0.1:8686 --token abx_…")]
pub(super) struct QueryArguments {
    /// Print one event per line, byte for byte as stored; on a terminal, control characters are escaped
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    server: ServerArguments,
}

/// Prints the events that match.
pub(super) fn run(config: &Config, arguments: &QueryArguments, out: &mut Output) -> Result<(), Failure> {
    let mut pairs = arguments.filters.0.clone();
    if !pairs.iter().any(|(name, _)| *name == "limit") {
        pairs.push(("limit", LIMIT_DEFAULT.to_owned()));
    }
    let found = match arguments.server.client()? {
        Some(client) => {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let mut response = client.get(&format!("/v1/audit-log?{query}"))?;
            if !response.status().is_success() {
                return Err(refusal(response));
            }
            let answer = response.body_mut().with_config().limit(u64::MAX).read_to_string();
            read(&answer.map_err(|error| Failure::new(error.to_string()))?)?
        }
        None => from_file(config, &pairs)?,
    };
    if arguments.json {
        found.bodies.iter().for_each(|body| out.event(body));
    } else {
        print_table(&found, out);
    }
    out.flush();
    // On standard error, so that standard output has only events. The exit code is 1.
    for event in &found.damaged {
        terminal::line(format_args!("damaged, left out: {event}"));
    }
    match found.damaged.len() {
        0 => Ok(()),
        _ => Err(Failure::new(
            "some matching events are damaged and left out; `auditbox doctor` describes the damage, and a backup may have them \
             intact",
        )),
    }
}

/// Events, and the number of all that match if it was requested.
struct Answer {
    bodies: Vec<String>,
    count: Option<u64>,
    /// Descriptions of the damaged events.
    damaged: Vec<Value>,
}

fn from_file(config: &Config, pairs: &[(&str, String)]) -> Result<Answer, Failure> {
    let pairs = pairs.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(value.as_str())));
    let query =
        ListParams::parse_query(pairs, &config.limits.query()).map_err(|error| Failure::usage(error.to_string()))?;
    let reader = store::open_for_reading(&config.database.path)?;
    let lease = reader.unbounded();
    let mut opened = PageReader::list(&lease, query.clone(), SLICE_BYTES)?;
    let (mut bodies, mut damaged) = (Vec::new(), Vec::new());
    let mut slice = Some(opened.first);
    while let Some(events) = slice {
        for (_, event) in events.events {
            match event {
                Ok(body) => bodies.push(body),
                Err(event) => damaged.push(event.to_json()),
            }
        }
        slice = opened.rest.next(&lease, SLICE_BYTES)?;
    }
    if let Some(includes) = &query.includes {
        bodies = bodies.iter().map(|body| includes.project(body)).collect();
    }
    Ok(Answer { bodies, count: opened.count, damaged })
}

fn read(answer: &str) -> Result<Answer, Failure> {
    #[derive(serde::Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        audits: Vec<&'a RawValue>,
        count: Option<u64>,
        damaged: Option<DamagedEvents>,
    }
    #[derive(serde::Deserialize)]
    struct DamagedEvents {
        events: Vec<Value>,
    }
    let Raw { audits, count, damaged } = serde_json::from_str(answer)?;
    let bodies = audits.into_iter().map(|event| event.get().to_owned()).collect();
    Ok(Answer { bodies, count, damaged: damaged.map_or_else(Vec::new, |damaged| damaged.events) })
}

fn print_table(answer: &Answer, out: &mut Output) {
    let events = answer.bodies.iter().map(|body| serde_json::from_str(body).unwrap_or_default());
    let header = ["TIME", "STATUS", "WHO", "ACTION", "RESOURCE", "ENTITY", "REQUEST"];
    out.table(&header, events.map(|event: Value| row(&event)));
    let of_all = answer.count.map_or_else(String::new, |count| format!(" of {count} that match"));
    out.line(format_args!("{} events{of_all}", answer.bodies.len()));
}

fn row(event: &Value) -> [String; 7] {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let (by, context, request) = (&event["trigger"]["by"], &event["context"], &event["request"]);
    let who = [&by["name"], &by["email"], &by["userId"]].into_iter().map(text).find(|who| !who.is_empty());
    let join = |parts: &[&Value], between: &str| {
        parts.iter().map(|part| text(part)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
    };
    let time = match event[ORDERED_BY].as_str() {
        Some("receivedAt") => format!("{} (received)", text(&event["receivedAt"])),
        _ => text(&event["trigger"]["at"]),
    };
    [
        time,
        text(&event["status"]),
        who.unwrap_or_default(),
        text(&event["action"]),
        text(&event["resourceType"]),
        join(&[&context["entity"], &context["blueprint"]], " in "),
        join(&[&request["method"], &request["path"], &request["statusCode"]], " "),
    ]
}

/// One flag for each filter, its exclusion and each other parameter, from the tables that the endpoint uses.
struct Filters(Vec<(&'static str, String)>);

/// Every parameter of the endpoint by its canonical name, with its help text.
fn parameters() -> Vec<(&'static str, String)> {
    let named = FIELDS.iter().filter_map(|spec| Some((spec, spec.name()?)));
    let fields = named.flat_map(|(spec, name)| {
        [(name, spec.summary.to_owned()), (excluded(name), format!("Exclude events that --{} would match", flag(name)))]
    });
    let ignored = ["page", "per_page", "include_deleted_entities", "search"];
    let controls = CONTROLS.iter().filter(|control| !ignored.contains(&control.name));
    fields.chain(controls.map(|control| (control.name, control.summary.to_owned()))).collect()
}

/// `not.` and the parameter. Leaked once for each of a dozen and a half fields: flags live as long as the process.
fn excluded(name: &str) -> &'static str {
    format!("not.{name}").leak()
}

/// `InstallationId` becomes `installation-id`, `run_id` becomes `run-id`, `not.origin` becomes `not-origin`.
fn flag(name: &str) -> String {
    let mut flag = String::new();
    for char in name.chars() {
        match char {
            '_' | '.' => flag.push('-'),
            upper if upper.is_ascii_uppercase() => {
                if !flag.is_empty() && !flag.ends_with('-') {
                    flag.push('-');
                }
                flag.push(upper.to_ascii_lowercase());
            }
            other => flag.push(other),
        }
    }
    flag
}

impl Args for Filters {
    fn augment_args(command: Command) -> Command {
        parameters().into_iter().fold(command, |command, (name, help)| {
            command.arg(Arg::new(name).long(flag(name)).help(help).value_name("VALUE").action(ArgAction::Append))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Filters {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = parameters().into_iter().flat_map(|(name, _)| {
            let values = matches.get_many::<String>(name).into_iter().flatten().cloned();
            values.map(move |value| (name, value))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
