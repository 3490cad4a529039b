//! What a `teleport` process is to do: `teleport.yaml` as it is meant.
//!
//! Public, every value checked; each service gets only its own part. It is
//! made by [`crate::config::read`] and nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use access::resource::RequireMfa;
use access::{App, ClusterName};
use api::types::ping::SecondFactor;

/// What one `teleport` process is to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of this host.
    pub nodename: String,
    /// Where state is kept.
    pub data_dir: PathBuf,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
    /// Where health and metrics are served.
    pub diag_addr: Option<String>,
    /// How logs are written.
    pub log: LogSettings,
    /// How to get into the cluster, for services that are not beside their Auth Service.
    pub join: Join,
    /// How long connections may go on after a stop signal.
    pub shutdown_deadline: Duration,
    /// The Auth Service, if it runs here.
    pub auth: Option<AuthSettings>,
    /// The Proxy Service, if it runs here.
    pub proxy: Option<ProxySettings>,
    /// The Application Service, if it runs here.
    pub app: Option<AppSettings>,
    /// Settings that are accepted and have no effect.
    pub warnings: Vec<String>,
}

/// How logs are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// stderr, stdout or a file.
    pub output: LogOutput,
    /// Least severity.
    pub severity: tracing::Level,
    /// Whether lines are JSON.
    pub json: bool,
}

/// Where logs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard error.
    Stderr,
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// How to get into the cluster.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// `host:port` of a proxy.
    pub proxy_server: Option<String>,
    /// `host:port` of the Auth Service.
    pub auth_server: Option<String>,
    /// The token, or the path of a file with it. Needed at the first start only.
    pub token: Option<String>,
    /// Pins of the host authority, for joining the Auth Service directly.
    pub ca_pins: Vec<String>,
}

/// The Auth Service's part.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// Fixed at the first start.
    pub cluster_name: ClusterName,
    /// `host:port`.
    pub listen_addr: String,
    /// Names that others reach it by.
    pub public_addrs: Vec<String>,
    /// Static join tokens, `app,proxy:secret`.
    pub tokens: Vec<String>,
    /// How users log in.
    pub authentication: Authentication,
}

/// How users log in, and how long browsers stay signed in.
#[derive(Debug, Clone)]
pub struct Authentication {
    /// Whether users need a second factor, and which.
    pub second_factor: SecondFactor,
    /// The relying party's id of passkeys; the proxy's public host if `None`.
    pub webauthn_rp_id: Option<String>,
    /// Whether each app session needs a second factor of its own.
    pub require_session_mfa: RequireMfa,
    /// Whether users log in with passwords.
    pub local_auth: bool,
    /// Life of a user certificate unless asked otherwise.
    pub default_session_ttl: Duration,
    /// Failures in a row that lock a user out.
    pub lockout_failures: Option<u32>,
    /// How long.
    pub lockout_period: Option<Duration>,
    /// After so long without use a browser is signed out.
    pub web_idle_timeout: Option<Duration>,
}

/// The Proxy Service's part.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// `host:port`.
    pub web_listen_addr: String,
    /// `host:port` that users type; from the listen address if not given.
    pub public_addr: Option<String>,
    /// Certificate and key files of the web port.
    pub https_keypairs: Vec<(PathBuf, PathBuf)>,
    /// How often those files are looked at; `None`: only at the start.
    pub https_keypairs_reload: Option<Duration>,
    /// Certificates by ACME.
    pub acme: Option<AcmeSettings>,
    /// Most connections at once.
    pub max_connections: u32,
}

/// Certificates by ACME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// URL of the certificate authority's directory.
    pub directory: String,
    /// Whom the authority writes to.
    pub email: Option<String>,
}

/// The Application Service's part.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The apps of the file.
    pub apps: Vec<App>,
    /// Dynamic apps with these labels are served too.
    pub resources: Vec<BTreeMap<String, Vec<String>>>,
    /// Most bytes of the audit spool.
    pub spool_limit: u64,
    /// When an audit entry is synced to disk.
    pub spool_sync: SpoolSync,
}

/// When an audit entry is synced to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpoolSync {
    /// While AWS works; the answer waits for it.
    #[default]
    BeforeAnswer,
    /// Before the call leaves.
    BeforeCall,
}

/// What the command line says beside the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--roles`.
    pub roles: Option<Vec<String>>,
    /// `--token`.
    pub token: Option<String>,
    /// `--auth-server`.
    pub auth_server: Option<String>,
    /// `--ca-pin`.
    pub ca_pins: Vec<String>,
    /// `--nodename`.
    pub nodename: Option<String>,
    /// `--diag-addr`.
    pub diag_addr: Option<String>,
    /// `--pid-file`.
    pub pid_file: Option<PathBuf>,
    /// `--debug`.
    pub debug: bool,
}
