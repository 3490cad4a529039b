//! The listener: mutual TLS 1.3 and HTTP/2 only, everything bounded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::error::Chain;
use api::wire;
use axum::Extension;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pki::{Accept, Clock, LiveCredential, LiveTrust, Peers, ServerTls, TlsError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::caller::Caller;
use crate::cluster::Cluster;

/// Requests at once on a connection.
const STREAMS: u32 = 256;
/// Largest header block, bytes.
const HEADERS: u32 = 16 * 1024;
/// Bytes that a client may send unread on a stream and on a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// How often a silent peer is asked whether it lives, and how long it may think.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// How long a stranger's last request may still take when the time is over.
const STRANGERS_GRACE: Duration = Duration::from_secs(2);
/// Pause after a failed accept (out of file descriptors, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the listener proves itself and whom it believes.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    trust: Arc<LiveTrust>,
}

/// TLS settings of the listener.
pub(crate) fn tls(
    credential: Arc<LiveCredential>,
    trust: Arc<LiveTrust>,
    clock: Clock,
) -> Result<Tls, TlsError> {
    let config = pki::tls::server(ServerTls {
        credential,
        trust: Arc::clone(&trust),
        // A host that joins has no certificate yet.
        peers: Peers::Optional(Accept::UsersAndHosts),
        alpn: vec![wire::ALPN_AUTH.to_vec()],
        clock,
    })?;
    Ok(Tls { acceptor: TlsAcceptor::from(config), trust })
}

/// Takes connections until the service stops.
pub(crate) async fn serve(cluster: Arc<Cluster>, listener: TcpListener, tls: Tls) {
    let limits = cluster.config.limits;
    let door = Arc::new(Door {
        router: super::router(Arc::clone(&cluster)),
        connections: Arc::new(Semaphore::new(limits.connections)),
        strangers: Arc::new(Semaphore::new(limits.strangers)),
        tls,
        cluster,
    });
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = door.cluster.stopping.cancelled() => return,
        };
        match accepted {
            Ok((tcp, remote)) => Arc::clone(&door).welcome(tcp, remote),
            Err(error) => {
                warn!(%error, "could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Door {
    router: axum::Router,
    connections: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    tls: Tls,
    cluster: Arc<Cluster>,
}

impl Door {
    fn welcome(self: Arc<Self>, tcp: TcpStream, remote: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            warn!(%remote, "too many connections: one is turned away");
            return;
        };
        let tasks = self.cluster.tasks.clone();
        tasks.spawn(async move {
            if let Err(error) = self.converse(tcp, remote).await {
                debug!(%remote, error = %Chain(&*error), "connection ended");
            }
            drop(permit);
        });
    }

    async fn converse(&self, tcp: TcpStream, remote: SocketAddr) -> Result<(), api::error::Cause> {
        tcp.set_nodelay(true)?;
        let limits = &self.cluster.config.limits;
        let handshake = timeout(limits.handshake, self.tls.acceptor.accept(tcp));
        let stream = tokio::select! {
            stream = handshake => stream??,
            () = self.cluster.stopping.cancelled() => return Ok(()),
        };
        let caller = self.caller(&stream, remote)?;
        let stranger = match self.seat(&caller) {
            Seat::Member => None,
            Seat::Stranger(permit) => Some(permit),
            Seat::None => return Err("too many connections without a certificate".into()),
        };
        let life = stranger.as_ref().map(|_| limits.stranger_life);
        self.serve(stream, caller, life).await
    }

    /// Who is at the other end. A certificate that gives no identity ends the connection.
    fn caller(
        &self,
        stream: &TlsStream<TcpStream>,
        remote: SocketAddr,
    ) -> Result<Caller, api::error::Cause> {
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(wire::ALPN_AUTH) {
            return Err("the client does not speak the protocol of this door".into());
        }
        let identity = match session.peer_certificates() {
            None | Some([]) => None,
            Some(chain) => Some(self.tls.trust.identity_of(chain, self.cluster.now())?),
        };
        Ok(Caller::new(identity, remote))
    }

    fn seat(&self, caller: &Caller) -> Seat {
        if !caller.is_stranger() {
            return Seat::Member;
        }
        match Arc::clone(&self.strangers).try_acquire_owned() {
            Ok(permit) => Seat::Stranger(permit),
            Err(_) => Seat::None,
        }
    }

    async fn serve(
        &self,
        stream: TlsStream<TcpStream>,
        caller: Caller,
        life: Option<Duration>,
    ) -> Result<(), api::error::Cause> {
        let service = self.router.clone().layer(Extension(caller));
        let connection = http2::Builder::new(Tracked(self.cluster.tasks.clone()))
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADERS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_pending_accept_reset_streams(64)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_PATIENCE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut connection = std::pin::pin!(connection);
        let ended = async {
            match life {
                Some(life) => sleep(life).await,
                None => std::future::pending().await,
            }
        };
        let grace = tokio::select! {
            done = connection.as_mut() => return Ok(done?),
            () = self.cluster.stopping.cancelled() => self.cluster.config.limits.request,
            () = ended => STRANGERS_GRACE,
        };
        // Requests under way may finish; the client learns to send no more.
        connection.as_mut().graceful_shutdown();
        let rest = timeout(grace, connection).await;
        Ok(rest??)
    }
}

enum Seat {
    Member,
    Stranger(OwnedSemaphorePermit),
    None,
}

/// Runs the tasks of a connection under the service's own tracker.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.0.spawn(async move {
            future.await;
        });
    }
}
