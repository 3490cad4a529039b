//! Lanes over TLS: from mutual TLS to bare bytes, without losing one.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic, in its helpers too")]

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex,
};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tunnel::{LaneError, LaneHead, Records, lane};

const PATIENCE: Duration = Duration::from_secs(10);
/// Length of the record with which the far end answers a head, while the near end may already be writing the stream:
/// a line with less room than this stands still, each end waiting for the other to read. A handshake of rustls stands
/// still on less than a `ChangeCipherSpec` record, 6 bytes, lane or not. A socket's buffer holds thousands.
const CLOSE_NOTIFY: usize = 24;

type Near<T> = server::TlsStream<Records<T>>;
type Far<T> = client::TlsStream<Records<T>>;

/// Both ends of a lane that nobody has taken, on a line that holds `room` bytes.
async fn ends(room: usize) -> (Near<DuplexStream>, Far<DuplexStream>) {
    let (near, far) = duplex(room);
    ends_on(near, far).await
}

async fn ends_on<T: AsyncRead + AsyncWrite + Unpin>(near: T, far: T) -> (Near<T>, Far<T>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["proxy.example.com".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    // Nobody would read them on a short line before the lane is taken.
    server.send_tls13_tickets = 0;
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("proxy.example.com").unwrap();
    let both = async {
        tokio::join!(
            TlsAcceptor::from(Arc::new(server)).accept(Records::new(near)),
            TlsConnector::from(Arc::new(client)).connect(name, Records::new(far)),
        )
    };
    let (near, far) = timeout(PATIENCE, both).await.unwrap();
    (near.unwrap(), far.unwrap())
}

fn head() -> LaneHead {
    let mut headers = HeaderMap::new();
    headers.insert("x-client", HeaderValue::from_static("192.0.2.7:50123"));
    LaneHead { target: "app:443".parse().unwrap(), headers }
}

/// Sends `up` (its beginning with the head itself) and `down` at once, and checks what arrives.
async fn carries(room: usize, up: Vec<u8>, first: usize, down: Vec<u8>) {
    let (near, far) = ends(room).await;
    let (expected_up, expected_down) = (up.clone(), down.clone());
    let near = async move {
        let (first, rest) = up.split_at(first.min(up.len()));
        let io = lane::take(near, &head(), first).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(io);
        let sending = async {
            writer.write_all(rest).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (_, heard_all) = tokio::join!(sending, reader.read_to_end(&mut heard));
        heard_all.unwrap();
        assert_eq!(heard, expected_down);
    };
    let far = async move {
        let (said, io) = lane::wait(far).await.unwrap();
        assert_eq!(said, head());
        let (mut reader, mut writer) = tokio::io::split(io);
        let sending = async {
            writer.write_all(&down).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (_, heard_all) = tokio::join!(sending, reader.read_to_end(&mut heard));
        heard_all.unwrap();
        assert_eq!(heard, expected_up);
    };
    timeout(PATIENCE, async { tokio::join!(near, far) }).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_is_lost_where_tls_ends(
        room in CLOSE_NOTIFY..4000,
        up in prop::collection::vec(any::<u8>(), 0..6000),
        first in 0_usize..3000,
        down in prop::collection::vec(any::<u8>(), 0..6000),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(carries(room, up, first, down));
    }
}

/// Bytes that look like TLS are the stream's own all the same.
#[tokio::test]
async fn records_inside_the_stream_are_not_taken_for_the_lanes_own() {
    let alert = [21, 3, 3, 0, 2, 1, 0];
    let hello = [[22, 3, 1, 0, 4].as_slice(), &[1, 2, 3, 4]].concat();
    carries(1 << 16, [hello, alert.to_vec()].concat(), 9, alert.repeat(3)).await;
}

#[tokio::test]
async fn a_lane_that_the_far_end_gives_up_ends() {
    let (mut near, far) = ends(1 << 16).await;
    drop(far);
    let ended = timeout(PATIENCE, lane::idle(&mut near)).await.unwrap();
    assert!(matches!(ended, LaneError::Io(_)), "{ended}");
    let taken = timeout(PATIENCE, lane::take(near, &head(), b"hello")).await.unwrap();
    assert!(matches!(taken, Err(LaneError::Io(_))));
}

#[tokio::test]
async fn a_lane_that_the_near_end_gives_up_ends() {
    let (near, far) = ends(1 << 16).await;
    drop(near);
    let waited = timeout(PATIENCE, lane::wait(far)).await.unwrap();
    assert!(matches!(waited, Err(LaneError::Io(_))));
}

/// Whoever cuts the connection cannot make half a head out of a whole one: only the close of TLS ends it.
#[tokio::test]
async fn a_head_that_was_cut_off_is_no_head() {
    let (mut near, far) = ends(1 << 16).await;
    near.write_all(b"CONNECT app:443 HTTP/1.1\r\n\r\n").await.unwrap();
    near.flush().await.unwrap();
    drop(near);
    let waited = timeout(PATIENCE, lane::wait(far)).await.unwrap();
    assert!(matches!(waited, Err(LaneError::Io(_))));
}

#[tokio::test]
async fn what_is_no_head_is_refused() {
    for words in [b"".as_slice(), b"GET / HTTP/1.1\r\n\r\n", &[b'x'; 40_000]] {
        let (mut near, far) = ends(1 << 17).await;
        near.write_all(words).await.unwrap();
        near.shutdown().await.unwrap();
        let waited = timeout(PATIENCE, lane::wait(far)).await.unwrap();
        assert!(matches!(waited, Err(LaneError::Head { .. })), "{}", words.len());
    }
}

#[tokio::test]
async fn a_far_end_that_speaks_inside_tls_is_given_up() {
    let (mut near, mut far) = ends(1 << 16).await;
    far.write_all(b"x").await.unwrap();
    far.flush().await.unwrap();
    let ended = timeout(PATIENCE, lane::idle(&mut near)).await.unwrap();
    assert!(matches!(ended, LaneError::Spoke));

    let (near, mut far) = ends(1 << 16).await;
    far.write_all(b"x").await.unwrap();
    far.flush().await.unwrap();
    let taken = timeout(PATIENCE, lane::take(near, &head(), b"")).await.unwrap();
    assert!(matches!(taken, Err(LaneError::Spoke)));
}

#[tokio::test]
async fn a_far_end_that_ends_without_closing_tls_is_given_up() {
    let (near, far) = ends(1 << 16).await;
    let leaving = async {
        let (mut io, _) = far.into_inner();
        io.read_exact(&mut [0; 40]).await.unwrap();
    };
    let head = head();
    let both = async { tokio::join!(lane::take(near, &head, b"hello"), leaving) };
    let (taken, ()) = timeout(PATIENCE, both).await.unwrap();
    assert!(matches!(taken, Err(LaneError::Io(_))));
}
