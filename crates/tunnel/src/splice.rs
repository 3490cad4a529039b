//! Copies bytes both ways between a connection and a stream, with bounded memory and nothing held back.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::io::poll_read_buf;

use crate::error::{StreamError, is_unwanted};
use crate::stream::Stream;

/// How many bytes went each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the connection into the stream.
    pub sent: u64,
    /// From the stream to the connection.
    pub received: u64,
}

/// Copies until both directions have ended, one of them fails, or neither moves for `idle`.
///
/// The end of one direction is passed on as such and the other goes on. On failure the caller drops both, which resets
/// the stream. `traffic` counts along, so that the figures survive a failure.
///
/// # Errors
/// The first failure of either side; of kind [`io::ErrorKind::TimedOut`] when nothing moved for `idle`.
pub async fn splice<C>(
    connection: &mut C,
    stream: &mut Stream,
    idle: Duration,
    traffic: &mut Traffic,
) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut out = Outward::new();
    let mut home = Homeward::default();
    let mut timer = std::pin::pin!(sleep_until(Instant::now() + idle));
    poll_fn(|cx| {
        let before = *traffic;
        let outward = out.poll(cx, connection, stream, &mut traffic.sent)?;
        let homeward = home.poll(cx, connection, stream, &mut traffic.received)?;
        if outward.is_ready() && homeward.is_ready() {
            return Poll::Ready(Ok(()));
        }
        if *traffic != before {
            timer.as_mut().reset(Instant::now() + idle);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(StreamError::Idle { idle }.into())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// A read starts small and grows while it is filled, so that an idle connection costs little memory.
const SMALLEST_READ: usize = 8 * 1024;
const LARGEST_READ: usize = 64 * 1024;

/// From the connection into the stream.
struct Outward {
    buffer: BytesMut,
    read: usize,
    pending: Bytes,
    is_ended: bool,
    is_done: bool,
}

impl Outward {
    fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            read: SMALLEST_READ,
            pending: Bytes::new(),
            is_ended: false,
            is_done: false,
        }
    }

    fn poll<C: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut C,
        stream: &mut Stream,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.is_done {
            match ready!(self.poll_step(cx, connection, stream)) {
                Ok(count) => *sent += count,
                // It has answered early; its answer is still to be carried home.
                Err(error) if is_unwanted(&error) => self.is_done = true,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was read, or reads; tells how much was sent.
    fn poll_step<C: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut C,
        stream: &mut Stream,
    ) -> Poll<io::Result<u64>> {
        if !self.pending.is_empty() {
            let count = ready!(stream.poll_send(cx, &mut self.pending))?;
            return Poll::Ready(Ok(count as u64));
        }
        if self.is_ended {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            self.is_done = true;
            return Poll::Ready(Ok(0));
        }
        self.buffer.reserve(self.read);
        let mut space = (&mut self.buffer).limit(self.read);
        let count = ready!(poll_read_buf(Pin::new(connection), cx, &mut space))?;
        self.is_ended = count == 0;
        self.pending = self.buffer.split().freeze();
        self.adapt(count);
        Poll::Ready(Ok(0))
    }

    fn adapt(&mut self, count: usize) {
        if count == self.read {
            self.read = (self.read * 2).min(LARGEST_READ);
        } else if count < self.read / 4 {
            self.read = (self.read / 2).max(SMALLEST_READ);
        }
    }
}

/// From the stream to the connection.
#[derive(Default)]
struct Homeward {
    pending: Bytes,
    is_unflushed: bool,
    is_done: bool,
}

impl Homeward {
    fn poll<C: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut C,
        stream: &mut Stream,
        received: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.is_done {
            *received += ready!(self.poll_step(cx, connection, stream))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what was received, or receives; tells how much was written.
    fn poll_step<C: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut C,
        stream: &mut Stream,
    ) -> Poll<io::Result<u64>> {
        let connection = Pin::new(connection);
        if !self.pending.is_empty() {
            let count = ready!(connection.poll_write(cx, &self.pending))?;
            self.pending.advance(count);
            self.is_unflushed = true;
            let written =
                if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count as u64) };
            return Poll::Ready(written);
        }
        match stream.poll_chunk(cx) {
            Poll::Ready(Some(chunk)) => self.pending = chunk?,
            Poll::Ready(None) => {
                let told = ready!(connection.poll_shutdown(cx));
                self.is_done = true;
                return Poll::Ready(told.or_else(forgive_gone).map(|()| 0));
            }
            Poll::Pending if self.is_unflushed => {
                ready!(connection.poll_flush(cx))?;
                self.is_unflushed = false;
                return Poll::Pending;
            }
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(0))
    }
}

/// An end that has hung up already need not be told that there is no more.
fn forgive_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotConnected { Ok(()) } else { Err(error) }
}
