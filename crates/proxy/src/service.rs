//! Starts and stops the Proxy Service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::{Client, wire};
use pki::{Accept, ClientTls, Clock, LiveTrust, Peers, ServerTls, TrustedServers};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::agents::Agents;
use crate::apps::{Apps, Keys};
use crate::certificates::Certificates;
use crate::config::{ProxyConfig, TunnelSettings};
use crate::connections::Connections;
use crate::places::Places;
use crate::router::Router;
use crate::sessions::Sessions;
use crate::snapshot::{Connected, Snapshots};
use crate::web::{Browsers, Web, WebRoad};

/// Why the Proxy Service did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port is taken or may not be used.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A file of `https_keypairs` or of the self-signed pair.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The TLS settings do not fit together.
    #[error("cannot set up TLS")]
    Tls(#[from] pki::TlsError),
    /// The self-signed web certificate could not be made.
    #[error("cannot make a web certificate")]
    WebCertificate(#[from] pki::IssueError),
    /// The client of the Auth Service could not be made.
    #[error("cannot set up the client of the Auth Service")]
    Client(#[from] api::ApiError),
}

/// How a running Proxy Service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// A full list has been had from the Auth Service: sessions can be judged.
    pub has_snapshot: bool,
    /// The Auth Service's changes are being followed right now.
    pub follows_auth: bool,
    /// Agents with at least one live tunnel.
    pub agents: usize,
    /// Live tunnels.
    pub tunnels: usize,
    /// Connections that agents hold ready for single streams, and those in use.
    pub lanes: usize,
    /// Open connections of all kinds.
    pub connections: usize,
}

/// A running Proxy Service. Dropping it does not end the service; [`Handle::stop`] does.
pub struct Handle {
    addr: SocketAddr,
    parts: Parts,
    accepting: CancellationToken,
    following: CancellationToken,
    stopping: CancellationToken,
    acceptor: TaskTracker,
    tasks: TaskTracker,
}

/// What the tasks share.
struct Parts {
    connections: Arc<Connections>,
    snapshots: Arc<Snapshots>,
    agents: Arc<Agents>,
    sessions: Arc<Sessions>,
}

/// Starts the Proxy Service: binds the port, then serves in the background.
///
/// # Errors
/// When the port or the web certificate cannot be had. An absent Auth Service is no error: it is waited for.
pub async fn start(config: ProxyConfig, clock: Clock) -> Result<Handle, StartError> {
    let auth = auth_client(&config, &clock)?;
    let parts = Parts::new(&config, &clock)?;
    let snapshots = Arc::clone(&parts.snapshots);
    let certificates = Arc::new(Certificates::new(&config, &clock, snapshots, auth.clone())?);
    let stopping = CancellationToken::new();
    let browsers = Browsers::new(
        auth.clone(),
        Arc::clone(&config.trust),
        clock.clone(),
        Arc::clone(&parts.snapshots),
    );
    let apps = apps(&config, &clock, &parts, auth.clone());
    let roads = (Arc::clone(&parts.agents), Arc::clone(&apps));
    let web = Web::new(auth.clone(), &config, browsers, roads);
    let keys = Keys::new(auth.clone()).routes();
    let routes = web.routes().merge(keys);
    let router = Arc::new(Router {
        connections: Arc::clone(&parts.connections),
        limits: config.limits.clone(),
        auth_addr: config.auth_addr.clone(),
        agents: Arc::clone(&parts.agents),
        sessions: Arc::clone(&parts.sessions),
        web: web_road(&config, (&certificates, &clock), (routes, apps), stopping.clone())?,
        certificates: Arc::clone(&certificates),
        waiting: Places::new(config.limits.hellos, config.limits.hellos_per_address),
    });
    let listen = |source| StartError::Listen { addr: config.listen_addr, source };
    let listener = TcpListener::bind(config.listen_addr).await.map_err(listen)?;
    let addr = listener.local_addr().map_err(listen)?;
    let handle = Handle {
        addr,
        parts,
        accepting: CancellationToken::new(),
        following: CancellationToken::new(),
        stopping,
        acceptor: TaskTracker::new(),
        tasks: TaskTracker::new(),
    };
    run(&handle.acceptor, &handle.accepting, router.accept(listener));
    handle.run_background(auth, config.trust);
    run(&handle.tasks, &handle.following, async move { certificates.keep_fresh().await });
    info!(%addr, public_addr = %config.public_addr, cluster = %config.cluster, "proxy service listening");
    Ok(handle)
}

impl Handle {
    /// Where it listens: tells the port when port 0 was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        let (agents, tunnels) = self.parts.agents.count();
        let connected = self.parts.snapshots.connected();
        Health {
            has_snapshot: connected != Connected::Never,
            follows_auth: connected == Connected::Now,
            agents,
            tunnels,
            lanes: self.parts.agents.lanes(),
            connections: self.parts.connections.count(),
        }
    }

    /// Ends the service: no new connections, tunnels are drained, pages finish,
    /// quiet connections are closed; what is left after `deadline` is cut.
    pub async fn stop(self, deadline: Duration) {
        self.accepting.cancel();
        self.acceptor.close();
        self.acceptor.wait().await;
        self.stopping.cancel();
        self.parts.agents.drain(deadline);
        let connections = &self.parts.connections;
        let ending = async {
            tokio::select! {
                () = connections.all_ended() => {}
                () = connections.cut_quiet() => {}
            }
        };
        if timeout(deadline, ending).await.is_err() {
            info!(connections = connections.count(), "cutting what is left");
            connections.cut_all();
            connections.all_ended().await;
        }
        self.following.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        info!(addr = %self.addr, "proxy service stopped");
    }

    fn run_background(&self, auth: Client, trust: Arc<LiveTrust>) {
        let snapshots = Arc::clone(&self.parts.snapshots);
        run(&self.tasks, &self.following, async move { snapshots.follow(&auth, &trust).await });
        let sessions = Arc::clone(&self.parts.sessions);
        run(&self.tasks, &self.following, async move { sessions.cut_ended().await });
        let agents = Arc::clone(&self.parts.agents);
        run(&self.tasks, &self.following, async move { agents.close_untrusted().await });
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("addr", &self.addr).field("health", &self.health()).finish()
    }
}

