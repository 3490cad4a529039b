//! New connections to AWS: TCP, by the operator's own proxy where `HTTPS_PROXY` and `NO_PROXY` say so, TLS, HTTP.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use api::error::Chain;
use http::Uri;
use http::uri::{Authority, Scheme};
use hyper::client::conn::{http1, http2};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;
use tower::Service as _;
use tracing::debug;

use crate::body::UpstreamBody;
use crate::server::Tracked;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// TCP, proxy, TLS and HTTP together.
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const HTTP_2: &[u8] = b"h2";

/// Which HTTP is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2, if the host agrees.
    Two,
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

/// The near end of a connection.
pub(super) enum Sender {
    One(http1::SendRequest<UpstreamBody>),
    Two(http2::SendRequest<UpstreamBody>),
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("the address has no scheme or no host")]
    Address,
    #[error("the host cannot be reached")]
    Tcp(#[source] Box<dyn StdError + Send + Sync>),
    #[error("the proxy at {proxy} (HTTPS_PROXY) gives no way to the host")]
    Proxy { proxy: String, source: Box<dyn StdError + Send + Sync> },
    #[error("no TLS with the host")]
    Tls(#[source] std::io::Error),
    #[error("no HTTP with the host")]
    Http(#[source] hyper::Error),
    #[error("the host wants HTTP/2, which was not offered")]
    NotAgreed,
    #[error("no connection within {} seconds", DIAL_TIMEOUT.as_secs())]
    Late,
}

/// What a connection is made of.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Makes connections.
pub(crate) struct Dialer {
    http: HttpConnector,
    to_proxy: HttpsConnector<HttpConnector>,
    tls: [TlsConnector; 2],
    proxies: Matcher,
    tasks: TaskTracker,
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Result<Self, DialError> {
        match (uri.scheme(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                Ok(Self { scheme: scheme.clone(), authority: authority.clone() })
            }
            _ => Err(DialError::Address),
        }
    }

    fn uri(&self) -> Result<Uri, DialError> {
        let (scheme, authority) = (self.scheme.clone(), self.authority.clone());
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
        uri.map_err(|_| DialError::Address)
    }
}

impl Dialer {
    /// With these TLS settings, and the operator's own proxies.
    pub(crate) fn new(tls: &ClientConfig, proxies: Matcher) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.set_keepalive(Some(Duration::from_secs(60)));
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(http.clone());
        let offering = |protocols: &[&[u8]]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            TlsConnector::from(Arc::new(tls))
        };
        let tls = [offering(&[b"http/1.1"]), offering(&[HTTP_2, b"http/1.1"])];
        // Kept connections have no end of their own that a shutdown could wait for: they end with their senders.
        Self { http, to_proxy, tls, proxies, tasks: TaskTracker::new() }
    }

    pub(super) async fn dial(&self, origin: &Origin, http: Http) -> Result<Sender, DialError> {
        let dialled = timeout(DIAL_TIMEOUT, self.connect(origin, http)).await;
        dialled.map_err(|_| DialError::Late)?
    }

    async fn connect(&self, origin: &Origin, http: Http) -> Result<Sender, DialError> {
        if origin.scheme == Scheme::HTTP {
            // Plain endpoints are the operator's own, beside the agent; they speak HTTP/1.1.
            let stream = self.tcp(origin.uri()?).await?;
            return self.http_1(stream).await;
        }
        let uri = origin.uri()?;
        match self.proxies.intercept(&uri) {
            None => self.tls(self.tcp(uri).await?, origin, http).await,
            Some(proxy) => self.tls(self.by_proxy(&proxy, uri).await?, origin, http).await,
        }
    }

    async fn tcp(&self, uri: Uri) -> Result<Box<dyn Io>, DialError> {
        let stream = self.http.clone().call(uri).await;
        Ok(Box::new(stream.map_err(|error| DialError::Tcp(error.into()))?.into_inner()))
    }

    /// By CONNECT.
    async fn by_proxy(&self, proxy: &Intercept, uri: Uri) -> Result<Box<dyn Io>, DialError> {
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let stream = tunnel.call(uri).await.map_err(|error| DialError::Proxy {
            proxy: address_of(proxy.uri()),
            source: error.into(),
        })?;
        Ok(Box::new(TokioIo::new(stream)))
    }

    async fn tls(
        &self,
        stream: Box<dyn Io>,
        origin: &Origin,
        http: Http,
    ) -> Result<Sender, DialError> {
        let host = origin.authority.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_| DialError::Address)?;
        let [one, two] = &self.tls;
        let connector = if http == Http::One { one } else { two };
        let stream = connector.connect(name, stream).await.map_err(DialError::Tls)?;
        if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) {
            return self.http_2(stream).await;
        }
        self.http_1(stream).await
    }

    async fn http_1(&self, stream: impl Io + 'static) -> Result<Sender, DialError> {
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(DialError::Http)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                debug!(error = %Chain(&error), "a connection to AWS ended");
            }
        });
        Ok(Sender::One(sender))
    }

    async fn http_2(&self, stream: impl Io + 'static) -> Result<Sender, DialError> {
        let handshake = http2::Builder::new(Tracked(self.tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(KEEP_ALIVE)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(DialError::Http)?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                debug!(error = %Chain(&error), "a connection to AWS ended");
            }
        });
        Ok(Sender::Two(sender))
    }
}

/// Without the password that may stand in it.
fn address_of(proxy: &Uri) -> String {
    let port = proxy.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}{port}", proxy.host().unwrap_or_default())
}
