//! Reports lists that were cut at the default limit. A client that does not know of the limit loses the other events silently, so
//! the server log names the client.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::model::credential::{ClientId, Credential};

/// Each client is named once in this time: it may poll every second.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// Maximum number of clients that are remembered. More are named again within the hour.
const CLIENTS_MAX: usize = 1_000;

static NAMED: Mutex<Option<Named>> = Mutex::new(None);

/// When each client was last named.
#[derive(Default)]
struct Named(HashMap<ClientId, Instant>);

/// Reports a list of this client that was cut at `limit` events.
pub(super) fn report(client: &Credential, limit: usize) {
    if NAMED.lock().get_or_insert_default().is_due(&client.client_id, Instant::now()) {
        tracing::warn!(
            client = client.name.as_str(),
            limit,
            "a list without a limit was cut at the default limit ([limits] list_default): unless the client continues with \
             the response's next, it misses the other events (reported once an hour for each client)"
        );
    }
}

impl Named {
    fn is_due(&mut self, client: &ClientId, now: Instant) -> bool {
        if self.0.get(client).is_some_and(|named| now < *named + WINDOW) {
            return false;
        }
        if self.0.len() >= CLIENTS_MAX {
            self.0.clear();
        }
        self.0.insert(client.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_named_once_an_hour() {
        let (mut named, start) = (Named::default(), Instant::now());
        let client = |name: &str| ClientId::parse(name).unwrap();
        assert!(named.is_due(&client("a"), start) && named.is_due(&client("b"), start));
        assert!(!named.is_due(&client("a"), start + WINDOW / 2));
        assert!(named.is_due(&client("a"), start + WINDOW));
        for n in 0..2 * CLIENTS_MAX {
            named.is_due(&client(&format!("c{n}")), start);
        }
        assert!(named.0.len() <= CLIENTS_MAX);
    }
}
