//! Every door and every route: where it is, whether it is open, and what arrived by it since the server started.

use std::{collections::BTreeMap, iter};

use crate::{
    doors::PROTOCOLS,
    http::{
        Context, actions,
        activity::{self, ArrivalState},
    },
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
    let mut arrivals: BTreeMap<_, _> = context.activity.all(now).collect();
    let mut all = Vec::new();
    for door in Door::ALL {
        let arrivals_of_door = arrivals.remove(door.name()).unwrap_or_default();
        let is_http = PROTOCOLS.iter().any(|protocol| protocol.door == door);
        let has_listeners = arrivals.keys().any(|name| door_of_listener(name) == Some(door));
        // Of a protocol with listeners, each listener is described instead.
        if is_http || (door == Door::Syslog && !has_listeners) {
            all.push(Overview {
                name: door.name(),
                kind: Kind::Door,
                addresses: paths(door, &context.path_prefix),
                is_open: is_http && !context.closed_doors.contains(&door),
                presets: presets(context, door),
                arrivals: arrivals_of_door,
            });
        }
    }
    let mut others: Vec<_> =
        arrivals.into_iter().filter_map(|(name, arrivals)| other(context, name, arrivals)).collect();
    others.sort_by_key(|one| (one.kind, one.name));
    all.append(&mut others);
    all
}

/// Describes the listener or the route whose records are counted under a name.
fn other<'c>(context: &'c Context, name: &'c str, arrivals: ArrivalState) -> Option<Overview<'c>> {
    if let Some(door) = door_of_listener(name) {
        let listener = context.listeners.get(name);
        let addresses = listener.map(|listener| listener.address.clone()).into_iter().collect();
        let presets = listener.map_or_else(|| presets(context, door), |listener| vec![listener.preset.as_str()]);
        return Some(Overview { name, kind: Kind::Listener, addresses, is_open: true, presets, arrivals });
    }
    let route = context.routes.iter().find(|route| activity::name_of_route(&route.name) == name)?;
    let (addresses, presets) = (vec![format!("/{name}")], vec![route.preset.as_str()]);
    Some(Overview { name, kind: Kind::Route, addresses, is_open: true, presets, arrivals })
}

/// The paths of a door, whose parameters lose their patterns.
fn paths(door: Door, prefix: &str) -> Vec<String> {
    let paths = actions::paths_of_door(door.name()).into_iter();
    paths.map(|path| format!("{prefix}{}", actions::without_patterns(path))).collect()
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
