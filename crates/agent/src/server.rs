//! The agent's end of a user's connection: TLS with the user's own certificate, and HTTP/2 inside.
//!
//! Who the user is, is read once from the verified certificate; whether he may, is decided for each request anew.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use access::Identity;
use api::error::Chain;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, info_span};

use crate::call::{AnswerBody, Road};

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// A session that was opened a moment ago may not have reached the snapshot yet.
pub(crate) const SESSION_PATIENCE: Duration = Duration::from_secs(5);
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const MOST_STREAMS: u32 = 1024;
const MOST_HEADERS: u32 = 64 << 10;
/// When nothing is heard from the user's end for so long, it is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// What a stream is to this module.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// Takes streams.
pub(crate) struct Server {
    /// Shows the agent's certificate and demands a user's.
    pub(crate) tls: Arc<ServerConfig>,
    /// Where requests go.
    pub(crate) road: Arc<Road>,
    /// How long a session may take to reach the snapshot.
    pub(crate) session_patience: Duration,
    /// Where the tasks of connections belong.
    pub(crate) tasks: TaskTracker,
    /// Ends connections: open calls may finish.
    pub(crate) stop: CancellationToken,
}

#[derive(Debug, Error)]
enum Ended {
    #[error("TLS with the user failed")]
    Tls(#[source] io::Error),
    #[error("no TLS within {HANDSHAKE_DEADLINE:?}")]
    TooLate,
    #[error("the user's certificate was refused")]
    Identity(#[from] pki::IdentityError),
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
}

impl Server {
    /// Serves one stream to its end.
    pub(crate) async fn serve(&self, stream: impl Io) {
        if let Err(error) = self.serve_connection(stream).await {
            debug!(error = %Chain(&error), "a user's connection ended early");
        }
    }

    async fn serve_connection(&self, stream: impl Io) -> Result<(), Ended> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.tls)).accept(stream);
        let tls = timeout(HANDSHAKE_DEADLINE, handshake).await.map_err(|_| Ended::TooLate)?;
        let tls = tls.map_err(Ended::Tls)?;
        let identity = self.identify(&tls)?;
        let span = info_span!("connection", user = identity.subject());
        info!(parent: &span, "connection open");
        self.await_session(&identity).await;
        self.answer(tls, Arc::new(identity)).instrument(span).await
    }

    fn identify(&self, tls: &TlsStream<impl Io>) -> Result<Identity, pki::IdentityError> {
        let (_, connection) = tls.get_ref();
        let peer = connection.peer_certificates().unwrap_or_default();
        self.road.trust.identity_of(peer, self.road.clock.now())
    }

    /// Waits for the session to appear. If it does not, each request is refused with the reason.
    async fn await_session(&self, identity: &Identity) {
        let Some(session) =
            identity.user().and_then(|claims| claims.app.as_ref()).map(|app| &app.session)
        else {
            return;
        };
        let is_live = |snapshot: &crate::policy::Snapshot| {
            snapshot.policy.session(session.as_str()).is_some()
        };
        self.road.policy.wait_for(self.session_patience, is_live).await;
    }

    async fn answer(&self, tls: TlsStream<impl Io>, identity: Arc<Identity>) -> Result<(), Ended> {
        let road = Arc::clone(&self.road);
        let service = service_fn(move |request: Request<Incoming>| {
            let (road, identity) = (Arc::clone(&road), Arc::clone(&identity));
            async move { Ok::<Response<AnswerBody>, Infallible>(road.call(&identity, request).await) }
        });
        let connection = http2::Builder::new(Tracked(self.tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(MOST_HEADERS)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .serve_connection(TokioIo::new(tls), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }
}

/// Puts the tasks of a connection where shutdown can wait for them.
#[derive(Clone)]
pub(crate) struct Tracked(pub(crate) TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
