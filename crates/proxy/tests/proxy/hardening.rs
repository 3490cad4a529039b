//! What strangers try at the one port, and what the others notice of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::WebTrust;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::cluster::{Cluster, PATIENCE};

type Tls = TlsStream<TcpStream>;

async fn from(cluster: &Cluster, address: &str, alpn: &str) -> std::io::Result<Tls> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("{address}:0").parse().unwrap())?;
    let tcp = socket.connect(cluster.proxy.addr()).await?;
    tcp.set_nodelay(true)?;
    let clock = cluster.clock.clock();
    let trust = WebTrust::DangerouslyAnybody;
    let tls = pki::web::web_client(&trust, vec![alpn.as_bytes().to_vec()], clock).unwrap();
    let name = "proxy.example.com".to_owned().try_into().unwrap();
    TlsConnector::from(tls).connect(name, tcp).await
}

async fn http1(cluster: &Cluster) -> Tls {
    from(cluster, "127.0.0.1", "http/1.1").await.unwrap()
}

async fn http2(cluster: &Cluster) -> Tls {
    from(cluster, "127.0.0.1", "h2").await.unwrap()
}

/// Says something on a connection of its own and hears all that comes until it is closed.
async fn say(cluster: &Cluster, text: impl AsRef<[u8]>) -> String {
    let mut tls = http1(cluster).await;
    let _ = tls.write_all(text.as_ref()).await;
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, tls.read_to_end(&mut heard)).await.expect("closed in time");
    String::from_utf8_lossy(&heard).into_owned()
}

/// Status codes of all answers on a connection.
fn statuses(heard: &str) -> Vec<&str> {
    let lines = heard.match_indices("HTTP/1.1 ").map(|(at, _)| &heard[at + 9..at + 12]);
    lines.collect()
}

#[tokio::test]
async fn heads_that_are_too_large_are_answered_431() {
    let cluster = Cluster::start().await;
    let long = "x".repeat(40 * 1024);
    let one = format!("GET /webapi/ping HTTP/1.1\r\nHost: x\r\nX-Large: {long}\r\n\r\n");
    assert_eq!(statuses(&say(&cluster, one).await), ["431"]);
    let many: String = (0..100).map(|number| format!("X-{number}: y\r\n")).collect();
    let many = format!("GET /webapi/ping HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    assert_eq!(statuses(&say(&cluster, many).await), ["431"]);
    let path = format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = say(&cluster, path).await;
    assert!(["431", "414"].contains(&statuses(&answer)[0]), "{answer}");

    let io = TokioIo::new(http2(&cluster).await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    let ask = |large: usize| {
        Request::get("https://proxy.example.com/webapi/ping")
            .header("x-large", "x".repeat(large))
            .body(Full::new(bytes::Bytes::new()))
            .unwrap()
    };
    match sender.send_request(ask(60 * 1024)).await {
        Ok(answer) => assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(error) => assert!(error.to_string().contains("error"), "{error}"),
    }
    let usual = sender.send_request(ask(10)).await.unwrap();
    assert_eq!(usual.status(), StatusCode::OK, "the connection goes on");
}

#[tokio::test]
async fn bodies_that_are_too_large_are_answered_413() {
    let cluster = Cluster::start().await;
    for path in ["/webapi/login", "/webapi/host/credentials", "/v1/webapi/login"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: 1000000\r\n\r\n"
        );
        let heard = say(&cluster, [head.as_bytes(), &vec![b'x'; 1_000_000]].concat()).await;
        assert_eq!(statuses(&heard), ["413"], "{path}");
    }
    // Without a length it is counted as it comes.
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let heard = say(
        &cluster,
        format!(
            "POST /webapi/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
            chunk.repeat(8)
        ),
    )
    .await;
    assert_eq!(statuses(&heard), ["413"]);
}

#[tokio::test]
async fn one_address_cannot_make_us_hold_many_bodies() {
    let cluster = Cluster::start().await;
    let head = "POST /webapi/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 60000\r\n\r\n{";
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut tls = from(&cluster, "127.0.0.2", "http/1.1").await.unwrap();
        tls.write_all(head.as_bytes()).await.unwrap();
        held.push(tls);
    }
    let full = "POST /webapi/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Connection: close\r\nContent-Length: 2\r\n\r\n{}";
    let ask = async |address: &str| {
        let mut tls = from(&cluster, address, "http/1.1").await.unwrap();
        tls.write_all(full.as_bytes()).await.unwrap();
        let mut heard = String::new();
        timeout(PATIENCE, tls.read_to_string(&mut heard)).await.unwrap().unwrap();
        heard
    };
    let start = Instant::now();
    while statuses(&ask("127.0.0.2").await) != ["429"] {
        assert!(start.elapsed() < PATIENCE, "the 201st body of one address is read");
    }
    assert_eq!(statuses(&ask("127.0.0.3").await), ["422"], "another address is heard");
    let mut page = from(&cluster, "127.0.0.2", "http/1.1").await.unwrap();
    page.write_all(b"GET /webapi/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut heard = String::new();
    page.read_to_string(&mut heard).await.unwrap();
    assert_eq!(statuses(&heard), ["200"], "and pages are still shown");
}

/// The time of each of many usual requests, one after another, each on a connection of its own.
async fn usual_requests(cluster: &Cluster, address: &str, count: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        let mut tls = from(cluster, address, "http/1.1").await.expect("a usual client gets in");
        let ask = b"GET /webapi/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        tls.write_all(ask).await.unwrap();
        let mut heard = String::new();
        timeout(PATIENCE, tls.read_to_string(&mut heard)).await.unwrap().unwrap();
        assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
        times.push(start.elapsed());
    }
    times.sort();
    times
}

