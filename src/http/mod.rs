//! What every request shares, whether it is answered with JSON or with a page.
//!
//! The context that handlers work with, who calls and what they may do (`caller`), what every request goes through
//! (`middleware`) and what the record calls it (`actions`), bodies and query strings within their bounds, and the one
//! table of errors. Nothing here knows what a route answers.

pub(crate) mod actions;
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
pub(crate) mod reading;
mod refusals;
pub(crate) mod session;
mod streams;
pub(crate) mod success;
mod unread;

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse};
use ipnet::IpNet;

pub use body::BodyLimits;
pub use connections::{Connection, Connections, Member, newest};
pub use error::ApiError;
pub(crate) use fallback::{nothing_at, resource};
pub use metrics::Metrics;
pub use middleware::{authenticate, trace};
pub use refusals::report_refusals;
pub use streams::Streams;
pub(crate) use streams::{NoStreamPermit, StreamPermit};
pub use unread::{keep_unread, malformed_chunks};

use crate::{
    auth::{Authenticator, Recorder},
    model::{
        limits::{EventLimits, QueryLimits},
        mask::Mask,
        resource_type::Catalogue,
        self_audit::RequestMask,
        timestamp::Timestamp,
    },
    store::{Reader, Writer},
};

/// What handlers work with: handles and limits. Made once, shared by all.
pub struct Context {
    /// Reads the file.
    pub reader: Reader,
    /// Writes it.
    pub writer: Writer,
    /// Lets clients in.
    pub authenticator: Authenticator,
    /// Keeps the record of requests.
    pub recorder: Recorder,
    /// What events are held to.
    pub event_limits: EventLimits,
    /// What is masked in events.
    pub mask: Arc<Mask>,
    /// What is masked in the paths of requests made to this server itself.
    pub request_mask: RequestMask,
    /// What queries are held to.
    pub query_limits: QueryLimits,
    /// How long one query may take.
    pub query_within: Duration,
    /// Events in one request, at most.
    pub batch_events_max: usize,
    /// What request bodies are held to.
    pub body_limits: BodyLimits,
    /// Who may speak for another address in `X-Forwarded-For`.
    pub trusted_proxies: Vec<IpNet>,
    /// What resource types are called.
    pub resource_types: Catalogue,
    /// Answers that do not end by themselves.
    pub streams: Streams,
    /// Counters of requests.
    pub metrics: Arc<Metrics>,
    /// When the server started.
    pub started: Timestamp,
    /// Whether clients talk TLS to this process itself.
    pub serves_tls: bool,
    /// How an error is told to whoever reads pages.
    pub error_page: fn(&HttpRequest, ApiError) -> HttpResponse,
}

impl Context {
    /// Whether this address is a trusted proxy's.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxy| proxy.contains(&address.to_canonical()))
    }
}
