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
    /// A passkey or security key, for everybody.
    Webauthn,
    /// A one-time code or a passkey, for everybody.
    On,
    /// A one-time code or a passkey, for those who enrolled one.
    Optional,
    /// Passwords alone.
    Off,
}

impl SecondFactor {
    /// As the settings write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Otp => "otp",
            Self::Webauthn => "webauthn",
            Self::On => "on",
            Self::Optional => "optional",
            Self::Off => "off",
        }
    }

    /// Whether nobody logs in without one.
    #[must_use]
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Otp | Self::Webauthn | Self::On)
    }

    /// Whether one-time codes count.
    #[must_use]
    pub const fn allows_otp(self) -> bool {
        matches!(self, Self::Otp | Self::On | Self::Optional)
    }

    /// Whether passkeys count.
    #[must_use]
    pub const fn allows_webauthn(self) -> bool {
        matches!(self, Self::Webauthn | Self::On | Self::Optional)
    }
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
    /// Where passkeys are good; `None` where the cluster takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<PingWebauthn>,
    /// Whether users log in with a password.
    #[serde(default = "yes")]
    pub allow_local_auth: bool,
    /// Life of a certificate unless asked otherwise, in seconds.
    pub default_session_ttl_seconds: u64,
}

fn yes() -> bool {
    true
}

/// Where passkeys are good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingWebauthn {
    /// The relying party's id: a host name.
    pub rp_id: String,
}

/// Where the proxy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingProxy {
    /// `host:port` that users type.
    pub public_addr: String,
    /// Always true: one port, routed by TLS.
    pub tls_routing_enabled: bool,
}
