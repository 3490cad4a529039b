//! The head of a CONNECT request: the only thing that the plain HTTP port understands.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Largest head that is read.
const HEAD_LIMIT: usize = 16 * 1024;
/// How long a client may take for it.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);

/// Where a client wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Lower case, without brackets and without a trailing dot.
    pub(crate) host: String,
    /// 1 to 65535.
    pub(crate) port: u16,
}

impl Target {
    /// `host:port`, with brackets where the host is an IPv6 address.
    pub(crate) fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no target.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// Another method, or no HTTP at all.
    #[error("this is an HTTPS proxy for AWS tools; it takes CONNECT requests only")]
    NotConnect,
    /// A target that is not `host:port`.
    #[error("the CONNECT target is not host:port")]
    BadTarget,
    /// More than the bound.
    #[error("the CONNECT request is larger than {HEAD_LIMIT} bytes")]
    TooLarge,
    /// Nothing came in time.
    #[error("no CONNECT request came within {} seconds", HEAD_DEADLINE.as_secs())]
    Late,
    /// The connection failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

/// Reads a CONNECT request's head, and not one byte more.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<Target, ConnectError> {
    match timeout(HEAD_DEADLINE, read_head(stream)).await {
        Ok(head) => target(&head?),
        Err(_) => Err(ConnectError::Late),
    }
}

/// Says that the way is open.
pub(crate) async fn accept(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await
}

/// Refuses with a plain sentence.
pub(crate) async fn refuse(stream: &mut TcpStream, status: &str, sentence: &str) -> io::Result<()> {
    let reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{sentence}\n",
        sentence.len() + 1
    );
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}

async fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>, ConnectError> {
    let mut head = Vec::with_capacity(512);
    let mut seen = [0; 1024];
    loop {
        let length = stream.peek(&mut seen).await?;
        let fresh = seen.get(..length).unwrap_or_default();
        if fresh.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let before = head.len();
        head.extend_from_slice(fresh);
        // The end may have begun in the piece before.
        let from = before.saturating_sub(3);
        let end = find_end(head.get(from..).unwrap_or_default()).map(|end| from + end);
        let taken = end.unwrap_or(head.len()) - before;
        stream.read_exact(seen.get_mut(..taken).unwrap_or_default()).await?;
        if let Some(end) = end {
            head.truncate(end);
            return Ok(head);
        }
        if head.len() > HEAD_LIMIT {
            return Err(ConnectError::TooLarge);
        }
        if !b"CONNECT ".starts_with(head.get(..head.len().min(8)).unwrap_or_default()) {
            return Err(ConnectError::NotConnect);
        }
    }
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn target(head: &[u8]) -> Result<Target, ConnectError> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| ConnectError::NotConnect)?;
    let mut words = line.split(' ');
    let (Some("CONNECT"), Some(authority), Some("HTTP/1.1" | "HTTP/1.0"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(ConnectError::NotConnect);
    };
    parse_authority(authority).ok_or(ConnectError::BadTarget)
}

/// `host:port`, strictly: a name of letters, digits, dots, dashes and underscores, or an address.
fn parse_authority(text: &str) -> Option<Target> {
    let (host, port) = text.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    if let Some(bare) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = bare.parse().ok()?;
        return Some(Target { host: address.to_string(), port });
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_name = !name.is_empty() && name.len() <= 253 && name.bytes().all(allowed);
    is_name.then(|| Target { host: name.to_ascii_lowercase(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn targets_are_read_strictly() {
        for (line, expected) in [
            (
                "CONNECT dynamodb.us-east-1.amazonaws.com:443 HTTP/1.1",
                Some("dynamodb.us-east-1.amazonaws.com:443"),
            ),
            (
                "CONNECT DynamoDB.us-east-1.AmazonAWS.com.:443 HTTP/1.1",
                Some("dynamodb.us-east-1.amazonaws.com:443"),
            ),
            ("CONNECT [::1]:443 HTTP/1.1", Some("[::1]:443")),
            ("CONNECT 127.0.0.1:8080 HTTP/1.0", Some("127.0.0.1:8080")),
            ("CONNECT host HTTP/1.1", None),
            ("CONNECT host: HTTP/1.1", None),
            ("CONNECT host:0 HTTP/1.1", None),
            ("CONNECT host:65536 HTTP/1.1", None),
            ("CONNECT host:+1 HTTP/1.1", None),
            ("CONNECT :443 HTTP/1.1", None),
            ("CONNECT a@b:443 HTTP/1.1", None),
            ("CONNECT attacker.example.com://s3.amazonaws.com:443 HTTP/1.1", None),
            ("CONNECT a:443 HTTP/2", None),
            ("CONNECT a:443 HTTP/1.1 x", None),
            ("GET / HTTP/1.1", None),
            ("connect a:443 HTTP/1.1", None),
            ("", None),
        ] {
            let found = target(format!("{line}\r\n\r\n").as_bytes()).ok();
            assert_eq!(found.map(|target| target.address()).as_deref(), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn rubbish_is_refused_without_a_panic(head in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = target(&head);
        }

        #[test]
        fn what_is_accepted_is_a_plain_host_and_port(text in "[a-zA-Z0-9.:@/\\[\\]_%-]{0,40}") {
            if let Some(target) = parse_authority(&text) {
                prop_assert!(!target.host.contains(['@', '/', '%', '[', ' ']));
            }
        }
    }
}
