//! The listeners of the local proxy: on this machine's loopback, unless the user has asked for another address.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use pki::{Clock, LocalCa, LocalLeaves};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::check::Place;
use super::connect::{self, ConnectError, Target};
use super::forward::Desk;
use super::pass_through::Upstream;
use super::peer::Ends;

/// Connections at a time; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 1024;
/// How long a TLS handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a kept-alive connection may idle between requests.
const IDLE_DEADLINE: Duration = Duration::from_secs(120);

/// ALPN.
const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";
/// Flow-control windows, bytes: of one stream, and of the whole connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Requests at a time on one connection.
const MOST_STREAMS: u32 = 256;

/// What the local proxy looks like to the AWS tools.
#[derive(Debug, Clone)]
pub enum Mode {
    /// An HTTPS proxy; hosts that are not AWS's pass through.
    HttpsProxy(Upstream),
    /// An AWS endpoint URL.
    EndpointUrl,
}

/// What a local proxy needs.
#[derive(Debug)]
pub struct Settings {
    /// Its kind.
    pub mode: Mode,
    /// Where to listen; port 0 for any free one.
    pub listen: SocketAddr,
    /// Names and addresses that clients on other machines may call an endpoint URL by.
    pub names: Vec<String>,
    /// Signs what it shows to the AWS tools.
    pub local_ca: LocalCa,
    /// Answers requests.
    pub desk: Desk,
}

/// A running local proxy.
#[derive(Debug)]
pub struct LocalProxy {
    address: SocketAddr,
}

