//! A reader that does not read, a peer that opens too much or says too much: each is bounded, none harms the others.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic, in its helpers too")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{LINE, echo, exchange, ignore, pattern, tunnel};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tunnel::{OpenError, Settings, TunnelError, Windows, accept_on};

fn small() -> Settings {
    Settings {
        windows: Windows { stream: 64 * 1024, connection: 256 * 1024, send_buffer: 32 * 1024 },
        max_streams: 8,
        ..Settings::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_bounds_the_writer() {
    let tunnel = tunnel(&small(), ignore).await;
    let mut stream = tunnel.open();
    let mut written = 0;
    // Time stands still until every task waits: the timeout tells that nothing moves any more.
    while let Ok(count) =
        tokio::time::timeout(Duration::from_secs(1), stream.write(&pattern(4096))).await
    {
        written += count.unwrap();
    }
    let bound = (64 + 32) * 1024 + 4096;
    assert!(written >= 64 * 1024, "{written}");
    assert!(written <= bound, "{written} of {bound}");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_stream_does_not_stop_the_others() {
    let tunnel = tunnel(&small(), |incoming| async move {
        match incoming.target() {
            "stuck:1" => ignore(incoming).await,
            _ => echo(incoming).await,
        }
    })
    .await;
    let mut stuck = tunnel.near.open("stuck:1", HeaderMap::new()).unwrap();
    let much = pattern(500_000);
    let full = tokio::time::timeout(Duration::from_secs(1), stuck.write_all(&much));
    assert!(full.await.is_err());
    let bytes = pattern(50_000);
    let back = exchange(tunnel.near.open("free:1", HeaderMap::new()).unwrap(), &bytes);
    assert_eq!(back.await.unwrap(), bytes);
}

#[tokio::test]
async fn more_streams_than_agreed_are_not_opened() {
    let tunnel = tunnel(&small(), ignore).await;
    let mut open: Vec<_> = (0..8).map(|_| tunnel.open()).collect();
    let refused = tunnel.near.open("app:443", HeaderMap::new()).unwrap_err();
    assert!(matches!(refused, OpenError::Full { streams: 8 }), "{refused}");
    assert_eq!(tunnel.near.streams(), 8);
    open.pop();
    tunnel.near.open("app:443", HeaderMap::new()).unwrap();
}

#[tokio::test]
async fn what_is_no_target_is_not_opened() {
    let tunnel = tunnel(&small(), echo).await;
    for target in ["", "a b:1", "http://x/y", "x/y"] {
        let refused = tunnel.near.open(target, HeaderMap::new()).unwrap_err();
        assert!(matches!(refused, OpenError::BadRequest { .. }), "{target}: {refused}");
    }
    assert_eq!(tunnel.near.streams(), 0);
}

#[tokio::test]
async fn giant_headers_are_refused_before_they_are_sent() {
    let tunnel = tunnel(&small(), echo).await;
    let refused = tunnel.near.open("app:443", giant()).unwrap_err();
    assert!(matches!(refused, OpenError::TooLarge { limit: 16_384, .. }), "{refused}");
}

#[tokio::test]
async fn a_hostile_near_end_cannot_send_giant_headers() {
    let mut hostile = Hostile::new(echo).await;
    let answer = hostile.send(request(Method::CONNECT, giant())).await;
    assert_eq!(answer.unwrap(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let answer = hostile.send(request(Method::CONNECT, HeaderMap::new())).await;
    assert_eq!(answer.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_hostile_near_end_gets_streams_by_connect_only() {
    let mut hostile = Hostile::new(echo).await;
    for method in [Method::GET, Method::POST] {
        let mut get = request(method, HeaderMap::new());
        *get.uri_mut() = "http://app:443/etc".parse().unwrap();
        let answer = hostile.send(get).await;
        assert_eq!(answer.unwrap(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn a_hostile_near_end_cannot_open_more_streams_than_agreed() {
    // It speaks frames (RFC 9113, 4.1) and ignores the settings that it is sent.
    let (mut peer, agent) = duplex(LINE);
    let mut tasks = JoinSet::new();
    tasks.spawn(run(agent, ignore));
    peer.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    peer.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    for number in 0..40 {
        // `:method: CONNECT` and `:authority: app:443`, as literals with indexed names (RFC 7541, 6.2.2).
        let headers = b"\x02\x07CONNECT\x01\x07app:443";
        let opening = frame(HEADERS, END_HEADERS, 1 + 2 * number, headers);
        peer.write_all(&opening).await.unwrap();
    }
    let (mut taken, mut refused) = (0, 0);
    while taken + refused < 40 {
        let mut head = [0; 9];
        peer.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut body = vec![0; usize::try_from(length).unwrap()];
        peer.read_exact(&mut body).await.unwrap();
        match head[3] {
            HEADERS => taken += 1,
            RST_STREAM => {
                assert_eq!(body, [0, 0, 0, 7], "REFUSED_STREAM");
                refused += 1;
            }
            _ => {}
        }
    }
    assert_eq!((taken, refused), (8, 32));
}

#[tokio::test]
async fn noise_instead_of_http2_ends_the_far_end_with_an_error() {
    let (mut peer, agent) = duplex(LINE);
    let mut far = accept_on(agent, &small());
    peer.write_all(b"GET / HTTP/1.1\r\nhost: nobody\r\n\r\n").await.unwrap();
    assert!(matches!(far.next().await, Err(TunnelError::Connection(_))));
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(body);
    frame
}

fn giant() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x", HeaderValue::from_bytes(&[b'x'; 60_000]).unwrap());
    headers
}

fn request(method: Method, headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = "app:443".parse().unwrap();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    request
}

/// A near end that keeps to HTTP/2 but to none of our limits.
struct Hostile {
    requests: h2::client::SendRequest<Bytes>,
    _tasks: JoinSet<()>,
}

impl Hostile {
    async fn new<S, F>(serve: S) -> Self
    where
        S: Fn(tunnel::Incoming) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (peer, agent) = duplex(LINE);
        let mut tasks = JoinSet::new();
        tasks.spawn(run(agent, serve));
        let (requests, connection) = h2::client::Builder::new().handshake(peer).await.unwrap();
        tasks.spawn(async move {
            let _ = connection.await;
        });
        Self { requests, _tasks: tasks }
    }

    async fn send(&mut self, request: Request<()>) -> Result<StatusCode, h2::Error> {
        let (answer, _body) = self.requests.send_request(request, false)?;
        Ok(answer.await?.status())
    }
}

async fn run<S, F>(agent: DuplexStream, serve: S)
where
    S: Fn(tunnel::Incoming) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut far = accept_on(agent, &small());
    let mut streams = JoinSet::new();
    while let Ok(Some(incoming)) = far.next().await {
        streams.spawn(serve(incoming));
    }
}
