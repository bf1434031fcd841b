//! Every door and every route: where it is, whether it is open, and what arrived by it since the server started.

use std::iter;

use crate::{
    doors::PROTOCOLS,
    http::{Context, actions, activity::ArrivalState},
    model::{door::Door, timestamp::Timestamp},
};

/// What a way for records is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A protocol.
    Door,
    /// A listener of a protocol that is not served over HTTP.
    Listener,
    /// A route of the configuration.
    Route,
}

impl Kind {
    /// Every kind with its name.
    pub(crate) const ALL: [(Self, &'static str); 3] =
        [(Self::Door, "door"), (Self::Listener, "listener"), (Self::Route, "route")];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// A way for records, and what arrived by it.
#[derive(Debug)]
pub(crate) struct Overview<'c> {
    /// The name under which its records are counted.
    pub(crate) name: &'c str,
    pub(crate) kind: Kind,
    /// The paths or addresses to which its senders deliver.
    pub(crate) addresses: Vec<String>,
    pub(crate) is_open: bool,
    /// The presets that map its records. The first one is that of the door, and the others are those of certain credentials.
    pub(crate) presets: Vec<&'c str>,
    pub(crate) arrivals: ArrivalState,
}

/// Every door, listener and route, in this order.
pub(crate) fn overview(context: &Context, now: Timestamp) -> Vec<Overview<'_>> {
    let arrivals: Vec<_> = context.activity.all(now).collect();
    let has_listeners = |door: Door| arrivals.iter().any(|(name, _)| door_of_listener(name) == Some(door));
    let listening: Vec<_> = Door::ALL.into_iter().filter(|door| has_listeners(*door)).collect();
    let describe = |(name, arrivals)| describe(context, name, arrivals, &listening);
    let mut all: Vec<_> = arrivals.into_iter().filter_map(describe).collect();
    all.sort_by_key(|one| {
        let place = Door::ALL.iter().position(|door| door.name() == one.name);
        (one.kind, place, one.name)
    });
    all
}

/// Describes what is counted under a name; `None` if it is a door whose listeners are described instead, or one that this
/// program does not serve.
fn describe<'c>(
    context: &'c Context,
    name: &'c str,
    arrivals: ArrivalState,
    listening: &[Door],
) -> Option<Overview<'c>> {
    if let Some(door) = Door::ALL.into_iter().find(|door| door.name() == name) {
        let is_http = PROTOCOLS.iter().any(|protocol| protocol.door == door);
        if listening.contains(&door) || !(is_http || door == Door::Syslog) {
            return None;
        }
        let is_open = is_http && !context.closed_doors.contains(&door);
        let addresses = paths(door, &context.path_prefix);
        let presets = presets(context, door);
        return Some(Overview { name, kind: Kind::Door, addresses, is_open, presets, arrivals });
    }
    if let Some(door) = door_of_listener(name) {
        let listener = context.listeners.get(name);
        let addresses = listener.map(|listener| listener.address.clone()).into_iter().collect();
        let presets = listener.map_or_else(|| presets(context, door), |listener| vec![listener.preset.as_str()]);
        return Some(Overview { name, kind: Kind::Listener, addresses, is_open: true, presets, arrivals });
    }
    let route = context.routes.iter().find(|route| name.strip_prefix("in/") == Some(&route.name))?;
    let (addresses, presets) = (vec![format!("/{name}")], vec![route.preset.as_str()]);
    Some(Overview { name, kind: Kind::Route, addresses, is_open: true, presets, arrivals })
}

/// The paths of a door, whose parameters lose their patterns.
pub(crate) fn paths(door: Door, prefix: &str) -> Vec<String> {
    let plain = |path: &str| actions::without_patterns(path);
    actions::paths_of_door(door.name()).into_iter().map(|path| format!("{prefix}{}", plain(path))).collect()
}

/// The door of a listener, which is counted as `<door>/<listener>`.
fn door_of_listener(name: &str) -> Option<Door> {
    let (door, _) = name.split_once('/')?;
    Door::ALL.into_iter().find(|known| known.name() == door)
}

fn presets(context: &Context, door: Door) -> Vec<&str> {
    let mut presets = Vec::new();
    for preset in iter::once(door.preset()).chain(context.sender_presets.values().map(String::as_str)) {
        if !presets.contains(&preset) {
            presets.push(preset);
        }
    }
    presets
}
