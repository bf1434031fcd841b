//! Limits the number of live streams, in total and for each credential, and ends them when the server stops.
//!
//! When the server stops, a stream ends after its current message. If its client does not read, the last bytes cannot be
//! sent: the connection is cut a moment later, so that no client delays the shutdown.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix_web::HttpRequest;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{http::connections::Connection, model::credential::ClientId};

/// One credential may have a quarter of all streams.
const SHARES: usize = 4;
/// Time for a stream to end before its connection is cut.
const END_WITHIN: Duration = Duration::from_millis(500);

/// All live streams of the server. Clones share one state.
#[derive(Clone)]
pub struct Streams {
    places: usize,
    taken: Arc<Mutex<Taken>>,
    closing: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Taken {
    by_credential: HashMap<ClientId, usize>,
    /// The connection of each stream, by the number of its permit.
    connections: HashMap<u64, Connection>,
    all: usize,
    last_number: u64,
}

/// Permission for one stream, returned when dropped.
pub(crate) struct StreamPermit {
    number: u64,
    holder: ClientId,
    taken: Arc<Mutex<Taken>>,
    closing: watch::Receiver<bool>,
}

/// Why a stream was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoStreamPermit {
    /// The limit of all streams is reached.
    Full,
    /// The limit of this credential is reached.
    ShareTaken {
        /// The limit of a credential.
        share: usize,
    },
}

impl Streams {
    /// Allows `places` streams at once.
    pub fn new(places: usize) -> Self {
        Self { places, taken: Arc::default(), closing: Arc::new(watch::Sender::new(false)) }
    }

    /// Number of open streams.
    pub(crate) fn open(&self) -> usize {
        self.taken.lock().all
    }

    /// Permits a stream in response to `request`, within the limits.
    pub(crate) fn take(&self, holder: &ClientId, request: &HttpRequest) -> Result<StreamPermit, NoStreamPermit> {
        let share = self.places.div_ceil(SHARES);
        let mut taken = self.taken.lock();
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

    /// Ends all streams, which would otherwise delay the shutdown.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        tokio::time::sleep(END_WITHIN).await;
        for connection in self.taken.lock().connections.values() {
            connection.cut();
        }
    }
}

impl StreamPermit {
    /// Whether the server is stopping.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until the server is stopping. Cancel-safe.
    pub(crate) async fn closing(&mut self) {
        // An error means that the sender, and with it the server, is gone.
        let _ = self.closing.wait_for(|closing| *closing).await;
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
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
