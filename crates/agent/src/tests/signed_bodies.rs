//! Bodies whose parts are signed: signed again for AWS, cut where they are not whole; HTTP/2 and proxies on the way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use audit::events::Outcome;
use aws::sigv4::chunked::{Announced, Decoder};
use aws::sigv4::events::{Signer, Verifier};
use aws::sigv4::{Algorithm, PayloadHash, Trailer, Verified, declared_payload, verify};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::sync::mpsc;

use super::fake_aws::{FakeAws, reply};
use super::harness::{Agent, Setup, now, role_keys, signed, text};
use super::tls_aws::{Proxy, TlsAws};

type Frames = mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>;
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// A body that the test feeds.
fn fed() -> (Frames, Body) {
    let (feed, frames) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(8);
    let frames = futures_util::stream::unfold(frames, |mut frames| async move {
        let frame = frames.recv().await?;
        Some((frame, frames))
    });
    (feed, StreamBody::new(frames).boxed_unsync())
}

/// What the fake AWS got: the head and the body of a whole request, and how many have ended, whole or not.
#[derive(Default)]
struct Got {
    whole: Mutex<Option<(Parts, Bytes)>>,
    ended: AtomicUsize,
}

/// Counts the end of a request, however it comes.
struct Ends(Arc<Got>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

async fn aws() -> (FakeAws, Arc<Got>) {
    let got = Arc::new(Got::default());
    let keep = Arc::clone(&got);
    let aws = FakeAws::start(move |request| {
        let ends = Ends(Arc::clone(&keep));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            *ends.0.whole.lock().unwrap() = Some((head, body));
            Some(reply(200, "stored"))
        }
    });
    (aws.await, got)
}

const CRC32C: &str = "x-amz-checksum-crc32c";

fn upload(length: usize, trailer: Trailer) -> http::request::Builder {
    let kind = PayloadHash::SignedChunks(Algorithm::Hmac, trailer).text();
    let request = signed("PUT", "https://s3.eu-central-1.amazonaws.com/bucket/key", "s3")
        .header("x-amz-content-sha256", kind)
        .header("x-amz-decoded-content-length", length)
        .header("content-encoding", "aws-chunked")
        .header("content-length", length);
    match trailer {
        Trailer::Absent => request,
        Trailer::Present => request.header("x-amz-trailer", CRC32C),
    }
}

/// The request as the role's keys signed it.
fn checked(head: &Parts) -> Verified {
    let payload = declared_payload(head).unwrap().unwrap();
    let mut head = head.clone();
    head.headers.remove("x-causeway-body");
    verify(&head, &payload, &role_keys(), now()).unwrap()
}

/// The data in pieces, then what follows it.
async fn feed_all(feed: Frames, length: usize, trailer: Trailer) {
    for piece in vec![7; length].chunks(30_000) {
        feed.send(Ok(Frame::data(Bytes::copy_from_slice(piece)))).await.unwrap();
    }
    if trailer == Trailer::Present {
        let mut trailers = HeaderMap::new();
        trailers.insert(CRC32C, "AAAAAA==".parse().unwrap());
        feed.send(Ok(Frame::trailers(trailers))).await.unwrap();
    }
}

async fn goes_on_in_chunks(length: usize, trailer: Trailer) {
    let (aws, got) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect_streaming::<Body>().await;
    let (feed, body) = fed();
    let request = upload(length, trailer).header("x-causeway-body", "decoded").body(body).unwrap();
    let answer = sender.send_request(request);
    let (answer, ()) = tokio::join!(answer, feed_all(feed, length, trailer));
    assert_eq!(answer.unwrap().status(), 200);

    let (head, body) = got.whole.lock().unwrap().take().unwrap();
    assert!(head.headers.keys().all(|name| !name.as_str().starts_with("x-causeway-")));
    assert_eq!(head.headers["content-length"], body.len().to_string());
    let announced = Announced::of_request(&head, trailer).unwrap();
    let mut decoder = Decoder::new(Arc::new(role_keys()), checked(&head).seed, announced);
    let mut data = Vec::new();
    decoder.push(body, &mut data).unwrap();
    let trailers = decoder.finish().unwrap();
    assert_eq!(data.concat(), vec![7; length]);
    assert_eq!(trailers.contains_key(CRC32C), trailer == Trailer::Present);
    let event = agent.the_event().await;
    assert_eq!((event.bytes_in, event.outcome), (length as u64, Outcome::Answered));
}

