//! How often one address may ask, in bounded memory.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Requests a minute.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// Requests at once after a quiet time.
const BURST: NonZeroU32 = NonZeroU32::new(40).unwrap();
/// Addresses that are remembered one by one.
const KEYS: usize = 20_000;
/// What the rest shares.
const SHARED_KEYS: u16 = 1024;

/// Who a request is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    V4([u8; 4]),
    /// The network of 64 bits: one machine can take any address in it.
    V6([u8; 8]),
    /// When there are too many addresses: a share of them all.
    Share(u16),
}

/// A token bucket for each address.
pub(crate) struct RateLimit {
    buckets: DefaultKeyedRateLimiter<Key>,
    keys: usize,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::new(KEYS)
    }
}

impl RateLimit {
    fn new(keys: usize) -> Self {
        let quota = Quota::per_minute(PER_MINUTE).allow_burst(BURST);
        Self { buckets: RateLimiter::keyed(quota), keys }
    }

    /// Counts a request; `Err` says how long to wait before the next.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<(), Duration> {
        let mut key = Key::of(address);
        if self.buckets.len() >= self.keys {
            self.buckets.retain_recent();
            if self.buckets.len() >= self.keys {
                key = key.shared();
            }
        }
        let now = DefaultClock::default().now();
        self.buckets.check_key(&key).map_err(|not_until| not_until.wait_time_from(now))
    }
}

impl Key {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => Self::V6(network(v6)),
        }
    }

    fn shared(self) -> Self {
        let bytes: &[u8] = match &self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
            Self::Share(share) => return Self::Share(*share),
        };
        let sum = bytes
            .iter()
            .fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(*byte)));
        Self::Share(sum % SHARED_KEYS)
    }
}

fn network(address: Ipv6Addr) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = address.octets();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn after_the_burst_an_address_waits_and_others_do_not() {
        let limit = RateLimit::default();
        for _ in 0..BURST.get() {
            limit.admit(v4(1)).unwrap();
        }
        let wait = limit.admit(v4(1)).unwrap_err();
        assert!(wait <= Duration::from_secs(3), "{wait:?}");
        limit.admit(v4(2)).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_addresses_counts_as_one() {
        let limit = RateLimit::default();
        for host in 0..BURST.get() {
            limit.admit(format!("2001:db8::{host:x}").parse().unwrap()).unwrap();
        }
        limit.admit("2001:db8::ffff".parse().unwrap()).unwrap_err();
        limit.admit("2001:db8:0:1::1".parse().unwrap()).unwrap();
    }

    #[test]
    fn a_mapped_address_counts_as_what_it_maps() {
        assert_eq!(Key::of("::ffff:192.0.2.1".parse().unwrap()), Key::of(v4(1)));
    }

    #[test]
    fn memory_stays_bounded_and_the_limit_holds_when_addresses_are_many() {
        let limit = RateLimit::new(100);
        for number in 0..50_000_u32 {
            let _ = limit.admit(IpAddr::from(number.to_be_bytes()));
        }
        assert!(limit.buckets.len() <= 100 + usize::from(SHARED_KEYS), "{}", limit.buckets.len());
        // A slow machine may have earned some tries meanwhile.
        assert!((0..2 * BURST.get()).any(|_| limit.admit(v4(9)).is_err()));
    }
}
