//! How fast bytes pass: run with `--run-ignored only --no-capture`, in a release build.
//!
//! The proxy, the agent and the clients share one process and its processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use access::AppSessionId;
use api::wire;
use pki::{ClientTls, LiveTrust, TrustedServers};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cluster::Cluster;

const MEASURED: Duration = Duration::from_secs(3);

/// The first message of a client's handshake. What follows need not be TLS: the proxy does not look.
fn client_hello(cluster: &Cluster, session: &AppSessionId) -> Vec<u8> {
    let tls = pki::tls::client(ClientTls {
        credential: None,
        servers: TrustedServers::Cluster(LiveTrust::new(cluster.authorities.trust())),
        alpn: vec![wire::ALPN_APP.to_vec()],
        clock: cluster.clock.clock(),
    })
    .unwrap();
    let name = wire::app_server_name(session).try_into().unwrap();
    let mut client = rustls::ClientConnection::new(tls, name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

async fn raw(cluster: &Cluster) -> (Vec<u8>, AppSessionId) {
    cluster.add_user("alice", false);
    let session = cluster.open_session('a', "alice", "aws");
    cluster.announce("raw-1", "aws");
    (client_hello(cluster, &session), session)
}

async fn dial(cluster: &Cluster, hello: &[u8]) -> TcpStream {
    let mut tcp = TcpStream::connect(cluster.proxy.addr()).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.write_all(hello).await.unwrap();
    tcp
}

async fn ping_pong(tcp: &mut TcpStream, done: &AtomicBool, count: &AtomicU64) {
    let mut message = [7; 300];
    while !done.load(Ordering::Relaxed) {
        tcp.write_all(&message).await.unwrap();
        tcp.read_exact(&mut message).await.unwrap();
        count.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(message, [7; 300]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn round_trips_over_kept_connections() {
    let cluster = Cluster::start().await;
    let (hello, _) = raw(&cluster).await;
    let _agents = (cluster.agent("raw-1").await, cluster.agent("raw-1").await);
    let (done, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let mut tcp = dial(&cluster, &hello).await;
        let (done, count) = (Arc::clone(&done), Arc::clone(&count));
        tasks.spawn(async move { ping_pong(&mut tcp, &done, &count).await });
    }
    tokio::time::sleep(MEASURED).await;
    done.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let rate = count.load(Ordering::Relaxed) as f64 / MEASURED.as_secs_f64();
    println!("{rate:.0} round trips of 300 B a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn bulk_echo() {
    let cluster = Cluster::start().await;
    let (hello, _) = raw(&cluster).await;
    let _agent = cluster.agent("raw-1").await;
    let (mut reader, mut writer) = dial(&cluster, &hello).await.into_split();
    let total: usize = 2 * 1024 * 1024 * 1024;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let block = vec![7; 256 * 1024];
        for _ in 0..total / block.len() {
            writer.write_all(&block).await.unwrap();
        }
        writer.shutdown().await.unwrap();
    });
    let mut buffer = vec![0; 256 * 1024];
    let mut heard = 0;
    loop {
        match reader.read(&mut buffer).await.unwrap() {
            0 => break,
            length => heard += length,
        }
    }
    assert_eq!(heard, total);
    let rate = total as f64 / began.elapsed().as_secs_f64() / 1e6;
    println!("{rate:.0} MB a second each way at once");
}
