//! A connection that is never read beyond the TLS record at hand, so that what follows the last record is still there
//! when TLS ends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Type, version and length (RFC 8446, 5.1).
const HEADER: usize = 5;

/// Gives TLS one record at a time. Put it under TLS before the handshake.
#[derive(Debug)]
pub struct Records<T> {
    io: T,
    header: [u8; HEADER],
    /// How much of the header has come.
    had: usize,
    /// How much of the record is still to come.
    left: usize,
}

impl<T> Records<T> {
    /// Around a connection on which TLS is about to begin.
    pub fn new(io: T) -> Self {
        Self { io, header: [0; HEADER], had: 0, left: 0 }
    }

    /// The connection, after the last record.
    ///
    /// # Errors
    /// When a record is not over.
    pub(crate) fn into_inner(self) -> io::Result<T> {
        if self.had > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "TLS ended inside a record"));
        }
        Ok(self.io)
    }

    /// How much may be read now.
    fn wanted(&self) -> usize {
        if self.had < HEADER { HEADER - self.had } else { self.left }
    }

    fn passed(&mut self, bytes: &[u8]) {
        if self.had < HEADER {
            let end = self.had + bytes.len();
            if let Some(place) = self.header.get_mut(self.had..end) {
                place.copy_from_slice(bytes);
            }
            self.had = end;
            self.left = usize::from(u16::from_be_bytes([self.header[3], self.header[4]]));
        } else {
            self.left = self.left.saturating_sub(bytes.len());
        }
        if self.had == HEADER && self.left == 0 {
            self.had = 0;
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Records<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = self.wanted().min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(wanted));
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut part))?;
        self.passed(part.filled());
        let count = part.filled().len();
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Records<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// TLS ends; the connection under it does not.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn record(length: usize) -> Vec<u8> {
        let size = u16::try_from(length).unwrap().to_be_bytes();
        [&[23, 3, 3, size[0], size[1]], vec![b'x'; length].as_slice()].concat()
    }

    proptest! {
        #[test]
        fn no_read_goes_beyond_a_record(
            lengths in prop::collection::vec(0_usize..200, 1..5),
            sizes in prop::collection::vec(1_usize..64, 1..20),
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| record(*length)).collect();
            let mut records = Records::new(bytes.as_slice());
            let mut sizes = sizes.into_iter().cycle();
            for length in lengths {
                let mut left = HEADER + length;
                while left > 0 {
                    let mut buffer = vec![0; sizes.next().unwrap()];
                    let reading = records.read(&mut buffer);
                    let count = futures_util::FutureExt::now_or_never(reading).unwrap().unwrap();
                    prop_assert!((1..=left).contains(&count), "{count} of {left}");
                    left -= count;
                }
                prop_assert_eq!(records.had, 0);
            }
            prop_assert!(records.into_inner().unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn inside_a_record_the_connection_is_not_given_back() {
        for cut in 1..=7 {
            let bytes = record(2);
            let mut records = Records::new(&bytes[..]);
            let mut buffer = vec![0; cut];
            records.read_exact(&mut buffer).await.unwrap();
            assert_eq!(records.into_inner().is_ok(), cut == 7, "{cut}");
        }
    }
}
