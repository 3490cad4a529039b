//! Gathers what one connection has to say while other tasks still have something to add.
//!
//! HTTP/2 writes each small frame as soon as its stream has it. Where many requests share a connection, most of them end
//! within microseconds of each other, and each would cost a TLS record, a system call, and a wake-up of everybody along
//! the way. Here a flush lets those tasks run first that are ready to run, and what they add leaves with it. Nothing waits
//! for time to pass: with nobody else to run, the flush comes at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most that is gathered: one TLS record (RFC 8446, 5.1). More than that at once is not held back at all.
const ROOM: usize = 16 * 1024;

/// A connection whose task polls a read each time that it runs, as HTTP/2's does.
#[derive(Debug)]
pub struct Gathering<T> {
    io: T,
    held: BytesMut,
    /// A flush was asked for; the next read carries it out.
    is_due: bool,
}

impl<T> Gathering<T> {
    /// Around a connection on which HTTP/2 is about to begin.
    pub fn new(io: T) -> Self {
        Self { io, held: BytesMut::new(), is_due: false }
    }
}

impl<T: AsyncWrite + Unpin> Gathering<T> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(cx))?;
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.is_due = false;
        Poll::Ready(Ok(()))
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.held.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Makes room for `more` bytes. False where they are too many to be held.
    fn poll_room(&mut self, cx: &mut Context<'_>, more: usize) -> Poll<io::Result<bool>> {
        if self.held.len() + more > ROOM {
            ready!(self.poll_held(cx))?;
        }
        Poll::Ready(Ok(more <= ROOM))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gathering<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_due
            && let Poll::Ready(drained) = self.poll_drain(cx)
        {
            drained?;
        }
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gathering<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_room(cx, bytes.len()))? {
            return Pin::new(&mut self.io).poll_write(cx, bytes);
        }
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = slices.iter().map(|slice| slice.len()).sum();
        if !ready!(self.poll_room(cx, count))? {
            return Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        }
        slices.iter().for_each(|slice| self.held.extend_from_slice(slice));
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Says that it is done, and has the task run once more to do it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Pin::new(&mut self.io).poll_flush(cx);
        }
        if !self.is_due {
            self.is_due = true;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use futures_util::future::join_all;
    use http_body_util::{BodyExt as _, Full};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::Barrier;
    use tokio::task::JoinSet;

    use super::*;

    /// Counts writes.
    struct Counted(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    const ALL: usize = 50;

    /// Fifty requests at once, answered at once; tells how often the server wrote.
    async fn writes_of_fifty(server: impl FnOnce(Counted) -> ServerIo) -> usize {
        let (near, far) = duplex(1 << 20);
        let count = Arc::new(AtomicUsize::new(0));
        let io = server(Counted(far, Arc::clone(&count)));
        let together = Arc::new(Barrier::new(ALL));
        let service = service_fn(move |request: Request<Incoming>| {
            let together = Arc::clone(&together);
            async move {
                let said = request.into_body().collect().await?.to_bytes();
                together.wait().await;
                Ok::<_, hyper::Error>(Response::new(Full::new(said)))
            }
        });
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(io), service);
        let mut tasks = JoinSet::new();
        tasks.spawn(async { serving.await.unwrap() });
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .handshake(TokioIo::new(near))
            .await
            .unwrap();
        tasks.spawn(async { connection.await.unwrap() });
        let asking = (0..ALL).map(|number| {
            let mut sender = sender.clone();
            async move {
                let words = format!("{number} {}", "x".repeat(700));
                let body = Full::new(Bytes::from(words));
                let answer = sender.send_request(Request::new(body)).await.unwrap();
                let said = answer.into_body().collect().await.unwrap().to_bytes();
                assert!(said.starts_with(format!("{number} ").as_bytes()));
            }
        });
        join_all(asking).await;
        count.load(Ordering::SeqCst)
    }

    trait Both: AsyncRead + AsyncWrite + Unpin + Send {}

    impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

    type ServerIo = Box<dyn Both>;

    /// On the scheduler of our programs, which runs a woken task before those that wait.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn answers_that_come_together_leave_together() {
        let plain = writes_of_fifty(|io| Box::new(io)).await;
        let gathered = writes_of_fifty(|io| Box::new(Gathering::new(io))).await;
        assert!(plain >= ALL, "{plain}");
        assert!(gathered <= plain / 5, "{gathered} of {plain}");
    }

    /// What the task of a connection does each time that it runs.
    async fn turn(io: &mut Gathering<DuplexStream>, words: &[Vec<u8>]) {
        let mut buffer = [0; 8];
        let mut buffer = ReadBuf::new(&mut buffer);
        std::future::poll_fn(|cx| {
            let _ = Pin::new(&mut *io).poll_read(cx, &mut buffer)?;
            Poll::Ready(Ok::<_, io::Error>(()))
        })
        .await
        .unwrap();
        for word in words {
            io.write_all(word).await.unwrap();
            io.flush().await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_flushed_leaves_when_the_task_runs_again() {
        let (near, mut far) = duplex(1 << 16);
        let mut io = Gathering::new(near);
        turn(&mut io, &[b"one ".to_vec(), b"two".to_vec()]).await;
        let mut heard = [0; 7];
        let early = futures_util::FutureExt::now_or_never(far.read_exact(&mut heard));
        assert!(early.is_none());
        turn(&mut io, &[]).await;
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"one two");
    }

    #[tokio::test]
    async fn what_is_held_leaves_before_the_end() {
        let (near, mut far) = duplex(1 << 16);
        let mut io = Gathering::new(near);
        io.write_all(b"last words").await.unwrap();
        io.shutdown().await.unwrap();
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "last words");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_turned_round_and_little_is_held(
            turns in prop::collection::vec(prop::collection::vec(1_usize..40_000, 0..4), 1..8),
            line in 1_usize..70_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut sent = Vec::new();
            let turns: Vec<Vec<Vec<u8>>> = turns
                .iter()
                .map(|words| words.iter().map(|length| vec![0; *length]).collect())
                .collect();
            let mut next = 0_u8;
            let mut turns = turns;
            for byte in turns.iter_mut().flatten().flatten() {
                next = next.wrapping_add(1);
                *byte = next;
                sent.push(next);
            }
            let (near, mut far) = duplex(line);
            let saying = async {
                let mut io = Gathering::new(near);
                for words in &turns {
                    turn(&mut io, words).await;
                    assert!(io.held.len() <= ROOM);
                }
                io.shutdown().await.unwrap();
            };
            let mut heard = Vec::new();
            let hearing = far.read_to_end(&mut heard);
            runtime.block_on(async { tokio::join!(saying, hearing) }).1.unwrap();
            prop_assert_eq!(heard, sent);
        }
    }
}
