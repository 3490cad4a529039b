//! Reads the first message of a TLS handshake, and nothing after it.
//!
//! What was read is handed back, so that whoever ends the TLS connection, here
//! or far away, sees it from its first byte. Nothing is decided here.

use bytes::{Bytes, BytesMut};
use rustls::server::Acceptor;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Longest start of a connection that is looked at, bytes. A usual ClientHello has 0.3 to 2 KiB.
pub(crate) const HELLO_LIMIT: usize = 16 * 1024;

/// First byte of a TLS handshake record.
const HANDSHAKE_RECORD: u8 = 0x16;

/// The two things that a ClientHello says and the router reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// SNI, lower case as the TLS library gives it.
    pub(crate) server_name: Option<String>,
    /// ALPN, as offered.
    pub(crate) alpn: Vec<Vec<u8>>,
}

/// Why a connection does not begin with a ClientHello.
#[derive(Debug, Error)]
pub(crate) enum BadHello {
    #[error("the connection was closed before the TLS handshake")]
    Closed,
    #[error("reading failed")]
    Io(#[from] std::io::Error),
    #[error("plain HTTP on a TLS port")]
    PlainHttp,
    #[error("the connection does not begin with a TLS handshake")]
    NotTls,
    #[error("the TLS handshake begins with more than {HELLO_LIMIT} bytes")]
    TooLong,
    #[error("the TLS handshake is malformed")]
    Malformed {
        /// What to answer, maybe nothing.
        alert: Vec<u8>,
        source: rustls::Error,
    },
}

/// Reads until the ClientHello is whole. Returns it with all bytes that were read.
///
/// The caller bounds the time.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<(Hello, Bytes), BadHello> {
    let mut acceptor = Acceptor::default();
    let mut seen = BytesMut::with_capacity(4 * 1024);
    loop {
        let before = seen.len();
        if before >= HELLO_LIMIT {
            return Err(BadHello::TooLong);
        }
        let room = HELLO_LIMIT.saturating_sub(before) as u64;
        if (&mut *stream).take(room).read_buf(&mut seen).await? == 0 {
            return Err(BadHello::Closed);
        }
        check_first_bytes(&seen)?;
        let fresh = seen.get(before..).unwrap_or_default();
        if let Some(hello) = feed(&mut acceptor, fresh)? {
            return Ok((hello, seen.freeze()));
        }
    }
}

fn check_first_bytes(seen: &[u8]) -> Result<(), BadHello> {
    const METHODS: [&[u8]; 7] = [b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"PRI "];
    match seen.first() {
        None | Some(&HANDSHAKE_RECORD) => Ok(()),
        Some(_) if METHODS.iter().any(|method| seen.starts_with(method)) => {
            Err(BadHello::PlainHttp)
        }
        Some(_) => Err(BadHello::NotTls),
    }
}

