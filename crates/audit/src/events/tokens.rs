//! Join tokens, and the processes that join with them.

use serde::{Deserialize, Serialize};

use super::Kind;

/// A join token was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinTokenCreate {
    /// Who did it.
    pub user: String,
    /// The token's name, masked by whoever records it: the name of a static token is its secret.
    pub name: String,
    /// What may join with it, as `App`.
    pub roles: Vec<String>,
    /// `token`.
    pub join_method: String,
    /// When it ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A join token was deleted. The original records none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinTokenDelete {
    /// Who did it.
    pub user: String,
    /// The token's name, masked.
    pub name: String,
}

/// A process joined the cluster, or failed to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceJoin {
    /// The id the process chose, a UUID.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host_id: String,
    /// Its node name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// What it asked to be, as `App`.
    pub role: String,
    /// `token`.
    pub method: String,
    /// The token's name, masked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token_name: String,
    /// Whether it worked.
    pub success: bool,
    /// Why it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The address it came from.
    #[serde(rename = "addr.remote", default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

impl Kind for JoinTokenCreate {
    fn code(&self) -> &'static str {
        "TJT00I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("{} created the join token {} for {}", self.user, self.name, self.roles.join(", "))
    }
}

impl Kind for JoinTokenDelete {
    fn code(&self) -> &'static str {
        "CWJT01I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("{} deleted the join token {}", self.user, self.name)
    }
}

impl Kind for InstanceJoin {
    fn code(&self) -> &'static str {
        if self.success { "TJ002I" } else { "TJ002E" }
    }

    fn user(&self) -> Option<&str> {
        None
    }

    fn summary(&self) -> String {
        let who = if self.node_name.is_empty() { &self.host_id } else { &self.node_name };
        match (self.success, &self.error) {
            (true, _) => format!("{who} joined the cluster as {}", self.role),
            (false, Some(error)) => format!("{who} failed to join as {}: {error}", self.role),
            (false, None) => format!("{who} failed to join as {}", self.role),
        }
    }
}
