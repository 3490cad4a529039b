//! What the Auth Service must be told: its part of `teleport.yaml`, as meant.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use access::resource::RequireMfa;
use access::{ClusterName, SystemRole};
use api::types::ping::SecondFactor;
use thiserror::Error;

/// Settings of the Auth Service; every value is checked by whoever makes it.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `teleport.data_dir`: the store goes into `auth/`, `tctl`'s identity into `admin/`.
    pub data_dir: PathBuf,
    /// `auth_service.cluster_name`. It cannot change once the store exists.
    pub cluster_name: ClusterName,
    /// `teleport.nodename`, for the certificate and the log.
    pub node_name: String,
    /// `auth_service.listen_addr`; port 0 takes any free port.
    pub listen_addr: SocketAddr,
    /// `auth_service.public_addr`: host names or addresses, with or without port, for the certificate.
    pub public_addrs: Vec<String>,
    /// `host:port` of the proxy as users type it, for invite links and hints.
    pub proxy_public_addr: Option<String>,
    /// `authentication.second_factor`.
    pub second_factor: SecondFactor,
    /// `authentication.webauthn.rp_id`; the proxy's public host if `None`.
    pub webauthn_rp_id: Option<String>,
    /// `authentication.require_session_mfa`: whether each app session needs a second factor.
    pub require_session_mfa: RequireMfa,
    /// `auth_service.web_idle_timeout`: after so long without use a web session ends.
    pub web_idle_timeout: Duration,
    /// `authentication.local_auth`: whether users with a password may log in at all.
    pub local_auth: bool,
    /// `auth_service.tokens`.
    pub static_tokens: Vec<StaticToken>,
    /// `authentication.default_session_ttl`: life of a certificate unless asked otherwise.
    pub default_session_ttl: Duration,
    /// When a user is locked out after failed logins.
    pub lockout: Lockout,
    /// What one password check costs.
    pub password_cost: PasswordCost,
    /// Bounds of the listener.
    pub limits: Limits,
    /// How often what has expired is looked for and ended.
    pub sweep_every: Duration,
}

impl AuthConfig {
    /// The defaults: port 3025 everywhere, one-time codes required, certificates of 12 hours.
    #[must_use]
    pub fn new(data_dir: PathBuf, cluster_name: ClusterName) -> Self {
        Self {
            data_dir,
            node_name: cluster_name.as_str().to_owned(),
            cluster_name,
            listen_addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 3025)),
            public_addrs: Vec::new(),
            proxy_public_addr: None,
            second_factor: SecondFactor::Otp,
            webauthn_rp_id: None,
            require_session_mfa: RequireMfa::No,
            web_idle_timeout: Duration::from_secs(30 * 60),
            local_auth: true,
            static_tokens: Vec::new(),
            default_session_ttl: Duration::from_secs(12 * 3_600),
            lockout: Lockout::default(),
            password_cost: PasswordCost::default(),
            limits: Limits::default(),
            sweep_every: Duration::from_secs(2),
        }
    }
}

/// When a user is locked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lockout {
    /// So many failures in a row, each within `period` of the one before.
    pub failures: u32,
    /// How long the user is then locked out.
    pub period: Duration,
}

impl Default for Lockout {
    /// 5 failures, 20 minutes.
    fn default() -> Self {
        Self { failures: 5, period: Duration::from_secs(20 * 60) }
    }
}

/// Parameters of Argon2id ([RFC 9106](https://www.rfc-editor.org/rfc/rfc9106)).
///
/// The default is OWASP's first recommendation: 19 MiB, two passes, one lane.
/// A stored hash keeps the parameters that it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
    /// How many checks may run at once; more wait in line.
    pub at_once: usize,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self { memory_kib: 19 * 1_024, passes: 2, lanes: 1, at_once: 2 }
    }
}

impl PasswordCost {
    /// The least that Argon2 takes. For tests only: such a hash is quickly broken.
    #[must_use]
    pub fn least() -> Self {
        Self { memory_kib: 8, passes: 1, lanes: 1, at_once: 8 }
    }
}

