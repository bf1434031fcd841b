//! JSON over HTTP: requests in, answers out.
//!
//! A handler parses, makes one call, and renders. What every request shares (trace ids, credentials, the record) is in
//! `middleware`; what a handler may do is in its signature (`caller`). Nothing here builds SQL.

mod body;
mod caller;
mod credentials;
mod error;
mod event;
mod health;
mod ingest;
mod list;
mod middleware;
mod openapi;
mod parameters;
mod routes;
mod stats;
mod token;
mod unread;

use std::net::IpAddr;

use ipnet::IpNet;

pub use body::BodyLimits;
pub use error::ApiError;
pub use middleware::{authenticate, trace};
pub use openapi::document as openapi_document;
pub use routes::configure;
pub use unread::keep_unread;

use crate::{
    access::{Gate, Recorder},
    model::limits::{EventLimits, QueryLimits},
    store::{Reader, Writer},
};

/// What handlers work with: handles and limits. Made once, shared by all.
pub struct Context {
    /// Reads the file.
    pub reader: Reader,
    /// Writes it.
    pub writer: Writer,
    /// Lets clients in.
    pub gate: Gate,
    /// Keeps the record of requests.
    pub recorder: Recorder,
    /// What events are held to.
    pub event_limits: EventLimits,
    /// What queries are held to.
    pub query_limits: QueryLimits,
    /// Events in one request, at most.
    pub batch_events_max: usize,
    /// What request bodies are held to.
    pub body_limits: BodyLimits,
    /// Who may speak for another address in `X-Forwarded-For`.
    pub trusted_proxies: Vec<IpNet>,
}

impl Context {
    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|proxy| proxy.contains(&address.to_canonical()))
    }
}
