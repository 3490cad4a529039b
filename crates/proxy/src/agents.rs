//! The agents' tunnels and lanes: who may have one, and which one a new connection takes.
//!
//! An agent proves itself with a host certificate of the cluster that has the
//! role App. Which apps it serves is not its own word but the snapshot's.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use access::{AppName, HostId, SystemRole};
use api::error::Chain;
use api::wire;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use pki::{Clock, IdentityError, LiveTrust};
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};
use tunnel::{Channel, LaneError, LaneHead, Near, Records, Settings, Stream};

use crate::config::Limits;
use crate::lanes::{self, Lane, Lanes};
use crate::rewind::Rewind;
use crate::snapshot::Snapshots;

/// How many tunnels are tried for one connection.
const TRIES: usize = 4;
/// How many lanes of one agent.
const LANE_TRIES: usize = 2;
/// How often every tunnel's certificate is verified again, besides when trust or locks change.
const LOOK: Duration = Duration::from_secs(30);

/// All tunnels and lanes.
pub(crate) struct Agents {
    tls: TlsAcceptor,
    trust: Arc<LiveTrust>,
    clock: Clock,
    snapshots: Arc<Snapshots>,
    settings: Settings,
    limits: Limits,
    tunnels: ArcSwap<HashMap<HostId, Vec<Arc<Tunnel>>>>,
    lanes: Lanes,
    last: AtomicU64,
}

struct Tunnel {
    number: u64,
    host: HostId,
    near: Near,
    certificates: Vec<CertificateDer<'static>>,
}

/// The way of one connection to an agent.
pub(crate) type ToAgent = Channel<Lane>;

