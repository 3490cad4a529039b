//! The roles of one user together, and the roles that every cluster starts with.

use std::sync::Arc;
use std::time::Duration;

use crate::names::{RoleName, UserName};
use crate::resource::{LockingMode, RequireMfa, Role};

/// Where no role says otherwise, a certificate lives at most this long.
pub const MAX_SESSION_TTL: Duration = Duration::from_secs(30 * 3600);

/// The roles of one user.
#[derive(Debug, Clone, Default)]
pub struct RoleSet {
    roles: Vec<Arc<Role>>,
}

/// The options of several roles together: the strictest of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedOptions {
    /// The shortest.
    pub max_session_ttl: Duration,
    /// The shortest that is not zero.
    pub client_idle_timeout: Option<Duration>,
    /// Whether any role says so.
    pub disconnect_expired_cert: bool,
    /// The strongest.
    pub require_session_mfa: RequireMfa,
    /// The strictest.
    pub locking_mode: LockingMode,
    /// The smallest that is not zero.
    pub max_connections: Option<u64>,
    /// Whether any role says so.
    pub pin_source_ip: bool,
}

impl RoleSet {
    /// The roles together.
    #[must_use]
    pub fn new(roles: Vec<Arc<Role>>) -> Self {
        Self { roles }
    }

    /// The roles.
    #[must_use]
    pub fn roles(&self) -> &[Arc<Role>] {
        &self.roles
    }

    /// A role of the set.
    #[must_use]
    pub fn role(&self, name: &RoleName) -> Option<&Arc<Role>> {
        self.roles.iter().find(|role| role.name() == name)
    }

    /// The options together.
    #[must_use]
    pub fn options(&self) -> MergedOptions {
        unimplemented!()
    }
}

/// The roles that every cluster starts with: `access`, `editor`, `auditor`.
#[must_use]
pub fn presets() -> Vec<Role> {
    let _ = None::<UserName>;
    unimplemented!()
}
