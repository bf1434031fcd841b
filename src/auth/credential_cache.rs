//! All credentials, in memory.
//!
//! A lookup costs one hash and no disk access. A change made through this server applies at once. A change made by a command
//! applies when the cache next reads the file's generation: every [`POLL`], and before a credential is rejected.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::{
    model::{
        credential::{ClientId, Credential},
        ticket_id::TicketId,
        timestamp::Timestamp,
    },
    store::{ReadError, Reader},
};

/// Maximum time until a change made by another process applies.
pub(super) const POLL: Duration = Duration::from_millis(250);
/// Minimum time between two reads for rejections. Rejected clients wait and share one read.
const REREAD_EVERY: Duration = Duration::from_millis(20);
/// How long a rejection waits for a read. A disk that takes longer is failing.
const REREAD_WITHIN: Duration = Duration::from_secs(1);

/// Waits for changes to credentials. A change is noticed within `POLL`.
pub struct Changes(watch::Receiver<()>);

impl Changes {
    /// Waits until something has changed since the last call. Cancel-safe.
    pub async fn wait(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

pub(super) struct CredentialCache {
    /// A separate connection: a client that occupies all others with queries cannot delay its own revocation.
    reader: Reader,
    /// Held while the file is read: of two concurrent reads, the older could replace the newer.
    refreshing: Mutex<()>,
    /// When the last read for a rejection began.
    reread: tokio::sync::Mutex<Option<Instant>>,
    known: RwLock<Known>,
    /// The last use of each.
    used: Mutex<HashMap<ClientId, Use>>,
    changed: watch::Sender<()>,
}

/// A credential's last use.
struct Use {
    at: Timestamp,
    /// Whether it is still to be saved.
    is_new: bool,
}

struct Known {
    generation: i64,
    credentials: HashMap<ClientId, Arc<Credential>>,
    names: HashMap<String, ClientId>,
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

    /// The credential with this name.
    pub(super) fn find_named(&self, name: &str) -> Option<Arc<Credential>> {
        let known = self.known.read();
        known.names.get(name).and_then(|client_id| known.credentials.get(client_id)).map(Arc::clone)
    }

    /// Whether a ticket was revoked before it expired.
    pub(super) fn is_spent(&self, ticket: &TicketId) -> bool {
        self.known.read().spent.contains(ticket)
    }

    /// Records that a credential was used.
    pub(super) fn use_at(&self, client_id: &ClientId, now: Timestamp) {
        let mut used = self.used.lock();
        // Also an earlier time: after a clock that was ahead is corrected, the maximum would stay in the future.
        if let Some(last) = used.get_mut(client_id) {
            *last = Use { at: now, is_new: true };
        } else {
            used.insert(client_id.clone(), Use { at: now, is_new: true });
        }
    }

    /// When a credential was last used.
    pub(super) fn last_use(&self, client_id: &ClientId) -> Option<Timestamp> {
        self.used.lock().get(client_id).map(|last| last.at)
    }

    /// Takes the uses that are still to be saved.
    pub(super) fn take_new_uses(&self) -> Vec<(ClientId, Timestamp)> {
        let mut used = self.used.lock();
        let new =
            used.iter_mut().filter_map(|(id, last)| std::mem::take(&mut last.is_new).then(|| (id.clone(), last.at)));
        new.collect()
    }

    /// Returns uses that could not be saved.
    pub(super) fn uses_are_new(&self, these: &[(ClientId, Timestamp)]) {
        let mut used = self.used.lock();
        for (id, _) in these {
            if let Some(last) = used.get_mut(id) {
                last.is_new = true;
            }
        }
    }

    /// Waits for a read of the file that began after this call. Concurrent callers share one.
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
        let cache = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || cache.refresh());
        match tokio::time::timeout(REREAD_WITHIN, reading).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::debug!(%error, "cannot read the credentials again"),
            Ok(Err(error)) => tracing::error!(%error, "reading the credentials failed"),
            Err(_) => tracing::debug!("reading the credentials takes too long"),
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

/// Reads the generation first: a change between the two reads is then read twice rather than missed.
fn read(reader: &Reader) -> Result<Known, ReadError> {
    let generation = reader.credential_generation()?;
    let credentials = reader.credentials()?;
    let name = |one: &Credential| (one.name.as_str().to_owned(), one.client_id.clone());
    let names = credentials.iter().map(name).collect();
    let credentials = credentials.into_iter().map(|credential| (credential.client_id.clone(), Arc::new(credential)));
    Ok(Known { generation, credentials: credentials.collect(), names, spent: reader.spent_tickets()? })
}
