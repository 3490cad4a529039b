//! Compressed requests: decided on by what is in them, and passed on as they came.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use audit::events::Outcome;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt as _, Full};

use super::fake_aws::{FakeAws, reply};
use super::harness::{Agent, signed, text};

type Seen = Arc<Mutex<Vec<(Parts, Bytes)>>>;

async fn aws() -> (FakeAws, Seen) {
    let seen = Seen::default();
    let keep = Arc::clone(&seen);
    let aws = FakeAws::start(move |request| {
        let keep = Arc::clone(&keep);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            keep.lock().unwrap().push((parts, body));
            Some(reply(200, "{}"))
        }
    })
    .await;
    (aws, seen)
}

fn packed(form: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(form).unwrap();
    encoder.finish().unwrap()
}

fn request(service: &str, body: Vec<u8>) -> Request<Full<Bytes>> {
    let host = if service == "sts" { "sts" } else { "monitoring" };
    signed("POST", &format!("https://{host}.eu-central-1.amazonaws.com/"), service)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("content-encoding", "gzip")
        .body(Full::new(Bytes::from(body)))
        .unwrap()
}

#[tokio::test]
async fn a_compressed_form_is_known_by_its_action_and_goes_on_byte_for_byte() {
    let (aws, seen) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let metrics: String = (0..2000).map(|at| format!("&MetricData.member.{at}.Value=1")).collect();
    let body = packed(format!("Action=PutMetricData&Version=2010-08-01{metrics}").as_bytes());
    let answer = sender.send_request(request("monitoring", body.clone())).await.unwrap();
    assert_eq!(answer.status(), 200, "{}", text(answer).await);
    let (parts, sent) = seen.lock().unwrap().pop().unwrap();
    assert!(sent == body, "the body is what was sent");
    assert_eq!(parts.headers["content-encoding"], "gzip");
    assert_eq!(parts.headers["content-length"], body.len().to_string());
    let event = agent.ended_event().await;
    assert_eq!(event.operation.as_deref(), Some("PutMetricData"));
    assert_eq!(event.outcome, Outcome::Answered);
}

#[tokio::test]
async fn bombs_broken_ones_and_those_that_are_decided_on_are_refused() {
    let (aws, _) = aws().await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let form = b"Action=PutMetricData&Version=2010-08-01";
    let good = packed(form);
    let assume = packed(b"Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/other");
    for (service, body) in [
        ("monitoring", packed(&vec![b'a'; 300 << 20])),
        ("monitoring", good[..good.len() / 2].to_vec()),
        ("monitoring", form.to_vec()),
        ("monitoring", [good.as_slice(), &good].concat()),
        ("sts", assume),
    ] {
        let length = body.len();
        let answer = sender.send_request(request(service, body)).await.unwrap();
        let (status, text) = (answer.status(), text(answer).await);
        assert!(status == 400 && text.contains("<Code>Validation"), "{service} {length}: {text}");
    }
    assert_eq!((aws.calls(), aws.sts_asked()), (0, 0), "nothing was sent");
}
