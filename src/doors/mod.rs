//! Doors: the ways by which other systems deliver records in their own protocols.
//!
//! A door reads the wire format of a protocol, passes the records to `ingest`, and answers what the senders of the protocol need.
//! What belongs here: wire formats, and proofs other than a credential. What does not: mapping (`model/mapping`) and storing
//! (`ingest`). A protocol is a file here, a line in `PROTOCOLS`, its rows in `http::actions`, and a page of the guide.

mod bulk;
mod cloudevents;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hec;
mod kubernetes;
mod otlp;
mod overview;
mod protocol;
mod rate;
mod registry;
mod routes;
mod signature;
pub mod syslog;
mod webhook;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

pub use bulk::index_response;
pub(crate) use overview::{Kind, Overview, overview};
pub use protocol::native_form;
pub use routes::configure;
pub(crate) use webhook::{CHALLENGE, Verification};

use crate::{
    http::activity,
    model::{
        door::Door,
        mapping::{Mapping, Presets},
        route::{
            Route,
            signature::{Key, KeySource},
        },
        syslog::SyslogListener,
    },
};
use protocol::Protocol;
use rate::Rate;
use signature::Checker;

/// The doors that are served over HTTP.
const PROTOCOLS: &[Protocol] =
    &[bulk::PROTOCOL, cloudevents::PROTOCOL, hec::PROTOCOL, kubernetes::PROTOCOL, otlp::PROTOCOL, registry::PROTOCOL];

/// The names under which the records of the doors, of these routes and of these listeners are counted.
pub fn counted_names(routes: &[Route], listeners: &[SyslogListener]) -> impl Iterator<Item = String> {
    let doors = Door::ALL.into_iter().map(|door| door.name().to_owned());
    let listeners = listeners.iter().map(|listener| counted_as_listener(&listener.name));
    doors.chain(routes.iter().map(|route| counted_as(&route.name))).chain(listeners)
}

/// The name under which the records of a route are counted.
fn counted_as(route: &str) -> String {
    activity::name_of_route(route)
}

/// The name under which the records of a listener for syslog are counted.
pub fn counted_as_listener(listener: &str) -> String {
    activity::name_of_listener(Door::Syslog, listener)
}

/// The routes of the configuration, ready to receive. It has no `Debug`, because it holds keys.
pub struct Routes(BTreeMap<String, Arc<ReadyRoute>>);

/// A route, ready to receive.
struct ReadyRoute {
    route: Route,
    mapping: Arc<Mapping>,
    checker: Option<Checker>,
    rate: Option<Rate>,
}

impl Routes {
    /// Compiles the presets of the routes and reads their keys with `read`. The error names the route, and no key.
    pub fn open(
        routes: &[Route],
        presets: &Presets,
        read: impl Fn(&KeySource) -> Result<Key, String>,
    ) -> Result<Self, String> {
        let mut ready_routes = BTreeMap::new();
        for route in routes {
            let name = &route.name;
            let invalid = |message: String| format!("[[routes]] {name}: {message}");
            let mapping = presets.get(&route.preset).ok_or_else(|| invalid(format!("no preset {}", route.preset)))?;
            let checker = route.signature.as_ref().map(|signature| {
                let bytes = |source| read(source).and_then(|key| key.bytes(signature.key_encoding));
                let key = |source| bytes(source).map_err(|message| invalid(format!("{source} {message}")));
                let keys = signature.keys.iter().map(key).collect::<Result<_, _>>()?;
                Ok::<_, String>(Checker::new(signature.clone(), keys))
            });
            let ready = ReadyRoute {
                mapping: Arc::new(mapping),
                checker: checker.transpose()?,
                rate: route.requests_per_second_max.map(|per_second| Rate::new(per_second, Instant::now())),
                route: route.clone(),
            };
            ready_routes.insert(name.clone(), Arc::new(ready));
        }
        Ok(Self(ready_routes))
    }

    fn find(&self, name: &str) -> Option<Arc<ReadyRoute>> {
        self.0.get(name).map(Arc::clone)
    }
}
