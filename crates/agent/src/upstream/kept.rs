//! Which connections are free, by where they lead and which runtime moves their bytes. Bounded in number and age.

use std::collections::HashMap;
use std::time::Instant;

use hyper::client::conn::{http1, http2};
use tokio::runtime::{Handle, Id};

use super::IDLE;
use super::dial::Origin;
use crate::body::UpstreamBody;

/// Free connections in all.
const MOST: usize = 512;

/// The free HTTP/1.1 connections, and the one HTTP/2 connection of each host.
#[derive(Default)]
pub(super) struct Kept {
    hosts: HashMap<Place, Host>,
    free: usize,
    swept: Option<Instant>,
}

/// Used from another runtime, a connection would wake another thread at every step.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) origin: Origin,
    runtime: Id,
}

#[derive(Default)]
struct Host {
    /// The one that was used last stands last, and is used next: the others may grow old.
    free: Vec<(http1::SendRequest<UpstreamBody>, Instant)>,
    shared: Option<http2::SendRequest<UpstreamBody>>,
}

impl Place {
    /// Connections of this runtime.
    pub(super) fn here(origin: Origin) -> Self {
        Self { origin, runtime: Handle::current().id() }
    }
}

impl Kept {
    /// A free connection, if there is one that is likely to live.
    pub(super) fn take(
        &mut self,
        place: &Place,
        now: Instant,
    ) -> Option<http1::SendRequest<UpstreamBody>> {
        let host = self.hosts.get_mut(place)?;
        while let Some((sender, since)) = host.free.pop() {
            self.free -= 1;
            if !sender.is_closed() && now.duration_since(since) < IDLE {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection, if there is room.
    pub(super) fn put(
        &mut self,
        place: Place,
        sender: http1::SendRequest<UpstreamBody>,
        now: Instant,
    ) {
        self.sweep(now);
        if self.free < MOST {
            self.hosts.entry(place).or_default().free.push((sender, now));
            self.free += 1;
        }
    }

    /// The connection that requests share.
    pub(super) fn shared(&self, place: &Place) -> Option<http2::SendRequest<UpstreamBody>> {
        let shared = self.hosts.get(place)?.shared.as_ref();
        shared.filter(|sender| !sender.is_closed()).cloned()
    }

    /// From now on requests share this one.
    pub(super) fn share(&mut self, place: Place, sender: http2::SendRequest<UpstreamBody>) {
        self.hosts.entry(place).or_default().shared = Some(sender);
    }

    /// Lets go what is too old or closed, now and then.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < IDLE) {
            return;
        }
        self.swept = Some(now);
        for host in self.hosts.values_mut() {
            host.free
                .retain(|(sender, since)| !sender.is_closed() && now.duration_since(*since) < IDLE);
            host.shared = host.shared.take().filter(|sender| !sender.is_closed());
        }
        self.hosts.retain(|_, host| !host.free.is_empty() || host.shared.is_some());
        self.free = self.hosts.values().map(|host| host.free.len()).sum();
    }
}
