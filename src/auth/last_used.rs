//! When credentials were last used, kept across restarts.
//!
//! A request only takes note in memory. What was noted goes into the file every [`INTERVAL`], all of it in one piece of
//! work for the writer, and once more at the end: a crash loses that much of it, and no request waits for it.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    auth::authenticator::{Authenticator, Inner},
    store::{WriteError, Writer},
};

const INTERVAL: Duration = Duration::from_secs(5);

/// The keeping, while it goes on.
pub struct LastUsed {
    inner: Arc<Inner>,
    writer: Writer,
    task: JoinHandle<()>,
}

impl LastUsed {
    /// Starts keeping them; must be called within a Tokio runtime.
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

    /// Writes what is new, and keeps no more.
    pub async fn close(self) {
        self.task.abort();
        // Once it has ended it holds nothing of the file.
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
        tracing::debug!(%error, "when credentials were last used could not be noted");
        inner.credentials.uses_are_new(&uses);
    }
}
