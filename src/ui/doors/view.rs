//! The data of the page of doors.

use askama::Template;

use crate::{
    doors::{Kind, Overview, overview},
    http::Context,
    model::{door::Door, timestamp::Timestamp, zone::Zone},
    ui::{
        doors::senders::{SENDERS, Sender, Step, Values},
        formatted_time::{FormattedTime, grouped},
        markup::filters,
        page::Shell,
    },
};

/// The page.
#[derive(Template)]
#[template(path = "doors/page.html")]
pub(super) struct Doors {
    shell: Shell,
    rows: Vec<DoorRow>,
    since: FormattedTime,
    /// Whether anything arrived, or was refused, since the server started.
    has_arrivals: bool,
    setup: Option<Setup>,
    senders: &'static [Sender],
}

/// A door, a listener or a route.
struct DoorRow {
    name: String,
    kind: &'static str,
    addresses: Vec<String>,
    is_open: bool,
    /// How to open it, if it is closed.
    advice: Option<&'static str>,
    presets: String,
    last_minute: String,
    stored: String,
    duplicates: String,
    rejected: Count,
    unmapped: Count,
    refused: Count,
    /// Number of dropped datagrams, if there are any.
    dropped: Option<String>,
    last: Option<FormattedTime>,
    problem: Option<DoorProblem>,
}

/// A number that should be zero.
struct Count {
    text: String,
    is_zero: bool,
}

/// The last problem of a door.
struct DoorProblem {
    at: FormattedTime,
    message: String,
    sample: Option<String>,
}

/// The lines of a sender, and the form that creates a credential for it.
pub(super) struct Setup {
    sender: &'static Sender,
    steps: Vec<Step>,
    /// The name of the credential.
    name: String,
    /// The door of the sender, if it is closed.
    closed: Option<&'static str>,
    is_created: bool,
    refusal: Option<String>,
}

impl Setup {
    /// The setup of a sender with these values, for a credential with this name.
    pub(super) fn new(sender: &'static Sender, values: &Values, name: String, context: &Context) -> Self {
        let closed = sender.door.filter(|door| context.closed_doors.contains(door));
        let (steps, closed) = (sender.steps(values), closed.map(Door::name));
        Self { sender, steps, name, closed, is_created: false, refusal: None }
    }

    /// The same with a credential that was just created.
    pub(super) fn created(self) -> Self {
        Self { is_created: true, ..self }
    }

    /// The same with a credential that could not be created.
    pub(super) fn refused(self, message: &str) -> Self {
        Self { refusal: Some(message.to_owned()), ..self }
    }
}

impl Doors {
    pub(super) fn new(shell: Shell, context: &Context, setup: Option<Setup>, now: Timestamp) -> Self {
        let all = overview(context, now);
        let has_arrivals = all.iter().any(|one| one.arrivals.last.is_some() || one.arrivals.last_problem.is_some());
        let rows = all.into_iter().map(|one| row(one, now)).collect();
        let since = FormattedTime::new(context.started, &Zone::utc(), now);
        Self { shell, rows, since, has_arrivals, setup, senders: SENDERS }
    }

    /// Whether this sender is chosen.
    fn has_chosen(&self, id: &str) -> bool {
        self.setup.as_ref().is_some_and(|setup| setup.sender.id == id)
    }
}

fn row(one: Overview<'_>, now: Timestamp) -> DoorRow {
    let show = |at| FormattedTime::new(at, &Zone::utc(), now);
    let arrivals = one.arrivals;
    let count = |number| Count { text: grouped(number), is_zero: number == 0 };
    let advice = match one.kind {
        _ if one.is_open => None,
        Kind::Door if one.addresses.is_empty() => Some("no [[syslog]] listener"),
        _ => Some("in [doors] disabled"),
    };
    DoorRow {
        name: one.name.to_owned(),
        kind: one.kind.name(),
        // The name of a route is its address.
        addresses: if one.kind == Kind::Route { Vec::new() } else { one.addresses },
        is_open: one.is_open,
        advice,
        presets: one.presets.join(", "),
        last_minute: grouped(arrivals.of_last_minute),
        stored: grouped(arrivals.stored),
        duplicates: grouped(arrivals.duplicates),
        rejected: count(arrivals.rejected),
        unmapped: count(arrivals.unmapped),
        refused: count(arrivals.refused),
        dropped: (arrivals.dropped > 0).then(|| grouped(arrivals.dropped)),
        last: arrivals.last.map(show),
        problem: arrivals.last_problem.map(|(at, problem)| DoorProblem {
            at: show(at),
            message: problem.message,
            sample: problem.sample,
        }),
    }
}
