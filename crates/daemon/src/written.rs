//! `teleport.yaml` as it is written: the keys that are known and their shapes.
//!
//! Nothing is checked here but shape; [`crate::config`] turns it into what is meant.

use std::collections::BTreeMap;

use access::resource::RequireMfa;
use api::types::ping::SecondFactor;
use serde::Deserialize;
use serde_saphyr::Spanned;

/// A scalar or a list of scalars.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) if one.is_empty() => Vec::new(),
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) version: Option<Spanned<String>>,
    pub(crate) teleport: Teleport,
    pub(crate) auth_service: Auth,
    pub(crate) proxy_service: Proxy,
    pub(crate) app_service: App,
    pub(crate) ssh_service: Other,
    pub(crate) db_service: Other,
    pub(crate) kubernetes_service: Other,
    pub(crate) windows_desktop_service: Other,
    pub(crate) discovery_service: Other,
    pub(crate) okta_service: Other,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Teleport {
    pub(crate) nodename: Option<String>,
    pub(crate) data_dir: Option<Spanned<String>>,
    pub(crate) pid_file: Option<String>,
    pub(crate) join_params: Option<JoinParams>,
    pub(crate) auth_token: Option<Spanned<String>>,
    pub(crate) proxy_server: Option<Spanned<String>>,
    pub(crate) auth_server: Option<Spanned<String>>,
    pub(crate) ca_pin: Option<OneOrMany>,
    pub(crate) advertise_ip: Option<String>,
    pub(crate) diag_addr: Option<Spanned<String>>,
    pub(crate) log: Log,
    pub(crate) storage: Storage,
    pub(crate) connection_limits: ConnectionLimits,
    pub(crate) shutdown_delay: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinParams {
    pub(crate) method: Spanned<String>,
    pub(crate) token_name: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) output: Option<Spanned<String>>,
    pub(crate) severity: Option<Spanned<String>>,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogFormat {
    pub(crate) output: Option<Spanned<String>>,
    /// Accepted for compatibility: every field is always written.
    #[serde(rename = "extra_fields")]
    pub(crate) _extra_fields: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    #[serde(rename = "type")]
    pub(crate) kind: Option<Spanned<String>>,
    pub(crate) path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConnectionLimits {
    pub(crate) max_connections: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    pub(crate) enabled: Option<bool>,
    pub(crate) cluster_name: Option<Spanned<String>>,
    pub(crate) listen_addr: Option<Spanned<String>>,
    pub(crate) public_addr: Option<OneOrMany>,
    pub(crate) proxy_listener_mode: Option<Spanned<String>>,
    pub(crate) tokens: Vec<Spanned<String>>,
    pub(crate) authentication: Authentication,
    pub(crate) web_idle_timeout: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Authentication {
    #[serde(rename = "type")]
    pub(crate) kind: Option<Spanned<String>>,
    pub(crate) second_factor: Option<Spanned<SecondFactor>>,
    pub(crate) webauthn: Webauthn,
    pub(crate) require_session_mfa: Option<Spanned<RequireMfa>>,
    pub(crate) local_auth: Option<bool>,
    pub(crate) default_session_ttl: Option<Spanned<String>>,
    pub(crate) lockout: Lockout,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Webauthn {
    pub(crate) rp_id: Option<Spanned<String>>,
}

/// Our own addition: when a user is locked out after failed logins.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Lockout {
    pub(crate) failures: Option<Spanned<u32>>,
    pub(crate) period: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Proxy {
    pub(crate) enabled: Option<bool>,
    pub(crate) web_listen_addr: Option<Spanned<String>>,
    pub(crate) public_addr: Option<Spanned<OneOrMany>>,
    pub(crate) https_keypairs: Vec<KeyPair>,
    pub(crate) https_keypairs_reload_interval: Option<Spanned<String>>,
    pub(crate) acme: Acme,
    /// Accepted for compatibility: everything is served on the web address.
    pub(crate) listen_addr: Option<String>,
    /// Accepted for compatibility: everything is served on the web address.
    pub(crate) tunnel_listen_addr: Option<String>,
}

/// Certificates by ACME.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Acme {
    pub(crate) enabled: Option<Spanned<bool>>,
    pub(crate) email: Option<Spanned<String>>,
    pub(crate) uri: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyPair {
    pub(crate) key_file: Spanned<String>,
    pub(crate) cert_file: Spanned<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct App {
    pub(crate) enabled: Option<bool>,
    pub(crate) debug_app: bool,
    pub(crate) resources: Vec<Selector>,
    pub(crate) apps: Vec<Spanned<AppEntry>>,
    pub(crate) audit_spool: Spool,
}

/// Our own addition: the agent's durable audit spool.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Spool {
    pub(crate) max_size_mb: Option<Spanned<u64>>,
    pub(crate) sync: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Selector {
    pub(crate) labels: BTreeMap<String, OneOrMany>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AppEntry {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) uri: Option<String>,
    pub(crate) cloud: Option<String>,
    pub(crate) public_addr: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) insecure_skip_verify: bool,
    pub(crate) aws: Option<AppAws>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AppAws {
    pub(crate) external_id: Option<String>,
}

/// A service of the original that is not part of this system: it may be
/// switched off (the guide does), not on.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Other {
    pub(crate) enabled: Option<bool>,
}
