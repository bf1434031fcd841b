//! Events related to an event: of the same entity, of the same run, and by the same actor around the same time.

use crate::{
    http::ApiError,
    model::{
        field::Field,
        limits::QueryLimits,
        list_params::{ListParams, Range},
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

/// Maximum number of events of each list. The page links to the whole list.
const EVENTS_SHOWN: usize = 8;
/// Maximum number of bytes of events that are read for one list.
const BYTES_MAX: usize = 1024 * 1024;
/// Seconds before and after an event in which the actor's other events are listed.
const AROUND_SECONDS: i64 = 5 * 60;

/// A list of related events.
#[derive(Debug)]
pub(super) struct Related {
    pub(super) title: String,
    pub(super) rows: Vec<EventRow>,
    pub(super) count: String,
    /// The URL of the whole list.
    pub(super) href: String,
    /// The URL of the event itself, which the list marks.
    pub(super) this: String,
}

/// Finds each list that holds more than the event itself. Calls block.
pub(super) fn find(
    lease: &Lease,
    event: &EventView,
    params: &ListParams,
    labels: &Labels,
    limits: &QueryLimits,
) -> Result<Vec<Related>, ApiError> {
    let all = ListParams { include_own: event.is_own(), limit: Some(EVENTS_SHOWN), count: Some(true), ..params.all() };
    let with = |field, value: Option<&str>| all.clone().with(field, false, value?);
    let mut lists = Vec::new();
    if let (Some(entity), Some(history)) = (&event.context.entity, with(Field::Entity, event.context.entity.as_deref()))
    {
        let blueprint = event.context.blueprint.as_deref();
        let within = blueprint.and_then(|blueprint| history.clone().with(Field::Blueprint, false, blueprint));
        lists.push((format!("History of {entity}"), within.unwrap_or(history)));
    }
    if let (Some(run), Some(list)) = (&event.context.run, with(Field::Run, event.context.run.as_deref())) {
        lists.push((format!("The same run, {run}"), list));
    }
    let actor = event.actor.id.as_deref().or(event.actor_name());
    if let (Some(name), Some(list), Some(at)) =
        (event.actor_name().or(actor), with(Field::Actor, actor), event.ordered_at())
    {
        let near = |seconds| Some(at.plus_seconds(seconds));
        let range = Range::Between { from: near(-AROUND_SECONDS), to: near(AROUND_SECONDS) };
        lists.push((format!("{name}, five minutes before and after"), list.within(range)));
    }
    let mut found = Vec::new();
    for (title, list) in lists {
        let opened = PageReader::list(lease, list.query(limits)?, BYTES_MAX)?;
        let count = opened.count.unwrap_or_default();
        if count > 1 {
            let now = Timestamp::now();
            let rows = opened.first.events.iter().map(|(_, event)| EventRow::of(event, labels, &params.zone, now));
            found.push(Related {
                title: truncated(&title, NAME_CHARS),
                rows: rows.collect(),
                count: grouped(count),
                href: list.href(),
                this: event_href(&event.identifier, &params.zone),
            });
        }
    }
    Ok(found)
}
