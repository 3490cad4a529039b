//! Web apps on hosts of their own, and the way of browsers to agents.
//!
//! A browser that was let into an app holds a cookie of that app's host alone. Under it is sealed the
//! certificate of one app session, with which the proxy speaks to the agent exactly as `tsh` does: the
//! agent knows one way in and decides again on every request. `curl` with an app certificate of its own
//! goes the same road ([`certified`]).

mod browser;
mod certified;
mod code;
mod cookie;
mod host;
mod jwks;
mod launch;
mod line;
mod opened;
mod pass;
mod pulse;
mod socket;
mod words;

use std::sync::Arc;
use std::time::Duration;

use access::App;
use api::Client;
use moka::future::Cache;
use pki::{Clock, LiveTrust};
use tokio::sync::Semaphore;

pub(crate) use self::browser::Visit;
pub(crate) use self::host::Asked;
pub(crate) use self::jwks::Keys;
pub(crate) use self::launch::{ConsoleLaunch, LaunchError, WebLaunch};
use self::line::{Dialler, Lines};
use self::opened::OpenedApp;
use crate::agents::Agents;
use crate::config::PublicAddr;
use crate::connections::Connections;
use crate::sessions::Sessions;
use crate::snapshot::Snapshots;

/// Opened sessions, and connections to agents, that are kept.
const KEPT: u64 = 10_000;
/// How long an opened session that is not used is kept.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How long a connection to an agent that is not used is kept.
const LINE_IDLE: Duration = Duration::from_secs(60);
/// How long a used launch code is remembered: longer than it lives.
const USED: Duration = Duration::from_secs(120);
/// WebSockets at once.
const SOCKETS: usize = 5_000;

/// What the roads to apps share.
pub(crate) struct Apps {
    auth: Client,
    public_addr: PublicAddr,
    clock: Clock,
    trust: Arc<LiveTrust>,
    snapshots: Arc<Snapshots>,
    lines: Lines,
    opened: Cache<api::types::web_sessions::TokenHash, Arc<OpenedApp>>,
    delegated: Cache<access::AppSessionId, Arc<OpenedApp>>,
    used: Cache<api::types::web_sessions::TokenHash, ()>,
    sockets: Arc<Semaphore>,
}

/// What the proxy has already.
pub(crate) struct Parts {
    pub(crate) auth: Client,
    pub(crate) public_addr: PublicAddr,
    pub(crate) clock: Clock,
    pub(crate) trust: Arc<LiveTrust>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) agents: Arc<Agents>,
    pub(crate) connections: Arc<Connections>,
}

impl Apps {
    /// Nobody is in yet.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let kept = Cache::builder().max_capacity(KEPT);
        let dialler = Dialler {
            agents: parts.agents,
            connections: parts.connections,
            sessions: parts.sessions,
            trust: Arc::clone(&parts.trust),
            clock: parts.clock.clone(),
        };
        let lines = Lines {
            dialler: Arc::new(dialler),
            kept: Cache::builder().max_capacity(KEPT).time_to_idle(LINE_IDLE).build(),
        };
        Arc::new(Self {
            auth: parts.auth,
            public_addr: parts.public_addr,
            clock: parts.clock,
            trust: parts.trust,
            snapshots: parts.snapshots,
            lines,
            opened: kept.time_to_idle(IDLE).build(),
            delegated: Cache::builder().max_capacity(KEPT).time_to_idle(IDLE).build(),
            used: Cache::builder().max_capacity(KEPT).time_to_live(USED).build(),
            sockets: Arc::new(Semaphore::new(SOCKETS)),
        })
    }

    /// The app that answers at a host.
    pub(crate) fn at(&self, host: &str) -> Option<Arc<App>> {
        let own = self.public_addr.host();
        if host.eq_ignore_ascii_case(own) {
            return None;
        }
        self.snapshots.newest().app_at(host, own)
    }

    /// `host` or `host:port`, as browsers write the address of an app at this proxy.
    fn authority_of(&self, host: &str) -> String {
        match self.public_addr.port() {
            443 => host.to_owned(),
            port => format!("{host}:{port}"),
        }
    }

    /// The address of this proxy's own pages.
    fn pages(&self) -> String {
        format!("https://{}", self.authority_of(self.public_addr.host()))
    }
}
