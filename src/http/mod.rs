//! What the JSON API and the pages share.
//!
//! The context of handlers, callers and their permissions (`caller`), the middleware, the names of requests in the audit
//! log (`actions`), bounded bodies and query strings, streamed responses (`pieces`), connections, and the table of errors.
//! The content of a response belongs to `api` or `ui`; listening and TLS belong to `server`.

pub(crate) mod actions;
pub(crate) mod activity;
pub(crate) mod body;
pub(crate) mod caller;
mod connections;
pub(crate) mod error;
mod fallback;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod gzip;
pub(crate) mod manage;
pub(crate) mod metrics;
mod middleware;
pub(crate) mod origin;
pub(crate) mod parameters;
pub(crate) mod pieces;
mod presented;
pub(crate) mod reading;
mod refusals;
mod sample;
pub(crate) mod schema;
mod secret_path;
pub(crate) mod session;
mod streams;
mod unread;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;

pub use activity::Activity;
pub use body::BodyLimits;
pub use connections::{Connection, Connections, Member, newest};
pub use error::ApiError;
pub(crate) use error::NativeForm;
pub(crate) use fallback::{nothing_at, resource};
pub use metrics::Metrics;
pub(crate) use middleware::hold_connection;
pub use middleware::{authenticate, trace};
pub(crate) use presented::TOKEN_PARAMETER;
pub use refusals::report_refusals;
pub(crate) use secret_path::without_secret;
pub use streams::Streams;
pub(crate) use streams::{NoStreamPermit, StreamPermit};
pub use unread::{keep_unread, malformed_chunks};

use crate::{
    auth::{Authenticator, Recorder},
    model::{
        door::Door,
        limits::{EventLimits, QueryLimits},
        mapping::CompiledPresets,
        mask::Mask,
        resource_type::Catalog,
        route::Route,
        self_audit::RequestMask,
        timestamp::Timestamp,
    },
    store::{Reader, Writer},
};

/// The handles and limits that all handlers share.
pub struct Context {
    /// The address on which the server listens.
    pub address: SocketAddr,
    /// Reads from the file.
    pub reader: Reader,
    /// Writes to the file.
    pub writer: Writer,
    /// Authenticates clients.
    pub authenticator: Authenticator,
    /// Records requests.
    pub recorder: Recorder,
    /// Limits of events.
    pub event_limits: EventLimits,
    /// The rules that mask secrets in events.
    pub mask: Arc<Mask>,
    /// The routes of the configuration.
    pub routes: Vec<Route>,
    /// What turns records of other systems into events.
    pub presets: CompiledPresets,
    /// The rules that mask secrets in the recorded paths of requests to this server.
    pub request_mask: RequestMask,
    /// Limits of queries.
    pub query_limits: QueryLimits,
    /// Maximum duration of a query.
    pub query_within: Duration,
    /// Maximum number of events in a request.
    pub batch_events_max: usize,
    /// Limits of request bodies.
    pub body_limits: BodyLimits,
    /// Proxies whose `X-Forwarded-*` headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Display names of resource types.
    pub resource_types: Catalog,
    /// The open live streams.
    pub streams: Streams,
    /// What precedes the paths of the doors.
    pub path_prefix: String,
    /// The listeners of protocols that are not served over HTTP, by the name under which their records are counted.
    pub listeners: BTreeMap<String, Listener>,
    /// The doors that the configuration closes.
    pub closed_doors: Vec<Door>,
    /// The presets of senders whose records are not what their door usually carries, by the name of the credential.
    pub sender_presets: BTreeMap<String, String>,
    /// What arrived by the doors and routes.
    pub activity: Activity,
    /// Counters of requests.
    pub metrics: Arc<Metrics>,
    /// When the server started.
    pub started: Timestamp,
    /// Whether this process serves TLS itself.
    pub serves_tls: bool,
    /// Renders an error as a page.
    pub error_page: fn(&HttpRequest, ApiError) -> HttpResponse,
    /// How the senders of the protocol of a request expect errors.
    pub native_form: fn(&HttpRequest) -> Option<NativeForm>,
}

/// A listener of a protocol that is not served over HTTP.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where it listens, with the transport: `tcp 0.0.0.0:6514`.
    pub address: String,
    /// The name of the preset that maps its records.
    pub preset: String,
}

impl Context {
    /// The route of the configuration that a request is sent to.
    pub(crate) fn route_of(&self, request: &HttpRequest) -> Option<&Route> {
        let name = secret_path::route(request.path())?;
        self.routes.iter().find(|route| route.name == name)
    }

    /// The preset of the records that the credential with this name sends to a door.
    pub(crate) fn preset_of(&self, credential: &str, door: Door) -> &str {
        self.sender_presets.get(credential).map_or(door.preset(), String::as_str)
    }

    /// Whether this is the address of a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxy| proxy.contains(&address.to_canonical()))
    }
}
