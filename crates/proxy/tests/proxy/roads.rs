//! The roads of one port, and what may not go on them.

use std::sync::Arc;
use std::time::Duration;

use access::{HostId, Lock, LockName, LockTarget, SystemRole, UserName};
use api::types::watch::{Change, Item, Key};
use api::{Client, wire};
use pki::{ClientTls, LiveTrust, TrustedServers};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::cluster::{Authorities, Cluster, PATIENCE, ask, dial, until};

/// Reads until the connection ends, one way or another.
pub(crate) async fn ended(tls: &mut TlsStream<impl AsyncRead + AsyncWrite + Unpin>) {
    let mut sink = vec![0; 1024];
    let reading = async { while tls.read(&mut sink).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(PATIENCE, reading).await.expect("the connection was not cut");
}

/// What TLS said to a refused client.
fn alert(refused: std::io::Result<TlsStream<TcpStream>>) -> String {
    refused.expect_err("was not refused").to_string()
}

#[tokio::test]
async fn app_traffic_goes_end_to_end_to_the_agent() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let mut app = cluster.app(&session).await.unwrap();
    assert_eq!(app.get_ref().1.alpn_protocol(), Some(wire::ALPN_APP));
    assert_eq!(ask(&mut app, "hello").await.unwrap(), "agent-1: hello");
    assert_eq!(ask(&mut app, "again").await.unwrap(), "agent-1: again");
    app.shutdown().await.unwrap();
    ended(&mut app).await;
}

#[tokio::test]
async fn the_auth_service_is_reached_end_to_end_through_the_proxy() {
    let cluster = Cluster::start().await;
    let tls = pki::tls::client(ClientTls {
        credential: Some(cluster.authorities.user("alice")),
        servers: TrustedServers::Cluster(LiveTrust::new(cluster.authorities.trust())),
        alpn: vec![wire::ALPN_AUTH.to_vec()],
        clock: cluster.clock.clock(),
    })
    .unwrap();
    let client = Client::new(cluster.proxy.addr().to_string(), tls).unwrap();
    // The proxy's own ping has another version: this one comes from behind it.
    assert_eq!(client.ping().await.unwrap().server_version, "9.9.9");
}

#[tokio::test]
async fn an_unknown_session_is_refused_with_an_alert() {
    let cluster = Cluster::start().await;
    let (_, _agent) = cluster.usual().await;
    let unknown = "f".repeat(32).parse().unwrap();
    let said = alert(cluster.app(&unknown).await);
    assert!(said.contains("UnrecognisedName"), "{said}");
}

#[tokio::test]
async fn a_session_that_arrives_a_moment_late_is_waited_for() {
    let cluster = Cluster::with(|config| config.limits.session_wait = PATIENCE).await;
    cluster.add_user("alice", false);
    cluster.announce("agent-1", "aws");
    let _agent = cluster.agent("agent-1").await;
    let session = "b".repeat(32).parse().unwrap();
    let late = async {
        until("the connection waits", || cluster.proxy.health().connections > 1).await;
        cluster.open_session('b', "alice", "aws")
    };
    let (app, _) = tokio::join!(cluster.app(&session), late);
    assert_eq!(ask(&mut app.unwrap(), "hello").await.unwrap(), "agent-1: hello");
}

#[tokio::test]
async fn an_expired_session_is_refused() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    cluster.app(&session).await.unwrap();
    cluster.clock.turn(Duration::from_secs(3601));
    let said = alert(cluster.app(&session).await);
    assert!(said.contains("UnrecognisedName"), "{said}");
}

#[tokio::test]
async fn open_connections_are_cut_when_their_session_ends() {
    type End = fn(&Cluster);
    let ends: [(&str, End); 5] = [
        ("logout", |cluster| {
            let id = "a".repeat(32).parse().unwrap();
            cluster.auth.tell(Change::Delete(Key::AppSession(id)));
        }),
        ("expiry", |cluster| cluster.clock.turn(Duration::from_secs(3601))),
        ("the account is locked", |cluster| cluster.add_user("alice", true)),
        ("a lock on the user", |cluster| {
            lock(cluster, LockTarget::user(UserName::parse("alice").unwrap()));
        }),
        ("the user is gone", |cluster| {
            cluster.auth.tell(Change::Delete(Key::User(UserName::parse("alice").unwrap())));
        }),
    ];
    for (why, end) in ends {
        let cluster = Cluster::start().await;
        let (session, _agent) = cluster.usual().await;
        cluster.add_user("bob", false);
        let other = cluster.open_session('c', "bob", "aws");
        let mut app = cluster.app(&session).await.unwrap();
        ask(&mut app, "hello").await.unwrap();
        let began = std::time::Instant::now();
        end(&cluster);
        ended(&mut app).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{why}: {:?}", began.elapsed());
        if why != "expiry" {
            let mut others = cluster.app(&other).await.unwrap();
            assert_eq!(ask(&mut others, "hello").await.unwrap(), "agent-1: hello", "{why}");
        }
    }
}

