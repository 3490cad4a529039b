//! The snapshot that decisions read: roles, users, sessions, locks, apps and settings.
//!
//! Immutable and cheap to clone: each part is shared. A changed snapshot is
//! `policy.clone().with_…(…)`, which copies no more than the part that changed; several changes
//! in a chain copy it once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws::RoleArn;
use serde::{Deserialize, Serialize};

use crate::names::{
    AppName, AppSessionId, ClusterName, HostId, LockName, RoleName, Traits, UserName,
};
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

impl From<&User> for UserNow {
    fn from(user: &User) -> Self {
        let _ = user;
        unimplemented!()
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
    roles: Arc<HashMap<RoleName, Arc<Role>>>,
    users: Arc<HashMap<UserName, Arc<UserNow>>>,
    sessions: Arc<HashMap<AppSessionId, Arc<AppSession>>>,
    locks: Arc<HashMap<LockName, Arc<Lock>>>,
    apps: Arc<HashMap<AppName, Arc<App>>>,
    preference: AuthPreference,
    host: Option<HostId>,
    as_of: Option<SystemTime>,
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
        Arc::make_mut(&mut self.roles).insert(role.name().clone(), role);
        self
    }

    /// Takes a role out.
    #[must_use]
    pub fn without_role(mut self, name: &RoleName) -> Self {
        Arc::make_mut(&mut self.roles).remove(name);
        self
    }

    /// Puts a user in, or in place of the one of that name.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<UserNow>) -> Self {
        let user: UserNow = user.into();
        Arc::make_mut(&mut self.users).insert(user.name.clone(), Arc::new(user));
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

    /// Puts a lock in.
    #[must_use]
    pub fn with_lock(mut self, lock: impl Into<Arc<Lock>>) -> Self {
        let lock: Arc<Lock> = lock.into();
        Arc::make_mut(&mut self.locks).insert(lock.name().clone(), lock);
        self
    }

    /// Takes a lock out.
    #[must_use]
    pub fn without_lock(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.locks).remove(name);
        self
    }

    /// Puts an app in.
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
        self.roles.get(name)
    }

    /// A user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&UserNow> {
        self.users.get(name).map(|user| &**user)
    }

    /// A live app session.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<&Arc<AppSession>> {
        self.sessions.get(id)
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

    /// The cluster's settings.
    #[must_use]
    pub fn preference(&self) -> &AuthPreference {
        &self.preference
    }
}
