//! Starting and stopping the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use access::{ClusterName, HostId, SystemRole};
use api::error::Chain;
use api::join::{HostFolder, JoinError};
use pki::{CertPem, Clock, Credential, KeyPair, LiveCredential, LiveTrust, Trust};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::authorities::Authorities;
use crate::caller::Actor;
use crate::cluster::{Cluster, Parts};
use crate::config::AuthConfig;
use crate::events::Stamp;
use crate::join::{self, Applicant};
use crate::passwords::Passwords;
use crate::refusal::Refusal;
use crate::store::{OpenError, Store};
use crate::watch::{self, Hub};
use crate::{admin, expiry, http, presets};

/// How often the store is asked whether it works.
const PROBED_EVERY: Duration = Duration::from_secs(5);

/// Why the service could not start, or could not certify a service beside it.
#[derive(Debug, Error)]
pub enum StartError {
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[from] OpenError),
    /// The host's own id.
    #[error("the host has no id")]
    HostId(#[from] JoinError),
    /// The listener.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// TLS.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] pki::TlsError),
    /// Anything that a rule of ours said.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A running Auth Service.
pub struct Handle {
    cluster: Arc<Cluster>,
    addr: SocketAddr,
    healthy: Arc<AtomicBool>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "auth::Handle({} on {})", self.cluster.name(), self.addr)
    }
}

/// Opens the store, founds the cluster at the first start, and listens.
///
/// # Errors
/// When the store, the listener or a setting cannot be used. Nothing is left running then.
pub async fn start(config: AuthConfig, clock: impl Into<Clock>) -> Result<Handle, StartError> {
    let clock = clock.into();
    let now = clock.now();
    let host_id = HostFolder::new(&config.data_dir).host_id()?;
    let hub = Arc::new(Hub::new(config.limits.watch_backlog));
    let parts = {
        let (told, data_dir, cost) =
            (Arc::clone(&hub), config.data_dir.clone(), config.password_cost);
        let opening = tokio::task::spawn_blocking(move || {
            Ok::<_, StartError>((Store::open(&data_dir, told)?, Passwords::new(cost)?))
        });
        let opened = opening.await.map_err(|e| Refusal::broken("opening the store panicked", e))?;
        let (store, passwords) = opened?;
        let authorities = Authorities::open(&store, &config.cluster_name, now).await?;
        Parts { store, hub, authorities, passwords, host_id }
    };
    let cluster = Arc::new(Cluster::new(config, parts, clock.clone()));
    match listen(&cluster, clock).await {
        Ok(handle) => Ok(handle),
        Err(error) => {
            cluster.stopping.cancel();
            cluster.store.close().await;
            Err(error)
        }
    }
}

