//! `kind: lock`: stops somebody or something, from the next request on.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::kind::{LockKind, LockVersion};
use super::lists;
use super::metadata::Metadata;
use crate::names::{HostId, LockName, RoleName, UserName};

/// A lock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// `kind: lock`.
    pub kind: LockKind,
    /// Unused, kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_kind: Option<String>,
    /// `version: v2`.
    pub version: LockVersion,
    /// Name, labels and so on.
    pub metadata: Metadata<LockName>,
    /// What it says.
    pub spec: LockSpec,
}

impl Lock {
    /// A lock on a target, for good.
    #[must_use]
    pub fn new(name: LockName, target: LockTarget) -> Self {
        Self {
            kind: LockKind,
            sub_kind: None,
            version: LockVersion,
            metadata: Metadata::named(name),
            spec: LockSpec {
                target,
                message: None,
                expires: None,
                created_at: None,
                created_by: None,
            },
        }
    }

    /// The lock's name.
    #[must_use]
    pub fn name(&self) -> &LockName {
        &self.metadata.name
    }

    /// Whether it bites at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: SystemTime) -> bool {
        self.spec.expires.is_none_or(|end| end > now) && !self.metadata.is_expired(now)
    }
}

/// What a lock says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockSpec {
    /// Whom or what it stops.
    pub target: LockTarget,
    /// What they are told.
    #[serde(
        default,
        deserialize_with = "lists::maybe_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub message: Option<String>,
    /// Until when; for good if absent.
    #[serde(
        default,
        with = "crate::moment::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<SystemTime>,
    /// When it was made.
    #[serde(
        default,
        with = "crate::moment::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub created_at: Option<SystemTime>,
    /// By whom.
    #[serde(
        default,
        deserialize_with = "lists::maybe_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub created_by: Option<String>,
}

/// Whom or what a lock stops. Where several are named, all must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LockTarget {
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// Everybody with a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// A host of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_id: Option<HostId>,
    /// An operating system login: kept, matches nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The older name of `server_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<HostId>,
    /// A second-factor device: kept, matches nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_device: Option<String>,
    /// A desktop: kept, matches nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows_desktop: Option<String>,
    /// An access request: kept, matches nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_request: Option<String>,
    /// A trusted device: kept, matches nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl LockTarget {
    /// A user.
    #[must_use]
    pub fn user(name: UserName) -> Self {
        Self { user: Some(name), ..Self::default() }
    }

    /// Everybody with a role.
    #[must_use]
    pub fn role(name: RoleName) -> Self {
        Self { role: Some(name), ..Self::default() }
    }

    /// A host.
    #[must_use]
    pub fn server(id: HostId) -> Self {
        Self { server_id: Some(id), ..Self::default() }
    }

    /// The host that is meant, under either name.
    #[must_use]
    pub fn host(&self) -> Option<&HostId> {
        self.server_id.as_ref().or(self.node.as_ref())
    }

    /// Whether it names something that is not known here, so that it can match nothing.
    #[must_use]
    pub fn names_unknown(&self) -> bool {
        let kept = [
            &self.login,
            &self.mfa_device,
            &self.windows_desktop,
            &self.access_request,
            &self.device,
        ];
        kept.into_iter().any(Option::is_some)
    }

    /// Whether it names anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for LockTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.user.as_ref().map(|user| format!("user `{user}`")));
        parts.extend(self.role.as_ref().map(|role| format!("role `{role}`")));
        parts.extend(self.host().map(|host| format!("host `{host}`")));
        let kept = [
            ("login", &self.login),
            ("MFA device", &self.mfa_device),
            ("desktop", &self.windows_desktop),
            ("access request", &self.access_request),
            ("device", &self.device),
        ];
        parts.extend(
            kept.into_iter()
                .filter_map(|(what, name)| name.as_ref().map(|name| format!("{what} `{name}`"))),
        );
        f.write_str(&parts.join(" and "))
    }
}
