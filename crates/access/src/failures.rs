//! Slows down whoever keeps failing: per address and per name, in a table of bounded size.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;

/// Time in which one failure is forgotten.
const FORGET: Duration = Duration::from_secs(10);

/// Keys that are remembered at once.
const MOST_KEYS: usize = 4096;

/// Who fails: an address (of IPv6 its /64, which is what one customer has) or a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failing {
    /// Attempts to sign in from here.
    Address(IpAddr),
    /// Tokens offered from here: a program with an old one must not keep people from signing in.
    Token(IpAddr),
    /// Attempts as this person, in lower case.
    Name(String),
}

impl Failing {
    /// The key of an address from which people sign in.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        Self::Address(customer(address))
    }

    /// The key of an address from which programs offer tokens.
    #[must_use]
    pub fn token(address: IpAddr) -> Self {
        Self::Token(customer(address))
    }

    /// The key of a person's name.
    #[must_use]
    pub fn name(name: &str) -> Self {
        // What is too long is nobody's name, and must not fill the table.
        Self::Name(name.chars().take(64).flat_map(char::to_lowercase).collect())
    }
}

/// The network that one customer has.
fn customer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Recent failures. Only failures count, so that a right secret that comes with every request costs
/// nothing.
#[derive(Debug, Default)]
pub struct Failures {
    buckets: Mutex<HashMap<Failing, Bucket>>,
}

/// A leaky bucket: when it will have run dry.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    empty_at: Instant,
}

impl Failures {
    /// How long `who` has to wait before the next attempt; `None` for not at all.
    #[must_use]
    pub fn wait(&self, who: &Failing) -> Option<Duration> {
        self.wait_at(who, Instant::now())
    }

    fn wait_at(&self, who: &Failing, now: Instant) -> Option<Duration> {
        let left = self.lock().get(who)?.empty_at.checked_duration_since(now)?;
        let wait = left.checked_sub(FORGET * (FREE - 1))?;
        (!wait.is_zero()).then_some(wait)
    }

    /// Notes a failure of `who`.
    pub fn note(&self, who: Failing) {
        self.note_at(who, Instant::now());
    }

    fn note_at(&self, who: Failing, now: Instant) {
        let mut buckets = self.lock();
        if !buckets.contains_key(&who) && buckets.len() >= MOST_KEYS {
            buckets.retain(|_, bucket| bucket.empty_at > now);
            if buckets.len() >= MOST_KEYS {
                // Whoever is the nearest to being forgotten makes room.
                let first = buckets.iter().min_by_key(|(_, bucket)| bucket.empty_at);
                if let Some(first) = first.map(|(key, _)| key.clone()) {
                    buckets.remove(&first);
                }
            }
        }
        let bucket = buckets.entry(who).or_insert(Bucket { empty_at: now });
        // Attempts that were refused do not come here, so this stays near the limit.
        bucket.empty_at = bucket.empty_at.max(now) + FORGET;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Failing, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_are_free_and_then_one_in_ten_seconds() {
        let failures = Failures::default();
        let who = Failing::address("192.0.2.7".parse().unwrap());
        let start = Instant::now();
        for _ in 0..FREE {
            assert_eq!(failures.wait_at(&who, start), None);
            failures.note_at(who.clone(), start);
        }
        let wait = failures.wait_at(&who, start).unwrap();
        assert_eq!(wait, FORGET);
        assert_eq!(failures.wait_at(&who, start + wait), None);
        failures.note_at(who.clone(), start + wait);
        assert!(failures.wait_at(&who, start + wait).is_some());
        let other = Failing::address("192.0.2.8".parse().unwrap());
        assert_eq!(failures.wait_at(&other, start), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_a_mapped_address_is_ipv4() {
        let key = |text: &str| Failing::address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
        assert_eq!(Failing::name("Eva"), Failing::name("eva"));
    }

    #[test]
    fn the_table_does_not_grow_and_keeps_those_who_fail_most() {
        let failures = Failures::default();
        let start = Instant::now();
        let stubborn = Failing::name("stubborn");
        for _ in 0..=FREE {
            failures.note_at(stubborn.clone(), start);
        }
        for n in 0..MOST_KEYS + 100 {
            failures.note_at(Failing::name(&n.to_string()), start);
        }
        assert_eq!(failures.lock().len(), MOST_KEYS);
        assert!(failures.wait_at(&stubborn, start).is_some());
    }
}
