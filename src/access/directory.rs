//! The credentials, in memory.
//!
//! Looking one up costs a hash and no disk. A change made through this server is seen at once; one made by a command
//! beside it when the directory next asks the file for its generation, which it does every [`POLL`].

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use crate::{
    model::{
        credential::{ClientId, Credential},
        ticket::TicketId,
        timestamp::Timestamp,
    },
    store::{ReadError, Reader},
};

/// How long a change made outside this process may go unnoticed.
pub(super) const POLL: Duration = Duration::from_millis(250);

pub(super) struct Directory {
    /// A connection of its own: whoever keeps all others busy with questions must not thereby keep his credential.
    reader: Reader,
    /// Held while the file is read again: two at once could put the older state back.
    refreshing: Mutex<()>,
    known: RwLock<Known>,
    /// When each was last used, since this process began.
    used: Mutex<HashMap<ClientId, Timestamp>>,
}

struct Known {
    generation: i64,
    credentials: HashMap<ClientId, Arc<Credential>>,
    spent: HashSet<TicketId>,
}

impl Directory {
    pub(super) fn load(reader: Reader) -> Result<Self, ReadError> {
        let known = read(&reader)?;
        Ok(Self { reader, refreshing: Mutex::new(()), known: RwLock::new(known), used: Mutex::default() })
    }

    pub(super) fn find(&self, client_id: &ClientId) -> Option<Arc<Credential>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.credentials.get(client_id).map(Arc::clone)
    }

    /// Whether a ticket was spent before its time.
    pub(super) fn is_spent(&self, ticket: &TicketId) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).spent.contains(ticket)
    }

    /// Takes note that a credential was used.
    pub(super) fn use_at(&self, client_id: &ClientId, now: Timestamp) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // The clock's word as it is: after one that was ahead is put right, the latest would stand in the future for long.
        if let Some(last) = used.get_mut(client_id) {
            *last = now;
        } else {
            used.insert(client_id.clone(), now);
        }
    }

    /// When a credential was last used, if it was since this process began.
    pub(super) fn last_use(&self, client_id: &ClientId) -> Option<Timestamp> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).get(client_id).copied()
    }

    /// Reads the file again if its credentials have changed. Blocks on the disk.
    pub(super) fn refresh(&self) -> Result<(), ReadError> {
        let _alone = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.known.read().unwrap_or_else(PoisonError::into_inner).generation;
        if self.reader.credential_generation()? != generation {
            let fresh = read(&self.reader)?;
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = fresh;
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
