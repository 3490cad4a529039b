//! The agent's end of a user's connection: TLS with the user's own certificate, and inside what its protocol says: HTTP/2
//! to AWS or to a web app, HTTP/1.1 to a web app, bytes to a TCP app, or a sign-in to the AWS console.
//!
//! Who the user is, is read once from the verified certificate; whether he may, is decided for each request anew.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{AppTraffic, Identity};
use api::error::Chain;
use api::gather::Gathering;
use api::wire;
use http::HeaderMap;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
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

use crate::app_use::Visitor;
use crate::call::{AnswerBody, Road};
use crate::console::Console;
use crate::tcp_app::TcpApps;
use crate::web_app::{WebApps, WebBody};

const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// A session that was opened a moment ago may not have reached the snapshot yet.
pub(crate) const SESSION_PATIENCE: Duration = Duration::from_secs(5);
/// How long a kept connection may wait for its next request.
const HEAD_DEADLINE: Duration = Duration::from_secs(120);
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
    /// Where calls to AWS go.
    pub(crate) road: Arc<Road>,
    /// Where sign-ins to the AWS console go.
    pub(crate) console: Console,
    /// Where requests to web apps go.
    pub(crate) web: Arc<WebApps>,
    /// Where connections to TCP apps go.
    pub(crate) tcp: TcpApps,
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
    #[error("no protocol of ours")]
    Protocol,
    #[error("the app may not be used any more")]
    Denied,
    #[error("the user's certificate was refused")]
    Identity(#[from] pki::IdentityError),
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
}

impl Server {
    /// Serves one stream to its end. `address` is where the proxy says that it comes from.
    pub(crate) async fn serve(self: Arc<Self>, stream: impl Io, address: Option<SocketAddr>) {
        if let Err(error) = self.serve_connection(stream, address).await {
            debug!(error = %Chain(&error), "a user's connection ended early");
        }
    }

    async fn serve_connection(
        self: &Arc<Self>,
        stream: impl Io,
        address: Option<SocketAddr>,
    ) -> Result<(), Ended> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.tls)).accept(stream);
        let tls = timeout(HANDSHAKE_DEADLINE, handshake).await.map_err(|_| Ended::TooLate)?;
        let tls = tls.map_err(Ended::Tls)?;
        let identity = Arc::new(self.identify(&tls)?);
        let span = info_span!("connection", user = identity.subject());
        info!(parent: &span, "connection open");
        self.await_session(&identity).await;
        let visitor = Visitor { identity, address };
        let protocol = tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        let serving = async {
            match protocol.as_deref() {
                Some(wire::ALPN_APP) => self.serve_http2(tls, visitor).await,
                Some(wire::ALPN_APP_HTTP1) => self.serve_http1(tls, visitor).await,
                Some(wire::ALPN_APP_CONSOLE) => self.serve_console(tls, visitor).await,
                Some(wire::ALPN_APP_TCP) => {
                    self.tcp.serve(&visitor, tls).await;
                    Ok(())
                }
                _ => Err(Ended::Protocol),
            }
        };
        serving.instrument(span).await
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

    /// Calls to AWS, and requests to web apps, many at once.
    async fn serve_http2(
        self: &Arc<Self>,
        tls: TlsStream<impl Io>,
        visitor: Visitor,
    ) -> Result<(), Ended> {
        let (server, by) = (Arc::clone(self), visitor.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (server, visitor) = (Arc::clone(&server), by.clone());
            async move { Ok::<_, Infallible>(server.answer(&visitor, request).await) }
        });
        let connection = http2::Builder::new(Tracked(self.tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MOST_STREAMS)
            .max_header_list_size(MOST_HEADERS)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .serve_connection(TokioIo::new(Gathering::new(tls)), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.until_denied(&visitor) => return Err(Ended::Denied),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }

    /// Requests to a web app one after the other, where one of them may make a WebSocket of the connection.
    async fn serve_http1(
        self: &Arc<Self>,
        tls: TlsStream<impl Io>,
        visitor: Visitor,
    ) -> Result<(), Ended> {
        let (web, by) = (Arc::clone(&self.web), visitor.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (web, visitor) = (Arc::clone(&web), by.clone());
            async move { Ok::<_, Infallible>(web.answer(&visitor, request).await) }
        });
        let connection = http1_server().serve_connection(TokioIo::new(tls), service);
        let mut connection = std::pin::pin!(connection.with_upgrades());
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.until_denied(&visitor) => return Err(Ended::Denied),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }

    async fn serve_console(
        self: &Arc<Self>,
        tls: TlsStream<impl Io>,
        visitor: Visitor,
    ) -> Result<(), Ended> {
        let server = Arc::clone(self);
        let service = service_fn(move |request: Request<Incoming>| {
            let (server, visitor) = (Arc::clone(&server), visitor.clone());
            async move { Ok::<_, Infallible>(server.console.answer(&visitor, request).await) }
        });
        let connection = http1_server().serve_connection(TokioIo::new(tls), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = self.stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        Ok(connection.await?)
    }

    async fn answer(&self, visitor: &Visitor, request: Request<Incoming>) -> Response<Answered> {
        if request.headers().contains_key(wire::HEADER_ASKED) {
            return self.say_when(visitor, request.headers()).await;
        }
        match self.web.app_use.traffic(&visitor.identity) {
            // In a box, so that calls to AWS do not carry the room that it takes.
            Some(AppTraffic::Web) => {
                Box::pin(self.web.answer(visitor, request)).await.map(Either::Right)
            }
            // What is no web app is refused on the road to AWS, in AWS's words.
            _ => self.road.call(&visitor.identity, request).await.map(Either::Left),
        }
    }

    /// Answers when the body of another request is wanted. It is no call, and says nothing else.
    async fn say_when(&self, visitor: &Visitor, headers: &HeaderMap) -> Response<Answered> {
        let mut answer = Response::new(Either::Left(Either::Left(Full::default())));
        *answer.status_mut() = self.road.expectations.answer(&visitor.identity, headers).await;
        answer
    }

    /// Ends when a web app that was allowed may not be used any more. AWS's clients are told so at their next call
    /// instead, in words that they understand.
    async fn until_denied(&self, visitor: &Visitor) {
        self.web.app_use.until_denied(&visitor.identity, AppTraffic::Web).await;
    }
}

/// An answer of either road.
type Answered = Either<AnswerBody, WebBody>;

fn http1_server() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MOST_HEADERS as usize)
        .half_close(true);
    builder
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
