//! Who someone is, as a verified certificate says.
//!
//! [`Claims`] and [`HostClaims`] are what a certificate carries; an [`Identity`] is the proof
//! that a certificate which carries them was verified. This file verifies nothing itself.

use std::net::IpAddr;
use std::time::SystemTime;

use aws::RoleArn;
use serde::{Deserialize, Serialize};

use crate::names::{AppName, AppSessionId, ClusterName, HostId, RoleName, Traits, UserName};

/// Everything that a user certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The user.
    pub user: UserName,
    /// The cluster whose user this is.
    pub cluster: ClusterName,
    /// The roles at the moment of issue.
    pub roles: Vec<RoleName>,
    /// The traits at the moment of issue.
    #[serde(default)]
    pub traits: Traits,
    /// The AWS role ARNs that the roles allowed at the moment of issue, as written: an ARN
    /// that does not parse is kept, so that it can be named instead of silently lost.
    #[serde(default)]
    pub allowed_aws_roles: Vec<String>,
    /// The app session, in an app certificate only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppClaims>,
    /// When the certificate was issued.
    #[serde(with = "crate::moment::rfc3339")]
    pub issued_at: SystemTime,
    /// When the certificate ends.
    #[serde(with = "crate::moment::rfc3339")]
    pub expires: SystemTime,
    /// Whether a second factor was shown for this certificate.
    #[serde(default)]
    pub mfa: bool,
    /// The address that logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_ip: Option<IpAddr>,
}

/// What an app certificate says beyond a user certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppClaims {
    /// The app session.
    pub session: AppSessionId,
    /// The app.
    pub name: AppName,
    /// The app's public host name.
    pub public_addr: String,
    /// The one AWS role that this session may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role: Option<RoleArn>,
}

/// Everything that a host certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostClaims {
    /// The host.
    pub host_id: HostId,
    /// The cluster that the host belongs to.
    pub cluster: ClusterName,
    /// What the host's process may be.
    pub system_roles: Vec<SystemRole>,
    /// The host's name, for people.
    pub node_name: String,
}

/// What a process of the cluster may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SystemRole {
    /// The Auth Service.
    Auth,
    /// The Proxy Service.
    Proxy,
    /// The Application Service.
    App,
    /// `tctl` on the Auth Service's own host.
    Admin,
}

impl SystemRole {
    /// The role's name as resources write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "Auth",
            Self::Proxy => "Proxy",
            Self::App => "App",
            Self::Admin => "Admin",
        }
    }

    /// Reads a role's name; case does not count (`--type=app`).
    ///
    /// # Errors
    /// When no role has this name.
    pub fn parse(text: &str) -> Result<Self, UnknownSystemRole> {
        let all = [Self::Auth, Self::Proxy, Self::App, Self::Admin];
        let found = all.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| UnknownSystemRole { text: text.chars().take(64).collect() })
    }
}

impl std::fmt::Display for SystemRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no system role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a system role; expected auth, proxy, app or admin")]
pub struct UnknownSystemRole {
    text: String,
}

/// What a verified certificate said, with the end of its validity as X.509 states it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "moved once, on the way into an identity")]
pub enum VerifiedClaims {
    /// The leaf chains to the user authority.
    User {
        /// What it says.
        claims: Claims,
        /// The certificate's own end.
        not_after: SystemTime,
    },
    /// The leaf chains to the host authority.
    Host {
        /// What it says.
        claims: HostClaims,
        /// The certificate's own end.
        not_after: SystemTime,
    },
}

/// Who is at the other end of a connection. There is one way to get one: a verified certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    who: Who,
    expires: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    User(Box<Claims>),
    Host(HostClaims),
}

impl Identity {
    /// States that `verified` was read out of a certificate whose chain, signature and validity
    /// were checked just now. `pki` is the one caller; `clippy.toml` bans every other.
    #[must_use]
    pub fn assert_from_verified_certificate(verified: VerifiedClaims) -> Self {
        match verified {
            VerifiedClaims::User { claims, not_after } => {
                let expires = claims.expires.min(not_after);
                Self { who: Who::User(Box::new(claims)), expires }
            }
            VerifiedClaims::Host { claims, not_after } => {
                Self { who: Who::Host(claims), expires: not_after }
            }
        }
    }

    /// The user's claims, if this is a user.
    #[must_use]
    pub fn user(&self) -> Option<&Claims> {
        match &self.who {
            Who::User(claims) => Some(claims),
            Who::Host(_) => None,
        }
    }

    /// The host's claims, if this is a host.
    #[must_use]
    pub fn host(&self) -> Option<&HostClaims> {
        match &self.who {
            Who::Host(claims) => Some(claims),
            Who::User(_) => None,
        }
    }

    /// When this identity ends: the earlier of what the claims and the certificate say.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// The cluster that the identity belongs to.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        match &self.who {
            Who::User(claims) => &claims.cluster,
            Who::Host(claims) => &claims.cluster,
        }
    }

    /// Whether this is a host with the system role.
    #[must_use]
    pub fn has_system_role(&self, role: SystemRole) -> bool {
        self.host().is_some_and(|host| host.system_roles.contains(&role))
    }

    /// The user's name or the host's id, for messages.
    #[must_use]
    pub fn subject(&self) -> &str {
        match &self.who {
            Who::User(claims) => claims.user.as_str(),
            Who::Host(claims) => claims.host_id.as_str(),
        }
    }
}
