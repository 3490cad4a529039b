//! Locks, found by whom they stop, so that a thousand locks cost a request no more than one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::SystemTime;

use crate::names::{HostId, LockName, RoleName, UserName};
use crate::resource::Lock;

/// Every lock, under one of its targets: user before role before host.
#[derive(Debug, Clone, Default)]
pub(crate) struct LockIndex {
    all: HashMap<LockName, Arc<Lock>>,
    by_user: HashMap<UserName, Vec<Arc<Lock>>>,
    by_role: HashMap<RoleName, Vec<Arc<Lock>>>,
    by_host: HashMap<HostId, Vec<Arc<Lock>>>,
}

/// Who asks, and where.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) user: Option<&'a UserName>,
    pub(crate) roles: &'a [RoleName],
    pub(crate) hosts: [Option<&'a HostId>; 2],
}

impl LockIndex {
    pub(crate) fn insert(&mut self, lock: Arc<Lock>) {
        self.remove(lock.name().as_str());
        let target = &lock.spec.target;
        if !target.names_unknown() {
            if let Some(user) = &target.user {
                push(&mut self.by_user, user, &lock);
            } else if let Some(role) = &target.role {
                push(&mut self.by_role, role, &lock);
            } else if let Some(host) = target.host() {
                push(&mut self.by_host, host, &lock);
            }
        }
        self.all.insert(lock.name().clone(), lock);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let Some(lock) = self.all.remove(name) else {
            return;
        };
        let target = &lock.spec.target;
        if let Some(user) = &target.user {
            take(&mut self.by_user, user, name);
        }
        if let Some(role) = &target.role {
            take(&mut self.by_role, role, name);
        }
        if let Some(host) = target.host() {
            take(&mut self.by_host, host, name);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Lock>> {
        self.all.values()
    }

    /// A lock that stops the subject now.
    pub(crate) fn in_force(&self, subject: Subject<'_>, now: SystemTime) -> Option<&Lock> {
        if self.all.is_empty() {
            return None;
        }
        let users = subject.user.and_then(|user| self.by_user.get(user));
        let roles = subject.roles.iter().filter_map(|role| self.by_role.get(role));
        let hosts = subject.hosts.into_iter().flatten().filter_map(|host| self.by_host.get(host));
        let candidates = users.into_iter().chain(roles).chain(hosts).flatten();
        candidates.map(|lock| &**lock).find(|lock| lock.is_in_force(now) && stops(lock, subject))
    }
}

/// Whether every target that the lock names is the subject's.
fn stops(lock: &Lock, subject: Subject<'_>) -> bool {
    let target = &lock.spec.target;
    let user = target.user.as_ref().is_none_or(|user| subject.user == Some(user));
    let role = target.role.as_ref().is_none_or(|role| subject.roles.contains(role));
    let host = target.host().is_none_or(|host| subject.hosts.contains(&Some(host)));
    user && role && host
}

fn push<K: Hash + Eq + Clone>(map: &mut HashMap<K, Vec<Arc<Lock>>>, key: &K, lock: &Arc<Lock>) {
    map.entry(key.clone()).or_default().push(Arc::clone(lock));
}

fn take<K: Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Lock>>>, key: &K, name: &str) {
    if let Some(locks) = map.get_mut(key) {
        locks.retain(|lock| *lock.name() != *name);
        if locks.is_empty() {
            map.remove(key);
        }
    }
}
