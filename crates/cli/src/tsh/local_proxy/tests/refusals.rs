//! What goes no further than this machine.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::super::{Mode, Upstream};
use crate::edge;

use super::client::{self, Call, Signing, by_proxy, connect, whole};
use super::{Bench, DYNAMODB};

async fn refused(
    bench: &Bench,
    host: &str,
    request: http::Request<client::AnyBody>,
) -> (u16, String) {
    let mut sender = by_proxy(bench, host).await;
    let reply = sender.send_request(request).await.unwrap();
    let status = reply.status().as_u16();
    let id = reply.headers()["x-causeway-request-id"].clone();
    assert!(!id.is_empty());
    (status, client::text(reply).await)
}

#[tokio::test]
async fn wrong_throwaway_keys_are_refused_in_the_words_of_the_service() {
    let bench = Bench::https().await;
    let call = Call::list_tables(DYNAMODB);
    let (id, secret) = (bench.keys.access_key_id(), bench.keys.secret_access_key());
    for (id, secret, code) in [
        (id, "not-the-secret-access-key", "InvalidSignatureException"),
        ("AKIAIOSFODNN7EXAMPLE", secret, "UnrecognizedClientException"),
    ] {
        let request = call.signed(id, secret).body(whole(&call.body)).unwrap();
        let (status, text) = refused(&bench, DYNAMODB, request).await;
        assert!((400..500).contains(&status), "{status}");
        assert!(text.contains("__type") && text.contains(code), "{text}");
    }
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn an_altered_or_unsigned_request_is_refused() {
    let bench = Bench::https().await;
    let call = Call::list_tables(DYNAMODB);
    let (id, secret) = (bench.keys.access_key_id(), bench.keys.secret_access_key());
    let altered_body = call.signed(id, secret).body(whole("{\"Limit\":11}")).unwrap();
    let mut altered_target = call.request(&bench);
    altered_target
        .headers_mut()
        .insert("x-amz-target", "DynamoDB_20120810.DeleteTable".parse().unwrap());
    let mut altered_path = call.request(&bench);
    *altered_path.uri_mut() = "/other".parse().unwrap();
    let mut unsigned = call.request(&bench);
    unsigned.headers_mut().remove("authorization");
    for request in [altered_body, altered_target, altered_path, unsigned] {
        let (status, text) = refused(&bench, DYNAMODB, request).await;
        assert!((400..500).contains(&status), "{status} {text}");
    }
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn a_declared_hash_must_be_signed_and_true() {
    let bench = Bench::https().await;
    let s3 = "s3.us-east-1.amazonaws.com";
    let unknown = Call::put_object(s3, "STREAMING-AWS5-PAYLOAD");
    let (status, text) = refused(&bench, s3, unknown.request(&bench)).await;
    assert!((400..500).contains(&status));
    assert!(text.contains("STREAMING-AWS5-PAYLOAD"), "{text}");

    let mut unsigned_header = Call::list_tables(DYNAMODB);
    unsigned_header.signing = Signing::Hash;
    let mut request = unsigned_header.request(&bench);
    request.headers_mut().insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    let (status, _) = refused(&bench, DYNAMODB, request).await;
    assert!((400..500).contains(&status));

    let wrong_hash = "ab".repeat(32);
    let mut wrong = Call::put_object(s3, &wrong_hash);
    wrong.body = "something else".to_owned();
    let (status, text) = refused(&bench, s3, wrong.request(&bench)).await;
    assert!((400..500).contains(&status), "{text}");
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn the_host_inside_must_be_the_host_that_was_dialled() {
    let bench = Bench::https().await;
    let call = Call::list_tables("dynamodb.eu-west-1.amazonaws.com");
    let (status, text) = refused(&bench, DYNAMODB, call.request(&bench)).await;
    assert!((400..500).contains(&status));
    assert!(text.contains("is not the host that the connection was made to"), "{text}");
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn a_foreign_host_is_refused_at_the_endpoint_url() {
    let bench = Bench::endpoint().await;
    let stream = TcpStream::connect(bench.proxy.address()).await.unwrap();
    let mut sender = client::over_tls(&bench, "localhost", stream).await;
    let call = Call::list_tables("rebound.example.org");
    let reply = sender.send_request(call.request(&bench)).await.unwrap();
    assert!(reply.status().is_client_error());
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn an_ended_session_says_what_to_do() {
    let bench = Bench::https().await;
    bench.session.renewed(UNIX_EPOCH + Duration::from_secs(1));
    let (_, text) = refused(&bench, DYNAMODB, Call::list_tables(DYNAMODB).request(&bench)).await;
    assert!(text.contains("ExpiredToken") && text.contains("tsh apps login aws"), "{text}");
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn anything_but_connect_gets_a_plain_sentence() {
    let bench = Bench::https().await;
    for head in [
        "GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT attacker.example.com://s3.amazonaws.com:443 HTTP/1.1\r\n\r\n",
        "\u{16}\u{3}\u{1}nonsense\r\n\r\n",
    ] {
        let (answer, mut stream) = connect(bench.proxy.address(), head).await;
        assert_eq!(answer, "HTTP/1.1 400 Bad Request", "{head}");
        let mut sentence = String::new();
        stream.read_to_string(&mut sentence).await.unwrap();
        assert!(sentence.contains("CONNECT"), "{sentence}");
    }
}

/// A proxy of the user's own: remembers what it was asked for, and echoes.
async fn users_own_proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = Arc::clone(&asked);
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let text = String::from_utf8(head).unwrap();
            kept.lock().unwrap().push(text.lines().next().unwrap().to_owned());
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut word = [0; 5];
            stream.read_exact(&mut word).await.unwrap();
            stream.write_all(&word).await.unwrap();
        }
    });
    (port, asked)
}

#[tokio::test]
async fn hosts_that_only_look_like_aws_pass_through_unread() {
    let (port, asked) = users_own_proxy().await;
    let upstream = Upstream::parse(Some(&format!("http://127.0.0.1:{port}")), None).unwrap();
    let bench = Bench::start(Mode::HttpsProxy(upstream)).await;
    let hosts = [
        "evil-amazonaws.com.example.org:443",
        "amazonaws.com.evil.example.org:443",
        "dynamodb.us-east-1.amazonaws.com.example.org:443",
        "notamazonaws.com:443",
        "example.org:443",
        // The WebSockets of SSM and ECS exec, which no agent can sign.
        "ssmmessages.us-east-1.amazonaws.com:443",
        "dynamodb.us-east-1.amazonaws.com:8443",
    ];
    for host in hosts {
        let head = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (answer, mut stream) = connect(bench.proxy.address(), &head).await;
        assert_eq!(answer, "HTTP/1.1 200 Connection established", "{host}");
        stream.write_all(b"plain").await.unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"plain", "{host}");
    }
    let expected: Vec<String> =
        hosts.iter().map(|host| format!("CONNECT {host} HTTP/1.1")).collect();
    assert_eq!(*asked.lock().unwrap(), expected);
    assert!(bench.agent.seen().is_empty());
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_said_so() {
    let bench = Bench::https().await;
    let head = "CONNECT localhost:1 HTTP/1.1\r\n\r\n";
    let (answer, mut stream) = connect(bench.proxy.address(), head).await;
    assert_eq!(answer, "HTTP/1.1 502 Bad Gateway");
    let mut sentence = String::new();
    stream.read_to_string(&mut sentence).await.unwrap();
    assert!(sentence.starts_with("cannot connect to localhost:1: "), "{sentence}");
}

#[tokio::test]
async fn a_wrong_clock_is_told_in_a_way_that_sdks_correct_it_by() {
    let bench = Bench::https().await;
    let s3 = "s3.us-east-1.amazonaws.com";
    for (call, host, code) in [
        (Call::put_object(s3, "UNSIGNED-PAYLOAD"), s3, "RequestTimeTooSkewed"),
        (Call::list_tables(DYNAMODB), DYNAMODB, "InvalidSignatureException"),
    ] {
        let late = Call { time: edge::now() - Duration::from_secs(20 * 60), ..call };
        let mut sender = by_proxy(&bench, host).await;
        let reply = sender.send_request(late.request(&bench)).await.unwrap();
        assert!(reply.status().is_client_error());
        let date = reply.headers()["date"].to_str().unwrap().to_owned();
        let text = client::text(reply).await;
        assert!(text.contains(code) && text.contains("Signature expired"), "{text}");
        let told = jiff::fmt::rfc2822::parse(&date).unwrap().timestamp();
        let now = jiff::Timestamp::try_from(edge::now()).unwrap();
        assert!((now.as_second() - told.as_second()).abs() <= 2, "{date}");
    }
    assert!(bench.agent.seen().is_empty());
}
