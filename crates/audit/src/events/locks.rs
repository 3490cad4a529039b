//! Locks being set and removed.

use serde::{Deserialize, Serialize};

use super::Kind;

/// Whom a lock stops. One of the fields is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LockTarget {
    /// A user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Everybody with a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// A second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_device: Option<String>,
    /// A process of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_id: Option<String>,
    /// An AWS role. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role_arn: Option<String>,
    /// An app session. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_session: Option<String>,
}

/// A lock was set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockCreated {
    /// Who did it.
    pub user: String,
    /// The lock.
    pub name: String,
    /// Whom it stops.
    pub target: LockTarget,
    /// When it ends, RFC 3339; none: until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// What the locked person is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A lock was removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LockDeleted {
    /// Who did it.
    pub user: String,
    /// The lock.
    pub name: String,
}

impl LockTarget {
    fn words(&self) -> String {
        [
            ("user", &self.user),
            ("role", &self.role),
            ("second factor", &self.mfa_device),
            ("server", &self.server_id),
            ("AWS role", &self.aws_role_arn),
            ("app session", &self.app_session),
        ]
        .into_iter()
        .filter_map(|(kind, name)| name.as_ref().map(|name| format!("{kind} {name}")))
        .collect::<Vec<_>>()
        .join(", ")
    }
}

impl Kind for LockCreated {
    fn code(&self) -> &'static str {
        "TLK00I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        let until = self.expires.as_deref().map(|at| format!(" until {at}")).unwrap_or_default();
        format!("{} locked {}{until}", self.user, self.target.words())
    }
}

impl Kind for LockDeleted {
    fn code(&self) -> &'static str {
        "TLK01I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("{} removed lock {}", self.user, self.name)
    }
}
