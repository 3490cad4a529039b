//! Bytes from one connection to another and back, in bounded memory.
//!
//! Each direction is closed on its own (a client may finish sending and still
//! read). A connection on which nothing moves for too long is cut. Nothing is
//! looked at, nothing is locked.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Buffer of each direction, bytes.
const BUFFER: usize = 32 * 1024;

/// How much went each way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// From the client.
    pub(crate) up: u64,
    /// To the client.
    pub(crate) down: u64,
}

/// Why a connection was not passed on to its end.
#[derive(Debug, Error)]
pub(crate) enum SpliceError {
    #[error("nothing moved for {} s", idle.as_secs())]
    Idle { idle: Duration },
    #[error("one side broke off")]
    Broken(#[from] io::Error),
}

/// Copies both ways until both sides have finished, one breaks, or nothing moves for `idle`.
pub(crate) async fn splice<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: Watched<S>,
    mut upstream: impl AsyncRead + AsyncWrite + Unpin,
    idle: Duration,
) -> Result<Moved, SpliceError> {
    let steps = client.steps.clone();
    let copying =
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER);
    tokio::select! {
        biased;
        copied = copying => {
            let (up, down) = copied?;
            Ok(Moved { up, down })
        }
        () = steps.silence(idle) => Err(SpliceError::Idle { idle }),
    }
}

/// How often something moved on a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps(Arc<AtomicU64>);

impl Steps {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for between one and one and a quarter `idle`.
    pub(crate) async fn silence(&self, idle: Duration) {
        const LOOKS: u32 = 4;
        let mut last = self.count();
        let mut still = 0;
        while still < LOOKS {
            tokio::time::sleep(idle / LOOKS).await;
            let now = self.count();
            still = if now == last { still.saturating_add(1) } else { 0 };
            last = now;
        }
    }
}

/// A stream that counts the reads and writes that moved something.
pub(crate) struct Watched<S> {
    inner: S,
    steps: Steps,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S, steps: Steps) -> Self {
        Self { inner, steps }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() {
            self.steps.step();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if polled.is_ready() {
            self.steps.step();
        }
        polled
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn both_directions_are_copied_and_counted() {
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let passing = splice(Watched::new(near, Steps::default()), far, LONG);
        let talking = async {
            client.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            server.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"ping");
            server.write_all(b"pong!").await.unwrap();
            drop(server);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"pong!");
            drop(client);
        };
        let (moved, ()) = tokio::join!(passing, talking);
        assert_eq!(moved.unwrap(), Moved { up: 4, down: 5 });
    }

    #[tokio::test]
    async fn a_half_closed_connection_still_gets_its_answer() {
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let passing = splice(Watched::new(near, Steps::default()), far, LONG);
        let talking = async {
            client.write_all(b"all I have").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            server.write_all(&heard).await.unwrap();
            server.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"all I have");
        };
        let (moved, ()) = tokio::join!(passing, talking);
        assert_eq!(moved.unwrap(), Moved { up: 10, down: 10 });
    }

    async fn trickle(client: &mut DuplexStream, server: &mut DuplexStream) {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(40)).await;
            client.write_all(b".").await.unwrap();
            server.read_u8().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_connection_but_a_slow_trickle_does_not() {
        let idle = Duration::from_secs(60);
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let passing = splice(Watched::new(near, Steps::default()), far, idle);
        let began = tokio::time::Instant::now();
        let (ended, ()) = tokio::join!(passing, trickle(&mut client, &mut server));
        assert!(matches!(ended, Err(SpliceError::Idle { .. })));
        assert!(began.elapsed() >= Duration::from_secs(460), "{:?}", began.elapsed());
        assert!(began.elapsed() <= Duration::from_secs(490), "{:?}", began.elapsed());
    }
}
