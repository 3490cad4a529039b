//! The end that opens streams: the proxy's. It is the HTTP/2 client on a connection that the agent dialled.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::noop_waker_ref;
use h2::client::{Connection, SendRequest};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::drain::Deadline;
use crate::error::{OpenError, TunnelError};
use crate::keepalive::{Listening, Pulse};
use crate::stream::{Counted, Stream};
use crate::{Settings, wire};

/// Opens streams on one tunnel. Cheap to clone.
#[derive(Clone)]
pub struct Near(Arc<Shared>);

/// Drives one tunnel's connection; ends when the tunnel does. Spawn it, for nothing moves without it.
#[must_use = "nothing moves on the tunnel until its driver runs"]
pub struct NearDriver<T: AsyncRead + AsyncWrite + Unpin> {
    connection: Connection<Listening<T>, Bytes>,
    pulse: Pulse,
    deadline: Deadline,
    shared: Arc<Shared>,
    end: watch::Sender<Option<End>>,
}

/// How a tunnel ended: in good order, or why not.
pub type End = Result<(), TunnelError>;

/// Starts the near end on a connection that has been authenticated.
///
/// # Errors
/// When the connection fails at once.
pub async fn connect<T>(io: T, settings: &Settings) -> Result<(Near, NearDriver<T>), TunnelError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (io, heard) = Listening::new(io);
    let windows = settings.windows;
    let (requests, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
        .max_send_buffer_size(windows.send_buffer)
        .max_header_list_size(settings.max_header_bytes)
        .initial_max_send_streams(clamp(settings.max_streams))
        .max_concurrent_reset_streams(MAX_REMEMBERED_RESETS)
        // It counts frames that cross a cancellation, over the whole life of a tunnel: peers are authenticated.
        .max_local_error_reset_streams(None)
        .handshake(io)
        .await?;
    let mut pulse = Pulse::new(heard, settings.keepalive);
    pulse.ask_with(connection.ping_pong());
    let (drain, deadline) = Deadline::new();
    let (end, ended) = watch::channel(None);
    let shared = Arc::new(Shared {
        requests: Mutex::new(Some(requests)),
        streams: Arc::new(AtomicUsize::new(0)),
        max_streams: clamp(settings.max_streams),
        max_header_bytes: settings.max_header_bytes,
        drain,
        ended,
    });
    let driver = NearDriver { connection, pulse, deadline, shared: shared.clone(), end };
    Ok((Near(shared), driver))
}

impl Near {
    /// Opens a stream to `target` (an authority such as `app:443`) and returns at once: write without waiting.
    /// Whether the far end takes it shows in the first read, or in [`Stream::accepted_by_peer`].
    ///
    /// # Errors
    /// When the tunnel cannot take another stream.
    pub fn open(&self, target: &str, headers: HeaderMap) -> Result<Stream, OpenError> {
        let request = self.request(target, headers)?;
        let mut requests = self.requests()?;
        let limit = self.0.max_streams.min(requests.current_max_send_streams());
        let counted =
            Counted::take(&self.0.streams, limit).map_err(|streams| OpenError::Full { streams })?;
        let (answer, send) =
            requests.send_request(request, false).map_err(|_| OpenError::Draining)?;
        Ok(Stream::opened(send, answer, counted))
    }

    /// How many streams are open: new ones go to the tunnel with the fewest.
    pub fn streams(&self) -> usize {
        self.0.streams.load(Ordering::Acquire)
    }

    /// Whether the tunnel takes no new streams, because either end is stopping or it is closed.
    pub fn is_draining(&self) -> bool {
        self.requests().is_err()
    }

    /// Takes no new streams, lets the open ones finish until `patience` is over, then closes the tunnel.
    pub fn drain(&self, patience: Duration) {
        self.0.drain.send_replace(Some(Instant::now() + patience));
        self.forget_requests();
    }

    /// Waits for the tunnel's end.
    pub async fn closed(&self) -> End {
        let mut ended = self.0.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(Ok(())),
            // The driver was dropped: whoever dropped it closed the tunnel.
            Err(_) => Ok(()),
        }
    }

    fn request(&self, target: &str, headers: HeaderMap) -> Result<Request<()>, OpenError> {
        let bytes = wire::request_size(target, &headers);
        let limit = self.0.max_header_bytes;
        if bytes > clamp(limit) {
            return Err(OpenError::TooLarge { bytes, limit });
        }
        let authority: Authority =
            target.parse().map_err(|_| OpenError::BadRequest { what: target.to_owned() })?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::from(authority);
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// A handle of our own, so that another stream's state does not stand in the way.
    fn requests(&self) -> Result<SendRequest<Bytes>, OpenError> {
        if self.0.ended.borrow().is_some() {
            return Err(OpenError::Closed);
        }
        let kept = self.0.lock();
        let mut requests = kept.as_ref().ok_or(OpenError::Draining)?.clone();
        drop(kept);
        match requests.poll_ready(&mut Context::from_waker(noop_waker_ref())) {
            Poll::Ready(Ok(())) | Poll::Pending => Ok(requests),
            Poll::Ready(Err(_)) => Err(OpenError::Draining),
        }
    }

    fn forget_requests(&self) {
        self.0.lock().take();
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Near({} streams)", self.streams())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for NearDriver<T> {
    type Output = End;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End> {
        let this = &mut *self;
        let end = match Pin::new(&mut this.connection).poll(cx) {
            Poll::Ready(end) => end.map_err(TunnelError::from),
            Poll::Pending => match this.pulse.poll_dead(cx) {
                Poll::Ready(silent) => Err(silent),
                Poll::Pending if this.deadline.poll_over(cx).is_ready() => {
                    Err(TunnelError::DrainTimedOut {
                        streams: this.shared.streams.load(Ordering::Acquire),
                    })
                }
                Poll::Pending => return Poll::Pending,
            },
        };
        this.shared.lock().take();
        this.end.send_replace(Some(end.clone()));
        Poll::Ready(end)
    }
}

/// Streams whose cancellation is remembered, so that frames already under way are taken for what they are.
pub(crate) const MAX_REMEMBERED_RESETS: usize = 1024;

struct Shared {
    /// Gone when this end drains: the connection ends with its last stream.
    requests: Mutex<Option<SendRequest<Bytes>>>,
    streams: Arc<AtomicUsize>,
    max_streams: usize,
    max_header_bytes: u32,
    drain: watch::Sender<Option<Instant>>,
    ended: watch::Receiver<Option<End>>,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SendRequest<Bytes>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn clamp(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
