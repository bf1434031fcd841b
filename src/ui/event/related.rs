//! What happened around an event: to the same thing, in the same run, by the same actor about the same time.

use std::borrow::Cow;

use crate::{
    http::ApiError,
    model::{field::Field, limits::QueryLimits, query::Query, timestamp::Timestamp},
    store::{Lease, PageReader},
    ui::{
        event_view::EventView,
        formatted_time::grouped,
        labels::Labels,
        list::EventRow,
        params::{ListParams, Range},
    },
};

/// Events of each list that the page shows. The whole of it is behind a link.
const EVENTS_SHOWN: usize = 8;
/// Bytes of events that are read for one list.
const BYTES_MAX: usize = 1024 * 1024;
/// Seconds before and after that are about the same time.
const AROUND_SECONDS: i64 = 5 * 60;

/// A list of events.
#[derive(Debug)]
pub(super) struct Related {
    pub(super) title: String,
    pub(super) rows: Vec<EventRow>,
    pub(super) count: String,
    /// The whole list.
    pub(super) href: String,
    /// The event that the page is about.
    pub(super) this: String,
}

/// Finds each list that holds more than the event itself. Calls block.
pub(super) fn find(
    lease: &Lease,
    entry: &EventView,
    params: &ListParams,
    labels: &Labels,
    limits: &QueryLimits,
) -> Result<Vec<Related>, ApiError> {
    let all = ListParams { include_own: entry.is_own(), ..params.all() };
    let mut lists = Vec::new();
    if let Some(entity) = &entry.context.entity {
        let mut history = all.clone().with(Field::Entity, false, entity);
        if let Some(blueprint) = &entry.context.blueprint {
            history = history.with(Field::Blueprint, false, blueprint);
        }
        lists.push((format!("History of {entity}"), history));
    }
    if let Some(run) = &entry.context.run {
        lists.push((format!("The same run, {run}"), all.clone().with(Field::Run, false, run)));
    }
    let actor = entry.actor.id.as_deref().or(entry.actor_name());
    if let (Some(actor), Some(at)) = (actor, entry.ordered_at()) {
        let near = |seconds| Some(at.plus_seconds(seconds));
        let range = Range::Between { from: near(-AROUND_SECONDS), to: near(AROUND_SECONDS) };
        let name = entry.actor_name().unwrap_or(actor);
        let around = ListParams { range, ..all.with(Field::Actor, false, actor) };
        lists.push((format!("{name}, five minutes before and after"), around));
    }
    let mut found = Vec::new();
    for (title, list) in lists {
        let opened = PageReader::list(lease, query(&list, limits)?, BYTES_MAX)?;
        let count = opened.count.unwrap_or_default();
        if count > 1 {
            let rows = opened
                .first
                .events
                .iter()
                .map(|(_, event)| EventRow::of(event, labels, &params.zone, Timestamp::now()));
            found.push(Related {
                title: super::shortened(&title),
                rows: rows.collect(),
                count: grouped(count),
                href: list.href(),
                this: crate::ui::params::event_href(&entry.identifier, &params.zone),
            });
        }
    }
    Ok(found)
}

fn query(list: &ListParams, limits: &QueryLimits) -> Result<Query, ApiError> {
    let mut pairs = list.filter_pairs();
    pairs.push((Cow::Borrowed("limit"), Cow::Owned(EVENTS_SHOWN.to_string())));
    pairs.push((Cow::Borrowed("count"), Cow::Borrowed("true")));
    Ok(Query::parse(pairs, limits)?)
}
