//! `tctl users add|reset`. Reading and changing users goes by resources.

use access::{RoleName, Traits, UserName};
use serde::{Deserialize, Serialize};

/// A new user, who gets an invite link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRequest {
    /// Name.
    pub name: UserName,
    /// Roles; each must exist.
    pub roles: Vec<RoleName>,
    /// Traits, e.g. `aws_role_arns`.
    #[serde(default)]
    pub traits: Traits,
    /// Life of the link in seconds; 1 h if absent, at most 48 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

/// A reset: password and second factor stop working, a link is made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    /// Life of the link in seconds; 8 h if absent, at most 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}
