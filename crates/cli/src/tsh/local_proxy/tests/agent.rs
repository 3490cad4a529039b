//! A stand-in for the agent: HTTP/2 inside mutual TLS, remembering what it was sent.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use access::ClusterName;
use access::{HostClaims, HostId, SystemRole};
use api::wire;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::tls::{self, Accept, Peers, ServerTls};
use pki::{Clock, Credential, KeyPair, LiveCredential, Validity};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Cluster;
use crate::edge;

/// Bytes of a body that are kept.
const KEPT: usize = 256 * 1024;

/// What one request was.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) uri: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// None if the body broke off.
    pub(super) trailers: Option<HeaderMap>,
}

/// A running stand-in.
pub(super) struct Agent {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    questions: Arc<Questions>,
    kill: CancellationToken,
    tasks: TaskTracker,
}

/// Names of requests whose bodies are wanted.
#[derive(Default)]
struct Questions {
    wanted: Mutex<HashSet<String>>,
    news: Notify,
    are_unknown: AtomicBool,
}

impl Questions {
    fn want(&self, head: &HeaderMap) {
        if let Some(name) = head.get(wire::HEADER_EXPECTS) {
            self.wanted.lock().unwrap().insert(name.to_str().unwrap().to_owned());
            self.news.notify_waiters();
        }
    }

    async fn answer(&self, name: &str) -> u16 {
        if self.are_unknown.load(Ordering::SeqCst) {
            return 400;
        }
        loop {
            let news = self.news.notified();
            if self.wanted.lock().unwrap().contains(name) {
                return 204;
            }
            news.await;
        }
    }
}

impl Agent {
    pub(super) async fn start(cluster: &Cluster, port: u16) -> Self {
        let now = edge::now();
        let key = KeyPair::generate().unwrap();
        let claims = HostClaims {
            host_id: HostId::parse("agent-1").unwrap(),
            cluster: ClusterName::parse("test").unwrap(),
            system_roles: vec![SystemRole::App],
            node_name: "agent".to_owned(),
        };
        let names = [wire::APP_SERVER_WILDCARD.to_owned()];
        let validity = Validity { now, not_after: now + Duration::from_secs(3600) };
        let cert = cluster.host.issue_host(&claims, &key.public(), &names, validity).unwrap();
        let config = tls::server(ServerTls {
            credential: LiveCredential::new(Credential::new(cert, key).unwrap()),
            trust: cluster.trust(),
            peers: Peers::Required(Accept::Users),
            alpn: vec![wire::ALPN_APP.to_vec()],
            clock: Clock::from(edge::now as fn() -> SystemTime),
        });
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let agent = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            questions: Arc::default(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (kill, tasks) = (agent.kill.clone(), agent.tasks.clone());
        let noting = (agent.seen.clone(), agent.questions.clone());
        let acceptor = TlsAcceptor::from(config.unwrap());
        agent.tasks.spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = kill.cancelled() => return,
                };
                let (acceptor, kill) = (acceptor.clone(), kill.clone());
                tasks.spawn(serve(acceptor, stream, noting.clone(), kill));
            }
        });
        agent
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// From now on it knows of no bodies that are held back.
    pub(super) fn forget_questions(&self) {
        self.questions.are_unknown.store(true, Ordering::SeqCst);
    }

    /// Drops every connection and the listener, as a killed process does.
    pub(super) async fn kill(&self) {
        self.kill.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, noting: Noting, kill: CancellationToken) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request| answer(request, noting.clone()));
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = served => {}
        () = kill.cancelled() => {}
    }
}

type Noting = (Arc<Mutex<Vec<Seen>>>, Arc<Questions>);

/// Counts the body and tells it; `/refused` answers 403 without it; `/big` answers with as many bytes as its query says,
/// `/hang` with nothing.
async fn answer(
    request: Request<Incoming>,
    (seen, questions): Noting,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let status =
        |status: u16| Ok(Response::builder().status(status).body(Full::default()).unwrap());
    if let Some(name) = parts.headers.get(wire::HEADER_ASKED) {
        let (name, headers) = (name.to_str().unwrap().to_owned(), parts.headers.clone());
        let (uri, trailers) = (parts.uri.to_string(), None);
        seen.lock().unwrap().push(Seen { uri, headers, body: Vec::new(), trailers });
        return status(questions.answer(&name).await);
    }
    if parts.uri.path() == "/refused" {
        return status(403);
    }
    questions.want(&parts.headers);
    let mut length = 0;
    let (mut kept, mut trailers) = (Vec::new(), Some(HeaderMap::new()));
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => {
                length += data.len() as u64;
                // Of large bodies their length is enough.
                kept.extend(data.iter().take(KEPT - kept.len().min(KEPT)));
            }
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(_) => {
                trailers = None;
                break;
            }
        }
    }
    let uri = parts.uri.to_string();
    seen.lock().unwrap().push(Seen { uri, headers: parts.headers, body: kept, trailers });
    if parts.uri.path() == "/hang" {
        std::future::pending::<()>().await;
    }
    let big: Option<usize> = parts.uri.query().and_then(|query| query.parse().ok());
    let reply = match big {
        Some(length) => Bytes::from(vec![b'x'; length]),
        None => Bytes::from(format!("{{\"length\":{length}}}")),
    };
    let reply = Response::builder()
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amzn-requestid", "REAL")
        .header("content-length", reply.len())
        .body(Full::new(reply));
    Ok(reply.unwrap())
}
