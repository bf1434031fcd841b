//! Word that something was committed, for those who wait for it.

use std::sync::Arc;

use tokio::sync::watch;

/// Passes the word on. Clones are one.
#[derive(Clone)]
pub(super) struct Wake(Arc<watch::Sender<()>>);

impl Wake {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }

    /// To be called when what was committed can be found.
    pub(super) fn everyone(&self) {
        self.0.send_replace(());
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        Arrivals { word: self.0.subscribe(), _sender: Arc::clone(&self.0) }
    }
}

/// Somebody who waits.
pub struct Arrivals {
    word: watch::Receiver<()>,
    /// While somebody waits there is somebody to wait for, even if the writer has stopped.
    _sender: Arc<watch::Sender<()>>,
}

impl Arrivals {
    /// Whatever was committed up to now is known: it is not what is waited for. To be called before looking.
    pub fn look(&mut self) {
        self.word.borrow_and_update();
    }

    /// Waits until something was committed since the last look. May be given up at any time.
    pub async fn wait(&mut self) {
        if self.word.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
