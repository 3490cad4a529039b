//! What a cluster offers before login.

use access::ClusterName;
use serde::{Deserialize, Serialize};

/// Whether users need a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// One-time codes from an authenticator app, for everybody.
    #[default]
    Otp,
    /// One-time codes for those who enrolled.
    Optional,
    /// Passwords alone.
    Off,
}

/// Answer to `/webapi/ping`; the original's shape, with what this cluster has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// How users log in.
    pub auth: PingAuth,
    /// Where the proxy is.
    pub proxy: PingProxy,
    /// The proxy's version.
    pub server_version: String,
    /// Oldest client that it serves.
    pub min_client_version: String,
    /// The cluster.
    pub cluster_name: ClusterName,
}

/// How users log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingAuth {
    /// `local`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Second factor setting.
    pub second_factor: SecondFactor,
    /// Life of a certificate unless asked otherwise, in seconds.
    pub default_session_ttl_seconds: u64,
}

/// Where the proxy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingProxy {
    /// `host:port` that users type.
    pub public_addr: String,
    /// Always true: one port, routed by TLS.
    pub tls_routing_enabled: bool,
}
