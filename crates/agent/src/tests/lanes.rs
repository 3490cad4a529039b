//! Lanes, with a stand-in for the proxy: dialled ahead, served as streams are, ended with the agent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tunnel::{LaneHead, Records};

use super::fake_aws::{FakeAws, reply};
use super::harness::{Agent, Sender, dynamodb};

const PATIENCE: Duration = Duration::from_secs(10);
const FROM: &str = "198.51.100.9:40000";

/// The proxy's port.
struct Proxy {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Proxy {
    async fn of(agent: &Agent) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, tls: TlsAcceptor::from(agent.proxy_tls()) }
    }

    fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next lane that the agent dials.
    async fn lane(&self) -> TlsStream<Records<TcpStream>> {
        let accepting = async {
            let (tcp, _) = self.listener.accept().await.unwrap();
            self.tls.accept(Records::new(tcp)).await.unwrap()
        };
        timeout(PATIENCE, accepting).await.expect("no lane was dialled")
    }
}

async fn take(lane: TlsStream<Records<TcpStream>>) -> TcpStream {
    let mut headers = HeaderMap::new();
    headers.insert(api::wire::HEADER_CLIENT_ADDR, HeaderValue::from_static(FROM));
    let head = LaneHead { target: "aws:443".parse().unwrap(), headers };
    timeout(PATIENCE, tunnel::lane::take(lane, &head, b"")).await.unwrap().unwrap()
}

fn hold(agent: &Agent, proxy: &Proxy, patience: Duration) -> (JoinSet<()>, CancellationToken) {
    let stop = CancellationToken::new();
    let lanes = agent.lanes(&stop, patience);
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&lanes).keep(proxy.addr().to_string()));
    (tasks, stop)
}

/// One call after the other, each answered to its end.
async fn call_thrice(sender: &mut Sender) {
    for _ in 0..3 {
        let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn a_lane_serves_calls_and_the_next_is_dialled_at_once() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let mut agent = Agent::start(&aws).await;
    let proxy = Proxy::of(&agent).await;
    let (_tasks, _stop) = hold(&agent, &proxy, PATIENCE);
    let first = take(proxy.lane().await).await;
    let _next = proxy.lane().await;
    let mut sender = agent.connect_over(first).await.unwrap();
    call_thrice(&mut sender).await;
    assert_eq!(agent.events().await.len(), 3);
}

/// A connection that another thread moves would cost wake-ups at every step.
#[tokio::test]
async fn each_thread_has_its_own_connections_to_aws() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let mut agent = Agent::start(&aws).await;
    let proxy = Proxy::of(&agent).await;
    let (_tasks, _stop) = hold(&agent, &proxy, PATIENCE);
    let mut counts = Vec::new();
    for _ in 0..3 {
        // One thread has the first and the third, the other the second: where the fewest are.
        let lane = take(proxy.lane().await).await;
        let mut sender = agent.connect_over(lane).await.unwrap();
        call_thrice(&mut sender).await;
        counts.push(aws.connections());
    }
    assert_eq!((counts[1] - counts[0], counts[2] - counts[1]), (1, 0), "{counts:?}");
}

#[tokio::test]
async fn a_lane_that_is_cut_is_dialled_anew() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let agent = Agent::start(&aws).await;
    let proxy = Proxy::of(&agent).await;
    let (_tasks, _stop) = hold(&agent, &proxy, PATIENCE);
    for _ in 0..3 {
        drop(proxy.lane().await);
    }
}

/// The proxy cannot speak for a user: what follows the head is TLS with the user's own certificate, or nothing.
#[tokio::test]
async fn bytes_on_a_lane_are_no_identity() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let agent = Agent::start(&aws).await;
    let proxy = Proxy::of(&agent).await;
    let (_tasks, _stop) = hold(&agent, &proxy, PATIENCE);
    let mut tcp = take(proxy.lane().await).await;
    tokio::io::AsyncWriteExt::write_all(&mut tcp, b"POST / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    let reading = timeout(PATIENCE, tcp.read_to_end(&mut heard)).await.unwrap();
    assert!(reading.is_err() || heard.first() == Some(&21), "an alert and no more: {heard:?}");
    assert!(agent.events().await.is_empty());
}

#[tokio::test]
async fn at_the_end_waiting_lanes_close_and_those_in_use_after_their_patience() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let agent = Agent::start(&aws).await;
    let proxy = Proxy::of(&agent).await;
    let (mut tasks, stop) = hold(&agent, &proxy, Duration::from_millis(200));
    let mut used = take(proxy.lane().await).await;
    let mut waiting = proxy.lane().await;
    stop.cancel();
    let ended = async {
        let gone = tunnel::lane::idle(&mut waiting).await;
        assert!(matches!(gone, tunnel::LaneError::Io(_)), "{gone}");
        let _ = used.read(&mut [0]).await;
        tasks.join_next().await.unwrap().unwrap();
    };
    timeout(PATIENCE, ended).await.unwrap();
}