async fn listen(cluster: &Arc<Cluster>, clock: Clock) -> Result<Handle, StartError> {
    let now = clock.now();
    let stamp = Stamp { now, cluster: cluster.name().clone() };
    presets::ensure(&cluster.store, Actor::system(stamp)).await?;
    let trust = cluster.authorities.trust().clone();
    let all = {
        let trust = trust.clone();
        cluster.reload_preference().await?;
        let preference = cluster.preference().now();
        let told = (trust, preference);
        cluster.store.read(move |reader| watch::everything(reader, told, now)).await?
    };
    cluster.hub.publish(all);
    let listen_addr = cluster.config.listen_addr;
    let failed = |source| StartError::Listen { addr: listen_addr, source };
    let listener = TcpListener::bind(listen_addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let address = local(addr).to_string();
    admin::write(cluster, &address, now)?;
    let tls = http::tls(own_credential(cluster, now)?, LiveTrust::new(trust), clock)?;
    let healthy = Arc::new(AtomicBool::new(true));
    let tasks = &cluster.tasks;
    tasks.spawn(http::serve(Arc::clone(cluster), listener, tls));
    tasks.spawn(expiry::run(Arc::clone(cluster)));
    tasks.spawn(admin::renew(Arc::clone(cluster), address));
    tasks.spawn(probe(Arc::clone(cluster), Arc::clone(&healthy)));
    info!(cluster = %cluster.name(), %addr, store = %cluster.store.path().display(), "auth service listens");
    Ok(Handle { cluster: Arc::clone(cluster), addr, healthy })
}

/// The certificate that the listener shows, with its authority for those who know only the pin.
fn own_credential(
    cluster: &Cluster,
    now: std::time::SystemTime,
) -> Result<Arc<LiveCredential>, StartError> {
    let config = &cluster.config;
    let applicant = Applicant {
        host_id: cluster.host_id.clone(),
        node_name: config.node_name.clone(),
        roles: vec![SystemRole::Auth],
        dns_names: config.public_addrs.clone(),
    };
    let key = KeyPair::generate().map_err(|e| Refusal::broken("making a key", e))?;
    let reply = join::certify(cluster, &applicant, &key.public(), now)?;
    let certificate = CertPem::parse(&reply.certificate)
        .map_err(|e| Refusal::broken("reading our own certificate", e))?;
    let chain = certificate.followed_by(cluster.authorities.host.cert());
    let credential =
        Credential::new(chain, key).map_err(|e| Refusal::broken("our own certificate", e))?;
    Ok(LiveCredential::new(credential))
}

async fn probe(cluster: Arc<Cluster>, healthy: Arc<AtomicBool>) {
    loop {
        let ping = cluster.store.ping().await;
        if let Err(error) = &ping {
            warn!(error = %Chain(error), "the store does not work");
        }
        healthy.store(ping.is_ok(), Ordering::Relaxed);
        tokio::select! {
            () = tokio::time::sleep(PROBED_EVERY) => {}
            () = cluster.stopping.cancelled() => return,
        }
    }
}

/// An address to dial for what listens on `bound`: the wildcard is no destination.
fn local(bound: SocketAddr) -> SocketAddr {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

impl Handle {
    /// Where the service listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &ClusterName {
        self.cluster.name()
    }

    /// Whom members of the cluster trust.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.cluster.authorities.trust().clone()
    }

    /// `sha256:…` of each host authority.
    #[must_use]
    pub fn ca_pins(&self) -> Vec<String> {
        self.cluster.authorities.pins()
    }

    /// An identity for a service in the same process, without a token.
    ///
    /// # Errors
    /// When a name cannot go into a certificate, or the store fails.
    pub async fn local_identity(
        &self,
        role: SystemRole,
        host_id: &HostId,
        node_name: &str,
        dns_names: &[String],
    ) -> Result<(Credential, Trust), StartError> {
        let key = KeyPair::generate().map_err(|e| Refusal::broken("making a key", e))?;
        let applicant = Applicant {
            host_id: host_id.clone(),
            node_name: node_name.to_owned(),
            roles: vec![role],
            dns_names: dns_names.to_vec(),
        };
        let reply = join::local(&self.cluster, applicant, &key.public()).await?;
        let credential = Credential::from_pem(&reply.certificate, key.secret_pem().expose())
            .map_err(|e| Refusal::broken("reading a new certificate", e))?;
        Ok((credential, reply.trust))
    }

    /// Whether the store worked when it was last asked, at most some seconds ago.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Asks the store now whether it works.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub async fn health(&self) -> Result<(), Refusal> {
        self.cluster.store.ping().await
    }

    /// Places that are free for watchers, for tests.
    #[cfg(test)]
    pub(crate) fn watch_places(&self) -> usize {
        self.cluster.watchers.available_permits()
    }

    /// Takes no new connection, lets requests under way finish until `deadline` has passed,
    /// and closes the store.
    pub async fn stop(&self, deadline: Duration) {
        self.cluster.stopping.cancel();
        self.cluster.tasks.close();
        if timeout(deadline, self.cluster.tasks.wait()).await.is_err() {
            warn!("requests were still under way when the auth service stopped");
        }
        self.cluster.store.close().await;
        info!(cluster = %self.cluster.name(), "auth service stopped");
    }
}
