//! The kept-alive HTTP/2 connection to an agent, inside TLS 1.3 that ends at the agent.
//!
//! A task keeps the connection: it dials when a request wants one and none is
//! live, with a jittered back-off, and publishes what it dialled. A request on
//! the road takes no lock: it loads the live sender and sends. Nothing that may
//! have reached the agent is ever sent twice.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use access::AppSessionId;
use api::gather::Gathering;
use api::wire;
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use h2::client::{Connection, ResponseFuture, SendRequest};
use h2::{PingPong, RecvStream, SendStream};
use http::{HeaderValue, Request, Response, Version};
use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::check::Refusal;
use super::upload::{Stream, Upload};

/// How long a request waits for a live connection before it is refused.
const PATIENCE: Duration = Duration::from_secs(12);
/// How long one attempt may take, TCP and TLS together.
const DIAL_DEADLINE: Duration = Duration::from_secs(5);
/// First and longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Requests on the first connection from which on the second one is used too.
const CROWDED: usize = 90;
/// Flow-control windows, bytes: of one stream, and of the whole connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;
/// Bytes of one stream that wait here to be sent.
const SEND_BUFFER: usize = 512 * 1024;
/// Largest head of a reply.
const HEAD_LIMIT: u32 = 64 * 1024;
/// How often a connection is tried, and how long the answer may take.
const PULSE: Duration = Duration::from_secs(10);

/// Where to dial and how: changes when the app session is renewed.
#[derive(Clone)]
pub struct Route {
    /// `host:port` of the proxy.
    pub address: String,
    /// The app session, which the server name carries.
    pub session: AppSessionId,
    /// The app certificate to show, the host authorities to trust, ALPN `causeway-app`.
    pub tls: Arc<ClientConfig>,
}

/// The way to the agent. Cheap to clone.
#[derive(Clone)]
pub struct Road(Arc<Shared>);