impl Parts {
    fn new(config: &ProxyConfig, clock: &Clock) -> Result<Self, StartError> {
        let connections = Arc::new(Connections::default());
        let snapshots = Arc::new(Snapshots::default());
        let tls = pki::tls::server(ServerTls {
            credential: Arc::clone(&config.credential),
            trust: Arc::clone(&config.trust),
            peers: Peers::Required(Accept::Hosts),
            alpn: vec![wire::ALPN_TUNNEL.to_vec(), wire::ALPN_LANE.to_vec()],
            clock: clock.clone(),
        })?;
        let agents = Agents::new(
            tls,
            Arc::clone(&config.trust),
            clock.clone(),
            Arc::clone(&snapshots),
            (tunnel_settings(&config.tunnel), config.limits.clone()),
        );
        let sessions = Sessions::new(
            Arc::clone(&snapshots),
            Arc::clone(&connections),
            clock.clone(),
            config.limits.session_wait,
        );
        Ok(Self { connections, snapshots, agents: Arc::new(agents), sessions: Arc::new(sessions) })
    }
}

fn auth_client(config: &ProxyConfig, clock: &Clock) -> Result<Client, StartError> {
    let tls = pki::tls::client(ClientTls {
        credential: Some(Arc::clone(&config.credential)),
        servers: TrustedServers::Cluster(Arc::clone(&config.trust)),
        alpn: vec![wire::ALPN_AUTH.to_vec()],
        clock: clock.clone(),
    })?;
    let client = Client::new(config.auth_addr.as_str(), tls)?;
    Ok(client.of_proxy_at(&config.public_addr.to_string()))
}

fn web_road(
    config: &ProxyConfig,
    (certificates, clock): (&Arc<Certificates>, &Clock),
    (routes, apps): (axum::Router, Arc<Apps>),
    stopping: CancellationToken,
) -> Result<WebRoad, StartError> {
    let alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = pki::web::web_server(
        Arc::<Certificates>::clone(certificates),
        alpn.clone(),
        clock.clone(),
    )?;
    let asking = pki::web::web_server_asking(
        Arc::<Certificates>::clone(certificates),
        Arc::clone(&config.trust),
        alpn,
        clock.clone(),
    )?;
    let limits = &config.limits;
    let places = Places::new(limits.web_connections, limits.web_connections_per_address);
    let bounds = (places, limits.handshake);
    Ok(WebRoad::new((tls, asking), (routes, apps), bounds, stopping))
}

fn apps(config: &ProxyConfig, clock: &Clock, parts: &Parts, auth: Client) -> Arc<Apps> {
    Apps::new(crate::apps::Parts {
        auth,
        public_addr: config.public_addr.clone(),
        clock: clock.clone(),
        trust: Arc::clone(&config.trust),
        snapshots: Arc::clone(&parts.snapshots),
        sessions: Arc::clone(&parts.sessions),
        agents: Arc::clone(&parts.agents),
        connections: Arc::clone(&parts.connections),
    })
}

fn tunnel_settings(settings: &TunnelSettings) -> tunnel::Settings {
    let defaults = tunnel::Settings::default();
    tunnel::Settings {
        windows: tunnel::Windows {
            stream: settings.stream_window,
            connection: settings.connection_window,
            ..defaults.windows
        },
        keepalive: tunnel::Keepalive { every: settings.ping_interval, ..defaults.keepalive },
        ..defaults
    }
}

fn run(
    tasks: &TaskTracker,
    until: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let until = until.clone();
    tasks.spawn(async move {
        until.run_until_cancelled(task).await;
    });
}