/// Why a connection did not become a tunnel or a lane.
#[derive(Debug, Error)]
pub(crate) enum NoTunnel {
    #[error("the handshake took too long")]
    Late,
    #[error("the handshake failed")]
    Handshake(#[source] std::io::Error),
    #[error("the certificate gives no identity")]
    Identity(#[from] IdentityError),
    #[error(
        "`{subject}` is not an agent: its certificate lacks the role App; join with a token of type app"
    )]
    NotAnAgent { subject: String },
    #[error("host {host} is locked")]
    Locked { host: HostId },
    #[error("the tunnel failed")]
    Tunnel(#[from] tunnel::TunnelError),
    #[error("the lane's connection cannot be held")]
    Handle(#[source] std::io::Error),
}

/// Why no agent takes a connection.
#[derive(Debug, Error)]
pub(crate) enum NoAgent {
    #[error("no agent has announced app `{app}`")]
    NotServed { app: AppName },
    #[error("agent is offline: no agent that serves app `{app}` has a tunnel")]
    Offline { app: AppName },
    #[error("no agent that serves app `{app}` took the connection")]
    Refused {
        app: AppName,
        /// What the last one said.
        source: TryError,
    },
}

/// Why one tunnel did not take a connection.
#[derive(Debug, Error)]
pub(crate) enum TryError {
    #[error("the tunnel takes no stream")]
    Open(#[from] tunnel::OpenError),
    #[error("the agent did not take the stream")]
    Stream(#[from] std::io::Error),
    #[error("the agent did not answer in time")]
    Late,
}

impl Agents {
    pub(crate) fn new(
        tls: Arc<ServerConfig>,
        trust: Arc<LiveTrust>,
        clock: Clock,
        snapshots: Arc<Snapshots>,
        (settings, limits): (Settings, Limits),
    ) -> Self {
        Self {
            tls: TlsAcceptor::from(tls),
            trust,
            clock,
            snapshots,
            settings,
            limits,
            tunnels: ArcSwap::default(),
            lanes: Lanes::default(),
            last: AtomicU64::new(0),
        }
    }

    /// Serves one connection of an agent until its tunnel ends.
    pub(crate) async fn serve(
        &self,
        io: Rewind<TcpStream>,
        peer: SocketAddr,
    ) -> Result<(), NoTunnel> {
        let (tls, host, certificates) = self.accept(io).await?;
        let (near, driver) = tunnel::connect(tls, &self.settings).await?;
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let tunnel = Arc::new(Tunnel { number, host: host.clone(), near, certificates });
        let _registered = self.register(tunnel);
        info!(agent = %host, %peer, "tunnel opened");
        let end = driver.await;
        match &end {
            Ok(()) => info!(agent = %host, %peer, "tunnel closed"),
            Err(error) => warn!(agent = %host, %peer, error = %Chain(error), "tunnel lost"),
        }
        Ok(())
    }

    /// Serves one connection of an agent as a lane, ready and then in use, until it ends.
    pub(crate) async fn serve_lane(
        &self,
        io: Rewind<TcpStream>,
        peer: SocketAddr,
    ) -> Result<(), NoTunnel> {
        let handle = lanes::handle_of(io.get_ref()).map_err(NoTunnel::Handle)?;
        let (tls, host, certificates) = self.accept(Records::new(io)).await?;
        match self.lanes.keep(host.clone(), certificates, (tls, handle)).await {
            Ok(()) => {}
            Err(error @ LaneError::Io(_)) => {
                debug!(agent = %host, %peer, error = %Chain(&error), "lane closed");
            }
            Err(error) => warn!(agent = %host, %peer, error = %Chain(&error), "lane closed"),
        }
        Ok(())
    }

    /// Lets an agent prove itself.
    async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: S,
    ) -> Result<(TlsStream<S>, HostId, Vec<CertificateDer<'static>>), NoTunnel> {
        let accepting = timeout(self.limits.handshake, self.tls.accept(io));
        let mut tls = match accepting.await {
            Err(_) => return Err(NoTunnel::Late),
            Ok(accepted) => accepted.map_err(NoTunnel::Handshake)?,
        };
        let certificates = tls.get_ref().1.peer_certificates().unwrap_or_default();
        match self.verified(certificates) {
            Ok(host) => {
                let certificates = certificates.iter().map(|der| der.clone().into_owned());
                let certificates = certificates.collect();
                Ok((tls, host, certificates))
            }
            Err(refusal) => {
                let _ = timeout(self.limits.handshake, tls.shutdown()).await;
                Err(refusal)
            }
        }
    }

    fn verified(&self, certificates: &[CertificateDer<'_>]) -> Result<HostId, NoTunnel> {
        let now = self.clock.now();
        let identity = self.trust.identity_of(certificates, now)?;
        match identity.host() {
            Some(host) if identity.has_system_role(SystemRole::App) => {
                if self.snapshots.newest().is_host_locked(&host.host_id, now) {
                    return Err(NoTunnel::Locked { host: host.host_id.clone() });
                }
                Ok(host.host_id.clone())
            }
            _ => Err(NoTunnel::NotAnAgent { subject: identity.subject().to_owned() }),
        }
    }

    /// Puts a tunnel on the list. Beyond the limit the agent's oldest one makes room.
    fn register(&self, tunnel: Arc<Tunnel>) -> Registered<'_> {
        let registered =
            Registered { agents: self, host: tunnel.host.clone(), number: tunnel.number };
        self.tunnels.rcu(|tunnels| {
            let mut tunnels = HashMap::clone(tunnels);
            tunnels.entry(tunnel.host.clone()).or_default().push(Arc::clone(&tunnel));
            tunnels
        });
        let tunnels = self.tunnels.load();
        let all = tunnels.get(&tunnel.host).map(Vec::as_slice).unwrap_or_default();
        let surplus = all.len().saturating_sub(self.limits.tunnels_per_agent);
        for oldest in all.iter().take(surplus) {
            warn!(agent = %oldest.host, "too many tunnels; the oldest makes room");
            oldest.near.drain(self.limits.open);
        }
        registered
    }

    fn forget(&self, host: &HostId, number: u64) {
        self.tunnels.rcu(|tunnels| {
            let mut tunnels = HashMap::clone(tunnels);
            if let Some(all) = tunnels.get_mut(host) {
                all.retain(|tunnel| tunnel.number != number);
            }
            tunnels.retain(|_, all| !all.is_empty());
            tunnels
        });
    }

    /// Opens a way to an agent that serves `app` and sends it the connection's `first` bytes: a lane where the agent has
    /// one ready, a stream of its tunnel otherwise.
    ///
    /// Nothing has reached the client yet, so that another way may be tried when one fails.
    pub(crate) async fn open(
        &self,
        app: &AppName,
        first: &Bytes,
        client: SocketAddr,
    ) -> Result<ToAgent, NoAgent> {
        let candidates = self.candidates(app)?;
        let mut last = None;
        for tunnel in candidates.into_iter().take(TRIES) {
            if let Some(lane) = self.try_lane(&tunnel.host, app, first, client).await {
                return Ok(Channel::Lane(lane));
            }
            match self.try_tunnel(&tunnel, app, first, client).await {
                Ok(stream) => return Ok(Channel::Stream(stream)),
                Err(error) => {
                    warn!(agent = %tunnel.host, %app, error = %Chain(&error), "trying another tunnel");
                    last = Some(error);
                }
            }
        }
        match last {
            Some(source) => Err(NoAgent::Refused { app: app.clone(), source }),
            None => Err(NoAgent::Offline { app: app.clone() }),
        }
    }

    /// Live tunnels of the app's agents, least loaded first.
    fn candidates(&self, app: &AppName) -> Result<Vec<Arc<Tunnel>>, NoAgent> {
        let snapshot = self.snapshots.newest();
        let hosts = snapshot.hosts_of(app);
        if hosts.is_empty() {
            return Err(NoAgent::NotServed { app: app.clone() });
        }
        let tunnels = self.tunnels.load();
        let now = self.clock.now();
        let mut live: Vec<(usize, Arc<Tunnel>)> = hosts
            .iter()
            .filter(|host| !snapshot.is_host_locked(host, now))
            .filter_map(|host| tunnels.get(host))
            .flatten()
            .filter(|tunnel| !tunnel.near.is_draining())
            .map(|tunnel| (self.load(tunnel), Arc::clone(tunnel)))
            .collect();
        // Of equally loaded ones another comes first each time.
        if !live.is_empty() {
            let turn = self.last.fetch_add(1, Ordering::Relaxed) as usize % live.len();
            live.rotate_left(turn);
        }
        live.sort_by_key(|(streams, _)| *streams);
        Ok(live.into_iter().map(|(_, tunnel)| tunnel).collect())
    }

    /// How many connections go by a tunnel, and by the lanes of its agent.
    fn load(&self, tunnel: &Tunnel) -> usize {
        tunnel.near.streams() + self.lanes.in_use(&tunnel.host)
    }

    async fn try_lane(
        &self,
        host: &HostId,
        app: &AppName,
        first: &Bytes,
        client: SocketAddr,
    ) -> Option<Lane> {
        let target = wire::app_target(app).parse().ok()?;
        let head = LaneHead { target, headers: headers(client) };
        // One that has just died makes room for the next; where that fails too, the tunnel knows whether the agent lives.
        for _ in 0..LANE_TRIES {
            match self.lanes.take(host, head.clone(), first).await? {
                Ok(lane) => return Some(lane),
                Err(error) => debug!(agent = %host, %app, error = %Chain(&error), "lane not taken"),
            }
        }
        None
    }

    async fn try_tunnel(
        &self,
        tunnel: &Tunnel,
        app: &AppName,
        first: &Bytes,
        client: SocketAddr,
    ) -> Result<Stream, TryError> {
        let mut stream = tunnel.near.open(&wire::app_target(app), headers(client))?;
        let sending = async {
            stream.write_all(first).await?;
            stream.accepted_by_peer().await
        };
        match timeout(self.limits.open, sending).await {
            Ok(sent) => sent?,
            Err(_) => return Err(TryError::Late),
        }
        Ok(stream)
    }

    /// Closes tunnels and lanes whose agent is no longer trusted or has been locked, for ever.
    pub(crate) async fn close_untrusted(&self) {
        let mut changes = self.snapshots.subscribe();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.trust.current();
        loop {
            let is_due = tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() { return }
                    changes.mark_unchanged();
                    false
                }
                _ = looks.tick() => true,
            };
            let trust = self.trust.current();
            let is_full = is_due || !Arc::ptr_eq(&trust, &seen);
            seen = trust;
            self.look_at_all(is_full);
        }
    }

    fn look_at_all(&self, is_full: bool) {
        let snapshot = self.snapshots.newest();
        let now = self.clock.now();
        for tunnel in self.tunnels.load().values().flatten() {
            let refusal = if is_full {
                self.verified(&tunnel.certificates).err()
            } else if snapshot.is_host_locked(&tunnel.host, now) {
                Some(NoTunnel::Locked { host: tunnel.host.clone() })
            } else {
                None
            };
            if let Some(refusal) = refusal {
                warn!(agent = %tunnel.host, error = %Chain(&refusal), "tunnel closed");
                tunnel.near.drain(Duration::ZERO);
            }
        }
        self.lanes.cut(|host, certificates| {
            let refusal = match is_full {
                true => self.verified(certificates).err(),
                false => snapshot
                    .is_host_locked(host, now)
                    .then(|| NoTunnel::Locked { host: host.clone() }),
            };
            if let Some(refusal) = &refusal {
                warn!(agent = %host, error = %Chain(refusal), "lane cut");
            }
            refusal.is_some()
        });
    }

    /// Lets all tunnels finish what they carry, for `patience` at most, and gives up the lanes that nobody has taken.
    pub(crate) fn drain(&self, patience: Duration) {
        self.lanes.close_ready(|_| true);
        for tunnel in self.tunnels.load().values().flatten() {
            tunnel.near.drain(patience);
        }
    }

    /// How many tunnels an agent has.
    pub(crate) fn tunnels_of(&self, host: &HostId) -> usize {
        self.tunnels.load().get(host).map_or(0, Vec::len)
    }

    /// How many lanes there are, ready or in use.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.count()
    }

    /// How many agents have how many tunnels.
    pub(crate) fn count(&self) -> (usize, usize) {
        let tunnels = self.tunnels.load();
        (tunnels.len(), tunnels.values().map(Vec::len).sum())
    }
}

/// What an agent is told beside the bytes.
fn headers(client: SocketAddr) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(address) = HeaderValue::try_from(client.to_string()) {
        headers.insert(wire::HEADER_CLIENT_ADDR, address);
    }
    headers
}

/// Takes a tunnel off the list when its connection ends, is cut or panics.
struct Registered<'a> {
    agents: &'a Agents,
    host: HostId,
    number: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.agents.forget(&self.host, self.number);
    }
}
