//! The end that takes streams: the agent's. It is the HTTP/2 server on the connection that it dialled itself.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Connection, Handshake, SendResponse};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::drain::Deadline;
use crate::error::TunnelError;
use crate::keepalive::{Listening, Pulse};
use crate::near::MAX_REMEMBERED_RESETS;
use crate::stream::{Counted, Stream};
use crate::{Settings, wire};

/// The far end of one tunnel. Its connection moves only while [`Far::next`] is awaited: do so in a loop, always.
pub struct Far<T: AsyncRead + AsyncWrite + Unpin> {
    state: State<T>,
    pulse: Pulse,
    deadline: Deadline,
    drain: FarHandle,
    is_draining: bool,
}

/// Stops a [`Far`] from another task. Cheap to clone.
#[derive(Clone)]
pub struct FarHandle {
    deadline: watch::Sender<Option<Instant>>,
    streams: Arc<AtomicUsize>,
}

/// A stream that the near end has opened and this end has not yet answered. Dropping it resets it.
pub struct Incoming {
    target: String,
    headers: HeaderMap,
    body: RecvStream,
    answer: SendResponse<Bytes>,
    counted: Counted,
}

/// Starts the far end on a connection that has been authenticated. Nothing happens before [`Far::next`].
pub fn accept_on<T>(io: T, settings: &Settings) -> Far<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (io, heard) = Listening::new(io);
    let windows = settings.windows;
    let handshake = h2::server::Builder::new()
        .initial_window_size(windows.stream)
        .initial_connection_window_size(windows.connection)
        .max_send_buffer_size(windows.send_buffer)
        .max_header_list_size(settings.max_header_bytes)
        .max_concurrent_streams(settings.max_streams)
        .max_concurrent_reset_streams(MAX_REMEMBERED_RESETS)
        .max_pending_accept_reset_streams(MAX_REMEMBERED_RESETS)
        // It counts frames that cross a cancellation, over the whole life of a tunnel: peers are authenticated.
        .max_local_error_reset_streams(None)
        .handshake(io);
    let (sender, deadline) = Deadline::new();
    Far {
        state: State::Greeting(handshake),
        pulse: Pulse::new(heard, settings.keepalive),
        deadline,
        drain: FarHandle { deadline: sender, streams: Arc::new(AtomicUsize::new(0)) },
        is_draining: false,
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Far<T> {
    /// Waits for the next stream and keeps the connection moving meanwhile. `None` when the tunnel has ended in good order.
    /// Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// When the connection failed, the peer fell silent, or a drain ran out of time.
    pub async fn next(&mut self) -> Result<Option<Incoming>, TunnelError> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// A handle that stops this end.
    pub fn handle(&self) -> FarHandle {
        self.drain.clone()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>, TunnelError>> {
        if !self.is_draining && self.deadline.poll_begun(cx).is_ready() {
            self.is_draining = true;
            if let State::Open(connection) = &mut self.state {
                connection.graceful_shutdown();
            }
        }
        if let Poll::Ready(next) = self.poll_connection(cx) {
            return Poll::Ready(next);
        }
        if let Poll::Ready(silent) = self.pulse.poll_dead(cx) {
            return Poll::Ready(Err(silent));
        }
        if self.deadline.poll_over(cx).is_ready() {
            return Poll::Ready(Err(TunnelError::DrainTimedOut { streams: self.drain.streams() }));
        }
        Poll::Pending
    }

    fn poll_connection(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Incoming>, TunnelError>> {
        if let State::Greeting(handshake) = &mut self.state {
            let mut connection = ready!(Pin::new(handshake).poll(cx))?;
            self.pulse.ask_with(connection.ping_pong());
            if self.is_draining {
                connection.graceful_shutdown();
            }
            self.state = State::Open(connection);
        }
        let State::Open(connection) = &mut self.state else { return Poll::Pending };
        while let Some(next) = ready!(connection.poll_accept(cx)) {
            let (request, answer) = next?;
            if let Some(incoming) = self.drain.receive(request, answer) {
                return Poll::Ready(Ok(Some(incoming)));
            }
        }
        Poll::Ready(Ok(None))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Far<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Far({} streams)", self.drain.streams())
    }
}

impl FarHandle {
    /// Tells the near end to open no more streams, lets the open ones finish until `patience` is over, then closes.
    pub fn drain(&self, patience: Duration) {
        self.deadline.send_replace(Some(Instant::now() + patience));
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Acquire)
    }

    /// Only CONNECT makes a stream; anything else is answered here.
    fn receive(
        &self,
        request: Request<RecvStream>,
        mut answer: SendResponse<Bytes>,
    ) -> Option<Incoming> {
        let (parts, body) = request.into_parts();
        let target = parts.uri.authority().map(ToString::to_string);
        let (Method::CONNECT, Some(target)) = (parts.method, target) else {
            send_refusal(
                &mut answer,
                StatusCode::METHOD_NOT_ALLOWED,
                "only CONNECT opens a stream",
            );
            return None;
        };
        // The library keeps to `max_concurrent_streams`: no limit of ours is needed.
        let counted = Counted::take(&self.streams, usize::MAX).ok()?;
        Some(Incoming { target, headers: parts.headers, body, answer, counted })
    }
}

impl fmt::Debug for FarHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FarHandle({} streams)", self.streams())
    }
}

impl Incoming {
    /// Where the near end wants the stream to go.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the near end says about it.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Takes the stream. If the near end has given it up meanwhile, the first read says so.
    pub fn accept(mut self) -> Result<Stream, TunnelError> {
        let send = self.answer.send_response(Response::new(()), false)?;
        Ok(Stream::accepted(send, self.body, self.counted))
    }

    /// Refuses the stream with a status of 400 or more and a few words that the near end may show.
    pub fn refuse(mut self, status: StatusCode, reason: &str) {
        send_refusal(&mut self.answer, status, reason);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({})", self.target)
    }
}

enum State<T> {
    Greeting(Handshake<Listening<T>, Bytes>),
    Open(Connection<Listening<T>, Bytes>),
}

fn send_refusal(answer: &mut SendResponse<Bytes>, status: StatusCode, reason: &str) {
    let words: String = reason
        .chars()
        .filter(|letter| letter.is_ascii() && !letter.is_ascii_control())
        .take(wire::MAX_REASON)
        .collect();
    let mut response = Response::new(());
    *response.status_mut() = if status.is_success() { StatusCode::BAD_GATEWAY } else { status };
    if let Ok(words) = HeaderValue::from_str(&words) {
        response.headers_mut().insert(wire::REASON, words);
    }
    // Fails only when the near end has given the stream up already.
    let _ = answer.send_response(response, true);
}
