//! Which connections are free, by where they lead. Bounded in number and age.

use std::collections::HashMap;
use std::time::Instant;

use hyper::client::conn::{http1, http2};

use super::IDLE;
use super::dial::Origin;
use crate::body::UpstreamBody;

/// Free connections in all.
const MOST: usize = 512;

/// The free HTTP/1.1 connections, and the one HTTP/2 connection of each host.
#[derive(Default)]
pub(super) struct Kept {
    hosts: HashMap<Origin, Host>,
    free: usize,
    swept: Option<Instant>,
}

#[derive(Default)]
struct Host {
    /// The one that was used last stands last, and is used next: the others may grow old.
    free: Vec<(http1::SendRequest<UpstreamBody>, Instant)>,
    shared: Option<http2::SendRequest<UpstreamBody>>,
}

impl Kept {
    /// A free connection, if there is one that is likely to live.
    pub(super) fn take(
        &mut self,
        origin: &Origin,
        now: Instant,
    ) -> Option<http1::SendRequest<UpstreamBody>> {
        let host = self.hosts.get_mut(origin)?;
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
        origin: Origin,
        sender: http1::SendRequest<UpstreamBody>,
        now: Instant,
    ) {
        self.sweep(now);
        if self.free < MOST {
            self.hosts.entry(origin).or_default().free.push((sender, now));
            self.free += 1;
        }
    }

    /// The connection that requests share.
    pub(super) fn shared(&self, origin: &Origin) -> Option<http2::SendRequest<UpstreamBody>> {
        let shared = self.hosts.get(origin)?.shared.as_ref();
        shared.filter(|sender| !sender.is_closed()).cloned()
    }

    /// From now on requests share this one.
    pub(super) fn share(&mut self, origin: Origin, sender: http2::SendRequest<UpstreamBody>) {
        self.hosts.entry(origin).or_default().shared = Some(sender);
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
