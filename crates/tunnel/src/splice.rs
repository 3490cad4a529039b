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
    let (mut out, mut home) = (Outward::default(), Homeward::default());
    let moving = |cx: &mut Context<'_>, traffic: &mut Traffic| {
        let outward = out.poll(cx, connection, stream, &mut traffic.sent)?;
        let homeward = home.poll(cx, connection, stream, &mut traffic.received)?;
        Poll::Ready(Ok(outward.is_ready() && homeward.is_ready()))
    };
    while_moving(moving, idle, traffic).await
}

/// Copies between two connections as [`splice`] does between a connection and a stream.
///
/// # Errors
/// The first failure of either side; of kind [`io::ErrorKind::TimedOut`] when nothing moved for `idle`.
pub async fn join<A, B>(
    near: &mut A,
    far: &mut B,
    idle: Duration,
    traffic: &mut Traffic,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut out, mut home) = (Pump::default(), Pump::default());
    let moving = |cx: &mut Context<'_>, traffic: &mut Traffic| {
        let outward = out.poll(cx, near, far, &mut traffic.sent)?;
        let homeward = home.poll(cx, far, near, &mut traffic.received)?;
        Poll::Ready(Ok(outward.is_ready() && homeward.is_ready()))
    };
    while_moving(moving, idle, traffic).await
}

/// Polls `moving` until it tells that all is done, or until `traffic` stands still for `idle`.
async fn while_moving(
    mut moving: impl FnMut(&mut Context<'_>, &mut Traffic) -> Poll<io::Result<bool>>,
    idle: Duration,
    traffic: &mut Traffic,
) -> io::Result<()> {
    let mut timer = std::pin::pin!(sleep_until(Instant::now() + idle));
    poll_fn(|cx| {
        let before = *traffic;
        if ready!(moving(cx, traffic))? {
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

/// What was read from a connection and is still to be passed on.
struct Source {
    buffer: BytesMut,
    read: usize,
    pending: Bytes,
    is_ended: bool,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            read: SMALLEST_READ,
            pending: Bytes::new(),
            is_ended: false,
        }
    }
}

impl Source {
    fn poll_fill<C: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut C,
    ) -> Poll<io::Result<()>> {
        self.buffer.reserve(self.read);
        let mut space = (&mut self.buffer).limit(self.read);
        let count = ready!(poll_read_buf(Pin::new(connection), cx, &mut space))?;
        self.is_ended = count == 0;
        self.pending = self.buffer.split().freeze();
        self.adapt(count);
        Poll::Ready(Ok(()))
    }

    fn adapt(&mut self, count: usize) {
        if count == self.read {
            self.read = (self.read * 2).min(LARGEST_READ);
        } else if count < self.read / 4 {
            self.read = (self.read / 2).max(SMALLEST_READ);
        }
    }
}

/// From one connection to another.
#[derive(Default)]
struct Pump {
    source: Source,
    is_unflushed: bool,
    is_done: bool,
}

impl Pump {
    fn poll<A: AsyncRead + Unpin, B: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut A,
        to: &mut B,
        moved: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.is_done {
            *moved += ready!(self.poll_step(cx, from, to))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what was read, or reads; tells how much was written.
    fn poll_step<A: AsyncRead + Unpin, B: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut A,
        to: &mut B,
    ) -> Poll<io::Result<u64>> {
        if !self.source.pending.is_empty() {
            self.is_unflushed = true;
            return poll_write(cx, to, &mut self.source.pending);
        }
        if self.source.is_ended {
            let told = ready!(Pin::new(to).poll_shutdown(cx));
            self.is_done = true;
            return Poll::Ready(told.or_else(forgive_gone).map(|()| 0));
        }
        match self.source.poll_fill(cx, from) {
            Poll::Pending if self.is_unflushed => {
                ready!(Pin::new(to).poll_flush(cx))?;
                self.is_unflushed = false;
                Poll::Pending
            }
            filled => filled.map_ok(|()| 0),
        }
    }
}

/// From the connection into the stream.
#[derive(Default)]
struct Outward {
    source: Source,
    is_done: bool,
}

impl Outward {
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
        if !self.source.pending.is_empty() {
            let count = ready!(stream.poll_send(cx, &mut self.source.pending))?;
            return Poll::Ready(Ok(count as u64));
        }
        if self.source.is_ended {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            self.is_done = true;
            return Poll::Ready(Ok(0));
        }
        ready!(self.source.poll_fill(cx, connection))?;
        Poll::Ready(Ok(0))
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
        if !self.pending.is_empty() {
            self.is_unflushed = true;
            return poll_write(cx, connection, &mut self.pending);
        }
        let connection = Pin::new(connection);
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

fn poll_write<C: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    connection: &mut C,
    pending: &mut Bytes,
) -> Poll<io::Result<u64>> {
    let count = ready!(Pin::new(connection).poll_write(cx, pending))?;
    pending.advance(count);
    Poll::Ready(if count == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(count as u64) })
}

/// An end that has hung up already need not be told that there is no more.
fn forgive_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotConnected { Ok(()) } else { Err(error) }
}
