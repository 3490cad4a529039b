//! Clients that wait for `100 Continue`.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::Bench;
use super::client::{self, Call};

const S3: &str = "s3.us-east-1.amazonaws.com";
const BODY: &[u8] = b"the body";

/// Sends the head of an upload alone, and gives the line that is answered to it.
async fn head(bench: &Bench, path: &str, secret: &str) -> (TlsStream<TcpStream>, String) {
    let mut call = Call::put_object(S3, "UNSIGNED-PAYLOAD");
    path.clone_into(&mut call.path);
    let request = call.signed(bench.keys.access_key_id(), secret);
    let mut text = format!("PUT {path} HTTP/1.1\r\n");
    for (name, value) in request.headers_ref().unwrap() {
        text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    text += &format!("content-length: {}\r\nexpect: 100-continue\r\n\r\n", BODY.len());
    let mut stream = client::tls(bench, S3).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let line = line(&mut stream).await;
    (stream, line)
}

async fn line(stream: &mut TlsStream<TcpStream>) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

#[tokio::test]
async fn the_client_is_told_to_go_on_when_the_agent_asks() {
    let bench = Bench::https().await;
    let secret = bench.keys.secret_access_key();
    let (mut stream, said) = head(&bench, "/bucket/key", secret).await;
    assert_eq!(said, "HTTP/1.1 100 Continue");
    assert_eq!(line(&mut stream).await, "");
    stream.write_all(BODY).await.unwrap();
    assert_eq!(line(&mut stream).await, "HTTP/1.1 200 OK");
    let seen = bench.agent.seen();
    let [question, request] = [0, 1].map(|at| seen[at].clone());
    assert_eq!(request.body, BODY);
    assert!(!request.headers.contains_key("expect"));
    let name = &request.headers["x-causeway-expects"];
    assert_eq!(question.uri, "https://body.causeway.internal/");
    assert_eq!(&question.headers["x-causeway-asked"], name);
}

#[tokio::test]
async fn a_refusal_comes_before_the_body() {
    let bench = Bench::https().await;
    let secret = bench.keys.secret_access_key();
    let (_stream, said) = head(&bench, "/refused", secret).await;
    assert_eq!(said, "HTTP/1.1 403 Forbidden");
    let seen = bench.agent.seen();
    assert!(seen.iter().all(|seen| seen.body.is_empty()));
    // Here already.
    let before = bench.agent.seen().len();
    let (_stream, said) = head(&bench, "/bucket/key", "not-the-secret-access-key").await;
    assert_eq!(said, "HTTP/1.1 403 Forbidden");
    assert_eq!(bench.agent.seen().len(), before);
}

#[tokio::test]
async fn an_agent_that_does_not_know_the_question_gets_the_body() {
    let bench = Bench::https().await;
    bench.agent.forget_questions();
    let secret = bench.keys.secret_access_key();
    let (mut stream, said) = head(&bench, "/bucket/key", secret).await;
    assert_eq!(said, "HTTP/1.1 100 Continue");
    assert_eq!(line(&mut stream).await, "");
    stream.write_all(BODY).await.unwrap();
    assert_eq!(line(&mut stream).await, "HTTP/1.1 200 OK");
}