#[tokio::test]
async fn plain_data_goes_on_in_chunks_that_the_role_signs() {
    goes_on_in_chunks(0, Trailer::Absent).await;
    goes_on_in_chunks(200_000, Trailer::Absent).await;
    goes_on_in_chunks(200_000, Trailer::Present).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_complete() {
    let (aws, got) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect_streaming::<Body>().await;
    let (feed, body) = fed();
    let request =
        upload(200_000, Trailer::Absent).header("x-causeway-body", "decoded").body(body).unwrap();
    let answer = sender.send_request(request);
    let feeding = async {
        feed.send(Ok(Frame::data(Bytes::from(vec![7; 150_000])))).await.unwrap();
        while aws.calls() == 0 {
            tokio::task::yield_now().await;
        }
        feed.send(Err(std::io::Error::other("a bad chunk"))).await.unwrap();
    };
    let (answer, ()) = tokio::join!(answer, feeding);
    assert!(answer.is_err());
    let event = agent.the_event().await;
    // The client has reset the stream, so that nobody is there who could hear more.
    assert_eq!(event.outcome, Outcome::Unknown, "{event:?}");
    while got.ended.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(got.whole.lock().unwrap().is_none());
}

#[tokio::test]
async fn chunks_that_nobody_has_checked_are_refused() {
    let (aws, _) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect_streaming::<Body>().await;
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let answer = sender.send_request(upload(0, Trailer::Absent).body(body).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(text(answer).await.contains("nobody has checked"));
    assert_eq!(aws.calls(), 0);
}

/// A stream of events, as the client's own keys signed it: which the agent does not check.
fn event(signer: &mut Signer, payload: &[u8]) -> Bytes {
    let outer = wrapped(payload);
    let mut out = Vec::new();
    signer.push(&outer, now(), &mut out).unwrap();
    out.concat().into()
}

/// An outer message with nobody's signature.
fn wrapped(payload: &[u8]) -> Vec<u8> {
    let mut message = aws_smithy_types::event_stream::Message::new(payload.to_vec());
    for (name, value) in [
        (":date", aws_smithy_types::event_stream::HeaderValue::Timestamp(now().into())),
        (
            ":chunk-signature",
            aws_smithy_types::event_stream::HeaderValue::ByteArray(vec![0; 32].into()),
        ),
    ] {
        message = message.add_header(aws_smithy_types::event_stream::Header::new(name, value));
    }
    let mut out = Vec::new();
    aws_smithy_eventstream::frame::write_message_to(&message, &mut out).unwrap();
    out
}

fn stream_request(body: Body) -> Request<Body> {
    signed(
        "POST",
        "https://transcribestreaming.eu-central-1.amazonaws.com/stream-transcription",
        "transcribe",
    )
    .header("content-type", "application/vnd.amazon.eventstream")
    .header("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-EVENTS")
    .header("x-causeway-http", "2")
    .body(body)
    .unwrap()
}

#[tokio::test]
async fn events_flow_both_ways_at_once_over_http_2_each_signed_by_the_role() {
    let (sts, _) = aws().await;
    let mut aws = TlsAws::start(b"h2").await;
    let upstream = Some(aws.upstream(Matcher::builder().build()));
    let mut agent = Agent::start_with(&sts, Setup { upstream, ..Setup::default() }).await;
    let mut sender = agent.connect_streaming::<Body>().await;
    let (feed, body) = fed();
    let answer = sender.send_request(stream_request(body));
    let (answer, call) = tokio::join!(answer, aws.calls.recv());
    let (mut answer, mut call) = (answer.unwrap().into_body(), call.unwrap());
    assert_eq!(call.head.version, Version::HTTP_2);

    let mut head = call.head.clone();
    let host = head.uri.authority().unwrap().as_str().parse().unwrap();
    head.headers.insert("host", host);
    let keys = Arc::new(role_keys());
    let mut verifier = Verifier::new(Arc::clone(&keys), checked(&head).seed.clone());
    let mut client = Signer::new(keys, checked(&head).seed);
    // Each message is there, and answered, before the next one is sent.
    for payload in [&b"one"[..], b"", &[7; 100_000], b"end"] {
        let message = event(&mut client, payload);
        feed.send(Ok(Frame::data(message))).await.unwrap();
        let mut seen = Vec::new();
        while seen.is_empty() {
            let data = call.body.frame().await.unwrap().unwrap().into_data().unwrap();
            verifier.push(&data, now(), &mut seen).unwrap();
        }
        assert_eq!(seen.len(), 1);
        call.answer.send(Bytes::copy_from_slice(payload)).await.unwrap();
        let mut back = 0;
        while back < payload.len() {
            back += answer.frame().await.unwrap().unwrap().into_data().unwrap().len();
        }
    }
    drop(feed);
    while let Some(frame) = call.body.frame().await {
        assert!(frame.unwrap().into_data().unwrap().is_empty());
    }
    verifier.finish().unwrap();
    drop(call.answer);
    while answer.frame().await.is_some() {}
    assert_eq!(agent.the_event().await.outcome, Outcome::Answered);
}

#[tokio::test]
async fn an_event_stream_that_is_cut_is_cut_towards_aws() {
    let (sts, _) = aws().await;
    let mut aws = TlsAws::start(b"h2").await;
    let upstream = Some(aws.upstream(Matcher::builder().build()));
    let mut agent = Agent::start_with(&sts, Setup { upstream, ..Setup::default() }).await;
    let mut sender = agent.connect_streaming::<Body>().await;
    let (feed, body) = fed();
    let answer = sender.send_request(stream_request(body));
    let (answer, call) = tokio::join!(answer, aws.calls.recv());
    let (_answer, mut call) = (answer.unwrap(), call.unwrap());
    let message = wrapped(b"one");
    feed.send(Ok(Frame::data(message[..20].to_vec().into()))).await.unwrap();
    drop(feed);
    let frame = call.body.frame().await;
    assert!(matches!(frame, Some(Err(_))), "{frame:?}");
}

#[tokio::test]
async fn the_way_to_aws_may_lead_by_a_proxy() {
    let (sts, _) = aws().await;
    for (answer, no_proxy, by_proxy) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "", true),
        ("HTTP/1.1 200 OK\r\n\r\n", "localhost", false),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "", true),
    ] {
        let mut aws = TlsAws::start(b"h2").await;
        let proxy = Proxy::start(answer).await;
        let url = format!("http://user:secret@{}", proxy.address);
        let proxies = Matcher::builder().https(url).no(no_proxy).build();
        let upstream = Some(aws.upstream(proxies));
        let mut agent = Agent::start_with(&sts, Setup { upstream, ..Setup::default() }).await;
        let mut sender = agent.connect_streaming::<Body>().await;
        let (_feed, body) = fed();
        let sent = sender.send_request(stream_request(body));
        if answer.contains("407") {
            let said = sent.await.unwrap();
            assert_eq!(said.status(), 503);
            let said = text(said).await;
            let address = proxy.address.to_string();
            assert!(said.contains(&address) && said.contains("HTTPS_PROXY"), "{said}");
            assert!(!said.contains("secret"), "{said}");
            continue;
        }
        let (sent, _call) = tokio::join!(sent, aws.calls.recv());
        assert_eq!(sent.unwrap().status(), 200);
        let asked = proxy.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), usize::from(by_proxy), "{asked:?}");
        for head in asked {
            let line = format!("CONNECT localhost:{} HTTP/1.1\r\n", aws.address.port());
            assert!(head.starts_with(&line), "{head}");
            assert!(
                head.to_lowercase().contains("proxy-authorization: basic dxnlcjpzzwnyzxq="),
                "{head}"
            );
        }
    }
}
