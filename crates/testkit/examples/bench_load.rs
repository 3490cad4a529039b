//! A load generator for the benchmark: kept HTTP/1.1 connections inside TLS, one
//! signed request again and again, every latency kept. Prints one line of JSON.
//!
//! Reads `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` and signs with them. Knows
//! nothing of the system under test: the same program drives nginx and the road.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool: what does not work must stop it"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Clone)]
struct Plan {
    target: String,
    connect: Option<String>,
    name: String,
    ca: String,
    service: String,
    method: String,
    path: String,
    connections: usize,
    time: Duration,
    bytes: u64,
}

fn main() {
    let plan = plan();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(run(plan));
}

fn plan() -> Plan {
    let mut plan = Plan {
        target: String::new(),
        connect: None,
        name: "localhost".to_owned(),
        ca: String::new(),
        service: "dynamodb".to_owned(),
        method: "POST".to_owned(),
        path: "/".to_owned(),
        connections: 1,
        time: Duration::from_secs(2),
        bytes: 0,
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--target" => plan.target = value,
            "--connect" => plan.connect = Some(value),
            "--name" => plan.name = value,
            "--ca" => plan.ca = value,
            "--service" => plan.service = value,
            "--method" => plan.method = value,
            "--path" => plan.path = value,
            "--connections" => plan.connections = value.parse().unwrap(),
            "--seconds" => plan.time = Duration::from_secs_f64(value.parse().unwrap()),
            "--upload" => plan.bytes = value.parse().unwrap(),
            other => panic!("unknown flag {other}"),
        }
    }
    plan
}

async fn run(plan: Plan) {
    let head = Arc::new(head(&plan));
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..plan.connections {
        let (plan, head) = (plan.clone(), Arc::clone(&head));
        tasks.spawn(async move { Box::pin(client(&plan, &head, start)).await });
    }
    let (mut latencies, mut failed, mut bytes) = (Vec::new(), 0_u64, 0_u64);
    while let Some(done) = tasks.join_next().await {
        let (own, own_failed, own_bytes) = done.unwrap();
        latencies.extend(own);
        failed += own_failed;
        bytes += own_bytes;
    }
    let seconds = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at =
        |part: f64| latencies.get((latencies.len() as f64 * part) as usize).copied().unwrap_or(0);
    let line = serde_json::json!({
        "requests": latencies.len(),
        "failed": failed,
        "seconds": seconds,
        "rate": latencies.len() as f64 / seconds,
        "p50_us": at(0.5),
        "p99_us": at(0.99),
        "bytes": bytes,
    });
    println!("{line}");
}

/// The signed head, and for a small request its body too.
fn head(plan: &Plan) -> Vec<u8> {
    let body = if plan.method == "POST" { query_body() } else { Vec::new() };
    let host = match plan.connect {
        Some(_) => plan.name.clone(),
        None => plan.target.replace("127.0.0.1", "localhost"),
    };
    let length = if plan.bytes > 0 { plan.bytes } else { body.len() as u64 };
    let mut request = http::Request::builder().method(plan.method.as_str()).uri(plan.path.as_str());
    request = request.header("host", &host);
    if plan.service == "dynamodb" {
        request = request.header("content-type", "application/x-amz-json-1.0");
        request = request.header("x-amz-target", "DynamoDB_20120810.Query");
    } else {
        request = request.header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    sign(&mut parts, &body, &plan.service);
    let mut text = format!("{} {} HTTP/1.1\r\n", plan.method, plan.path);
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text.push_str(&format!("content-length: {length}\r\n\r\n"));
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

/// A Query of 300 bytes.
fn query_body() -> Vec<u8> {
    let mut body = br#"{"TableName":"orders","KeyConditionExpression":"pk = :p","ExpressionAttributeValues":{":p":{"S":""#.to_vec();
    let end = br#""}},"Limit":10}"#;
    while body.len() + end.len() < 300 {
        body.push(b'x');
    }
    body.extend_from_slice(end);
    body
}

/// AWS Signature Version 4, with the AWS SDK's own signer.
fn sign(parts: &mut http::request::Parts, body: &[u8], service: &str) {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let credentials = aws_credential_types::Credentials::new(
        std::env::var("AWS_ACCESS_KEY_ID").unwrap(),
        std::env::var("AWS_SECRET_ACCESS_KEY").unwrap(),
        None,
        None,
        "bench",
    );
    let identity = credentials.into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let headers =
        parts.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let payload = match service {
        "s3" => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(body),
    };
    let uri = format!("https://{}{}", parts.headers["host"].to_str().unwrap(), parts.uri);
    let request = SignableRequest::new(parts.method.as_str(), uri, headers, payload).unwrap();
    let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
    let (signed, _) = instructions.into_parts();
    for header in signed {
        let name: http::HeaderName = header.name().parse().unwrap();
        parts.headers.insert(name, header.value().parse().unwrap());
    }
}

async fn client(plan: &Plan, head: &[u8], start: Instant) -> (Vec<u32>, u64, u64) {
    let mut stream = dial(plan).await;
    let (mut latencies, mut failed, mut bytes) = (Vec::with_capacity(100_000), 0_u64, 0);
    let mut buffer = vec![0; 256 * 1024];
    // At least one, however long it takes.
    while start.elapsed() < plan.time || (latencies.is_empty() && failed < 3) {
        let sent = Instant::now();
        let answer = exchange(&mut stream, head, plan.bytes, &mut buffer).await;
        let Some((status, got)) = answer else {
            failed += 1;
            stream = dial(plan).await;
            continue;
        };
        if status != 200 {
            failed += 1;
        }
        bytes += got + plan.bytes;
        latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    (latencies, failed, bytes)
}

/// Sends once and reads the whole answer: status and length of the body.
async fn exchange(
    stream: &mut TlsStream<TcpStream>,
    head: &[u8],
    upload: u64,
    buffer: &mut [u8],
) -> Option<(u16, u64)> {
    stream.write_all(head).await.ok()?;
    let mut left = upload;
    let zeros = vec![0; if upload > 0 { 128 * 1024 } else { 0 }];
    while left > 0 {
        let part = left.min(zeros.len() as u64) as usize;
        stream.write_all(&zeros[..part]).await.ok()?;
        left -= part as u64;
    }
    if upload > 0 {
        stream.flush().await.ok()?;
    }
    let mut filled = 0;
    let end = loop {
        let got = stream.read(&mut buffer[filled..]).await.ok()?;
        if got == 0 {
            return None;
        }
        filled += got;
        if let Some(end) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = std::str::from_utf8(&buffer[..end]).ok()?.to_ascii_lowercase();
    let status = text.get(9..12)?.parse().ok()?;
    let length: u64 =
        text.split("content-length:").nth(1)?.split("\r\n").next()?.trim().parse().ok()?;
    let mut left = length.saturating_sub((filled - end) as u64);
    while left > 0 {
        let got = stream.read(buffer).await.ok()?;
        if got == 0 {
            return None;
        }
        left = left.saturating_sub(got as u64);
    }
    Some((status, length))
}

async fn dial(plan: &Plan) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(&plan.ca).unwrap() {
        roots.add(cert.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = TcpStream::connect(&plan.target).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    if let Some(to) = &plan.connect {
        let ask = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
        tcp.write_all(ask.as_bytes()).await.unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"\r\n\r\n") {
            said.push(tcp.read_u8().await.unwrap());
        }
        assert!(said.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&said));
    }
    let name = ServerName::try_from(plan.name.clone()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}
