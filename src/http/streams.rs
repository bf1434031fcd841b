//! Answers that do not end by themselves: how many there may be, and the word that the server stops.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A handle; clones are one.
#[derive(Clone)]
pub struct Streams {
    places: Arc<Semaphore>,
    closing: Arc<watch::Sender<bool>>,
}

/// A place among the streams, given back when dropped.
pub(crate) struct Place {
    closing: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Streams {
    /// With places for this many at once.
    pub fn new(places: usize) -> Self {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Self { places, closing: Arc::new(watch::Sender::new(false)) }
    }

    /// A place, if there is one.
    pub(crate) fn take(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Place { closing: self.closing.subscribe(), _permit: permit })
    }

    /// Ends all streams: they would keep the server from stopping.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }
}

impl Place {
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
