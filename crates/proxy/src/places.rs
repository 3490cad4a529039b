//! A bounded number of places, of which one address can take only so many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places.
#[derive(Debug)]
pub(crate) struct Places {
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
    free: Arc<Semaphore>,
}

/// One of them, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many in all, and so many of one address.
    pub(crate) fn new(all: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            per_address: per_address.min(all),
            taken: Mutex::default(),
            free: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// A place for a connection from `address`, if there is one.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let address = network(address);
        let mut taken = self.lock();
        let count = taken.entry(address).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Place { places: Arc::clone(self), address, _permit: permit })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

/// An IPv6 address counts as its network of 64 bits: one machine can take any address in it.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::new(3, 2);
        let (mine, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = places.enter(mine).unwrap();
        let _second = places.enter(mine).unwrap();
        assert!(places.enter(mine).is_none());
        let _third = places.enter(other).unwrap();
        assert!(places.enter(other).is_none(), "all places are taken");
        drop(first);
        assert!(places.enter(mine).is_some());
        drop(places.lock());
    }

    #[test]
    fn a_network_of_ipv6_addresses_counts_as_one() {
        let places = Places::new(10, 1);
        let _place = places.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(places.enter("2001:db8::2".parse().unwrap()).is_none());
        let other = places.enter("2001:db8:0:1::1".parse().unwrap());
        assert!(other.is_some());
    }

    #[test]
    fn nothing_is_remembered_of_who_has_left() {
        let places = Places::new(10, 1);
        drop(places.enter(IpAddr::from([192, 0, 2, 1])));
        assert!(places.lock().is_empty());
    }
}
