//! The snapshot that decisions read: roles, users, sessions, locks, apps and settings.
//!
//! Immutable and cheap to clone: each part is shared. A changed snapshot is
//! `policy.clone().with_…(…)`, which copies no more than the part that changed; several changes
//! in a chain copy it once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws::RoleArn;
use serde::{Deserialize, Serialize};

use crate::compiled::{CompiledRole, FilledRole};
use crate::locks::LockIndex;
use crate::names::{AppName, AppSessionId, ClusterName, HostId, RoleName, Traits, UserName};
use crate::resource::{App, Lock, LockingMode, RequireMfa, Role, User};

/// Strict locking refuses when the list of locks is older than this.
pub const LOCKS_STALE_AFTER: Duration = Duration::from_secs(5 * 60);

/// A live app session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSession {
    /// Its id.
    pub id: AppSessionId,
    /// Whose it is.
    pub user: UserName,
    /// For which app.
    pub app: AppName,
    /// As which AWS role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role: Option<RoleArn>,
    /// Until when.
    #[serde(with = "crate::moment::rfc3339")]
    pub expires: SystemTime,
}

/// What a decision needs to know of a user as of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserNow {
    /// The user.
    pub name: UserName,
    /// The roles, as of now.
    pub roles: Vec<RoleName>,
    /// The traits, as of now. `None`: not known, those of the certificate count alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<Traits>,
    /// Whether the account is locked.
    #[serde(default)]
    pub locked: bool,
    /// Why it is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_message: Option<String>,
    /// When the lock of the account ends; never if absent.
    #[serde(
        default,
        with = "crate::moment::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub lock_expires: Option<SystemTime>,
    /// When the account ends.
    #[serde(
        default,
        with = "crate::moment::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<SystemTime>,
}

impl UserNow {
    /// A user who is neither locked nor about to end, whose traits are not known.
    #[must_use]
    pub fn new(name: UserName, roles: Vec<RoleName>) -> Self {
        Self {
            name,
            roles,
            traits: None,
            locked: false,
            locked_message: None,
            lock_expires: None,
            expires: None,
        }
    }

    /// Whether the account is locked at `now`.
    #[must_use]
    pub fn is_locked(&self, now: SystemTime) -> bool {
        self.locked && self.lock_expires.is_none_or(|end| end > now)
    }

    /// Whether the account has ended.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl From<&User> for UserNow {
    fn from(user: &User) -> Self {
        let status = user.spec.status.as_ref();
        Self {
            name: user.name().clone(),
            roles: user.spec.roles.clone(),
            traits: Some(user.spec.traits.clone()),
            locked: status.is_some_and(|status| status.is_locked),
            locked_message: status.and_then(|status| status.locked_message.clone()),
            lock_expires: status.and_then(|status| status.lock_expires),
            expires: user.spec.expires.into_iter().chain(user.metadata.expires).min(),
        }
    }
}

/// The settings of the cluster that decisions heed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthPreference {
    /// Whether each session needs a fresh second factor.
    pub require_session_mfa: RequireMfa,
    /// What happens when the list of locks is out of date.
    pub locking_mode: LockingMode,
}

/// The snapshot.
#[derive(Debug, Clone)]
pub struct Policy {
    cluster: ClusterName,
    roles: Arc<HashMap<RoleName, Arc<CompiledRole>>>,
    users: Arc<HashMap<UserName, Arc<UserEntry>>>,
    sessions: Arc<HashMap<AppSessionId, Arc<AppSession>>>,
    locks: Arc<LockIndex>,
    apps: Arc<HashMap<AppName, Arc<App>>>,
    preference: AuthPreference,
    host: Option<HostId>,
    as_of: Option<SystemTime>,
}

/// A user, with the roles made ready at the first request.
#[derive(Debug)]
pub(crate) struct UserEntry {
    now: Arc<UserNow>,
    filled: OnceLock<FilledRoles>,
}

/// A user's roles, their templates filled from these traits.
#[derive(Debug)]
pub(crate) struct FilledRoles {
    pub(crate) traits: Traits,
    pub(crate) roles: Vec<FilledRole>,
    pub(crate) read_traits: bool,
}

impl UserEntry {
    fn new(now: Arc<UserNow>) -> Self {
        Self { now, filled: OnceLock::new() }
    }

    pub(crate) fn now(&self) -> &UserNow {
        &self.now
    }
}

impl Policy {
    /// A snapshot of a cluster of which nothing is known: everything is refused.
    #[must_use]
    pub fn new(cluster: ClusterName) -> Self {
        Self {
            cluster,
            roles: Arc::default(),
            users: Arc::default(),
            sessions: Arc::default(),
            locks: Arc::default(),
            apps: Arc::default(),
            preference: AuthPreference::default(),
            host: None,
            as_of: None,
        }
    }

