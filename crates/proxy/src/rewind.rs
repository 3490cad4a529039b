//! A stream whose first bytes were read already and are given once more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `first`, then what `inner` has.
#[derive(Debug)]
pub(crate) struct Rewind<S> {
    first: Bytes,
    inner: S,
}

impl<S> Rewind<S> {
    pub(crate) fn new(first: Bytes, inner: S) -> Self {
        Self { first, inner }
    }

    pub(crate) fn get_ref(&self) -> &S {
        &self.inner
    }

    /// What lies under it, once everything was given again.
    pub(crate) fn into_inner(self) -> Option<S> {
        self.first.is_empty().then_some(self.inner)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let length = self.first.len().min(buf.remaining());
        buf.put_slice(self.first.get(..length).unwrap_or_default());
        self.first.advance(length);
        if self.first.is_empty() {
            self.first = Bytes::new(); // frees the buffer
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, BufReader};

    use super::*;

    #[tokio::test]
    async fn first_bytes_come_first_whatever_the_size_of_the_reads() {
        for size in [1, 2, 3, 64] {
            let stream = Rewind::new(Bytes::from_static(b"hello "), &b"world"[..]);
            let mut all = Vec::new();
            BufReader::with_capacity(size, stream).read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"hello world", "{size}");
        }
    }
}
