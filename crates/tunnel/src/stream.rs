//! One stream of a tunnel: bytes both ways, each direction ended on its own, bounded by the windows.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{StreamError, is_unwanted};
use crate::wire::REASON;

/// One stream. Dropping it before [`AsyncWrite::poll_shutdown`] resets it.
pub struct Stream {
    send: SendStream<Bytes>,
    is_shut: bool,
    receive: Receive,
    /// Received, but not yet taken by `poll_read`.
    chunk: Bytes,
    _counted: Counted,
}

/// One place among the open streams, given back when dropped.
pub(crate) struct Counted(Arc<AtomicUsize>);

enum Receive {
    Waiting(ResponseFuture),
    Open(RecvStream),
    Refused(StatusCode, String),
}

impl Stream {
    /// A stream whose answer is still to come.
    pub(crate) fn opened(
        send: SendStream<Bytes>,
        answer: ResponseFuture,
        counted: Counted,
    ) -> Self {
        Self::new(send, Receive::Waiting(answer), counted)
    }

    /// A stream that this end has accepted.
    pub(crate) fn accepted(send: SendStream<Bytes>, receive: RecvStream, counted: Counted) -> Self {
        Self::new(send, Receive::Open(receive), counted)
    }

    fn new(send: SendStream<Bytes>, receive: Receive, counted: Counted) -> Self {
        Self { send, is_shut: false, receive, chunk: Bytes::new(), _counted: counted }
    }

    /// Waits until the far end has accepted the stream, or says why it did not. Nobody needs to wait before writing.
    pub async fn accepted_by_peer(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_accepted(cx)).await
    }

    /// Takes the next bytes without copying them; `None` at the end. The window opens again at once.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.chunk.is_empty() {
            let chunk = std::mem::take(&mut self.chunk);
            self.release(chunk.len());
            return Poll::Ready(Some(Ok(chunk)));
        }
        let next = ready!(self.poll_received(cx));
        if let Some(Ok(chunk)) = &next {
            self.release(chunk.len());
        }
        Poll::Ready(next)
    }

    /// Sends as much of `bytes` as the windows allow, without copying, and tells how much. Waits while that is nothing.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        if self.is_shut {
            return Poll::Ready(Err(StreamError::WriteAfterEnd.into()));
        }
        let count = ready!(self.poll_capacity(cx, bytes.len()))?;
        let sent = self.send.send_data(bytes.split_to(count), false);
        Poll::Ready(match sent {
            Ok(()) => Ok(count),
            Err(error) => Err(self.write_error(cx, Some(error))),
        })
    }

    /// Asks for window only while there is something to send: an idle stream that held some would starve the others of
    /// the connection.
    fn poll_capacity(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(wanted);
        loop {
            let capacity = self.send.capacity().min(wanted);
            if capacity > 0 {
                return Poll::Ready(Ok(capacity));
            }
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(self.write_error(cx, Some(error)))),
                None => return Poll::Ready(Err(self.write_error(cx, None))),
            }
        }
    }

    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Receive::Waiting(answer) = &mut self.receive {
            let answer = ready!(Pin::new(answer).poll(cx)).map_err(StreamError::from)?;
            let (parts, body) = answer.into_parts();
            self.receive = if parts.status.is_success() {
                Receive::Open(body)
            } else {
                let reason = parts.headers.get(REASON).and_then(|text| text.to_str().ok());
                Receive::Refused(parts.status, reason.unwrap_or_default().to_owned())
            };
        }
        match &self.receive {
            Receive::Refused(status, reason) => {
                Poll::Ready(Err(
                    StreamError::Refused { status: *status, reason: reason.clone() }.into()
                ))
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Err(error) = ready!(self.poll_accepted(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        let Receive::Open(body) = &mut self.receive else {
            return Poll::Ready(None);
        };
        loop {
            return match ready!(body.poll_data(cx)) {
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => Poll::Ready(Some(Ok(chunk))),
                Some(Err(error)) => match StreamError::from(error) {
                    // It comes after the peer's last byte.
                    StreamError::Unwanted => Poll::Ready(None),
                    error => Poll::Ready(Some(Err(error.into()))),
                },
                None => Poll::Ready(None),
            };
        }
    }

    fn release(&mut self, bytes: usize) {
        if let Receive::Open(body) = &mut self.receive {
            // Fails only when the stream is gone, which the next read reports.
            let _ = body.flow_control().release_capacity(bytes);
        }
    }

    /// Of the reasons why a write failed, a refusal says most.
    fn write_error(&mut self, cx: &mut Context<'_>, error: Option<h2::Error>) -> io::Error {
        if let Poll::Ready(Err(refusal)) = self.poll_accepted(cx) {
            return refusal;
        }
        match self.send.poll_reset(cx) {
            Poll::Ready(Ok(Reason::NO_ERROR)) => StreamError::Unwanted.into(),
            Poll::Ready(Ok(reason)) => StreamError::Reset { reason }.into(),
            Poll::Ready(Err(error)) => StreamError::from(error).into(),
            Poll::Pending => error.map_or(StreamError::WriteAfterEnd, StreamError::from).into(),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({:?})", self.send.stream_id())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // After a shutdown what was written must still arrive: the library ends the stream when it is sent.
        if !self.is_shut {
            self.send.send_reset(Reason::CANCEL);
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.chunk.is_empty() {
            match ready!(self.poll_received(cx)) {
                Some(chunk) => self.chunk = chunk?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.chunk.len().min(buffer.remaining());
        buffer.put_slice(self.chunk.get(..count).unwrap_or_default());
        self.chunk.advance(count);
        self.release(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.is_shut {
            return Poll::Ready(Err(StreamError::WriteAfterEnd.into()));
        }
        // Copied only once it is known how much will go.
        let count = ready!(self.poll_capacity(cx, bytes.len()))?;
        let mut taken = Bytes::copy_from_slice(bytes.get(..count).unwrap_or(bytes));
        self.poll_send(cx, &mut taken)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's own task writes as fast as the line takes it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        self.is_shut = true;
        let Err(error) = self.send.send_data(Bytes::new(), true) else {
            return Poll::Ready(Ok(()));
        };
        match self.write_error(cx, Some(error)) {
            // Whoever reads no more need not be told that there is no more.
            error if is_unwanted(&error) => Poll::Ready(Ok(())),
            error => Poll::Ready(Err(error)),
        }
    }
}

impl Counted {
    /// Takes a place, unless there are `limit` already; then tells how many.
    pub(crate) fn take(streams: &Arc<AtomicUsize>, limit: usize) -> Result<Self, usize> {
        streams
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
                (open < limit).then_some(open + 1)
            })
            .map(|_| Self(streams.clone()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
