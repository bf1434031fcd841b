//! Failed logins, counted by address.
//!
//! Memory is bounded: past [`ADDRESSES_MAX`] addresses, those whose window has passed are forgotten, and if that is not
//! enough the one whose window ends first. An attacker with that many addresses gains a fresh count for one of them at
//! the price of a failed login from another.
//!
//! A good login clears nothing: whoever has one credential could otherwise guess at all others as fast as they like.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const ADDRESSES_MAX: usize = 10_000;

/// A limit that an address has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// How long it must wait before it may try again.
    pub wait: Duration,
    /// How many failures it may have within a window.
    pub failures_max: u32,
    /// How long a window is.
    pub window: Duration,
}

pub(super) struct Limiter {
    failures_max: u32,
    window: Duration,
    counts: Mutex<HashMap<IpAddr, Count>>,
}

struct Count {
    failures: u32,
    ends: Instant,
}

impl Limiter {
    pub(super) fn new(failures_max: u32, window: Duration) -> Self {
        Self { failures_max, window, counts: Mutex::new(HashMap::new()) }
    }

    /// The limit, if the address has come to it and may not try now.
    pub(super) fn exceeded(&self, address: IpAddr, now: Instant) -> Option<Exceeded> {
        let counts = self.counts();
        let count = counts.get(&network(address)).filter(|count| count.failures >= self.failures_max)?;
        let wait = count.ends.checked_duration_since(now).filter(|wait| !wait.is_zero())?;
        Some(Exceeded { wait, failures_max: self.failures_max, window: self.window })
    }

    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut counts = self.counts();
        let address = network(address);
        if counts.len() >= ADDRESSES_MAX && !counts.contains_key(&address) {
            make_room(&mut counts, now);
        }
        let count = counts.entry(address).or_insert(Count { failures: 0, ends: now + self.window });
        if count.ends <= now {
            *count = Count { failures: 0, ends: now + self.window };
        }
        count.failures = count.failures.saturating_add(1);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(counts: &mut HashMap<IpAddr, Count>, now: Instant) {
    counts.retain(|_, count| count.ends > now);
    if counts.len() >= ADDRESSES_MAX {
        let first = counts.iter().min_by_key(|(_, count)| count.ends).map(|(address, _)| *address);
        first.map(|address| counts.remove(&address));
    }
}

/// Who has one IPv6 address usually has the 2^64 around it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(limiter: &Limiter, address: IpAddr, now: Instant) -> Option<Duration> {
        limiter.exceeded(address, now).map(|exceeded| exceeded.wait)
    }

    #[test]
    fn an_address_waits_out_its_window_and_others_do_not() {
        let (limiter, start) = (Limiter::new(2, Duration::from_secs(60)), Instant::now());
        let (one, other): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        limiter.failed(one, start);
        assert_eq!(wait(&limiter, one, start), None);
        limiter.failed("2001:db8::ffff".parse().unwrap(), start);
        assert_eq!(wait(&limiter, one, start + Duration::from_secs(20)), Some(Duration::from_secs(40)));
        assert_eq!(wait(&limiter, other, start), None);
        assert_eq!(wait(&limiter, one, start + Duration::from_secs(60)), None);
        limiter.failed(one, start + Duration::from_secs(61));
        assert_eq!(wait(&limiter, one, start + Duration::from_secs(61)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (limiter, now) = (Limiter::new(1, Duration::from_secs(60)), Instant::now());
        for address in 0..20_000_u32 {
            limiter.failed(IpAddr::V4(address.into()), now);
        }
        assert_eq!(limiter.counts().len(), ADDRESSES_MAX);
    }
}