/// Why a local proxy does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The local authority cannot be used.
    #[error("the local certificate authority cannot be used")]
    LocalCa(#[source] pki::IssueError),
    /// TLS refused its settings.
    #[error("the local TLS settings cannot be used")]
    Tls(#[source] pki::TlsError),
}

struct Shared {
    mode: Mode,
    listen: SocketAddr,
    names: Arc<[String]>,
    /// Takes HTTP/2 from clients that offer nothing else.
    tls: Arc<ServerConfig>,
    /// Takes HTTP/2 from clients that offer it.
    http_2_first: Arc<ServerConfig>,
    desk: Desk,
    room: Semaphore,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl LocalProxy {
    /// Listens, and answers in the background until `stop`.
    ///
    /// # Errors
    /// When the port cannot be had or the authority cannot be used.
    pub async fn start(
        settings: Settings,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, StartError> {
        let Settings { mode, listen, names, local_ca, desk } = settings;
        let listen_error = |source| StartError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let clock = Clock::from(desk.now);
        let leaves = LocalLeaves::with_names(local_ca, clock.clone(), names.clone())
            .map_err(StartError::LocalCa)?;
        let tls = pki::web::web_server(leaves, vec![HTTP_1.to_vec(), HTTP_2.to_vec()], clock)
            .map_err(StartError::Tls)?;
        let mut http_2_first = ServerConfig::clone(&tls);
        http_2_first.alpn_protocols.reverse();
        let second = match &mode {
            // `localhost` may mean ::1 to a client; without IPv6 there is only one.
            Mode::EndpointUrl if address.ip() == Ipv4Addr::LOCALHOST => {
                TcpListener::bind((Ipv6Addr::LOCALHOST, address.port())).await.ok()
            }
            _ => None,
        };
        let mode = match mode {
            Mode::HttpsProxy(upstream) => Mode::HttpsProxy(upstream.without(address)),
            Mode::EndpointUrl => Mode::EndpointUrl,
        };
        let shared = Arc::new(Shared {
            mode,
            listen: address,
            names: names.into(),
            tls,
            http_2_first: Arc::new(http_2_first),
            desk,
            room: Semaphore::new(MOST_CONNECTIONS),
            tasks: tasks.clone(),
            stop: stop.clone(),
        });
        for listener in [Some(listener), second].into_iter().flatten() {
            tasks.spawn(accept(listener, Arc::clone(&shared)));
        }
        Ok(Self { address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = Arc::clone(&shared);
                shared.tasks.spawn(async move {
                    let stop = connection.stop.clone();
                    tokio::select! {
                        () = serve(connection, stream) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: wait for one to come free.
                debug!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let Ok(_room) = shared.room.acquire().await else { return };
    // Latency only; without it the connection works as well.
    let _ = stream.set_nodelay(true);
    let place = match &shared.mode {
        Mode::EndpointUrl => Place::Endpoint(Arc::clone(&shared.names)),
        Mode::HttpsProxy(upstream) => match connect::read(&mut stream).await {
            Ok(target) if target.port == 443 && is_for_the_agent(&target.host) => {
                if connect::accept(&mut stream).await.is_err() {
                    return;
                }
                Place::Aws(target.host.into())
            }
            Ok(target) if is_near(&stream) => return pass_through(upstream, &target, stream).await,
            Ok(_) => return refuse_far(stream).await,
            Err(error) => return refuse(&error, stream).await,
        },
    };
    serve_http(Arc::clone(&shared), place, stream).await;
}

async fn serve_http(shared: Arc<Shared>, place: Place, stream: TcpStream) {
    let tls = match &place {
        Place::Aws(host) if !streams_both_ways(host) => &shared.tls,
        // What is called here may be any service.
        _ => &shared.http_2_first,
    };
    let ends = Ends::of(&stream, shared.listen.ip());
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    let stream = match timeout(HANDSHAKE_DEADLINE, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            debug!(%error, "a client did not finish its TLS handshake; does it trust AWS_CA_BUNDLE?");
            return;
        }
        Err(_) => return,
    };
    let speaks_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    let executor = Tracked(shared.tasks.clone());
    let place = Arc::new(place);
    let service = service_fn(move |request| {
        let (shared, place) = (Arc::clone(&shared), Arc::clone(&place));
        async move { Ok::<_, Infallible>(shared.desk.answer((&place, ends), request).await) }
    });
    let served = if speaks_http_2 {
        http2::Builder::new(executor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(MOST_STREAMS)
            .keep_alive_interval(HANDSHAKE_DEADLINE)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service)
            .await
    } else {
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_DEADLINE)
            .pipeline_flush(true)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service)
            .await
    };
    if let Err(error) = served {
        debug!(error = %api::error::Chain(&error), "a client's connection ended");
    }
}

/// Whether requests to a host go to the agent. The WebSockets of SSM and ECS exec go straight to AWS: they are not
/// signed, but carry a token that the agent was asked for by `StartSession` or `ExecuteCommand`.
fn is_for_the_agent(host: &str) -> bool {
    let carries_sessions =
        host.starts_with("ssmmessages.") || host.starts_with("ssmmessages-fips.");
    aws::endpoint::is_aws_host(host) && !carries_sessions
}

/// Whether a host is of a service with operations that stream in both directions, which takes HTTP/2.
fn streams_both_ways(host: &str) -> bool {
    let is_listed = |label: &str| {
        let label = label.strip_suffix("-fips").unwrap_or(label);
        STREAMING.contains(&label) || label.ends_with("-kinesis")
    };
    host.split('.').any(is_listed)
}

/// Labels in the hosts of Transcribe, Bedrock, Kinesis (whose consumers have hosts with an account in front), Lex,
/// Polly, Q and HealthScribe.
const STREAMING: [&str; 9] = [
    "transcribestreaming",
    "bedrock-runtime",
    "bedrock-agentcore",
    "kinesis",
    "control-kinesis",
    "data-kinesis",
    "runtime-v2-lex",
    "polly",
    "qbusiness",
];

/// Puts the tasks of a connection where the end of the program can wait for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Whether the client is on this machine. Others get no way into the user's network.
fn is_near(stream: &TcpStream) -> bool {
    stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
}

async fn refuse_far(mut stream: TcpStream) {
    let sentence = "this proxy takes clients on other machines to AWS hosts only; \
                    name the other hosts in their NO_PROXY";
    if let Err(error) = connect::refuse(&mut stream, "403 Forbidden", sentence).await {
        debug!(%error, "a refusal could not be written");
    }
}

async fn pass_through(upstream: &Upstream, target: &Target, mut stream: TcpStream) {
    let outcome = match upstream.connect(target).await {
        Ok(mut there) => match connect::accept(&mut stream).await {
            Ok(()) => tokio::io::copy_bidirectional(&mut stream, &mut there).await.map(|_| ()),
            Err(error) => Err(error),
        },
        Err(error) => {
            let sentence = api::error::Chain(&error).to_string();
            connect::refuse(&mut stream, "502 Bad Gateway", &sentence).await
        }
    };
    if let Err(error) = outcome {
        debug!(%error, host = %target.host, "a passed-through connection ended");
    }
}

async fn refuse(error: &ConnectError, mut stream: TcpStream) {
    debug!(error = %api::error::Chain(error), "no CONNECT");
    let told = match error {
        ConnectError::Io(_) => return,
        ConnectError::Late => {
            connect::refuse(&mut stream, "408 Request Timeout", &error.to_string()).await
        }
        _ => connect::refuse(&mut stream, "400 Bad Request", &error.to_string()).await,
    };
    if let Err(error) = told {
        debug!(%error, "a refusal could not be written");
    }
}