/// Says a byte from time to time until the other side closes; tells how long that took.
async fn dribble(mut io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> Duration {
    let start = Instant::now();
    let mut heard = [0; 512];
    loop {
        if io.write_all(b"x").await.is_err() || io.flush().await.is_err() {
            return start.elapsed();
        }
        let read = timeout(Duration::from_millis(300), io.read(&mut heard)).await;
        if let Ok(Ok(0) | Err(_)) = read {
            return start.elapsed();
        }
    }
}

async fn slow_hello(addr: SocketAddr) -> Duration {
    let Ok(mut tcp) = TcpStream::connect(addr).await else { return Duration::ZERO };
    // A record that announces a hello of 512 bytes.
    if tcp.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).await.is_err() {
        return Duration::ZERO;
    }
    dribble(tcp).await
}

async fn slow_request(cluster: &Cluster, number: usize, head: &str) -> Duration {
    let address = format!("127.0.0.{}", 2 + number % 2);
    let Ok(mut tls) = from(cluster, &address, "http/1.1").await else { return Duration::ZERO };
    let _ = tls.write_all(head.as_bytes()).await;
    dribble(tls).await
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_given_up_and_others_do_not_notice_them() {
    let cluster = Arc::new(
        Cluster::with(|config| {
            config.limits.handshake = Duration::from_secs(3);
            config.limits.hellos_per_address = 100;
            config.limits.web_connections = 400;
            config.limits.web_connections_per_address = 150;
        })
        .await,
    );
    let before = usual_requests(&cluster, "127.0.0.9", 20).await;
    let mut slow = JoinSet::new();
    for _ in 0..150 {
        let addr = cluster.proxy.addr();
        slow.spawn(async move { ("hello", slow_hello(addr).await) });
    }
    let heads = [
        ("head", "GET /webapi/ping HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        (
            "body",
            "POST /webapi/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: 60000\r\n\r\n{",
        ),
    ];
    for (number, (kind, head)) in heads.into_iter().flat_map(|head| [head; 100]).enumerate() {
        let cluster = Arc::clone(&cluster);
        slow.spawn(async move { (kind, slow_request(&cluster, number, head).await) });
    }
    let during = usual_requests(&cluster, "127.0.0.9", 60).await;
    let (usual, disturbed) = (before[before.len() / 2], during[during.len() * 95 / 100]);
    assert!(
        disturbed < usual * 10 + Duration::from_millis(500),
        "usual {usual:?}, beside slow clients {disturbed:?}"
    );
    let ends = slow.join_all().await;
    for (kind, bound) in [("hello", 6), ("head", 14), ("body", 50)] {
        let longest = ends.iter().filter(|end| end.0 == kind).map(|end| end.1).max().unwrap();
        assert!(longest < Duration::from_secs(bound), "{kind}: {longest:?}");
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_places_of_the_web() {
    let cluster = Cluster::with(|config| {
        config.limits.web_connections = 20;
        config.limits.web_connections_per_address = 5;
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(from(&cluster, "127.0.0.2", "http/1.1").await.unwrap());
    }
    from(&cluster, "127.0.0.2", "http/1.1").await.unwrap_err();
    let mut other = from(&cluster, "127.0.0.3", "http/1.1").await.unwrap();
    other
        .write_all(b"GET /webapi/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut heard = String::new();
    other.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
}

#[tokio::test]
async fn paths_do_not_lead_out_of_the_assets() {
    let cluster = Cluster::start().await;
    for path in [
        "/web/assets/../../etc/passwd",
        "/web/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/web/assets/%2e%2e/%2e%2e/etc/passwd",
        "/web/assets/..%252f..%252fetc/passwd",
        "/web/assets/..\\..\\etc\\passwd",
        "/web/assets/..%5c..%5cetc%5cpasswd",
        "/web/assets/%00",
        "/web/assets//etc/passwd",
        "/web/assets/style.css%00.svg",
        "/web/assets/",
        "/web/assets/style.css",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/web/../webapi/../../Cargo.toml",
    ] {
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let heard = say(&cluster, text).await;
        let status = statuses(&heard).first().copied().unwrap_or("closed").to_owned();
        assert!(["404", "400", "closed"].contains(&status.as_str()), "{path}: {heard}");
        assert!(!heard.contains("root:") && !heard.contains("[package]"), "{path}");
    }
}

#[tokio::test]
async fn a_request_that_two_could_read_in_two_ways_is_refused_or_read_once() {
    let cluster = Cluster::start().await;
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let post = "POST /webapi/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let length = hidden.len();
    let cases = [
        (
            "two lengths",
            format!("{post}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        ),
        ("a list of lengths", format!("{post}Content-Length: 0, {length}\r\n\r\n{hidden}")),
        ("a signed length", format!("{post}Content-Length: +{length}\r\n\r\n{hidden}")),
        (
            "an unknown coding",
            format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "chunked not last",
            format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a space before the colon",
            format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a folded line",
            format!("{post}X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a bare return",
            format!("{post}X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a chunk too large to count",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{hidden}"),
        ),
        ("a negative chunk", format!("{post}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n{hidden}")),
    ];
    for (what, text) in cases {
        let heard = say(&cluster, text).await;
        let statuses = statuses(&heard);
        assert!(statuses.len() <= 1, "{what}: {heard}");
        assert!(statuses.iter().all(|status| status.starts_with('4')), "{what}: {heard}");
    }
    // Both a length and chunks: chunks count (RFC 9112, section 6.3), and the connection is closed.
    let both = format!(
        "{post}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        length + 5
    );
    let heard = say(&cluster, both).await;
    assert!(!heard.contains("200 OK"), "{heard}");
    assert!(statuses(&heard).len() <= 2, "{heard}");
}

#[tokio::test]
async fn a_request_without_one_host_is_refused() {
    let cluster = Cluster::start().await;
    for head in ["GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n"] {
        let heard = say(&cluster, format!("{head}Connection: close\r\n\r\n")).await;
        assert!(!heard.contains("200 OK"), "{heard}");
    }
}

#[tokio::test]
async fn forged_headers_name_nobody_and_lead_nowhere() {
    let cluster = Cluster::start().await;
    let forged = "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-For: 198.51.100.7\r\n\
                  X-Real-IP: 198.51.100.7\r\nX-Forwarded-Proto: http\r\nX-Original-URL: /webapi/ping\r\n\
                  Forwarded: for=198.51.100.7;host=evil.example\r\nX-Causeway-Client-Addr: 198.51.100.7\r\n\
                  Connection: close\r\n";
    for path in ["/", "/web", "/web/", "/web/login", "/web/apps", "/nothing"] {
        let heard = say(&cluster, format!("GET {path} HTTP/1.1\r\n{forged}\r\n")).await;
        assert!(!heard.contains("evil.example"), "{path}: {heard}");
    }
    let body = r#"{"user":"alice","password":"x","public_key":"key","remote_addr":"198.51.100.7"}"#;
    let text = format!(
        "POST /webapi/login HTTP/1.1\r\n{forged}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let heard = say(&cluster, text).await;
    assert_eq!(statuses(&heard), ["401"], "{heard}");
    let told = cluster.auth.logins.lock().unwrap()[0].remote_addr.clone();
    assert!(told.unwrap().starts_with("127.0.0.1"), "the address of the connection counts");
}

/// One HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// `GET https://x/` as the static table has it.
const GET: &[u8] = &[0x82, 0x87, 0x84, 0x41, 1, b'x'];

/// Writes frames until the other side closes; gives the last GOAWAY's code, if there was one.
async fn flood(cluster: &Cluster, mut next: impl FnMut(u32) -> Vec<u8>) -> Option<u32> {
    let mut tls = http2(cluster).await;
    tls.write_all(PREFACE).await.unwrap();
    tls.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(tls);
    let writing = async {
        for number in 0..200_000 {
            if writer.write_all(&next(number)).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    let reading = async {
        let _ = reader.read_to_end(&mut heard).await;
    };
    let both = async {
        tokio::pin!(writing);
        tokio::pin!(reading);
        tokio::select! {
            () = &mut reading => {}
            () = &mut writing => reading.await,
        }
    };
    timeout(2 * PATIENCE, both).await.expect("the flood is ended");
    goaway(&heard)
}

fn goaway(mut heard: &[u8]) -> Option<u32> {
    let mut code = None;
    while heard.len() >= 9 {
        let length = u32::from_be_bytes([0, heard[0], heard[1], heard[2]]) as usize;
        let (kind, payload) = (heard[3], heard.get(9..9 + length)?);
        if kind == GOAWAY {
            code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        }
        heard = &heard[9 + length..];
    }
    code
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_the_connection() {
    let cluster = Cluster::start().await;
    let code = flood(&cluster, |number| {
        let stream = 2 * number + 1;
        let begun = frame(HEADERS, 0x5, stream, GET);
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [begun, reset].concat()
    })
    .await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert_eq!(usual_requests(&cluster, "127.0.0.1", 3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_ends_the_connection() {
    let cluster = Cluster::start().await;
    let code = flood(&cluster, |number| match number {
        0 => frame(HEADERS, 0x1, 1, GET),
        _ => frame(
            CONTINUATION,
            0,
            1,
            &[&[0x40, 1, b'a', 0x7f, 0x81, 0x7f][..], &[b'y'; 16_384]].concat()[..16_384],
        ),
    })
    .await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    assert_eq!(usual_requests(&cluster, "127.0.0.1", 3).await.len(), 3);
}

#[tokio::test]
async fn requests_at_once_on_one_connection_are_bounded_and_all_answered() {
    let cluster = Cluster::start().await;
    let io = TokioIo::new(http2(&cluster).await);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    let ask = |mut sender: hyper::client::conn::http2::SendRequest<Full<bytes::Bytes>>| async move {
        let request = Request::builder().method(Method::GET).uri("https://x/webapi/ping");
        let request = request.body(Full::new(bytes::Bytes::new())).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status();
        answer.into_body().collect().await.unwrap();
        status
    };
    // After the first the client knows the bound, and keeps it.
    assert_eq!(ask(sender.clone()).await, StatusCode::OK);
    let mut asked = JoinSet::new();
    for _ in 0..300 {
        asked.spawn(ask(sender.clone()));
    }
    assert!(asked.join_all().await.into_iter().all(|status| status == StatusCode::OK));
}
