//! Keeps tunnels open to every proxy: dialled from here, dialled again when they end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api::error::Chain;
use http::HeaderMap;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug, info, info_span, warn};
use tunnel::{Backoff, Channel, Far, Incoming, Settings, TunnelError};

use crate::chance::chance;
use crate::server::Server;

pub(crate) const DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// A restarted proxy is found again at once; a proxy that is away for long is asked now and then.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What all tunnels share.
pub(crate) struct Tunnels {
    /// Where to dial, for each tunnel once.
    pub(crate) tls: Arc<ClientConfig>,
    /// Who takes the streams.
    pub(crate) server: Arc<Server>,
    /// Where the tasks of streams belong.
    pub(crate) tasks: TaskTracker,
    /// How many tunnels stand.
    pub(crate) standing: watch::Sender<usize>,
    /// Ends the tunnels: open streams may finish within the patience.
    pub(crate) stop: CancellationToken,
    /// How long open streams may take to finish.
    pub(crate) patience: Arc<std::sync::OnceLock<Duration>>,
}

#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("could not connect")]
    Connect(#[source] io::Error),
    #[error("TLS with the proxy failed")]
    Tls(#[source] io::Error),
    #[error("no connection within {DIAL_DEADLINE:?}")]
    TooLate,
    #[error("the name of proxies is no server name")]
    Name(#[source] rustls_pki_types::InvalidDnsNameError),
}

#[derive(Debug, Error)]
enum Ended {
    #[error("could not dial the proxy")]
    Dial(#[from] DialError),
    #[error("the tunnel broke")]
    Tunnel(#[from] TunnelError),
}

/// One in the number of standing tunnels, as long as it lives.
struct Standing<'a>(&'a watch::Sender<usize>);

impl<'a> Standing<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Tunnels {
    /// Keeps one tunnel to `proxy` until the end.
    pub(crate) async fn keep(self: Arc<Self>, proxy: String) {
        let span = info_span!("tunnel", %proxy);
        self.keep_dialling(&proxy).instrument(span).await;
    }

    async fn keep_dialling(&self, proxy: &str) {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        while !self.stop.is_cancelled() {
            let mut standing_since = None;
            match self.run_one(proxy, &mut standing_since).await {
                Ok(()) => info!("tunnel closed"),
                Err(error) => warn!(error = %Chain(&error), "tunnel lost; dialling again"),
            }
            let lived = standing_since.map_or(Duration::ZERO, |since: Instant| since.elapsed());
            let pause = backoff.wait_after(lived, chance());
            // Stopping while pausing ends the loop.
            let _ = timeout(pause, self.stop.cancelled()).await;
        }
    }

    async fn run_one(
        &self,
        proxy: &str,
        standing_since: &mut Option<Instant>,
    ) -> Result<(), Ended> {
        let dialled = tokio::select! {
            dialled = timeout(DIAL_DEADLINE, dial(proxy, &self.tls, |tcp| tcp)) => dialled,
            () = self.stop.cancelled() => return Ok(()),
        };
        let stream = dialled.map_err(|_| DialError::TooLate)??;
        let mut far = tunnel::accept_on(stream, &Settings::default());
        let _standing = Standing::new(&self.standing);
        *standing_since = Some(Instant::now());
        info!("tunnel open");
        self.serve(&mut far).await
    }

    /// Takes streams until the tunnel ends, in good order if stopped.
    async fn serve(&self, far: &mut Far<TlsStream<TcpStream>>) -> Result<(), Ended> {
        let handle = far.handle();
        let draining = async {
            self.stop.cancelled().await;
            handle.drain(self.patience.get().copied().unwrap_or_default());
            std::future::pending::<Infallible>().await
        };
        let taking = async {
            while let Some(incoming) = far.next().await? {
                self.take(incoming);
            }
            Ok(())
        };
        tokio::select! {
            never = draining => match never {},
            ended = taking => ended,
        }
    }

    fn take(&self, incoming: Incoming) {
        let server = Arc::clone(&self.server);
        let address = client_address(incoming.headers());
        match incoming.accept() {
            Ok(stream) => {
                let channel: Channel<TcpStream> = Channel::Stream(stream);
                let serving = async move { server.serve(channel, address).await };
                self.tasks.spawn(serving.in_current_span());
            }
            Err(error) => {
                debug!(error = %Chain(&error), "a stream was given up before it began");
            }
        }
    }
}

/// Connects with TLS, on what `wrap` makes of the connection.
pub(crate) async fn dial<T>(
    proxy: &str,
    tls: &Arc<ClientConfig>,
    wrap: impl FnOnce(TcpStream) -> T,
) -> Result<TlsStream<T>, DialError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let tcp = TcpStream::connect(proxy).await.map_err(DialError::Connect)?;
    tcp.set_nodelay(true).map_err(DialError::Connect)?;
    let name = ServerName::try_from(api::wire::PROXY_SERVER_NAME).map_err(DialError::Name)?;
    let tls = TlsConnector::from(Arc::clone(tls));
    tls.connect(name, wrap(tcp)).await.map_err(DialError::Tls)
}

/// Where the proxy says that a stream comes from.
pub(crate) fn client_address(headers: &HeaderMap) -> Option<SocketAddr> {
    headers.get(api::wire::HEADER_CLIENT_ADDR)?.to_str().ok()?.parse().ok()
}