pub(crate) fn lock(cluster: &Cluster, target: LockTarget) {
    let lock = Lock::new(LockName::parse("lock-1").unwrap(), target);
    cluster.auth.tell(Change::Put(Item::Lock(Box::new(lock))));
}

#[tokio::test]
async fn sessions_go_on_while_the_auth_service_is_away() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let mut before = cluster.app(&session).await.unwrap();
    cluster.auth.vanish().await;
    until("the loss is noticed", || !cluster.proxy.health().follows_auth).await;
    assert!(cluster.proxy.health().has_snapshot);
    assert_eq!(ask(&mut before, "still").await.unwrap(), "agent-1: still");
    let mut after = cluster.app(&session).await.unwrap();
    assert_eq!(ask(&mut after, "new").await.unwrap(), "agent-1: new");
    cluster.clock.turn(Duration::from_secs(3601));
    ended(&mut before).await;
}

#[tokio::test]
async fn without_an_agent_the_client_gets_an_alert() {
    let cluster = Cluster::start().await;
    cluster.add_user("alice", false);
    let session = cluster.open_session('a', "alice", "aws");
    let said = alert(cluster.app(&session).await);
    assert!(said.contains("InternalError"), "not announced: {said}");
    cluster.announce("agent-1", "aws");
    let said = alert(cluster.app(&session).await);
    assert!(said.contains("InternalError"), "offline: {said}");
}

#[tokio::test]
async fn another_agent_takes_over_when_one_dies_refuses_or_drains() {
    let cluster = Cluster::start().await;
    let (session, first) = cluster.usual().await;
    cluster.announce("refusing-1", "aws");
    let _refusing = cluster.agent("refusing-1").await;
    for _ in 0..4 {
        let mut app = cluster.app(&session).await.unwrap();
        assert_eq!(ask(&mut app, "hello").await.unwrap(), "agent-1: hello");
    }
    cluster.announce("agent-2", "aws");
    let second = cluster.agent("agent-2").await;
    first.kill();
    for _ in 0..4 {
        let mut app = cluster.app(&session).await.unwrap();
        assert_eq!(ask(&mut app, "hello").await.unwrap(), "agent-2: hello");
    }
    cluster.announce("agent-3", "aws");
    let _third = cluster.agent("agent-3").await;
    let mut old = cluster.app(&session).await.unwrap();
    ask(&mut old, "hello").await.unwrap();
    second.handle.drain(PATIENCE);
    until("the drained tunnel is empty or gone", || second.handle.streams() <= 1).await;
    for _ in 0..4 {
        let mut app = cluster.app(&session).await.unwrap();
        assert_eq!(ask(&mut app, "hello").await.unwrap(), "agent-3: hello");
    }
}

#[tokio::test]
async fn new_connections_go_to_the_least_loaded_tunnel() {
    let cluster = Cluster::start().await;
    let (session, _first) = cluster.usual().await;
    cluster.announce("agent-2", "aws");
    let _second = cluster.agent("agent-2").await;
    let mut answers = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..6 {
        let mut app = cluster.app(&session).await.unwrap();
        answers.push(ask(&mut app, "x").await.unwrap());
        kept.push(app);
    }
    answers.sort();
    assert_eq!(answers.iter().filter(|answer| *answer == "agent-1: x").count(), 3, "{answers:?}");
}

/// A tunnel's handshake looks finished to the client before the proxy has judged its certificate.
async fn tunnel_is_refused(tls: std::io::Result<TlsStream<TcpStream>>) {
    if let Ok(mut tls) = tls {
        ended(&mut tls).await;
    }
}

#[tokio::test]
async fn only_agents_of_this_cluster_get_a_tunnel() {
    let cluster = Cluster::start().await;
    let other = Authorities::new("other.example.com", &cluster.clock);
    let same_name = Authorities::new("test.example.com", &cluster.clock);
    let tunnel = (wire::ALPN_TUNNEL, wire::PROXY_SERVER_NAME);
    let shown = [
        Some(cluster.authorities.user("alice")),
        Some(cluster.authorities.host(SystemRole::Proxy, "proxy-2")),
        Some(cluster.authorities.host(SystemRole::Auth, "auth-2")),
        Some(other.host(SystemRole::App, "agent-1")),
        Some(same_name.host(SystemRole::App, "agent-1")),
        None,
    ];
    for credential in shown {
        tunnel_is_refused(dial(&cluster, &cluster.authorities, tunnel, credential).await).await;
        assert_eq!(cluster.proxy.health().tunnels, 0);
    }
    cluster.agent("agent-1").await;
}

