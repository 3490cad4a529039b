//! Bodies that `tsh` holds back until they are asked for.

use std::sync::Arc;
use std::time::Duration;

use access::AppSessionId;
use access::policy::AppSession;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::fake_aws::{FakeAws, reply};
use super::harness::{
    Agent, SESSION, Setup, claims, clock, dynamodb, rules, signed, text, without_session,
};
use crate::aws_chain::Bundle;
use crate::upstream::Dialer;

type Frames = mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>;
type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;
type Sender = SendRequest<Body>;
const PATIENCE: Duration = Duration::from_secs(30);

/// A body that the test feeds.
fn fed() -> (Frames, Body) {
    let (feed, frames) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(8);
    let frames = futures_util::stream::unfold(frames, |mut frames| async move {
        let frame = frames.recv().await?;
        Some((frame, frames))
    });
    (feed, StreamBody::new(frames).boxed_unsync())
}

fn put(name: &str, body: Body) -> Request<Body> {
    signed("PUT", "https://s3.eu-central-1.amazonaws.com/bucket/key", "s3")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        .header("x-causeway-expects", name)
        .body(body)
        .unwrap()
}

/// The question for the body of a request.
fn question(
    sender: &mut Sender,
    name: &str,
) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Unpin + use<> {
    let request = Request::get("https://body.causeway.internal/")
        .header("x-causeway-asked", name)
        .body(http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync())
        .unwrap();
    Box::pin(sender.send_request(request))
}

#[tokio::test]
async fn a_body_is_asked_for_when_aws_asks_and_not_before() {
    let (seen, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (say_seen, wait) = (Arc::clone(&seen), Arc::clone(&go));
    let aws = FakeAws::start(move |request| {
        let (seen, go) = (Arc::clone(&say_seen), Arc::clone(&wait));
        async move {
            assert_eq!(request.headers()["expect"], "100-continue");
            seen.notify_one();
            go.notified().await;
            // Reading is what makes the server say `100 Continue`.
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Some(reply(200, std::str::from_utf8(&body).unwrap()))
        }
    })
    .await;
    let mut agent = Agent::start(&aws).await;
    let mut sender: Sender = agent.connect_streaming().await;
    for round in ["first", "second"] {
        let (feed, body) = fed();
        let mut answer = Box::pin(sender.send_request(put(round, body)));
        let mut asked = question(&mut sender, round);
        tokio::select! {
            () = seen.notified() => {}
            answer = &mut answer => panic!("{answer:?}"),
            asked = &mut asked => panic!("{asked:?}"),
        }
        assert!((&mut asked).now_or_never().is_none(), "AWS has not asked yet");
        go.notify_one();
        tokio::select! {
            answer = &mut answer => panic!("{answer:?}"),
            asked = &mut asked => assert_eq!(asked.unwrap().status(), 204),
        }
        feed.send(Ok(Frame::data(Bytes::from_static(b"the body")))).await.unwrap();
        drop(feed);
        let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), text(answer).await.as_str()), (200, "the body"));
    }
}

#[tokio::test]
async fn a_refusal_of_aws_or_of_ours_comes_without_the_body_being_asked_for() {
    let aws = FakeAws::start(|_| async { Some(reply(403, &"no".repeat(100_000))) }).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender: Sender = agent.connect_streaming().await;
    for name in ["one", "two"] {
        let (_feed, body) = fed();
        let mut asked = question(&mut sender, name);
        let answer =
            timeout(PATIENCE, sender.send_request(put(name, body))).await.unwrap().unwrap();
        assert_eq!(answer.status(), 403);
        assert_eq!(text(answer).await.len(), 200_000, "the answer comes whole");
        assert!((&mut asked).now_or_never().is_none(), "nobody asked");
    }
    agent.policy.publish(without_session());
    let before = aws.calls();
    let (_feed, body) = fed();
    let mut asked = question(&mut sender, "three");
    let answer = timeout(PATIENCE, sender.send_request(put("three", body))).await.unwrap().unwrap();
    assert_eq!(answer.status(), 403);
    assert!(text(answer).await.contains("<Code>AccessDenied"));
    assert!((&mut asked).now_or_never().is_none(), "nobody asked");
    assert_eq!(aws.calls(), before, "nothing was sent");
}

