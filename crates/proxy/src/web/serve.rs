//! Serves HTTP on one connection of a stranger: TLS first, then requests, all bounded in time and size.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::error::Chain;
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::debug;

use super::Peer;
use crate::apps::{Apps, Asked, Visit};
use crate::places::Places;
use crate::rewind::Rewind;
use crate::splice::{Steps, Watched};

/// How long the head of a request may take.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Longest silence of a connection.
const IDLE: Duration = Duration::from_secs(75);
/// Largest head of a request, bytes (HTTP/1: the read buffer; HTTP/2: the header list).
const HEAD_LIMIT: usize = 32 * 1024;
/// Requests at once on one HTTP/2 connection (RFC 9113, section 6.5.2, wants no less).
const STREAMS: u32 = 100;
/// Header fields of a request.
const FIELDS: usize = 64;
/// Streams of one HTTP/2 connection that the client has reset and that are not forgotten yet. One
/// that resets faster than we can forget is closed (CVE-2023-44487).
const RESETS: usize = 20;
/// Streams of one HTTP/2 connection that we reset because of a client's mistakes, before it is
/// closed (CVE-2025-8671).
const MISTAKES: usize = 64;

/// The web road.
pub(crate) struct WebRoad {
    tls: TlsAcceptor,
    /// Asks for a certificate: on the hosts of web apps.
    asking: TlsAcceptor,
    apps: Arc<Apps>,
    routes: Router,
    places: Arc<Places>,
    handshake: Duration,
    stopping: CancellationToken,
}

impl WebRoad {
    /// `places` and `handshake` bound how many there may be and how long each may take to begin.
    pub(crate) fn new(
        (tls, asking): (Arc<ServerConfig>, Arc<ServerConfig>),
        (routes, apps): (Router, Arc<Apps>),
        (places, handshake): (Arc<Places>, Duration),
        stopping: CancellationToken,
    ) -> Self {
        let (tls, asking) = (TlsAcceptor::from(tls), TlsAcceptor::from(asking));
        Self { tls, asking, apps, routes, places, handshake, stopping }
    }

    /// Serves one connection to its end. `server_name` is what the client named in its first message.
    pub(crate) async fn serve(
        &self,
        io: Rewind<TcpStream>,
        peer: SocketAddr,
        server_name: Option<&str>,
    ) {
        let Some(_place) = self.places.enter(peer.ip()) else {
            debug!("too many web connections; dropped");
            return;
        };
        let asks = server_name.is_some_and(|name| self.apps.asks_for_certificate(name));
        let acceptor = if asks { &self.asking } else { &self.tls };
        let tls = match timeout(self.handshake, acceptor.accept(io)).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return debug!(error = %Chain(&error), "web handshake failed"),
            Err(_) => return debug!("web handshake took too long"),
        };
        let certified = match tls.get_ref().1.peer_certificates() {
            Some(shown) => match self.apps.certified(shown).await {
                Some(certified) => Some(certified),
                // Whoever shows a certificate means it: no cookie is to stand in for one that has ended.
                None => return debug!("the session of a shown certificate has ended"),
            },
            None => None,
        };
        let is_h2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        let steps = Steps::default();
        let io = Watched::new(tls, steps.clone());
        let (routes, apps, beats) = (self.routes.clone(), Arc::clone(&self.apps), steps.clone());
        let service = tower::service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer.ip()));
            let (routes, apps) = (routes.clone(), Arc::clone(&apps));
            let visit =
                Visit { address: peer.ip(), steps: beats.clone(), certified: certified.clone() };
            async move { answer(routes, &apps, request, visit).await }
        });
        let builder = builder(is_h2);
        let service = TowerToHyperService::new(service);
        let serving = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
        let mut serving = std::pin::pin!(serving);
        let mut silence = std::pin::pin!(steps.silence(IDLE));
        let mut is_stopping = false;
        loop {
            tokio::select! {
                ended = serving.as_mut() => {
                    if let Err(error) = ended {
                        debug!(error = %Chain(error.as_ref()), "web connection ended");
                    }
                    return;
                }
                () = self.stopping.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = silence.as_mut() => return debug!("silent web connection closed"),
            }
        }
    }
}

/// The host says for whom a request is.
async fn answer(
    routes: Router,
    apps: &Apps,
    request: http::Request<Incoming>,
    visit: Visit,
) -> Result<Response, Infallible> {
    match apps.asked(&request) {
        Asked::App(app, host) => Ok(Box::pin(apps.answer((app, host), request, visit)).await),
        Asked::Pages if visit.certified.is_none() => {
            routes.oneshot(request.map(axum::body::Body::new)).await
        }
        Asked::Pages => Ok(StatusCode::MISDIRECTED_REQUEST.into_response()),
        Asked::Nobody => Ok(apps.nobody(&request).await),
        Asked::Unclear => Ok(StatusCode::BAD_REQUEST.into_response()),
    }
}

fn builder(is_h2: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    let mut builder = if is_h2 { builder.http2_only() } else { builder.http1_only() };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(MISTAKES)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}
