//! The rights to use the connections of the pool: one query per connection, and at most half of them for one
//! credential.
//!
//! A waiting query holds neither a thread nor a connection. Each credential has its own queue in front of the common
//! one, so a credential that sends many long queries delays only itself.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::credential::ClientId;

/// The connections of a pool, as seats.
pub(in crate::store) struct Seats {
    all: Arc<Semaphore>,
    /// Maximum number of seats of one credential.
    share: usize,
    /// The unused part of the share of each credential. Credentials without a seat or a waiting query may be missing.
    shares: Mutex<HashMap<ClientId, Arc<Semaphore>>>,
}

/// The right to use one connection.
pub(in crate::store) struct Seat {
    holder: ClientId,
    _of_share: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Seats {
    pub(in crate::store) fn new(connections: u32) -> Self {
        let connections = connections as usize;
        let share = (connections / 2).max(1);
        Self { all: Arc::new(Semaphore::new(connections)), share, shares: Mutex::default() }
    }

    /// Waits for a seat. Cancel-safe.
    pub(in crate::store) async fn take(&self, holder: &ClientId) -> Option<Seat> {
        // Nothing closes these semaphores.
        let of_share = self.share_of(holder).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Seat { holder: holder.clone(), _of_share: of_share, _of_all: of_all })
    }

    /// A second seat for the same query, if one is free and no other query waits for it.
    pub(in crate::store) fn try_another(&self, seat: &Seat) -> Option<Seat> {
        let of_share = self.share_of(&seat.holder).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Seat { holder: seat.holder.clone(), _of_share: of_share, _of_all: of_all })
    }

    fn share_of(&self, holder: &ClientId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock();
        if let Some(share) = shares.get(holder) {
            return Arc::clone(share);
        }
        // Each seat, and each waiting query, has its own handle.
        shares.retain(|_, share| Arc::strong_count(share) > 1);
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(holder.clone(), Arc::clone(&share));
        share
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn one_credential_has_half_and_delays_only_itself() {
        let seats = Seats::new(5);
        let [greedy, other, third] = ["greedy", "other", "third"].map(|id| ClientId::parse(id).unwrap());
        let take = |id: &ClientId| seats.take(id).now_or_never().flatten();
        let first = take(&greedy).unwrap();
        let second = seats.try_another(&first).unwrap();
        assert!(take(&greedy).is_none() && seats.try_another(&first).is_none());
        let others = [take(&other).unwrap(), take(&other).unwrap(), take(&third).unwrap()];
        assert!(take(&third).is_none(), "all are taken");
        drop(second);
        drop(take(&third).unwrap());
        drop((first, others));
        assert!(take(&greedy).is_some());
        assert_eq!(seats.shares.lock().len(), 3);
        drop(take(&ClientId::parse("new").unwrap()));
        assert_eq!(seats.shares.lock().len(), 1, "those without a seat are forgotten");
        assert!(take(&greedy).is_some() && Seats::new(1).take(&greedy).now_or_never().flatten().is_some());
    }
}
