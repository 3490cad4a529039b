//! Notices a dead peer: a ping every so often, and any byte at all counts as the answer.
//!
//! Counting bytes, not only the ping's own answer, keeps a slow line that is busy with bulk data from being given up.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Keepalive, TunnelError};

/// A connection that remembers whether anything was heard on it.
pub(crate) struct Listening<T> {
    io: T,
    heard: Arc<AtomicBool>,
}

/// Asks and waits. Must be polled by the task that drives the connection.
pub(crate) struct Pulse {
    heard: Arc<AtomicBool>,
    settings: Keepalive,
    pings: Option<PingPong>,
    is_asked: bool,
    timer: Pin<Box<Sleep>>,
}

impl<T> Listening<T> {
    pub(crate) fn new(io: T) -> (Self, Arc<AtomicBool>) {
        let heard = Arc::new(AtomicBool::new(false));
        let listening = Self { io, heard: heard.clone() };
        (listening, heard)
    }
}

impl Pulse {
    /// Starts by waiting for the peer's first bytes; [`Pulse::ask_with`] brings the means to ask for more.
    pub(crate) fn new(heard: Arc<AtomicBool>, settings: Keepalive) -> Self {
        Self {
            heard,
            settings,
            pings: None,
            is_asked: true,
            timer: Box::pin(sleep_until(Instant::now() + settings.patience)),
        }
    }

    pub(crate) fn ask_with(&mut self, pings: Option<PingPong>) {
        self.pings = pings;
    }

    /// Ready when the peer is dead.
    pub(crate) fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<TunnelError> {
        loop {
            if let Some(pings) = &mut self.pings {
                // Taking the answer makes room for the next question; the answer itself was heard as bytes.
                let _ = pings.poll_pong(cx);
            }
            ready!(self.timer.as_mut().poll(cx));
            if !self.is_asked {
                self.ask();
            } else if self.heard.swap(false, Ordering::Relaxed) {
                self.wait(false);
            } else {
                return Poll::Ready(TunnelError::Silent { patience: self.settings.patience });
            }
        }
    }

    fn ask(&mut self) {
        self.heard.store(false, Ordering::Relaxed);
        if let Some(pings) = &mut self.pings {
            // Fails only while an earlier ping is unanswered or the connection is closing: both are noticed elsewhere.
            let _ = pings.send_ping(Ping::opaque());
        }
        self.wait(true);
    }

    fn wait(&mut self, is_asked: bool) {
        let pause = if is_asked {
            self.settings.patience
        } else {
            self.settings.every.saturating_sub(self.settings.patience)
        };
        self.is_asked = is_asked;
        self.timer.as_mut().reset(Instant::now() + pause);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Listening<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Listening<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
