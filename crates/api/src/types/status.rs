//! `tctl status`.

use access::ClusterName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The cluster in a few lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub cluster: ClusterName,
    /// The Auth Service's version.
    pub version: String,
    /// `sha256:<hex>` of each host authority's public key.
    pub ca_pins: Vec<String>,
    /// The authorities.
    pub authorities: Vec<AuthorityStatus>,
}

/// One certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityStatus {
    /// `host` or `user`.
    pub kind: String,
    /// When it was last rotated; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<Timestamp>,
}
