//! A lane: a connection of its own for one stream, beside the tunnel.
//!
//! The agent dials lanes before anybody needs them, as mutual TLS like its tunnel. The near end takes one by saying inside
//! TLS what it is for (the head of an HTTP/1.1 CONNECT), and closing TLS; the far end closes TLS too. From there on the
//! TCP connection carries the stream's own bytes, which are encrypted end to end already: they are not encrypted, framed and
//! given windows once more, and no stream waits behind another.
//!
//! Neither end waits for the other: bytes of the stream follow the close of TLS at once, and [`Records`] sees to it that TLS
//! does not swallow them.

use std::io;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{client, server};

use crate::records::Records;

/// Longest head, bytes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 16;

/// What a lane is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneHead {
    /// Where the near end wants the stream to go: an authority such as `app:443`.
    pub target: Authority,
    /// What the near end says about it.
    pub headers: HeaderMap,
}

/// Why a lane was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LaneError {
    /// The connection ended, or failed, before it was taken.
    #[error("the lane's connection ended")]
    Io(#[from] io::Error),
    /// What came is no head.
    #[error("the lane was not begun by the head of a CONNECT: {what}")]
    Head {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The far end spoke inside TLS, where it has nothing to say.
    #[error("the agent spoke before the lane was taken")]
    Spoke,
}

/// The near end, the proxy's: takes a waiting lane, and sends `first` along.
///
/// The connection comes authenticated. What is returned carries the stream's bytes alone.
///
/// # Errors
/// When the connection fails, or the far end does not answer as one.
pub async fn take<T>(
    mut tls: server::TlsStream<Records<T>>,
    head: &LaneHead,
    first: &[u8],
) -> Result<T, LaneError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    tls.write_all(&head.encode()).await?;
    tls.shutdown().await?;
    tls.get_mut().0.write_all(first).await?;
    tls.get_mut().0.flush().await?;
    match tls.read(&mut [0]).await? {
        0 => Ok(tls.into_inner().0.into_inner()?),
        _ => Err(LaneError::Spoke),
    }
}

/// The near end while nobody takes the lane. Ends with the connection; cancelling it loses nothing.
pub async fn idle<T>(tls: &mut server::TlsStream<Records<T>>) -> LaneError
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    match tls.read(&mut [0]).await {
        Ok(0) => LaneError::Io(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => LaneError::Spoke,
        Err(error) => LaneError::Io(error),
    }
}

/// The far end, the agent's: waits until the lane is taken.
///
/// The connection comes authenticated. What is returned carries the stream's bytes alone.
///
/// # Errors
/// When the connection ends, or what comes is no head.
pub async fn wait<T>(mut tls: client::TlsStream<Records<T>>) -> Result<(LaneHead, T), LaneError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    (&mut tls).take(MAX_HEAD as u64 + 1).read_to_end(&mut bytes).await?;
    let head = LaneHead::parse(&bytes)?;
    tls.shutdown().await?;
    Ok((head, tls.into_inner().0.into_inner()?))
}

impl LaneHead {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = format!("CONNECT {0} HTTP/1.1\r\nhost: {0}\r\n", self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Self, LaneError> {
        let bad = |what| LaneError::Head { what };
        if bytes.len() > MAX_HEAD {
            return Err(bad("it is too long"));
        }
        let mut room = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut room);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
            Ok(httparse::Status::Complete(_)) => return Err(bad("something follows it")),
            Ok(httparse::Status::Partial) => return Err(bad("it is cut off")),
            Err(_) => return Err(bad("it is malformed")),
        }
        if request.method != Some("CONNECT") {
            return Err(bad("its method is another one"));
        }
        let target = request.path.and_then(|path| path.parse().ok());
        let target = target.ok_or_else(|| bad("it names no target"))?;
        let mut headers = HeaderMap::new();
        for header in request.headers.iter().filter(|header| header.name != "host") {
            let name = HeaderName::try_from(header.name).map_err(|_| bad("a name is malformed"))?;
            let value =
                HeaderValue::from_bytes(header.value).map_err(|_| bad("a value is malformed"))?;
            headers.append(name, value);
        }
        Ok(Self { target, headers })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(target: &str, headers: &[(&'static str, &str)]) -> LaneHead {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        LaneHead { target: target.parse().unwrap(), headers }
    }

    #[test]
    fn a_head_is_read_as_it_was_written() {
        for head in [
            head("app:443", &[]),
            head("app.example.com", &[("x-client", "192.0.2.7:50123"), ("x-other", "a b")]),
        ] {
            assert_eq!(LaneHead::parse(&head.encode()).unwrap(), head);
        }
    }

    #[test]
    fn what_is_no_head_is_refused_with_the_reason() {
        let long = format!("CONNECT app:443 HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(MAX_HEAD));
        for (bytes, what) in [
            ("", "cut off"),
            ("CONNECT app:443 HTTP/1.1\r\nhost: a", "cut off"),
            ("CONNECT app:443 HTTP/1.1\r\n\r\nGET", "follows"),
            ("GET / HTTP/1.1\r\n\r\n", "method"),
            ("CONNECT a/b HTTP/1.1\r\n\r\n", "target"),
            ("\u{16}\u{3}\u{1}", "malformed"),
            (long.as_str(), "too long"),
        ] {
            let refused = LaneHead::parse(bytes.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(what), "{bytes:?}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = LaneHead::parse(&bytes);
        }
    }
}
