//! Joining a cluster with a token.

use access::{ClusterName, HostId, SystemRole};
use pki::Trust;
use serde::{Deserialize, Serialize};

/// What a new service sends.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The token's name, which is its secret.
    pub token: String,
    /// Chosen by the host at its first start, kept in its `data_dir`.
    pub host_id: HostId,
    /// `nodename`.
    pub node_name: String,
    /// What the host wants to be.
    pub roles: Vec<SystemRole>,
    /// Public half (SPKI, PEM) of the host's key; the private one never leaves it.
    pub public_key: String,
    /// Further names for the certificate (a proxy's public addresses).
    #[serde(default)]
    pub dns_names: Vec<String>,
}

impl std::fmt::Debug for JoinRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinRequest")
            .field("host_id", &self.host_id)
            .field("node_name", &self.node_name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// What it gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinReply {
    /// The host certificate, PEM.
    pub certificate: String,
    /// Whom to trust from now on.
    pub trust: Trust,
    /// The cluster.
    pub cluster: ClusterName,
}
