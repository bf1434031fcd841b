//! The parameters of the API as flags.

use std::{borrow::Cow, collections::HashSet, marker::PhantomData};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::{
    cli::{client::ServerArguments, failure::Failure},
    config::Config,
    model::{
        duration,
        field::{FIELDS, FieldSpec},
        limits::QueryLimits,
        list_params::{Accepts, ListParams, PagePosition},
        query::{CONTROLS, Control},
        stats::STATS_CONTROLS,
        timestamp::Timestamp,
    },
    store,
};

/// Parameters without an effect, which programs may send.
const WITHOUT_EFFECT: [&str; 5] = ["page", "per_page", "include_deleted_entities", "search", "highlight"];
/// Help for parameters that mean more on the command line, or less.
const HELP: &[(&str, &str)] = &[
    ("from", "Earliest event time, included: 24h or 7d (before now), 2024-05-01, 2024-05-01T12:00, or with an offset"),
    ("to", "Latest event time, included, in the same forms: a date covers that day, a minute that minute"),
    (
        "tz",
        "Time zone of --from and --to without an offset, and of times in tables: UTC (the default), Europe/Berlin, +02:00",
    ),
    ("limit", "Maximum number of events"),
    ("includes", "The only keys of each event; in a table, the columns. May be repeated, or a comma list"),
    ("cursor", "Continue after the page that ended with this cursor"),
    ("count", "Also print the number of matching events"),
    ("include_own", "Include auditbox's records of requests made to itself"),
];
/// What the API says of an invalid time, and what the command line says, where a time may be a duration.
const NOT_A_DATE: &str = "is not a date";
const NOT_A_TIME: &str = "is not a duration of a second or more such as 24h or 7d, nor a date";
/// Parameters whose values may begin with a hyphen.
const HYPHENS: [&str; 3] = ["q", "from", "to"];
/// Parameters whose values may name fields.
const NAMING_FIELDS: [&str; 2] = ["q", "facets"];
/// Parameters that are true or false.
const SWITCHES: [&str; 2] = ["count", "include_own"];

/// The flags of one command.
pub(super) trait Flags {
    /// The parameters that the command does not have.
    const WITHOUT: &'static [&'static str];
    /// The parameters that the API accepts.
    const ACCEPTS: Accepts;
    /// The only parameters that the command has, if they are few.
    const ONLY: Option<&'static [&'static str]> = None;
}

/// The flags for declared fields, and what precedes the name of the parameter.
const FIELD_FLAGS: [(&str, &str, &str); 2] = [
    (
        "field",
        "",
        "A declared field and a value that it must have; given more than once for one field, any of the values",
    ),
    ("not-field", "not.", "Exclude events that --field would match"),
];

