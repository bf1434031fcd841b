//! Answers that do not end by themselves: how many there may be, for all and for one credential, and how they end with
//! the server.
//!
//! A stream that is read ends by itself when it hears that the server stops. One whose client does not read cannot: its
//! last bytes wait for the client. Its connection is cut a moment later, so that nobody can keep a server from stopping.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};

use actix_web::HttpRequest;
use tokio::sync::watch;

use crate::{http::connections::Connection, model::credential::ClientId};

/// One credential may hold one of so many places: a quarter of them.
const SHARES: usize = 4;
/// How long a stream has to end by itself when the server stops.
const END_WITHIN: Duration = Duration::from_millis(500);

/// A handle; clones are one.
#[derive(Clone)]
pub struct Streams {
    places: usize,
    taken: Arc<Mutex<Taken>>,
    closing: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Taken {
    by_credential: HashMap<ClientId, usize>,
    /// By the number of its place: the connection that each stream is sent on.
    connections: HashMap<u64, Connection>,
    all: usize,
    last_number: u64,
}

/// A place among the streams, given back when dropped.
pub(crate) struct StreamPermit {
    number: u64,
    holder: ClientId,
    taken: Arc<Mutex<Taken>>,
    closing: watch::Receiver<bool>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoStreamPermit {
    /// All are taken.
    Full,
    /// This credential has its share.
    ShareTaken {
        /// How many that is.
        share: usize,
    },
}

impl Streams {
    /// With places for this many at once.
    pub fn new(places: usize) -> Self {
        Self { places, taken: Arc::default(), closing: Arc::new(watch::Sender::new(false)) }
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        lock(&self.taken).all
    }

    /// A place for an answer to `request`, if there is one.
    pub(crate) fn take(&self, holder: &ClientId, request: &HttpRequest) -> Result<StreamPermit, NoStreamPermit> {
        let share = self.places.div_ceil(SHARES);
        let mut taken = lock(&self.taken);
        if taken.by_credential.get(holder).is_some_and(|held| *held >= share) {
            return Err(NoStreamPermit::ShareTaken { share });
        }
        if taken.all >= self.places {
            return Err(NoStreamPermit::Full);
        }
        taken.all += 1;
        *taken.by_credential.entry(holder.clone()).or_default() += 1;
        taken.last_number += 1;
        let number = taken.last_number;
        if let Some(connection) = Connection::of(request) {
            taken.connections.insert(number, connection);
        }
        let (holder, closing) = (holder.clone(), self.closing.subscribe());
        Ok(StreamPermit { number, holder, taken: Arc::clone(&self.taken), closing })
    }

    /// Ends all streams: they would keep the server from stopping.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        tokio::time::sleep(END_WITHIN).await;
        for connection in lock(&self.taken).connections.values() {
            connection.cut();
        }
    }
}

impl StreamPermit {
    /// Whether the server stops.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until the server stops. May be given up at any time.
    pub(crate) async fn closing(&mut self) {
        // Without the sender there is no server left.
        let _ = self.closing.wait_for(|closing| *closing).await;
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        taken.connections.remove(&self.number);
        if let Some(held) = taken.by_credential.get_mut(&self.holder) {
            *held -= 1;
            if *held == 0 {
                taken.by_credential.remove(&self.holder);
            }
        }
    }
}

/// Nothing here panics while it holds the lock.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock()
}