#[tokio::test]
async fn a_silent_aws_gets_the_body_after_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Never says `100 Continue`, and answers once it has the body.
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while !got.windows(5).any(|part| part == b"12345") {
            got.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert!(String::from_utf8(got).unwrap().contains("expect: 100-continue"));
    };
    let aws = FakeAws::start(|_| async { None }).await;
    let tls = Bundle::default().tls(clock()).unwrap();
    let proxies = Matcher::builder().build();
    let upstream = super::harness::upstream(Dialer::new(&tls, proxies), url);
    let silence = Duration::from_millis(10);
    let setup = Setup { silence, upstream: Some(upstream), ..Setup::default() };
    let mut agent = Agent::start_with(&aws, setup).await;
    let mut sender: Sender = agent.connect_streaming().await;
    let (feed, body) = fed();
    let answer = sender.send_request(put("silent", body));
    let asked = question(&mut sender, "silent");
    let asking = async {
        assert_eq!(asked.await.unwrap().status(), 204);
        feed.send(Ok(Frame::data(Bytes::from_static(b"12345")))).await.unwrap();
        drop(feed);
    };
    let all = async { tokio::join!(serving, asking, answer) };
    let ((), (), answer) = timeout(PATIENCE, all).await.unwrap();
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_is_decided_on_is_asked_for_at_once() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender: Sender = agent.connect_streaming().await;
    let (feed, body) = fed();
    let (mut head, _) = dynamodb("ListTables", "{}").into_parts();
    head.headers.insert("x-causeway-expects", "read".parse().unwrap());
    let answer = sender.send_request(Request::from_parts(head, body));
    let asked = question(&mut sender, "read");
    let asking = async {
        assert_eq!(asked.await.unwrap().status(), 204);
        feed.send(Ok(Frame::data(Bytes::from_static(b"{}")))).await.unwrap();
        drop(feed);
    };
    let ((), answer) = timeout(PATIENCE, async { tokio::join!(asking, answer) }).await.unwrap();
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn a_question_is_answered_in_its_own_session_alone_and_is_no_call() {
    let aws = FakeAws::start(|request| async move {
        request.into_body().collect().await.ok().map(|_| reply(200, "{}"))
    })
    .await;
    let mut agent = Agent::start(&aws).await;
    let second = AppSessionId::parse("aaaabbbbccccddddaaaabbbbccccdddd").unwrap();
    let session = AppSession::clone(rules().session(SESSION).unwrap());
    agent.policy.publish(rules().with_session(AppSession { id: second.clone(), ..session }));
    let mut claims = claims();
    claims.app.as_mut().unwrap().session = second;
    let mut other: Sender = agent.connect_streaming_with(&claims).await;
    let mut sender: Sender = agent.connect_streaming().await;
    let mut foreign = question(&mut other, "same");
    let bad = question(&mut sender, &"x".repeat(65)).await.unwrap();
    assert_eq!(bad.status(), 400);
    let (feed, body) = fed();
    let answer = sender.send_request(put("same", body));
    let own = question(&mut sender, "same");
    let asking = async {
        assert_eq!(own.await.unwrap().status(), 204);
        drop(feed);
    };
    let ((), answer) = timeout(PATIENCE, async { tokio::join!(asking, answer) }).await.unwrap();
    assert_eq!(answer.unwrap().status(), 200);
    assert!((&mut foreign).now_or_never().is_none(), "it knows of nothing");
    assert_eq!(agent.events().await.len(), 1, "questions are no calls");
}