fn feed(acceptor: &mut Acceptor, mut fresh: &[u8]) -> Result<Option<Hello>, BadHello> {
    while !fresh.is_empty() {
        if acceptor.read_tls(&mut fresh)? == 0 {
            return Err(BadHello::TooLong);
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                return Ok(Some(Hello {
                    server_name: hello.server_name().map(str::to_owned),
                    alpn: hello
                        .alpn()
                        .map(|offers| offers.map(<[u8]>::to_vec).collect())
                        .unwrap_or_default(),
                }));
            }
            Err((source, mut answer)) => {
                let mut alert = Vec::new();
                answer.write_all(&mut alert)?;
                return Err(BadHello::Malformed { alert, source });
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// The ClientHello of a real client.
    fn client_hello(name: &str, alpn: &[&[u8]]) -> Vec<u8> {
        let mut config = ClientConfig::builder_with_provider(pki::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = name.to_owned().try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The same handshake message cut into records of a few bytes each.
    fn in_small_records(hello: &[u8], size: usize) -> Vec<u8> {
        let message = &hello[5..];
        let mut out = Vec::new();
        for part in message.chunks(size) {
            out.extend_from_slice(&[0x16, 3, 1]);
            out.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
            out.extend_from_slice(part);
        }
        out
    }

    async fn read_all(bytes: &[u8]) -> Result<(Hello, Bytes), BadHello> {
        read(&mut &*bytes).await
    }

    #[tokio::test]
    async fn server_name_and_protocols_are_read() {
        let bytes = client_hello("proxy.example.com", &[b"h2", b"http/1.1"]);
        let (hello, seen) = read_all(&bytes).await.unwrap();
        assert_eq!(hello.server_name.as_deref(), Some("proxy.example.com"));
        assert_eq!(hello.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(seen, bytes);
    }

    #[tokio::test]
    async fn absent_extensions_are_read_as_nothing() {
        let (hello, _) = read_all(&client_hello("127.0.0.1", &[])).await.unwrap();
        assert_eq!(hello, Hello::default());
    }

    #[tokio::test]
    async fn a_hello_that_comes_byte_by_byte_is_read_whole() {
        let bytes = client_hello("proxy.example.com", &[b"h2"]);
        let (mut near, mut far) = tokio::io::duplex(1);
        let sent = bytes.clone();
        let writing = async move { far.write_all(&sent).await };
        let (read, _) = tokio::join!(read(&mut near), writing);
        let (hello, seen) = read.unwrap();
        assert_eq!(hello.server_name.as_deref(), Some("proxy.example.com"));
        assert_eq!(seen, bytes);
    }

    #[tokio::test]
    async fn a_hello_in_many_small_records_is_read_or_refused_within_the_bound() {
        let bytes = in_small_records(&client_hello("proxy.example.com", &[b"h2"]), 100);
        match read_all(&bytes).await {
            Ok((hello, _)) => assert_eq!(hello.server_name.as_deref(), Some("proxy.example.com")),
            Err(error) => assert!(matches!(error, BadHello::Malformed { .. }), "{error}"),
        }
    }

    #[tokio::test]
    async fn an_endless_hello_is_refused_at_the_bound() {
        // A handshake message that announces 64 KiB, in records of 1 KiB.
        let mut message = vec![1, 0, 0xff, 0xff];
        message.resize(40 * 1024, 0);
        let mut framed = vec![0; 5];
        framed.extend_from_slice(&message);
        let bytes = in_small_records(&framed, 1024);
        let error = read_all(&bytes).await.unwrap_err();
        assert!(matches!(error, BadHello::TooLong | BadHello::Malformed { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_not_tls_is_refused_by_its_first_bytes() {
        for (bytes, http) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], true),
            (b"PRI * HTTP/2.0\r\n\r\n", true),
            (b"SSH-2.0-OpenSSH_9.2\r\n", false),
            (b"\x00\x01\x02", false),
            (b"\x80\x2e\x01\x00\x02", false),
        ] {
            let error = read_all(bytes).await.unwrap_err();
            assert_eq!(matches!(error, BadHello::PlainHttp), http, "{error}");
            assert_eq!(matches!(error, BadHello::NotTls), !http, "{error}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_early_is_refused() {
        let bytes = client_hello("proxy.example.com", &[b"h2"]);
        for end in [0, 1, 5, bytes.len() - 1] {
            let error = read_all(&bytes[..end]).await.unwrap_err();
            assert!(matches!(error, BadHello::Closed), "{end}: {error}");
        }
    }

    #[tokio::test]
    async fn a_record_that_is_no_handshake_is_answered_with_an_alert() {
        let mut bytes = client_hello("proxy.example.com", &[]);
        bytes[5] = 0x02; // a ServerHello
        match read_all(&bytes).await.unwrap_err() {
            BadHello::Malformed { alert, .. } => assert_eq!(alert.first(), Some(&0x15)),
            other => panic!("{other}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_end_in_an_answer(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
            let mut bytes = vec![0x16, 3, 1];
            bytes.extend(noise);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&bytes));
        }

        #[test]
        fn a_damaged_hello_ends_in_an_answer(at in 0usize..200, byte in any::<u8>()) {
            let mut bytes = client_hello("proxy.example.com", &[b"h2"]);
            bytes[at] = byte;
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&bytes));
        }
    }
}
