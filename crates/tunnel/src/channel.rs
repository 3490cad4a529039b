//! What carries one connection between proxy and agent: a lane, or a stream of the tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::splice::{Traffic, join, splice};
use crate::stream::Stream;

/// Bytes both ways. `L` is the connection under a lane.
#[derive(Debug)]
pub enum Channel<L> {
    /// A connection of its own.
    Lane(L),
    /// One of many in the tunnel.
    Stream(Stream),
}

impl<L: AsyncRead + AsyncWrite + Unpin> Channel<L> {
    /// Passes on what `client` sends, and back, until both have ended, one fails, or nothing moves for `idle`.
    ///
    /// # Errors
    /// As [`splice`].
    pub async fn splice(
        self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
        idle: Duration,
        traffic: &mut Traffic,
    ) -> io::Result<()> {
        match self {
            Self::Lane(mut lane) => join(client, &mut lane, idle, traffic).await,
            Self::Stream(mut stream) => splice(client, &mut stream, idle, traffic).await,
        }
    }
}

impl<L: AsyncRead + Unpin> AsyncRead for Channel<L> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Lane(lane) => Pin::new(lane).poll_read(cx, buffer),
            Self::Stream(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl<L: AsyncWrite + Unpin> AsyncWrite for Channel<L> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Lane(lane) => Pin::new(lane).poll_write(cx, bytes),
            Self::Stream(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Lane(lane) => Pin::new(lane).poll_write_vectored(cx, slices),
            Self::Stream(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Lane(lane) => lane.is_write_vectored(),
            Self::Stream(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Lane(lane) => Pin::new(lane).poll_flush(cx),
            Self::Stream(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Lane(lane) => Pin::new(lane).poll_shutdown(cx),
            Self::Stream(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
