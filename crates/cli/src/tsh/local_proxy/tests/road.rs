//! What arrives at the agent, and what comes back.

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::net::TcpStream;

use super::agent::Agent;
use super::client::{self, Call, by_proxy};
use super::{Bench, DYNAMODB};

const S3: &str = "s3.us-east-1.amazonaws.com";

#[tokio::test]
async fn a_signed_call_reaches_the_agent_with_its_host_and_hash() {
    let bench = Bench::https().await;
    let mut sender = by_proxy(&bench, DYNAMODB).await;
    let mut request = Call::list_tables(DYNAMODB).request(&bench);
    for (name, value) in [
        ("x-forwarded-host", "attacker.example.com://s3.amazonaws.com"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-causeway-payload-sha256", "00"),
        ("x-teleport-aws-assumed-role", "arn:aws:iam::1:role/x"),
        ("user-agent", "aws-cli/2"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["x-amzn-requestid"], "REAL");
    assert_eq!(client::text(reply).await, "{\"length\":12}");

    let seen = bench.agent.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].uri, format!("https://{DYNAMODB}/"));
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"{\"Limit\":10}");
    assert_eq!(seen[0].headers["x-causeway-payload-sha256"], hex::encode(hash));
    assert_eq!(seen[0].headers["user-agent"], "aws-cli/2");
    assert_eq!(seen[0].headers["x-amz-target"], "DynamoDB_20120810.ListTables");
    for name in ["x-forwarded-host", "x-forwarded-for", "x-teleport-aws-assumed-role", "host"] {
        assert!(!seen[0].headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn an_endpoint_url_answers_under_each_of_its_names() {
    let bench = Bench::endpoint().await;
    let port = bench.proxy.address().port();
    let has_v6 = TcpStream::connect(("::1", port)).await.is_ok();
    for (name, address) in [
        ("localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("bucket.localhost", "127.0.0.1"),
        ("::1", "::1"),
    ] {
        if address == "::1" && !has_v6 {
            continue;
        }
        let stream = TcpStream::connect((address, port)).await.unwrap();
        let mut sender = client::over_tls(&bench, name, stream).await;
        let host = if name == "::1" { format!("[::1]:{port}") } else { format!("{name}:{port}") };
        let reply = sender.send_request(Call::list_tables(&host).request(&bench)).await.unwrap();
        assert_eq!(reply.status(), 200, "{name}");
        assert_eq!(bench.agent.seen().last().unwrap().uri, format!("https://{host}/"));
    }
}

#[tokio::test]
async fn small_and_large_replies_come_whole() {
    let bench = Bench::https().await;
    let mut sender = by_proxy(&bench, S3).await;
    for length in [0_usize, 1, 65_536, 65_537, 5_000_000] {
        let mut call = Call::put_object(S3, "UNSIGNED-PAYLOAD");
        (call.method, call.path) = ("GET", format!("/bucket/key?{length}"));
        let reply = sender.send_request(call.request(&bench)).await.unwrap();
        assert_eq!(reply.headers()["content-length"], length.to_string());
        assert_eq!(client::text(reply).await.len(), length);
    }
}

#[tokio::test]
async fn a_hundred_megabytes_stream_up_in_bounded_memory() {
    let bench = Bench::https().await;
    let mut sender = by_proxy(&bench, S3).await;
    let call = Call::put_object(S3, "UNSIGNED-PAYLOAD");
    let chunk = Bytes::from(vec![7_u8; 64 * 1024]);
    let chunks = 1_600_u64;
    let body = futures_util::stream::iter((0..chunks).map(move |_| Ok(Frame::data(chunk.clone()))));
    let request = call
        .signed(bench.keys.access_key_id(), bench.keys.secret_access_key())
        .header("content-length", chunks * 64 * 1024)
        .body(BodyExt::boxed(StreamBody::new(body)))
        .unwrap();
    let before = peak_memory();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(client::text(reply).await, format!("{{\"length\":{}}}", chunks * 64 * 1024));
    let grown = peak_memory() - before;
    assert!(grown < 48 * 1024, "peak memory grew by {grown} KiB");
    let seen = bench.agent.seen();
    assert_eq!(seen[0].headers["content-length"], (chunks * 64 * 1024).to_string());
}

/// The most memory that this process has had, KiB (proc_pid_status(5), VmHWM).
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn clients_recover_after_the_agent_dies_without_a_new_tsh() {
    let bench = Bench::https().await;
    let mut sender = by_proxy(&bench, DYNAMODB).await;
    let call = Call::list_tables(DYNAMODB);
    assert_eq!(sender.send_request(call.request(&bench)).await.unwrap().status(), 200);
    let port = bench.agent.address().port();
    bench.agent.kill().await;

    // Asked while the agent is away, answered once it is back: the same client connection.
    let waiting = sender.send_request(call.request(&bench));
    let restarted = async {
        // The first dial must have failed before the agent comes back.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Agent::start(&bench.cluster, port).await
    };
    let (reply, agent) = tokio::join!(waiting, restarted);
    assert_eq!(reply.unwrap().status(), 200);
    assert_eq!(agent.seen().len(), 1);
}

#[tokio::test]
async fn a_call_that_may_have_arrived_is_not_sent_again() {
    let bench = Bench::https().await;
    let mut sender = by_proxy(&bench, DYNAMODB).await;
    let mut call = Call::list_tables(DYNAMODB);
    call.path = "/hang".to_owned();
    let waiting = sender.send_request(call.request(&bench));
    let killed = async {
        while bench.agent.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        bench.agent.kill().await;
    };
    let (reply, ()) = tokio::join!(waiting, killed);
    let reply = reply.unwrap();
    assert_eq!(reply.status(), 503);
    let text = client::text(reply).await;
    assert!(text.contains("broke before it answered"), "{text}");
    assert_eq!(bench.agent.seen().len(), 1);
}

#[tokio::test]
async fn two_hundred_calls_at_once_are_all_answered() {
    let bench = Bench::https().await;
    let mut senders = Vec::new();
    for _ in 0..200 {
        senders.push(by_proxy(&bench, DYNAMODB).await);
    }
    let call = Call::list_tables(DYNAMODB);
    let calls = senders.iter_mut().map(|sender| sender.send_request(call.request(&bench)));
    for reply in futures_util::future::join_all(calls).await {
        assert_eq!(reply.unwrap().status(), 200);
    }
    assert_eq!(bench.agent.seen().len(), 200);
}