#[tokio::test]
async fn a_locked_agent_loses_its_tunnel_and_gets_no_other() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    lock(&cluster, LockTarget::server(HostId::parse("agent-1").unwrap()));
    until("the tunnel is closed", || cluster.proxy.health().tunnels == 0).await;
    let credential = cluster.authorities.host(SystemRole::App, "agent-1");
    let dialled = cluster.dial(wire::ALPN_TUNNEL, wire::PROXY_SERVER_NAME, Some(credential)).await;
    tunnel_is_refused(dialled).await;
    let said = alert(cluster.app(&session).await);
    assert!(said.contains("InternalError"), "{said}");
}

#[tokio::test]
async fn an_agent_of_a_retired_authority_loses_its_tunnel() {
    let cluster = Cluster::start().await;
    let (_, _agent) = cluster.usual().await;
    let renewed = Authorities::new("test.example.com", &cluster.clock);
    cluster.auth.tell(Change::Put(Item::Trust(renewed.trust())));
    until("the tunnel is closed", || cluster.proxy.health().tunnels == 0).await;
}

#[tokio::test]
async fn surplus_tunnels_push_out_the_oldest() {
    let cluster = Cluster::with(|config| config.limits.tunnels_per_agent = 2).await;
    let mut agents = Vec::new();
    for _ in 0..2 {
        agents.push(cluster.agent("agent-1").await);
    }
    let _third = {
        let before = cluster.proxy.health().tunnels;
        let credential = cluster.authorities.host(SystemRole::App, "agent-1");
        let dialled =
            cluster.dial(wire::ALPN_TUNNEL, wire::PROXY_SERVER_NAME, Some(credential)).await;
        assert_eq!(before, 2);
        dialled.unwrap()
    };
    until("the oldest is gone", || agents[0].is_over() && cluster.proxy.health().tunnels <= 2)
        .await;
}

#[tokio::test]
async fn rubbish_is_closed_quietly_and_harms_nobody() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let rubbish: [(&[u8], &[u8]); 5] = [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400"),
        (b"SSH-2.0-x\r\n", b""),
        (&[0x16, 3, 1, 0, 4, 2, 0, 0, 0], &[21, 3]),
        (&[0x16, 3, 1, 0xff, 0xff, 1, 2, 3, 4, 5, 6], &[21, 3]),
        (&[0; 64], b""),
    ];
    for (bytes, answer) in rubbish {
        let mut tcp = TcpStream::connect(cluster.proxy.addr()).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        let mut heard = Vec::new();
        let reading = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut heard)).await.unwrap();
        assert!(heard.starts_with(answer), "{bytes:?}: {reading:?} {heard:?}");
    }
    let mut app = cluster.app(&session).await.unwrap();
    assert_eq!(ask(&mut app, "hello").await.unwrap(), "agent-1: hello");
}

#[tokio::test]
async fn protocols_that_are_not_spoken_here_get_an_alert() {
    let cluster = Cluster::start().await;
    let said = alert(cluster.dial(b"h3", "proxy.example.com", None).await);
    assert!(said.contains("NoApplicationProtocol"), "{said}");
    let said = alert(cluster.dial(wire::ALPN_APP, "proxy.example.com", None).await);
    assert!(said.contains("UnrecognisedName"), "{said}");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_dropped() {
    let cluster = Cluster::with(|config| config.limits.handshake = Duration::from_millis(50)).await;
    let mut tcp = TcpStream::connect(cluster.proxy.addr()).await.unwrap();
    tcp.write_all(&[0x16]).await.unwrap();
    let mut heard = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.is_empty());
}

#[tokio::test]
async fn stopping_lets_a_busy_connection_finish_and_closes_quiet_ones() {
    let cluster = Cluster::start().await;
    let (session, agent) = cluster.usual().await;
    let addr = cluster.proxy.addr();
    let mut quiet = cluster.app(&session).await.unwrap();
    ask(&mut quiet, "hello").await.unwrap();
    let Cluster { proxy, auth: _auth, .. } = cluster;
    let began = std::time::Instant::now();
    proxy.stop(Duration::from_secs(60)).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    ended(&mut quiet).await;
    assert!(TcpStream::connect(addr).await.is_err());
    until("the agent has noticed", || agent.is_over()).await;
}

#[tokio::test]
async fn stopping_cuts_what_is_left_at_the_deadline() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let mut app = cluster.app(&session).await.unwrap();
    ask(&mut app, "hello").await.unwrap();
    let Cluster { proxy, auth: _auth, .. } = cluster;
    proxy.stop(Duration::ZERO).await;
    ended(&mut app).await;
}

#[tokio::test]
async fn large_answers_pass_whole() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let app = Arc::new(tokio::sync::Mutex::new(cluster.app(&session).await.unwrap()));
    let mut app = app.lock().await;
    // Each record comes back with the agent's name before it: count the payload only.
    let sent = vec![b'x'; 8 * 1024 * 1024];
    let (mut reader, mut writer) = tokio::io::split(&mut *app);
    let writing = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let reading = async { reader.read_to_end(&mut heard).await };
    let ((), read) = tokio::join!(writing, reading);
    read.unwrap();
    assert_eq!(heard.iter().filter(|byte| **byte == b'x').count(), sent.len());
}