    /// Puts a role in, or in place of the one of its name.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<Arc<Role>>) -> Self {
        let role: Arc<Role> = role.into();
        self.forget_filled(role.name());
        let compiled = Arc::new(CompiledRole::new(Arc::clone(&role)));
        Arc::make_mut(&mut self.roles).insert(role.name().clone(), compiled);
        self
    }

    /// Takes a role out.
    #[must_use]
    pub fn without_role(mut self, name: &RoleName) -> Self {
        self.forget_filled(name);
        Arc::make_mut(&mut self.roles).remove(name);
        self
    }

    /// Users with the role get it made ready anew.
    fn forget_filled(&mut self, role: &RoleName) {
        let stale = |user: &UserEntry| user.filled.get().is_some() && user.now.roles.contains(role);
        let names: Vec<UserName> = self
            .users
            .iter()
            .filter(|(_, user)| stale(user))
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            return;
        }
        let users = Arc::make_mut(&mut self.users);
        for name in names {
            if let Some(user) = users.get_mut(&name) {
                *user = Arc::new(UserEntry::new(Arc::clone(&user.now)));
            }
        }
    }

    /// Puts a user in, or in place of the one of that name.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<UserNow>) -> Self {
        let user: UserNow = user.into();
        let entry = Arc::new(UserEntry::new(Arc::new(user)));
        Arc::make_mut(&mut self.users).insert(entry.now.name.clone(), entry);
        self
    }

    /// Takes a user out.
    #[must_use]
    pub fn without_user(mut self, name: &UserName) -> Self {
        Arc::make_mut(&mut self.users).remove(name);
        self
    }

    /// Puts a live app session in.
    #[must_use]
    pub fn with_session(mut self, session: impl Into<Arc<AppSession>>) -> Self {
        let session: Arc<AppSession> = session.into();
        Arc::make_mut(&mut self.sessions).insert(session.id.clone(), session);
        self
    }

    /// Takes an app session out.
    #[must_use]
    pub fn without_session(mut self, id: &AppSessionId) -> Self {
        Arc::make_mut(&mut self.sessions).remove(id);
        self
    }

    /// Takes out every app session that has ended.
    #[must_use]
    pub fn without_ended_sessions(mut self, now: SystemTime) -> Self {
        if self.sessions.values().any(|session| session.expires <= now) {
            Arc::make_mut(&mut self.sessions).retain(|_, session| session.expires > now);
        }
        self
    }

    /// Puts a lock in, or in place of the one of its name.
    #[must_use]
    pub fn with_lock(mut self, lock: impl Into<Arc<Lock>>) -> Self {
        Arc::make_mut(&mut self.locks).insert(lock.into());
        self
    }

    /// Takes a lock out.
    #[must_use]
    pub fn without_lock(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.locks).remove(name);
        self
    }

    /// Puts an app in, or in place of the one of its name.
    #[must_use]
    pub fn with_app(mut self, app: impl Into<Arc<App>>) -> Self {
        let app: Arc<App> = app.into();
        Arc::make_mut(&mut self.apps).insert(app.name().clone(), app);
        self
    }

    /// Takes an app out.
    #[must_use]
    pub fn without_app(mut self, name: &AppName) -> Self {
        Arc::make_mut(&mut self.apps).remove(name);
        self
    }

    /// Sets the cluster's settings.
    #[must_use]
    pub fn with_preference(mut self, preference: AuthPreference) -> Self {
        self.preference = preference;
        self
    }

    /// Says on which host decisions are made, so that a lock on that host bites.
    #[must_use]
    pub fn at_host(mut self, host: HostId) -> Self {
        self.host = Some(host);
        self
    }

    /// Says when the snapshot was last known to be complete, for strict locking. Every beat of
    /// the Auth Service moves it on.
    #[must_use]
    pub fn as_of(mut self, moment: SystemTime) -> Self {
        self.as_of = Some(moment);
        self
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// A role.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.get(name).map(|compiled| compiled.role())
    }

    /// A user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&UserNow> {
        self.users.get(name).map(|user| user.now())
    }

    /// A live app session.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<&Arc<AppSession>> {
        self.sessions.get(id)
    }

    /// Every app session, in no order.
    pub fn sessions(&self) -> impl Iterator<Item = &Arc<AppSession>> {
        self.sessions.values()
    }

    /// An app.
    #[must_use]
    pub fn app(&self, name: &str) -> Option<&Arc<App>> {
        self.apps.get(name)
    }

    /// Every app, in no order.
    pub fn apps(&self) -> impl Iterator<Item = &Arc<App>> {
        self.apps.values()
    }

    /// Every lock, in no order.
    pub fn locks(&self) -> impl Iterator<Item = &Arc<Lock>> {
        self.locks.iter()
    }

    /// The cluster's settings.
    #[must_use]
    pub fn preference(&self) -> &AuthPreference {
        &self.preference
    }

    pub(crate) fn host(&self) -> Option<&HostId> {
        self.host.as_ref()
    }

    pub(crate) fn lock_index(&self) -> &LockIndex {
        &self.locks
    }

    pub(crate) fn user_entry(&self, name: &UserName) -> Option<&UserEntry> {
        self.users.get(name).map(|entry| &**entry)
    }

    /// Whether the list of locks is too old for strict locking. An unknown age is too old.
    pub(crate) fn locks_out_of_date(&self, now: SystemTime) -> bool {
        let Some(as_of) = self.as_of else {
            return true;
        };
        now.duration_since(as_of).is_ok_and(|age| age > LOCKS_STALE_AFTER)
    }

    /// The user's roles as of now, made ready once and kept.
    pub(crate) fn kept_roles<'p>(
        &'p self,
        user: &'p UserEntry,
        otherwise: &Traits,
    ) -> &'p FilledRoles {
        user.filled
            .get_or_init(|| self.fill_roles(user, user.now.traits.as_ref().unwrap_or(otherwise)))
    }

    /// The user's roles as of now, filled from other traits. Roles that do not exist say nothing.
    pub(crate) fn fill_roles(&self, user: &UserEntry, traits: &Traits) -> FilledRoles {
        let roles = user.now.roles.iter().filter_map(|name| self.roles.get(name));
        let roles: Vec<FilledRole> = roles.map(|role| role.fill(&user.now.name, traits)).collect();
        let read_traits = roles.iter().any(|filled| filled.role.reads_traits());
        FilledRoles { traits: traits.clone(), roles, read_traits }
    }
}
