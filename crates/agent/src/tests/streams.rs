//! Long bodies: streamed both ways, in bounded memory, counted, and ended honestly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use audit::events::Outcome;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;

use super::fake_aws::{FakeAws, ReplyBody, reply};
use super::harness::{Agent, signed};

const CHUNK: usize = 64 * 1024;

fn object(method: &str) -> http::request::Builder {
    signed(method, "https://s3.eu-central-1.amazonaws.com/bucket/key", "s3")
        .header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
}

fn empty(builder: http::request::Builder) -> Request<Full<Bytes>> {
    builder.body(Full::default()).unwrap()
}

/// A body of so many chunks that counts what was taken from it; then it ends, or breaks off.
fn body(chunks: u64, taken: Arc<AtomicU64>, end: Option<&'static str>) -> ReplyBody {
    let frames = stream::unfold(0, move |index| {
        let taken = Arc::clone(&taken);
        async move {
            if index == chunks {
                return end.map(|why| (Err(std::io::Error::other(why)), index + 1));
            }
            if index > chunks {
                return None;
            }
            taken.fetch_add(CHUNK as u64, Ordering::SeqCst);
            Some((Ok(Frame::data(Bytes::from(vec![7; CHUNK]))), index + 1))
        }
    });
    BodyExt::boxed(SyncBody(std::sync::Mutex::new(Box::pin(StreamBody::new(frames)))))
}

/// The stream above is not `Sync`, which a boxed body must be.
struct SyncBody<B>(std::sync::Mutex<std::pin::Pin<Box<B>>>);

impl<B: http_body::Body> http_body::Body for SyncBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.get_mut().0.get_mut().unwrap().as_mut().poll_frame(cx)
    }
}

async fn download(chunks: u64, end: Option<&'static str>) -> (FakeAws, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let aws = FakeAws::start(move |_| {
        let counter = Arc::clone(&counter);
        async move { Some(Response::new(body(chunks, counter, end))) }
    })
    .await;
    (aws, taken)
}

#[tokio::test]
async fn a_slow_client_slows_aws_down_instead_of_filling_memory() {
    const CHUNKS: u64 = 4096;
    let (aws, taken) = download(CHUNKS, None).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let answer = sender.send_request(empty(object("GET"))).await.unwrap();
    let mut before = u64::MAX;
    // Until nothing moves any more.
    while taken.load(Ordering::SeqCst) != before {
        before = taken.load(Ordering::SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(before < 64 << 20, "{before} bytes were taken while nobody read");
    let (read, error) = drain(answer).await;
    assert_eq!((read, error), (CHUNKS * CHUNK as u64, false));
    let event = agent.the_event().await;
    assert_eq!((event.outcome, event.bytes_out), (Outcome::Answered, CHUNKS * CHUNK as u64));
    assert_eq!(event.error, None);
}

#[tokio::test]
async fn an_upload_streams_and_is_counted() {
    let aws = FakeAws::start(|request: Request<Incoming>| async move {
        assert_eq!(request.headers()["content-length"], (200 * CHUNK).to_string());
        assert!(request.headers().get("transfer-encoding").is_none());
        let (mut body, mut read) = (request.into_body(), 0);
        while let Some(frame) = body.frame().await {
            read += frame.unwrap().into_data().unwrap().len();
        }
        Some(reply(200, &read.to_string()))
    })
    .await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let request = object("PUT").body(Full::new(Bytes::from(vec![1; 200 * CHUNK]))).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let told = super::harness::text(answer).await;
    assert_eq!(told, (200 * CHUNK).to_string());
    assert_eq!(agent.the_event().await.bytes_in, 200 * CHUNK as u64);
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let (aws, _) = download(64, Some("cut by the test")).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let answer = sender.send_request(empty(object("GET"))).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (_, error) = drain(answer).await;
    assert!(error, "a cut answer must not look whole");
    let event = agent.the_event().await;
    assert_eq!((event.outcome, event.status_code), (Outcome::Answered, Some(200)));
    assert!(event.error.unwrap().contains("broke off"));
}

#[tokio::test]
async fn an_answer_that_the_client_does_not_take_is_recorded_as_such() {
    let (aws, _) = download(4096, None).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let answer = sender.send_request(empty(object("GET"))).await.unwrap();
    drop(answer);
    let event = agent.the_event().await;
    assert_eq!(event.outcome, Outcome::Answered);
    assert!(event.error.unwrap().contains("did not take the whole answer"));
}

#[tokio::test]
async fn an_answer_without_a_body_closes_its_entry() {
    let aws = FakeAws::start(|_| async { Some(reply(204, "")) }).await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    for method in ["HEAD", "DELETE"] {
        let answer = sender.send_request(empty(object(method))).await.unwrap();
        assert_eq!(answer.status(), 204);
    }
    let events = agent.events().await;
    let fields: Vec<_> = events.iter().map(|event| event.what.as_request().unwrap()).collect();
    assert!(
        fields.iter().all(|fields| fields.outcome == Outcome::Answered && fields.error.is_none()),
        "{fields:?}"
    );
}

async fn drain(answer: Response<Incoming>) -> (u64, bool) {
    let (mut body, mut read) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read += frame.into_data().map_or(0, |data| data.len() as u64),
            Err(_) => return (read, true),
        }
    }
    (read, false)
}