/// Bounds of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections that showed no certificate (joining hosts), of those.
    pub strangers: usize,
    /// How long a stranger's connection may last.
    pub stranger_life: Duration,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request may take, its body included.
    pub request: Duration,
    /// Watchers at once.
    pub watchers: usize,
    /// Changes that a watcher may lag behind before it is cut off.
    pub watch_backlog: usize,
    /// How long a watcher may refuse to read before it is cut off.
    pub watch_stall: Duration,
    /// How often a watcher hears from us although nothing changed.
    pub watch_beat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            strangers: 256,
            stranger_life: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            request: Duration::from_secs(30),
            watchers: 1_024,
            watch_backlog: 4_096,
            watch_stall: Duration::from_secs(10),
            watch_beat: Duration::from_secs(5),
        }
    }
}

/// A token of `auth_service.tokens`: it has no end but the setting's own.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// What may join with it.
    pub roles: Vec<SystemRole>,
    /// The token.
    pub secret: String,
}

impl std::fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StaticToken {{ roles: {:?}, secret: [secret] }}", self.roles)
    }
}

/// A text that is not a static token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadStaticToken {
    /// No colon, or nothing on one side of it.
    #[error("a static token is written `type,type:secret`, e.g. `app,proxy:{{random}}`")]
    Form,
    /// A type that nothing is known of.
    #[error("`{kind}` is not a type of service; expected app or proxy")]
    UnknownType {
        /// The word.
        kind: String,
    },
    /// Only types that this cluster does not serve.
    #[error(
        "the token allows only {kinds}, which this cluster does not serve; expected app or proxy"
    )]
    NothingServed {
        /// The words.
        kinds: String,
    },
}

/// Types of the original that may stand in a list beside ours.
const NOT_SERVED: [&str; 8] =
    ["node", "db", "kube", "windowsdesktop", "discovery", "bot", "mdm", "trusted_cluster"];

impl StaticToken {
    /// Parses `app,node:secret`. Types of the original that this cluster does not serve
    /// are passed over, as long as one is left.
    ///
    /// # Errors
    /// When it is not in that form, names an unknown type or none that is served.
    pub fn parse(text: &str) -> Result<Self, BadStaticToken> {
        let (kinds, secret) = text.split_once(':').ok_or(BadStaticToken::Form)?;
        if kinds.trim().is_empty() || secret.trim().is_empty() {
            return Err(BadStaticToken::Form);
        }
        let mut roles = Vec::new();
        for kind in kinds.split(',').map(|kind| kind.trim().to_ascii_lowercase()) {
            match kind.as_str() {
                "app" => roles.push(SystemRole::App),
                "proxy" => roles.push(SystemRole::Proxy),
                other if NOT_SERVED.contains(&other) => {}
                _ => return Err(BadStaticToken::UnknownType { kind }),
            }
        }
        if roles.is_empty() {
            return Err(BadStaticToken::NothingServed { kinds: kinds.to_owned() });
        }
        Ok(Self { roles, secret: secret.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_tokens_are_read_as_the_guide_writes_them() {
        for (text, roles, secret) in [
            ("app:s3cret", vec![SystemRole::App], "s3cret"),
            ("app,node:s3cret", vec![SystemRole::App], "s3cret"),
            ("Proxy, App: a:b ", vec![SystemRole::Proxy, SystemRole::App], "a:b"),
        ] {
            let token = StaticToken::parse(text).unwrap();
            assert_eq!((token.roles, token.secret.as_str()), (roles, secret), "{text}");
        }
    }

    #[test]
    fn static_tokens_that_make_no_sense_are_refused() {
        for text in ["", "app", "app:", ":x", "auth:x", "admin:x", "apps:x", "node:x"] {
            assert!(StaticToken::parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        /// Whatever stands in the settings, a token that is read allows something, is not empty,
        /// and never allows more than agents and proxies.
        #[test]
        fn no_text_makes_a_static_token_of_another_kind(text in "[a-zA-Z,: ]{0,40}|.{0,40}") {
            if let Ok(token) = StaticToken::parse(&text) {
                let served = [SystemRole::App, SystemRole::Proxy];
                assert!(!token.roles.is_empty() && !token.secret.is_empty());
                assert!(token.roles.iter().all(|role| served.contains(role)));
            }
        }
    }

    #[test]
    fn a_static_token_is_not_printed() {
        let token = StaticToken::parse("app:hush-hush").unwrap();
        assert!(!format!("{token:?}").contains("hush"));
    }
}
