//! Starting and stopping the service: what runs beside the road, and in which order it ends.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pki::{Accept, ClientTls, Peers, ServerTls, TrustedServers, WebTrust, tls};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::app_use::AppUse;
use crate::assume::Assume;
use crate::aws_chain::{self, Bundle, BundleError};
use crate::call::Road;
use crate::config::{AgentConfig, Deps};
use crate::console::Console;
use crate::derived::DerivedKeys;
use crate::expect::{self, Expectations};
use crate::forward::Upstream;
use crate::heartbeat;
use crate::lanes::{self, Lanes};
use crate::policy::{self, LivePolicy};
use crate::record::Recorder;
use crate::server::{SESSION_PATIENCE, Server};
use crate::spool::{Spool, SpoolError, ship};
use crate::tcp_app::TcpApps;
use crate::tunnels::Tunnels;
use crate::web_app::{Clients, Tokens, WebApps};
use crate::workers::Workers;

/// What is left for shipping the last entries once calls have ended.
const SHIP_DEADLINE: Duration = Duration::from_secs(3);

/// Why the agent could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The spool cannot be used.
    #[error("the audit spool cannot be opened")]
    Spool(#[from] SpoolError),
    /// The extra authorities for AWS cannot be used.
    #[error("the agent's AWS settings cannot be used")]
    Bundle(#[from] BundleError),
    /// TLS settings do not fit together.
    #[error("the agent's TLS settings cannot be used")]
    Tls(#[from] pki::TlsError),
    /// The threads for calls could not be started.
    #[error("the agent's threads could not be started")]
    Threads(#[source] io::Error),
    /// A task of the start was ended from outside.
    #[error("the start was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// A running agent.
pub struct Handle {
    policy: Arc<LivePolicy>,
    spool: Arc<Spool>,
    standing: watch::Receiver<usize>,
    patience: Arc<OnceLock<Duration>>,
    stops: Stops,
    calls: TaskTracker,
    beside: TaskTracker,
    shipping: TaskTracker,
    workers: Arc<Workers>,
}

/// What ends what.
#[derive(Clone, Default)]
struct Stops {
    /// Tunnels, connections and what runs beside them.
    road: CancellationToken,
    /// The shipping of entries: last.
    shipping: CancellationToken,
}

/// Starts the agent. It can serve once [`Handle::ready`].
pub async fn start(config: AgentConfig, deps: Deps) -> Result<Handle, StartError> {
    let settings = config.spool.clone();
    let spool = Arc::new(tokio::task::spawn_blocking(move || Spool::open(settings)).await??);
    let stops = Stops::default();
    let (calls, beside, shipping) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());
    let config = Arc::new(config);
    let policy = LivePolicy::new(&config);
    let shared = Shared { config: &config, deps: &deps, policy: &policy, spool: &spool };
    let server = server(&shared, &calls, &stops.road).await?;
    let derived = Arc::clone(&server.road.derived);
    beside.spawn(derived.sweep(Arc::clone(&policy), stops.road.clone()));
    let standing = watch::Sender::new(0);
    let patience = Arc::new(OnceLock::new());
    let tunnels = Arc::new(Tunnels {
        tls: proxy_tls(&deps, api::wire::ALPN_TUNNEL)?,
        server: Arc::new(server),
        tasks: calls.clone(),
        standing: standing.clone(),
        stop: stops.road.clone(),
        patience: Arc::clone(&patience),
    });
    let lane_tls = proxy_tls(&deps, api::wire::ALPN_LANE)?;
    let workers = Arc::new(Workers::start().map_err(StartError::Threads)?);
    let lanes = Arc::new(Lanes {
        tls: lane_tls,
        tunnels: Arc::clone(&tunnels),
        workers: Arc::clone(&workers),
    });
    dial_out(&config, &beside, (&tunnels, &lanes));
    beside.spawn(policy::follow(
        Arc::clone(&policy),
        Arc::clone(&config),
        deps.clone(),
        stops.road.clone(),
    ));
    beside.spawn(heartbeat::beat(
        Arc::clone(&config),
        deps.clone(),
        Arc::clone(&policy),
        stops.road.clone(),
    ));
    shipping.spawn(ship(Arc::clone(&spool), deps.auth, stops.shipping.clone()));
    info!(host_id = %config.host_id, apps = config.apps.len(), "the Application Service has started");
    Ok(Handle {
        policy,
        spool,
        standing: standing.subscribe(),
        patience,
        stops,
        calls,
        beside,
        shipping,
        workers,
    })
}

/// Keeps tunnels and lanes to every proxy.
fn dial_out(
    config: &AgentConfig,
    beside: &TaskTracker,
    (tunnels, lanes): (&Arc<Tunnels>, &Arc<Lanes>),
) {
    for proxy in &config.proxies {
        for _ in 0..config.tunnels_per_proxy.max(1) {
            beside.spawn(Arc::clone(tunnels).keep(proxy.clone()));
        }
        for _ in 0..lanes::READY {
            beside.spawn(Arc::clone(lanes).keep(proxy.clone()));
        }
    }
}

impl Handle {
    /// Whether the agent can serve: a complete snapshot, at least one tunnel, and a spool that takes entries.
    pub fn is_ready(&self) -> bool {
        self.policy.now().is_complete && *self.standing.borrow() > 0 && self.spool.check().is_ok()
    }

    /// Waits until the snapshot is complete and a tunnel stands.
    pub async fn ready(&self) {
        let mut standing = self.standing.clone();
        let mut version = self.policy.follow();
        while !(self.policy.now().is_complete && *self.standing.borrow() > 0) {
            tokio::select! {
                changed = standing.changed() => if changed.is_err() { return },
                changed = version.changed() => if changed.is_err() { return },
            }
        }
    }

    /// How many tunnels stand.
    pub fn tunnels(&self) -> usize {
        *self.standing.borrow()
    }

    /// Bytes of audit entries that wait for the Auth Service.
    pub fn spooled(&self) -> u64 {
        self.spool.bytes()
    }

    /// Stops: no new calls; open ones may end before `deadline`; then entries are shipped as far as possible, and what
    /// is left waits on disk for the next start.
    pub async fn stop(self, deadline: Duration) {
        let end = Instant::now() + deadline;
        // Fails only if already set, and then that deadline counts.
        let _ = self.patience.set(deadline);
        self.stops.road.cancel();
        self.calls.close();
        self.beside.close();
        let ended = async { tokio::join!(self.beside.wait(), self.calls.wait()) };
        if timeout_at(end, ended).await.is_err() {
            warn!(calls = self.calls.len(), "calls were still open at the end");
        }
        // Before the spool: what is cut off there closes its entries.
        let workers = Arc::clone(&self.workers);
        if tokio::task::spawn_blocking(move || workers.stop()).await.is_err() {
            warn!("the threads of lanes were not stopped in good order");
        }
        self.shipping.close();
        self.stops.shipping.cancel();
        if timeout(SHIP_DEADLINE, self.shipping.wait()).await.is_err() {
            warn!(bytes = self.spool.bytes(), "audit entries wait on disk for the next start");
        }
        let spool = Arc::clone(&self.spool);
        if tokio::task::spawn_blocking(move || spool.stop()).await.is_err() {
            warn!("the audit spool was not stopped in good order");
        }
        info!("the Application Service has stopped");
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({} tunnels)", self.tunnels())
    }
}

/// What all roads are built from.
struct Shared<'a> {
    config: &'a AgentConfig,
    deps: &'a Deps,
    policy: &'a Arc<LivePolicy>,
    spool: &'a Arc<Spool>,
}

async fn server(
    shared: &Shared<'_>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<Server, StartError> {
    let (config, deps) = (shared.config, shared.deps);
    let bundle = tokio::task::spawn_blocking(Bundle::from_environment).await??;
    let sdk = match &deps.aws {
        Some(sdk) => sdk.clone(),
        None => Box::pin(aws_chain::load(&bundle, deps.clock.clone())).await,
    };
    let tls = bundle.tls(deps.clock.clone())?;
    let recorder = Arc::new(Recorder {
        spool: Arc::clone(shared.spool),
        cluster: config.cluster.clone(),
        host_id: config.host_id.clone(),
    });
    let app_use = AppUse { policy: Arc::clone(shared.policy), clock: deps.clock.clone() };
    let (sync, stop) = (config.spool.sync, stop.clone());
    let unverified = unverified(&deps.clock)?;
    let web = WebApps {
        app_use: app_use.clone(),
        recorder: Arc::clone(&recorder),
        sync,
        tokens: Tokens::new(Some(deps.auth.clone()), deps.clock.clone()),
        clients: Clients::new(&tls, &unverified),
        tasks: tasks.clone(),
        stop: stop.clone(),
    };
    let tcp = TcpApps { app_use, recorder: Arc::clone(&recorder), sync, stop: stop.clone() };
    let road = Arc::new(Road {
        clock: deps.clock.clone(),
        trust: Arc::clone(&deps.trust),
        policy: Arc::clone(shared.policy),
        recorder,
        sync,
        upstream: Upstream::new(Arc::clone(&tls), &sdk),
        assume: Assume::new(sdk.clone(), deps.clock.clone()),
        derived: Arc::new(DerivedKeys::new(config.host_id.clone(), deps.clock.clone())),
        expectations: Expectations::new(expect::SILENCE),
    });
    Ok(Server {
        tls: server_tls(deps)?,
        console: Console::new(Arc::clone(&road), &tls, &sdk),
        road,
        web: Arc::new(web),
        tcp,
        session_patience: SESSION_PATIENCE,
        tasks: tasks.clone(),
        stop,
    })
}

/// Towards apps whose certificate is left unchecked, as their `insecure_skip_verify` says.
fn unverified(clock: &pki::Clock) -> Result<Arc<rustls::ClientConfig>, pki::TlsError> {
    pki::web::web_client(&WebTrust::DangerouslyAnybody, Vec::new(), clock.clone())
}

/// Towards users: their certificates only.
fn server_tls(deps: &Deps) -> Result<Arc<rustls::ServerConfig>, pki::TlsError> {
    tls::server(ServerTls {
        credential: Arc::clone(&deps.credential),
        trust: Arc::clone(&deps.trust),
        peers: Peers::Required(Accept::Users),
        alpn: api::wire::APP_PROTOCOLS.iter().map(|name| name.to_vec()).collect(),
        clock: deps.clock.clone(),
    })
}

/// Towards proxies: mutual, always.
fn proxy_tls(deps: &Deps, alpn: &[u8]) -> Result<Arc<rustls::ClientConfig>, pki::TlsError> {
    tls::client(ClientTls {
        credential: Some(Arc::clone(&deps.credential)),
        servers: TrustedServers::Cluster(Arc::clone(&deps.trust)),
        alpn: vec![alpn.to_vec()],
        clock: deps.clock.clone(),
    })
}
