//! Counts wrong secrets by address and client id, and with a higher limit by address alone.
//!
//! A limit only changes the response to a wrong secret, from 401 to 429. A right secret is accepted at any time: it has 256
//! random bits, or at least 24 characters chosen by an operator, and comparing it costs one hash. A misconfigured client
//! therefore never locks out another client, nor itself once it has the right secret.
//!
//! Memory is bounded: beyond [`COUNTS_MAX`] counts, the one whose window ends first is dropped.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::model::credential::ClientId;

const COUNTS_MAX: usize = 10_000;
/// An address may fail this many times as often as one of its clients: many clients may share it.
const ADDRESS_FACTOR: u32 = 100;

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// Time until the window ends.
    pub wait: Duration,
    /// Maximum number of failures within a window.
    pub failures_max: u32,
    /// Length of a window.
    pub window: Duration,
    /// Whether the limit is that of the address with all its clients.
    pub is_of_address: bool,
}

pub(super) struct Limiter {
    failures_max: u32,
    window: Duration,
    counts: Mutex<Counts>,
}

/// All failures of an address, or those of one client at it.
type Key = (IpAddr, Option<ClientId>);

#[derive(Default)]
struct Counts {
    by_key: HashMap<Key, Count>,
    /// When the window of each count ends, in order, since all windows have one length.
    ends: VecDeque<(Instant, Key)>,
}

struct Count {
    failures: u32,
    ends: Instant,
}

impl Limiter {
    pub(super) fn new(failures_max: u32, window: Duration) -> Self {
        Self { failures_max, window, counts: Mutex::default() }
    }

    /// Counts a failure. Returns a limit that was reached before it, in which case it is not counted.
    pub(super) fn failed(&self, address: IpAddr, client_id: &ClientId, now: Instant) -> Option<Exceeded> {
        let address = network(address);
        let keys = [
            ((address, None), self.failures_max.saturating_mul(ADDRESS_FACTOR)),
            ((address, Some(client_id.clone())), self.failures_max),
        ];
        let mut counts = self.counts.lock();
        counts.forget_ended(now);
        for (key, failures_max) in &keys {
            if let Some(count) = counts.by_key.get(key).filter(|count| count.failures >= *failures_max) {
                let (wait, is_of_address) = (count.ends - now, key.1.is_none());
                return Some(Exceeded { wait, failures_max: *failures_max, window: self.window, is_of_address });
            }
        }
        for (key, _) in keys {
            counts.add(key, now + self.window);
        }
        None
    }
}

impl Counts {
    fn add(&mut self, key: Key, ends: Instant) {
        if let Some(count) = self.by_key.get_mut(&key) {
            count.failures = count.failures.saturating_add(1);
            return;
        }
        if self.by_key.len() >= COUNTS_MAX
            && let Some((_, first)) = self.ends.pop_front()
        {
            self.by_key.remove(&first);
        }
        self.ends.push_back((ends, key.clone()));
        self.by_key.insert(key, Count { failures: 1, ends });
    }

    fn forget_ended(&mut self, now: Instant) {
        while let Some((_, key)) = self.ends.pop_front_if(|(ends, _)| *ends <= now) {
            self.by_key.remove(&key);
        }
    }
}

/// The addresses that count as one: who has one IPv6 address usually has the 2^64 around it.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn id(text: &str) -> ClientId {
        ClientId::parse(text).unwrap()
    }

    #[test]
    fn a_client_at_an_address_waits_out_its_window_and_others_do_not() {
        let (limiter, start) = (Limiter::new(2, WINDOW), Instant::now());
        let (one, other): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let near = "2001:db8::ffff".parse().unwrap();
        assert_eq!(limiter.failed(one, &id("a"), start), None);
        assert_eq!(limiter.failed(near, &id("a"), start), None);
        let exceeded = limiter.failed(one, &id("a"), start + Duration::from_secs(20)).unwrap();
        assert_eq!((exceeded.wait, exceeded.failures_max), (Duration::from_secs(40), 2));
        assert!(!exceeded.is_of_address);
        for (address, client) in [(one, "b"), (other, "a")] {
            assert_eq!(limiter.failed(address, &id(client), start), None);
        }
        assert_eq!(limiter.failed(one, &id("a"), start + WINDOW), None);
    }

    #[test]
    fn an_address_has_a_limit_over_all_its_clients() {
        let (limiter, now) = (Limiter::new(1, WINDOW), Instant::now());
        let address = IpAddr::from([192, 0, 2, 1]);
        for n in 0..ADDRESS_FACTOR {
            assert_eq!(limiter.failed(address, &id(&n.to_string()), now), None);
            // Failures beyond a client's limit do not count towards that of the address.
            assert!(limiter.failed(address, &id(&n.to_string()), now).is_some());
        }
        let exceeded = limiter.failed(address, &id("another"), now).unwrap();
        assert!(exceeded.is_of_address && exceeded.failures_max == ADDRESS_FACTOR);
        assert_eq!(limiter.failed(IpAddr::from([192, 0, 2, 2]), &id("another"), now), None);
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (limiter, now) = (Limiter::new(1, WINDOW), Instant::now());
        for address in 0..20_000_u32 {
            limiter.failed(IpAddr::V4(address.into()), &id("a"), now);
        }
        let sizes = || {
            let counts = limiter.counts.lock();
            (counts.by_key.len(), counts.ends.len())
        };
        assert_eq!(sizes(), (COUNTS_MAX, COUNTS_MAX));
        limiter.failed(IpAddr::from([1, 2, 3, 4]), &id("a"), now + WINDOW);
        assert_eq!(sizes(), (2, 2));
    }
}
