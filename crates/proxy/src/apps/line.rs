//! Connections to agents that browsers' requests go over: TLS with the app session's own certificate, inside a
//! tunnel. One is kept for each session and address, and cut when the session ends.

use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use access::{AppName, AppSessionId};
use api::error::Chain;
use api::wire;
use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use moka::future::Cache;
use pki::{ClientTls, Clock, LiveCredential, LiveTrust, TrustedServers};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::debug;

use crate::agents::{Agents, NoAgent, ToAgent};
use crate::connections::Connections;
use crate::sessions::Sessions;
use crate::snapshot::NotLive;
use crate::splice::{Steps, Watched};

const HANDSHAKE: Duration = Duration::from_secs(10);
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const SEND_BUFFER: usize = 256 * 1024;
const HEAD_LIMIT: u32 = 64 * 1024;
/// How often an agent is asked for a sign of life.
const PULSE: Duration = Duration::from_secs(20);

/// Whose connection, and to what.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) session: AppSessionId,
    pub(super) app: AppName,
    pub(super) credential: Arc<LiveCredential>,
    /// The browser's address, for the app.
    pub(super) address: IpAddr,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum LineError {
    #[error(transparent)]
    Agent(#[from] NoAgent),
    #[error(transparent)]
    Session(#[from] NotLive),
    #[error("TLS cannot be set up with the session's certificate")]
    Settings(#[from] pki::TlsError),
    #[error("the session's id is no server name")]
    Name(#[from] rustls_pki_types::InvalidDnsNameError),
    #[error("the handshake with the agent failed")]
    Handshake(#[source] std::io::Error),
    #[error("the agent did not answer in time")]
    Late,
    #[error("the connection to the agent broke")]
    Http(#[source] hyper::Error),
    #[error("the connection to the agent ended")]
    Ended,
}

/// Requests' bodies are passed on as they come.
pub(super) type Sender = http2::SendRequest<Incoming>;

/// All connections.
pub(super) struct Lines {
    pub(super) dialler: Arc<Dialler>,
    pub(super) kept: Cache<(AppSessionId, IpAddr), Sender>,
}

/// Makes them.
pub(super) struct Dialler {
    pub(super) agents: Arc<Agents>,
    pub(super) connections: Arc<Connections>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) trust: Arc<LiveTrust>,
    pub(super) clock: Clock,
}

type Io = TokioIo<Watched<TlsStream<ToAgent>>>;
type Driven = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

impl Lines {
    /// A connection for many requests: the kept one, or a new one for all who wait for it.
    pub(super) async fn shared(&self, line: &Line) -> Result<Sender, Arc<LineError>> {
        let key = (line.session.clone(), line.address);
        if let Some(kept) = self.kept.get(&key).await {
            if !kept.is_closed() {
                return Ok(kept);
            }
            self.kept.invalidate(&key).await;
        }
        let opening = self.dialler.open(line, wire::ALPN_APP, |io| async move {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(SEND_BUFFER)
                .max_header_list_size(HEAD_LIMIT)
                .keep_alive_interval(PULSE)
                .keep_alive_timeout(PULSE)
                .handshake(io)
                .await?;
            Ok((sender, Box::pin(connection) as Driven))
        });
        self.kept.try_get_with(key, Box::pin(opening)).await
    }

    /// A connection for one request that may make another protocol of it.
    pub(super) async fn single<B>(
        &self,
        line: &Line,
        protocol: &'static [u8],
    ) -> Result<http1::SendRequest<B>, LineError>
    where
        B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        let opening = self.dialler.open(line, protocol, |io| async move {
            let (sender, connection) = http1::handshake(io).await?;
            Ok((sender, Box::pin(connection.with_upgrades()) as Driven))
        });
        Box::pin(opening).await
    }
}

impl Dialler {
    /// Runs a connection among all others of the proxy, where the end of its session cuts it, and gives what sends
    /// over it.
    async fn open<T, F, B>(
        self: &Arc<Self>,
        line: &Line,
        protocol: &'static [u8],
        begin: F,
    ) -> Result<T, LineError>
    where
        T: Send + 'static,
        F: FnOnce(Io) -> B + Send + 'static,
        B: Future<Output = Result<(T, Driven), hyper::Error>> + Send,
    {
        let (say, heard) = oneshot::channel();
        let (dialler, line) = (Arc::clone(self), line.clone());
        self.connections.spawn(|id, steps| async move {
            let _admitted = match dialler.sessions.admit(&line.session, id).await {
                Ok(admitted) => admitted,
                // If nobody listens any more, nobody needs to know.
                Err(reason) => return drop(say.send(Err(reason.into()))),
            };
            let begun = async {
                let io = dialler.dial(&line, protocol, steps).await?;
                begin(TokioIo::new(io)).await.map_err(LineError::Http)
            };
            let connection = match begun.await {
                Ok((sender, connection)) => {
                    let _ = say.send(Ok(sender));
                    connection
                }
                Err(error) => return drop(say.send(Err(error))),
            };
            if let Err(error) = connection.await {
                debug!(error = %Chain(&error), "a connection to an agent ended");
            }
        });
        heard.await.map_err(|_| LineError::Ended)?
    }

    async fn dial(
        &self,
        line: &Line,
        protocol: &[u8],
        steps: Steps,
    ) -> Result<Watched<TlsStream<ToAgent>>, LineError> {
        let from = SocketAddr::new(line.address, 0);
        let stream = self.agents.open(&line.app, &Bytes::new(), from).await?;
        let tls = pki::tls::client(ClientTls {
            credential: Some(Arc::clone(&line.credential)),
            servers: TrustedServers::Cluster(Arc::clone(&self.trust)),
            alpn: vec![protocol.to_vec()],
            clock: self.clock.clone(),
        })?;
        let name = ServerName::try_from(wire::app_server_name(&line.session))?;
        let connecting = TlsConnector::from(tls).connect(name, stream);
        let connected = timeout(HANDSHAKE, connecting).await.map_err(|_| LineError::Late)?;
        Ok(Watched::new(connected.map_err(LineError::Handshake)?, steps))
    }
}
