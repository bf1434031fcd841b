//! Counters of requests, for monitoring. Counting is an atomic addition and waits for nothing.
//!
//! Labels are constants of this program (routes, their methods, statuses) or names of the configuration, never a client's input:
//! the number of counters is bounded, and they reveal no data.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use actix_web::{HttpRequest, http::StatusCode};

use crate::{http::actions, model::route::Route};

/// Each of these statuses has a counter.
const STATUSES: std::ops::Range<u16> = 100..600;
/// Method and route of a request that matches no route.
const NO_ROUTE: (&str, &str) = ("other", "none");

/// The outcome of an event that a client sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ingested {
    /// It was new and is stored.
    Stored,
    /// It was stored before, with the same content.
    Duplicate,
    /// Its identifier belongs to an event with other content.
    Conflict,
    /// It is invalid.
    Rejected,
}

impl Ingested {
    /// Every outcome with its name.
    pub(crate) const ALL: [(Self, &'static str); 4] = [
        (Self::Stored, "stored"),
        (Self::Duplicate, "duplicate"),
        (Self::Conflict, "conflict"),
        (Self::Rejected, "rejected"),
    ];
}

/// Counters of requests since the start. Shared by all workers.
#[derive(Debug)]
pub struct Metrics {
    /// One counter for each status, for each route of the table of actions and, last, for requests without a route.
    requests: Vec<Vec<AtomicU64>>,
    /// One counter for each status, for each route of the configuration, by its name.
    deliveries: Vec<(String, Vec<AtomicU64>)>,
    ingested: [AtomicU64; Ingested::ALL.len()],
    connections: Arc<AtomicU64>,
}

impl Metrics {
    /// Counters of a server whose configuration has routes with these names.
    pub fn new(names: impl Iterator<Item = String>) -> Self {
        let counters = || STATUSES.map(|_| AtomicU64::new(0)).collect();
        let routes = actions::routes().count() + 1;
        Self {
            requests: (0..routes).map(|_| counters()).collect(),
            deliveries: names.map(|name| (name, counters())).collect(),
            ingested: std::array::from_fn(|_| AtomicU64::new(0)),
            connections: Arc::default(),
        }
    }

    /// Counts a request that was answered with this status. `route` is the route of the configuration that it was sent to.
    pub(super) fn answered(&self, request: &HttpRequest, status: StatusCode, route: Option<&Route>) {
        let counters = route.and_then(|route| self.deliveries.iter().find(|(name, _)| *name == route.name));
        let route = actions::row_of(request).unwrap_or(self.requests.len() - 1);
        let status = usize::from(status.as_u16() - STATUSES.start);
        // HTTP has no status beyond 599; one would be counted nowhere.
        let of_delivery = counters.and_then(|(_, counters)| counters.get(status));
        for counter in self.requests[route].get(status).into_iter().chain(of_delivery) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts events with this outcome.
    pub(crate) fn ingested(&self, outcome: Ingested, events: usize) {
        self.ingested[outcome as usize].fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Counts a connection until the returned guard is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(&self.connections))
    }

    /// Each method, route and status that was counted, with the number of requests.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u16, u64)> {
        let routes = actions::routes().chain([NO_ROUTE]).zip(&self.requests);
        routes.flat_map(|((method, route), counters)| {
            counted(counters).map(move |(status, count)| (method, route, status, count))
        })
    }

    /// Each route of the configuration with each status that was counted, and the number of requests.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = (&str, u16, u64)> {
        self.deliveries
            .iter()
            .flat_map(|(name, counters)| counted(counters).map(|(status, count)| (&**name, status, count)))
    }

    /// Each outcome, with the number of events.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Ingested::ALL.into_iter().map(|(outcome, name)| (name, self.ingested[outcome as usize].load(Ordering::Relaxed)))
    }

    /// Number of open connections.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// The statuses that were counted, with the number of requests.
fn counted(counters: &[AtomicU64]) -> impl Iterator<Item = (u16, u64)> {
    let counts = STATUSES.zip(counters).map(|(status, counter)| (status, counter.load(Ordering::Relaxed)));
    counts.filter(|(_, count)| *count > 0)
}

/// A connection that is counted while this exists.
#[derive(Debug)]
pub struct OpenConnection(Arc<AtomicU64>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