/// Why a request got no reply.
#[derive(Debug, Error)]
pub enum RoadError {
    /// No connection in time; nothing was sent.
    #[error("no connection to the app's agent within {} seconds", PATIENCE.as_secs())]
    NoConnection(#[source] Option<Arc<DialError>>),
    /// The app session is no more; nothing was sent.
    #[error("the app session has ended")]
    SessionEnded,
    /// The connection broke after the request may have been sent.
    #[error("the connection to the app's agent broke before it answered")]
    Broken(#[source] h2::Error),
    /// The body was not what was signed; the agent saw no end of it.
    #[error("the body is refused: {}", .0.message)]
    Refused(Refusal),
}

/// Why an attempt to dial failed.
#[derive(Debug, Error)]
pub enum DialError {
    /// The proxy cannot be reached.
    #[error("cannot connect to the proxy at {address}")]
    Proxy {
        /// Where.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The proxy or the agent closed the connection in the handshake.
    #[error(
        "the proxy closed the connection: no agent serves the app now, or the cluster is starting"
    )]
    Closed(#[source] std::io::Error),
    /// The proxy knows that the session is no more.
    #[error("the app session has ended: logged out, expired, or its user is locked")]
    SessionEnded,
    /// The other end is not an agent of the cluster.
    #[error("the other end could not prove to be an agent of the cluster")]
    Untrusted(#[source] std::io::Error),
    /// The attempt took too long.
    #[error("the proxy at {address} did not answer within {} seconds", DIAL_DEADLINE.as_secs())]
    Late {
        /// Where.
        address: String,
    },
    /// The session has no server name, or HTTP/2 did not start.
    #[error("the connection to the agent could not be set up")]
    Setup(#[source] Box<dyn StdError + Send + Sync>),
}

struct Shared {
    route: ArcSwap<Route>,
    lanes: [Lane; 2],
    refused: Notify,
    tasks: TaskTracker,
}

/// One connection with its keeper.
#[derive(Default)]
struct Lane {
    live: ArcSwapOption<SendRequest<Bytes>>,
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    wanted: Notify,
    attempts: watch::Sender<Attempt>,
}

/// What the keeper did last; each attempt wakes those who wait.
#[derive(Debug, Clone, Default)]
struct Attempt {
    failure: Option<Arc<DialError>>,
}

impl Attempt {
    fn session_has_ended(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| matches!(**failure, DialError::SessionEnded))
    }
}

impl Road {
    /// Opens a road: the first connection is dialled at once, in the background, until `stop`.
    #[must_use]
    pub fn open(route: Route, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        let shared = Arc::new(Shared {
            route: ArcSwap::from_pointee(route),
            lanes: [Lane::default(), Lane::default()],
            refused: Notify::new(),
            tasks: tasks.clone(),
        });
        for number in 0..shared.lanes.len() {
            let (keeper, stop) = (keep(Arc::clone(&shared), number), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = keeper => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        shared.lanes[0].wanted.notify_one();
        Self(shared)
    }

    /// Takes another route from now on. Requests that are on the road finish on the old one.
    pub fn replace(&self, route: Route) {
        self.0.route.store(Arc::new(route));
        for lane in &self.0.lanes {
            lane.live.store(None);
        }
    }

    /// Waits until the proxy or the agent has refused a connection, as for a session that has ended.
    pub async fn refused(&self) {
        self.0.refused.notified().await;
    }

    /// Sends a request and gives the reply's head; the body streams.
    ///
    /// # Errors
    /// When no connection could be made in time, or it broke.
    pub(crate) async fn send(
        &self,
        head: Request<()>,
        upload: Upload,
    ) -> Result<Response<RecvStream>, RoadError> {
        let lane = self.lane();
        let _in_flight = Counted::new(&lane.in_flight);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let live = lane.live_by(deadline).await?;
            match SendRequest::clone(&live).ready().await {
                Ok(sender) => return self.exchange(sender, head, upload).await,
                // Dead, or told to go away: nothing was sent on it.
                Err(_) => lane.forget(&live),
            }
        }
    }

    async fn exchange(
        &self,
        mut sender: SendRequest<Bytes>,
        head: Request<()>,
        upload: Upload,
    ) -> Result<Response<RecvStream>, RoadError> {
        let is_empty = matches!(&upload, Upload::Whole(bytes) if bytes.is_empty());
        let (reply, mut up) = sender.send_request(head, is_empty).map_err(RoadError::Broken)?;
        match upload {
            Upload::Whole(_) if is_empty => {}
            Upload::Whole(bytes) => up.send_data(bytes, true).map_err(RoadError::Broken)?,
            // Beside the reply, which may come before all has been sent.
            Upload::Stream(stream) => return self.beside(*stream, (sender, up), reply).await,
        }
        reply.await.map_err(RoadError::Broken)
    }

    async fn beside(
        &self,
        stream: Stream,
        (sender, up): (SendRequest<Bytes>, SendStream<Bytes>),
        mut reply: ResponseFuture,
    ) -> Result<Response<RecvStream>, RoadError> {
        if let Some(name) = stream.expects() {
            tokio::select! {
                biased;
                // Whoever waits to be asked has sent nothing, and need not.
                reply = &mut reply => return reply.map_err(RoadError::Broken),
                () = asked(sender, name) => {}
            }
        }
        let (refuse, mut refused) = oneshot::channel();
        self.0.tasks.spawn(stream.pump(up, refuse));
        let error = match reply.await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        // A stream that we have reset ourselves fails too.
        Err(refused.try_recv().map_or(RoadError::Broken(error), RoadError::Refused))
    }

    fn lane(&self) -> &Lane {
        let [first, second] = &self.0.lanes;
        let is_crowded = first.in_flight.load(Ordering::Relaxed) >= CROWDED
            && second.in_flight.load(Ordering::Relaxed) < first.in_flight.load(Ordering::Relaxed);
        if is_crowded { second } else { first }
    }
}

impl std::fmt::Debug for Road {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Road({})", self.0.route.load().address)
    }
}

impl Lane {
    /// The live connection, waiting for one until the deadline.
    async fn live_by(&self, deadline: Instant) -> Result<Arc<SendRequest<Bytes>>, RoadError> {
        if let Some(live) = self.live.load_full() {
            return Ok(live);
        }
        let _waiting = Counted::new(&self.waiting);
        let mut attempts = self.attempts.subscribe();
        let mut endings = 0;
        loop {
            if let Some(live) = self.live.load_full() {
                return Ok(live);
            }
            self.wanted.notify_one();
            if timeout_at(deadline, attempts.changed()).await.is_err() {
                return Err(RoadError::NoConnection(self.attempts.borrow().failure.clone()));
            }
            endings += usize::from(attempts.borrow_and_update().session_has_ended());
            // The first time, a session that the user opened anew meanwhile is taken up.
            if endings > 1 {
                return Err(RoadError::SessionEnded);
            }
        }
    }

    /// Drops a connection that is of no use any more, unless there is a newer one already.
    fn forget(&self, dead: &Arc<SendRequest<Bytes>>) {
        self.live.compare_and_swap(dead, None);
    }
}

/// Counts something while it lasts.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps one lane: sleeps until a connection is wanted, then sees to it.
async fn keep(shared: Arc<Shared>, number: usize) {
    let Some(lane) = shared.lanes.get(number) else { return };
    let connections = TaskTracker::new();
    loop {
        lane.wanted.notified().await;
        connect(&shared, lane, &connections).await;
    }
}

/// Dials until there is a live connection or nobody waits for one.
async fn connect(shared: &Shared, lane: &Lane, connections: &TaskTracker) {
    let mut pause = PAUSES.0;
    while lane.live.load().is_none() {
        let route = shared.route.load_full();
        let Err(error) = attempt(&route, lane, connections).await else {
            // A route that was replaced meanwhile is not worth keeping.
            if !Arc::ptr_eq(&route, &shared.route.load()) {
                lane.live.store(None);
            }
            lane.attempts.send_replace(Attempt::default());
            continue;
        };
        debug!(error = %api::error::Chain(&error), "dial failed");
        if matches!(error, DialError::Closed(_) | DialError::SessionEnded) {
            shared.refused.notify_one();
        }
        lane.attempts.send_replace(Attempt { failure: Some(Arc::new(error)) });
        if lane.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Between half and the whole of a pause.
fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() as u32;
    pause / 2 + (pause / 2).mul_f64(f64::from(random) / f64::from(u32::MAX))
}

async fn attempt(route: &Route, lane: &Lane, connections: &TaskTracker) -> Result<(), DialError> {
    let sender = match timeout(DIAL_DEADLINE, dial(route, connections)).await {
        Ok(dialled) => dialled?,
        Err(_) => return Err(DialError::Late { address: route.address.clone() }),
    };
    lane.live.store(Some(Arc::new(sender)));
    Ok(())
}

/// Ends when the agent asks for the body of a request that has this name, or cannot say.
async fn asked(sender: SendRequest<Bytes>, name: &HeaderValue) {
    let Ok(mut sender) = sender.ready().await else { return };
    let question = Request::get(wire::ASKED_URL).version(Version::HTTP_2);
    let Ok(question) = question.header(wire::HEADER_ASKED, name).body(()) else { return };
    if let Ok((answer, _)) = sender.send_request(question, true) {
        // An agent that does not know the question refuses it.
        let _ = answer.await;
    }
}

fn handshake_error(error: std::io::Error) -> DialError {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => DialError::Untrusted(error),
        Some(rustls::Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            DialError::SessionEnded
        }
        _ => DialError::Closed(error),
    }
}

async fn dial(route: &Route, connections: &TaskTracker) -> Result<SendRequest<Bytes>, DialError> {
    let unreachable = |source| DialError::Proxy { address: route.address.clone(), source };
    let name = ServerName::try_from(wire::app_server_name(&route.session))
        .map_err(|error| DialError::Setup(error.into()))?;
    let tcp = api::outward::connect(&route.address).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let connector = TlsConnector::from(Arc::clone(&route.tls));
    let tls = connector.connect(name, tcp).await.map_err(handshake_error)?;
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEAD_LIMIT)
        .handshake(Gathering::new(tls))
        .await
        .map_err(|error| DialError::Setup(error.into()))?;
    connections.spawn(drive(connection));
    Ok(sender)
}

/// Moves a connection's bytes until it ends or no longer answers.
async fn drive(mut connection: Connection<Gathering<TlsStream<TcpStream>>, Bytes>) {
    let pulse = connection.ping_pong();
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                debug!(error = %api::error::Chain(&error), "connection to the agent ended");
            }
        }
        () = stopped_answering(pulse) => debug!("connection to the agent stopped answering"),
    }
}

async fn stopped_answering(pulse: Option<PingPong>) {
    let Some(mut pulse) = pulse else { return std::future::pending().await };
    loop {
        tokio::time::sleep(PULSE).await;
        if !matches!(timeout(PULSE, pulse.ping(h2::Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}
