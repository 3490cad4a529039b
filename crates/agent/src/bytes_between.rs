//! Bytes from one connection to another and back, counted, in bounded memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::sleep;

/// Of each direction, bytes.
const BUFFER: usize = 32 * 1024;
/// A connection on which nothing moves for so long is given up.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// How much has gone each way.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// From the client.
    pub(crate) sent: Arc<AtomicU64>,
    /// To the client.
    pub(crate) received: Arc<AtomicU64>,
}

impl Passage {
    /// Bytes to the client.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn total(&self) -> u64 {
        self.received() + self.sent.load(Ordering::Relaxed)
    }
}

/// Copies both ways until both ends are done; an error says in words what broke.
pub(crate) async fn pass(
    client: impl AsyncRead + AsyncWrite + Unpin,
    app: impl AsyncRead + AsyncWrite + Unpin,
    passage: &Passage,
) -> Result<(), String> {
    let mut client = Read { inner: client, count: Arc::clone(&passage.sent) };
    let mut app = Read { inner: app, count: Arc::clone(&passage.received) };
    tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut client, &mut app, BUFFER, BUFFER) => {
            copied.map(drop).map_err(|error| format!("broke off: {error}"))
        }
        () = silence(passage) => Err(format!("cut: nothing moved for {IDLE:?}")),
    }
}

async fn silence(passage: &Passage) {
    loop {
        let before = passage.total();
        sleep(IDLE).await;
        if passage.total() == before {
            return;
        }
    }
}

/// Counts what is read.
struct Read<T> {
    inner: T,
    count: Arc<AtomicU64>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Read<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let read = buf.filled().len().saturating_sub(before);
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Read<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn both_ways_are_copied_and_counted_and_a_half_closed_one_gets_its_answer() {
        let (mut client, near) = duplex(16);
        let (far, mut app) = duplex(16);
        let passage = Passage::default();
        let talking = async {
            client.write_all(b"all I have").await.unwrap();
            client.shutdown().await.unwrap();
            let mut heard = Vec::new();
            app.read_to_end(&mut heard).await.unwrap();
            app.write_all(b"an answer").await.unwrap();
            drop(app);
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            assert_eq!((heard, answer), (b"all I have".to_vec(), b"an answer".to_vec()));
        };
        let (ended, ()) = tokio::join!(pass(near, far, &passage), talking);
        ended.unwrap();
        assert_eq!((passage.sent.load(Ordering::Relaxed), passage.received()), (10, 9));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_connection() {
        let (_client, near) = duplex(16);
        let (far, _app) = duplex(16);
        let ended = pass(near, far, &Passage::default()).await.unwrap_err();
        assert!(ended.starts_with("cut: nothing moved"), "{ended}");
    }
}
