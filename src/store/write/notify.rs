//! Notifies waiting readers of commits.

use std::sync::Arc;

use tokio::sync::watch;

/// Sends notifications. Clones share one channel.
#[derive(Clone)]
pub(in crate::store) struct Wake(Arc<watch::Sender<()>>);

impl Wake {
    pub(in crate::store) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    /// Notifies everyone. Call this after committed events can be found.
    pub(in crate::store) fn everyone(&self) {
        self.0.send_replace(());
    }

    pub(in crate::store) fn arrivals(&self) -> Arrivals {
        Arrivals { word: self.0.subscribe(), _sender: Arc::clone(&self.0) }
    }
}

/// A waiting reader.
pub struct Arrivals {
    word: watch::Receiver<()>,
    /// Keeps the channel open even after the writer has stopped.
    _sender: Arc<watch::Sender<()>>,
}

impl Arrivals {
    /// Marks everything committed so far as seen. Call this before reading.
    pub fn look(&mut self) {
        self.word.borrow_and_update();
    }

    /// Waits until something was committed since the last call of `look`. Cancel-safe.
    pub async fn wait(&mut self) {
        if self.word.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
