//! A stand-in for AWS that speaks HTTP/2 inside TLS, and a proxy in front of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::{LocalCa, LocalLeaves, WebTrust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::harness::{clock, now, upstream};
use crate::forward::Upstream;
use crate::upstream::Dialer;

/// What a call was, and its body as it comes in.
pub(super) struct Seen {
    pub(super) head: http::request::Parts,
    pub(super) body: Incoming,
    /// Sends the answer's body piece by piece; dropped, it ends.
    pub(super) answer: mpsc::Sender<Bytes>,
}

/// A running stand-in: answers every call with 200 at once, and hands body and answer to the test.
pub(super) struct TlsAws {
    pub(super) address: SocketAddr,
    pub(super) calls: mpsc::Receiver<Seen>,
    cert: pki::CertPem,
    _tasks: JoinSet<()>,
}

impl TlsAws {
    pub(super) async fn start(alpn: &'static [u8]) -> Self {
        let ca = LocalCa::generate("aws", now(), Duration::from_secs(3600)).unwrap();
        let leaves = LocalLeaves::new(ca.clone(), clock()).unwrap();
        let tls = pki::web::web_server(leaves, vec![alpn.to_vec()], clock()).unwrap();
        let acceptor = TlsAcceptor::from(tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, calls) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(acceptor.clone(), stream, seen.clone()));
            }
        });
        Self { address, calls, cert: ca.cert().clone(), _tasks: tasks }
    }

    /// The agent's way to it, by these proxies.
    pub(super) fn upstream(&self, proxies: Matcher) -> Upstream {
        let trust = WebTrust::System { extra: vec![self.cert.clone()] };
        let tls = pki::web::web_client(&trust, Vec::new(), clock()).unwrap();
        let url = format!("https://localhost:{}", self.address.port());
        upstream(Dialer::new(&tls, proxies), url)
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, seen: mpsc::Sender<Seen>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            let (answer, pieces) = mpsc::channel(8);
            seen.send(Seen { head, body, answer }).await.unwrap();
            let frames = futures_util::stream::unfold(pieces, |mut pieces| async move {
                let piece = pieces.recv().await?;
                Some((Ok::<_, std::convert::Infallible>(Frame::data(piece)), pieces))
            });
            Ok::<_, std::convert::Infallible>(Response::new(StreamBody::new(frames)))
        }
    });
    // A cut connection ends in an error, as meant.
    let _ = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A proxy that knows CONNECT, and remembers what it was asked for.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass(stream, Arc::clone(&kept), answer));
            }
        });
        Self { address, asked, _tasks: tasks }
    }
}

async fn pass(mut near: TcpStream, asked: Arc<Mutex<Vec<String>>>, answer: &'static str) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(near.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    asked.lock().unwrap().push(head.clone());
    near.write_all(answer.as_bytes()).await.unwrap();
    if !answer.contains(" 200 ") {
        return;
    }
    let target = head.split(' ').nth(1).unwrap();
    let mut far = TcpStream::connect(target).await.unwrap();
    let copied = tokio::io::copy_bidirectional(&mut near, &mut far);
    let _ = tokio::time::timeout(Duration::from_secs(30), copied).await;
}
