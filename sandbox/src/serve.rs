//! The listener: connections in, answers out, and an orderly end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::door;
use crate::world::World;

/// How long open requests may take when the sandbox is told to stop.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A bound listener that has not begun to serve.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

impl Listener {
    /// Binds an address; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, tls: None })
    }

    /// Speaks TLS only.
    pub fn with_tls(mut self, tls: Arc<ServerConfig>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `stop` is ready; then lets open requests end.
    pub async fn serve(self, world: Arc<World>, stop: impl Future<Output = ()>) {
        let tasks = TaskTracker::new();
        let graceful = Arc::new(GracefulShutdown::new());
        let acceptor = self.tls.map(TlsAcceptor::from);
        tokio::pin!(stop);
        loop {
            let stream = tokio::select! {
                () = &mut stop => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    // Too many open files, say: others may end meanwhile.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let watcher = graceful.watcher();
            tasks.spawn(connection(stream, acceptor.clone(), Arc::clone(&world), watcher));
        }
        drop(self.socket);
        tasks.close();
        let end = async {
            if let Some(graceful) = Arc::into_inner(graceful) {
                graceful.shutdown().await;
            }
            tasks.wait().await;
        };
        // Whoever is still talking after that is cut off by the end of the process.
        let _ = tokio::time::timeout(LAST_WORDS, end).await;
    }
}

type Watcher = hyper_util::server::graceful::Watcher;

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    world: Arc<World>,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => talk(stream, world, watcher).await,
        Some(acceptor) => {
            let handshake =
                tokio::time::timeout(Duration::from_secs(10), acceptor.accept(stream)).await;
            if let Ok(Ok(stream)) = handshake {
                talk(stream, world, watcher).await;
            }
        }
    }
}

async fn talk<S>(stream: S, world: Arc<World>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let world = Arc::clone(&world);
        async move { Ok::<_, Infallible>(door::answer(&world, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().max_concurrent_streams(256).adaptive_window(true);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    // An error here is a client that went away, or an answer that was cut on request.
    let _ = watcher.watch(connection.into_owned()).await;
}
