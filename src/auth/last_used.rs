//! Saves when each credential was last used.
//!
//! A request only updates memory. One write job saves all new uses every [`INTERVAL`] and at shutdown. No request waits for
//! it, and a crash loses at most one interval.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    auth::authenticator::{Authenticator, Inner},
    store::{WriteError, Writer},
};

const INTERVAL: Duration = Duration::from_secs(5);

/// The running task.
pub struct LastUsed {
    inner: Arc<Inner>,
    writer: Writer,
    task: JoinHandle<()>,
}

impl LastUsed {
    /// Starts the task; must be called within a Tokio runtime.
    pub fn keep(authenticator: &Authenticator, writer: Writer) -> Self {
        let inner = Arc::clone(&authenticator.inner);
        let (kept, through) = (Arc::clone(&inner), writer.clone());
        let task = tokio::spawn(async move {
            loop {
                sleep(INTERVAL).await;
                write(&kept, &through).await;
            }
        });
        Self { inner, writer, task }
    }

    /// Ends the task and saves the remaining uses.
    pub async fn close(self) {
        self.task.abort();
        // The ended task holds no handle of the file.
        drop(self.task.await);
        write(&self.inner, &self.writer).await;
    }
}

async fn write(inner: &Inner, writer: &Writer) {
    let uses = inner.credentials.take_new_uses();
    if uses.is_empty() {
        return;
    }
    let written = match writer.note_uses(uses.clone()) {
        Ok(pending) => pending.settled().await,
        Err(error) => Err::<(), WriteError>(error),
    };
    if let Err(error) = written {
        tracing::debug!(%error, "cannot save when credentials were last used");
        inner.credentials.uses_are_new(&uses);
    }
}