/// The flags that were given, as parameters in order.
pub(super) struct Given<F> {
    pairs: Vec<(&'static str, String)>,
    /// The parameters of declared fields among them.
    declared: Vec<&'static str>,
    flags: PhantomData<F>,
}

/// Valid parameters.
pub(super) struct Asked {
    pub(super) params: ListParams,
    /// The limits of queries, without a maximum for the number of events.
    pub(super) limits: QueryLimits,
    /// The parameters for a server. Times are instants, because the clock and the time zone of this command count.
    pairs: Vec<(&'static str, String)>,
    /// The times that the durations in --from and --to meant, as they are written in flags.
    resolved: Vec<(&'static str, String)>,
}

impl<F: Flags> Given<F> {
    /// Whether a parameter was given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| *known == name)
    }

    /// Parses the flags, and `more` parameters of the command. Invalid ones are a usage error.
    pub(super) fn parse(
        &self,
        config: &Config,
        server: &ServerArguments,
        more: &[(&'static str, String)],
    ) -> Result<Asked, Failure> {
        let now = Timestamp::now();
        let is_remote = server.is_given();
        if !is_remote && (!self.declared.is_empty() || NAMING_FIELDS.iter().any(|name| self.has(name))) {
            // A missing or unreadable file is reported when it is opened.
            let _ = store::declare_fields(&config.database.path);
        }
        let before_now = |value: &str| {
            // `-24h` means the same.
            let duration = value.strip_prefix('-').unwrap_or(value);
            let seconds = i64::try_from(duration::parse_seconds(duration).ok()?).ok()?;
            Some(now.plus_seconds(-seconds).to_string())
        };
        let pairs = self.pairs.iter().chain(more).map(|(name, value)| match *name {
            "from" | "to" => (*name, before_now(value).unwrap_or_else(|| value.clone())),
            _ => (*name, value.clone()),
        });
        let mut pairs: Vec<_> = pairs.collect();
        let given_as = self.pairs.iter().zip(&pairs).filter(|(given, read)| given.1 != read.1);
        let resolved = given_as.map(|(_, read)| read.clone()).collect();
        let limits = QueryLimits { list_default: usize::MAX / 2, list_max: usize::MAX / 2, ..config.limits.query() };
        let given = pairs.iter().map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(value.as_str())));
        let mut params = ListParams::parse(given, F::ACCEPTS, &limits, now);
        if is_remote {
            // Only that server knows its declared fields.
            params.problems.retain(|problem| !self.may_name_field(&problem.parameter));
        }
        let params = params.valid().map_err(|error| Failure::usage(in_flags(&error.to_string())))?;
        let range = params.range.bounds(now);
        let is_replaced = |name| matches!(name, "from" | "to" | "limit" | "cursor");
        pairs.retain(|(name, _)| !is_replaced(*name) && (*name != "tz" || F::ACCEPTS == Accepts::Stats));
        let times = [("from", range.from), ("to", range.to)].into_iter();
        pairs.extend(times.filter_map(|(name, at)| Some((name, at?.to_string()))));
        Ok(Asked { params, limits, pairs, resolved })
    }

    /// Whether a parameter is one of a declared field, or may have the name of one in its value.
    fn may_name_field(&self, parameter: &str) -> bool {
        NAMING_FIELDS.contains(&parameter) || self.declared.contains(&parameter)
    }
}

impl Asked {
    /// The query string for a server, with these parameters and others.
    pub(super) fn query_string(&self, more: &[(&str, String)]) -> String {
        let pairs = self
            .pairs
            .iter()
            .map(|(name, value)| (*name, value))
            .chain(more.iter().map(|(name, value)| (*name, value)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    /// The flags with the times that durations meant, each after a space; empty without durations.
    pub(super) fn resolved_flags(&self) -> String {
        let flags = self.resolved.iter().map(|(name, time)| format!(" --{} {time}", flag(name)));
        flags.collect()
    }

    /// The cursor after which to begin.
    pub(super) fn cursor(&self) -> Option<&str> {
        match &self.params.position {
            PagePosition::After(cursor) => Some(cursor),
            PagePosition::First | PagePosition::Before(_) => None,
        }
    }
}

/// An error of parameters in the words of the command line.
pub(super) fn in_flags(message: &str) -> String {
    let is_name = |name: &str| {
        let known = name.strip_prefix("not.").unwrap_or(name);
        let controls = CONTROLS.iter().chain(STATS_CONTROLS).map(|control| control.name);
        FIELDS.iter().filter_map(FieldSpec::name).chain(controls).any(|own| own == known)
    };
    let named = |part: &str| match part.split_once(": ") {
        Some((name @ ("from" | "to"), rest)) => format!("--{name}: {}", rest.replacen(NOT_A_DATE, NOT_A_TIME, 1)),
        Some((name, rest)) if is_name(name) => format!("--{}: {rest}", flag(name)),
        _ => part.to_owned(),
    };
    message.split("; ").map(named).collect::<Vec<_>>().join("; ")
}

/// Every parameter of a command by its canonical name, with its help text.
fn parameters<F: Flags>() -> Vec<(&'static str, String)> {
    let named = FIELDS.iter().filter_map(|spec| Some((spec, spec.name()?)));
    let fields = named.flat_map(|(spec, name)| {
        [(name, spec.summary.to_owned()), (excluded(name), format!("Exclude events that --{} would match", flag(name)))]
    });
    let help = |control: &Control| {
        let known = HELP.iter().find(|(name, _)| *name == control.name);
        (control.name, known.map_or(control.summary, |(_, help)| help).to_owned())
    };
    let mut seen = HashSet::new();
    fields
        .chain(CONTROLS.iter().chain(STATS_CONTROLS).map(help))
        .filter(|(name, _)| !WITHOUT_EFFECT.contains(name) && !F::WITHOUT.contains(name))
        .filter(|(name, _)| F::ONLY.is_none_or(|only| only.contains(name)) && seen.insert(*name))
        .collect()
}

/// `not.` and the parameter. Leaked once for each of a dozen and a half fields: flags live as long as the process.
fn excluded(name: &str) -> &'static str {
    format!("not.{name}").leak()
}

/// Parses the value of a flag for declared fields.
fn parse_field(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !name.contains(['[', ']', '.']) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("write the name of a field, = and a value, such as tenant=acme".to_owned()),
    }
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

impl<F: Flags> Args for Given<F> {
    fn augment_args(command: Command) -> Command {
        let fields = FIELD_FLAGS.into_iter().filter(|_| F::ONLY.is_none());
        let command = fields.fold(command, |command, (name, _, help)| {
            let arg = Arg::new(name).long(name).help(help).value_name("NAME=VALUE");
            command.arg(arg.action(ArgAction::Append).value_parser(parse_field))
        });
        parameters::<F>().into_iter().fold(command, |command, (name, help)| {
            let arg = Arg::new(name).long(flag(name)).help(help);
            command.arg(if SWITCHES.contains(&name) {
                // A value is accepted, as earlier versions required one.
                arg.num_args(0..=1).default_missing_value("true").value_name("true|false").action(ArgAction::Set)
            } else {
                let arg = arg.value_name("VALUE").action(ArgAction::Append).allow_negative_numbers(true);
                arg.allow_hyphen_values(HYPHENS.contains(&name))
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<F: Flags> FromArgMatches for Given<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = parameters::<F>().into_iter().flat_map(|(name, _)| {
            let values = matches.get_many::<String>(name).into_iter().flatten().cloned();
            values.map(move |value| (name, value))
        });
        let of_fields = FIELD_FLAGS.into_iter().filter(|_| F::ONLY.is_none()).flat_map(|(flag, before, _)| {
            let values = matches.get_many::<(String, String)>(flag).into_iter().flatten().cloned();
            values.map(move |(name, value)| (&*format!("{before}{name}").leak(), value))
        });
        let of_fields: Vec<(&'static str, String)> = of_fields.collect();
        let declared = of_fields.iter().map(|(name, _)| *name).collect();
        Ok(Self { pairs: given.chain(of_fields).collect(), declared, flags: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
