//! Logging a local user in.

use access::{ClusterName, UserName};
use pki::Trust;
use serde::{Deserialize, Serialize};

/// A password: never printed, at most 128 bytes long where it is checked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Wraps what was typed.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: each use is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// What `tsh login` sends. The key pair was made on the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// As typed; checked by the Auth Service in the same time whether it exists or not.
    pub user: String,
    /// As typed.
    pub password: Password,
    /// One-time code, when the cluster asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// Public half (SPKI, PEM).
    pub public_key: String,
    /// Wanted life of the certificate in seconds; capped by the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Client's address as the proxy saw it; a client cannot set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
}

/// What a user gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginReply {
    /// As the cluster writes it.
    pub user: UserName,
    /// The user certificate, PEM.
    pub certificate: String,
    /// Whom to trust.
    pub trust: Trust,
    /// The cluster.
    pub cluster: ClusterName,
    /// What is odd about the user's roles, e.g. a role ARN that does not parse.
    #[serde(default)]
    pub warnings: Vec<String>,
}
