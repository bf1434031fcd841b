//! Events related to an event: of the same entity, of the same run, and by the same actor around the same time. Each list is a
//! window around the event, which it marks.

use crate::{
    http::ApiError,
    model::{
        cursor::Position,
        field::Field,
        limits::QueryLimits,
        list_params::{ListParams, Range},
        query::Query,
        timestamp::Timestamp,
    },
    store::{Lease, PageReader},
    ui::{
        event_view::EventView,
        formatted_time::grouped,
        labels::Labels,
        list::EventRow,
        params::event_href,
        wording::{NAME_CHARS, truncated},
    },
};

/// Maximum number of other events of each list, half of them newer if there are enough older ones. The page links to the whole
/// list.
const EVENTS_SHOWN: usize = 8;
/// Maximum number of bytes of events that are read for one side of a list.
const BYTES_MAX: usize = 512 * 1024;
/// Seconds before and after an event in which the actor's other events are listed.
const AROUND_SECONDS: i64 = 5 * 60;

/// The event in the middle.
pub(super) struct Centre<'a> {
    /// Its number in the order of arrival.
    pub(super) seq: i64,
    pub(super) body: &'a str,
    pub(super) event: &'a EventView,
}

/// A list of related events, newest first.
#[derive(Debug)]
pub(super) struct Related {
    /// The title: a name between two texts.
    pub(super) title: (&'static str, String, &'static str),
    pub(super) rows: Vec<EventRow>,
    pub(super) count: String,
    /// The URL of the whole list.
    pub(super) href: String,
    /// The URL of the event itself, which the list marks.
    pub(super) this: String,
    /// The links to the neighbors, if the list is the history of an entity.
    pub(super) steps: Vec<Step>,
}

/// A link to the previous or the next event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) text: &'static str,
    pub(super) href: String,
}

/// Finds each list that holds more than the event itself. Calls block.
pub(super) fn find(
    lease: &Lease,
    centre: &Centre<'_>,
    params: &ListParams,
    labels: &Labels,
    limits: &QueryLimits,
) -> Result<Vec<Related>, ApiError> {
    let event = centre.event;
    let all = ListParams { include_own: event.is_own(), limit: Some(EVENTS_SHOWN), count: Some(true), ..params.all() };
    let with = |field, value: Option<&str>| all.clone().with(field, false, value?);
    let mut lists = Vec::new();
    if let (Some(entity), Some(history)) = (&event.context.entity, with(Field::Entity, event.context.entity.as_deref()))
    {
        let blueprint = event.context.blueprint.as_deref();
        let within = blueprint.and_then(|blueprint| history.clone().with(Field::Blueprint, false, blueprint));
        lists.push((("History of ", entity.as_str(), ""), within.unwrap_or(history), true));
    }
    if let (Some(run), Some(list)) = (&event.context.run, with(Field::Run, event.context.run.as_deref())) {
        lists.push((("The same run, ", run, ""), list, false));
    }
    let actor = event.actor.id.as_deref().or(event.actor_name());
    if let (Some(name), Some(list), Some(at)) =
        (event.actor_name().or(actor), with(Field::Actor, actor), event.ordered_at())
    {
        let near = |seconds| Some(at.plus_seconds(seconds));
        let range = Range::Between { from: near(-AROUND_SECONDS), to: near(AROUND_SECONDS) };
        lists.push((("", name, ", five minutes before and after"), list.within(range), false));
    }
    let mut found = Vec::new();
    for ((before, name, after), list, has_steps) in lists {
        let window = Window::read(lease, centre, &list.query(limits)?, (labels, params))?;
        if window.count > 1 {
            found.push(Related {
                title: (before, truncated(name, NAME_CHARS), after),
                count: grouped(window.count),
                href: list.href(),
                this: event_href(&event.identifier, &params.zone),
                steps: if has_steps { window.steps() } else { Vec::new() },
                rows: window.rows(),
            });
        }
    }
    Ok(found)
}

/// The events around an event, each side beginning with the nearest.
struct Window {
    newer: Vec<EventRow>,
    this: EventRow,
    older: Vec<EventRow>,
    count: u64,
}

impl Window {
    fn read(
        lease: &Lease,
        centre: &Centre<'_>,
        query: &Query,
        (labels, params): (&Labels, &ListParams),
    ) -> Result<Self, ApiError> {
        let now = Timestamp::now();
        let row = |event: &Result<_, _>| EventRow::of(event, labels, &params.zone, now);
        let at = centre.event.ordered_at().unwrap_or(now);
        let after = Some(lease.cursor_at(Position { timestamp: at, seq: centre.seq }));
        let side = |mut query: Query| -> Result<(Vec<EventRow>, u64), ApiError> {
            query.after = after;
            let opened = PageReader::list(lease, query, BYTES_MAX)?;
            let rows = opened.first.events.iter().map(|(_, event)| row(event)).collect();
            Ok((rows, opened.count.unwrap_or_default()))
        };
        let (older, count) = side(query.clone())?;
        let mut reversed = query.clone().reversed();
        reversed.count = false;
        let (newer, _) = side(reversed)?;
        Ok(Self { newer, this: row(&Ok(centre.body.to_owned())), older, count })
    }

    /// The links to the neighbors. A neighbor that only read the entity is passed over if there is another one.
    fn steps(&self) -> Vec<Step> {
        let nearest = |side: &[EventRow], change: &'static str, other: &'static str| {
            let is_event = |row: &&EventRow| row.damaged.is_none();
            let found = side.iter().filter(is_event).find(|row| row.tone != "read");
            let step = |text: &'static str, row: &EventRow| Step { text, href: row.href.clone() };
            found.map(|row| step(change, row)).or_else(|| side.iter().find(is_event).map(|row| step(other, row)))
        };
        let previous = nearest(&self.older, "Previous change", "Previous event");
        let next = nearest(&self.newer, "Next change", "Next event");
        [previous, next].into_iter().flatten().collect()
    }

    /// The nearest events in order, newest first.
    fn rows(self) -> Vec<EventRow> {
        let half = EVENTS_SHOWN / 2;
        let newer = self.newer.len().min(EVENTS_SHOWN - self.older.len().min(half));
        let older = self.older.len().min(EVENTS_SHOWN - newer);
        let newer = self.newer.into_iter().take(newer).collect::<Vec<_>>();
        newer.into_iter().rev().chain([self.this]).chain(self.older.into_iter().take(older)).collect()
    }
}
