//! The credentials, in memory.
//!
//! Looking one up costs a hash and no disk. A change made through this server is seen at once. One made by a command is
//! seen when the directory next reads the file's generation: every [`POLL`], and before a credential is rejected.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard, RwLock};

use tokio::sync::watch;

use crate::{
    model::{
        credential::{ClientId, Credential},
        ticket_id::TicketId,
        timestamp::Timestamp,
    },
    store::{ReadError, Reader},
};

/// How long a change made outside this process may go unnoticed.
pub(super) const POLL: Duration = Duration::from_millis(250);
/// The least time between two reads that rejections ask for: rejected clients wait, and share one read.
const REREAD_EVERY: Duration = Duration::from_millis(20);
/// How long a rejection waits for a read. A disk that takes longer is not well.
const REREAD_WITHIN: Duration = Duration::from_secs(1);

/// Somebody who waits for a change. What they wait for comes within a quarter of a second.
pub struct Changes(watch::Receiver<()>);

impl Changes {
    /// Waits until something has changed since the last time. May be given up at any time.
    pub async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

pub(super) struct CredentialCache {
    /// A connection of its own: whoever keeps all others busy with questions must not thereby keep his credential.
    reader: Reader,
    /// Held while the file is read again: two at once could put the older state back.
    refreshing: Mutex<()>,
    /// When the last read began that rejections asked for.
    reread: tokio::sync::Mutex<Option<Instant>>,
    known: RwLock<Known>,
    /// When each was last used.
    used: Mutex<HashMap<ClientId, Use>>,
    changed: watch::Sender<()>,
}

/// A credential's last use.
struct Use {
    at: Timestamp,
    /// Whether the file does not know of it yet.
    is_new: bool,
}

struct Known {
    generation: i64,
    credentials: HashMap<ClientId, Arc<Credential>>,
    spent: HashSet<TicketId>,
}

impl CredentialCache {
    pub(super) fn load(reader: Reader) -> Result<Self, ReadError> {
        let known = read(&reader)?;
        let used = reader.credential_uses()?.into_iter().map(|(id, at)| (id, Use { at, is_new: false })).collect();
        let (changed, _) = watch::channel(());
        Ok(Self {
            reader,
            refreshing: Mutex::new(()),
            reread: tokio::sync::Mutex::new(None),
            known: RwLock::new(known),
            used: Mutex::new(used),
            changed,
        })
    }

    pub(super) fn changes(&self) -> Changes {
        Changes(self.changed.subscribe())
    }

    pub(super) fn find(&self, client_id: &ClientId) -> Option<Arc<Credential>> {
        let known = self.known.read();
        known.credentials.get(client_id).map(Arc::clone)
    }

    /// Whether a ticket was spent before its time.
    pub(super) fn is_spent(&self, ticket: &TicketId) -> bool {
        self.known.read().spent.contains(ticket)
    }

    /// Takes note that a credential was used.
    pub(super) fn use_at(&self, client_id: &ClientId, now: Timestamp) {
        let mut used = self.used();
        // The clock's word as it is: after one that was ahead is put right, the latest would stand in the future for long.
        if let Some(last) = used.get_mut(client_id) {
            *last = Use { at: now, is_new: true };
        } else {
            used.insert(client_id.clone(), Use { at: now, is_new: true });
        }
    }

    /// When a credential was last used.
    pub(super) fn last_use(&self, client_id: &ClientId) -> Option<Timestamp> {
        self.used().get(client_id).map(|last| last.at)
    }

    /// The uses that the file does not know of yet, from now on taken to be known.
    pub(super) fn take_new_uses(&self) -> Vec<(ClientId, Timestamp)> {
        let mut used = self.used();
        let new =
            used.iter_mut().filter_map(|(id, last)| std::mem::take(&mut last.is_new).then(|| (id.clone(), last.at)));
        new.collect()
    }

    /// Takes back that the file knows of these.
    pub(super) fn uses_are_new(&self, these: &[(ClientId, Timestamp)]) {
        let mut used = self.used();
        for (id, _) in these {
            if let Some(last) = used.get_mut(id) {
                last.is_new = true;
            }
        }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<ClientId, Use>> {
        self.used.lock()
    }

    /// Waits until the file has been read again, by a read that began after this was called. All who wait share one.
    pub(super) async fn reread(self: &Arc<Self>) {
        let asked = Instant::now();
        let mut last = self.reread.lock().await;
        if last.is_some_and(|began| began >= asked) {
            return;
        }
        if let Some(began) = *last {
            tokio::time::sleep_until((began + REREAD_EVERY).into()).await;
        }
        *last = Some(Instant::now());
        let directory = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || directory.refresh());
        match tokio::time::timeout(REREAD_WITHIN, reading).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::debug!(%error, "the credentials could not be read again"),
            Ok(Err(error)) => tracing::error!(%error, "reading the credentials again broke off"),
            Err(_) => tracing::debug!("the credentials could not be read again in time"),
        }
    }

    /// Reads the file again if its credentials have changed. Blocks on the disk.
    pub(super) fn refresh(&self) -> Result<(), ReadError> {
        let _alone = self.refreshing.lock();
        let generation = self.known.read().generation;
        if self.reader.credential_generation()? != generation {
            let fresh = read(&self.reader)?;
            *self.known.write() = fresh;
            self.changed.send_replace(());
        }
        Ok(())
    }
}

/// The generation first: a change between the two reads is then seen again, not missed.
fn read(reader: &Reader) -> Result<Known, ReadError> {
    let generation = reader.credential_generation()?;
    let credentials = reader.credentials()?;
    let credentials = credentials.into_iter().map(|credential| (credential.client_id.clone(), Arc::new(credential)));
    Ok(Known { generation, credentials: credentials.collect(), spent: reader.spent_tickets()? })
}
