//! Lanes: who may hold one ready, what takes one, and what happens when one fails.

use access::{HostId, LockTarget, SystemRole, UserName};
use api::wire;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::cluster::{Authorities, Cluster, ask, dial, dial_lane, serve_lane, until};
use crate::roads::{ended, lock};

/// Holds a lane ready as `host`; what takes it hears `name` before its own words.
async fn lane(cluster: &Cluster, host: &str, name: &str) -> JoinSet<()> {
    let lanes = cluster.proxy.health().lanes;
    let credential = cluster.authorities.host(SystemRole::App, host);
    let end = dial_lane(cluster, Some(credential)).await.unwrap();
    until("the lane is listed", || cluster.proxy.health().lanes > lanes).await;
    serve_lane(cluster, (end, host), name)
}

async fn no_lanes(cluster: &Cluster) {
    until("the lanes are gone", || cluster.proxy.health().lanes == 0).await;
}

#[tokio::test]
async fn a_connection_takes_a_lane_and_the_next_one_the_tunnel() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let mut lane = lane(&cluster, "agent-1", "lane").await;
    let mut first = cluster.app(&session).await.unwrap();
    let mut second = cluster.app(&session).await.unwrap();
    for round in 0..3 {
        assert_eq!(ask(&mut first, &format!("{round}")).await.unwrap(), format!("lane: {round}"));
        let said = ask(&mut second, &format!("{round}")).await.unwrap();
        assert_eq!(said, format!("agent-1: {round}"));
    }
    first.shutdown().await.unwrap();
    ended(&mut first).await;
    lane.join_next().await.unwrap().unwrap();
    no_lanes(&cluster).await;
}

#[tokio::test]
async fn a_large_body_goes_whole_both_ways() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let _lane = lane(&cluster, "agent-1", "lane").await;
    let app = cluster.app(&session).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(app);
    let sent = vec![b'x'; 3 << 20];
    let sending = async {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let hearing = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut heard);
    let (_, all) = tokio::join!(sending, hearing);
    all.unwrap();
    assert_eq!(heard.iter().filter(|byte| **byte == b'x').count(), sent.len());
}

#[tokio::test]
async fn where_a_lane_fails_the_tunnel_carries_the_connection() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    // One has died without the proxy's knowing, one never answers.
    let dead = lane(&cluster, "agent-1", "dead").await;
    drop(dead);
    let credential = cluster.authorities.host(SystemRole::App, "agent-1");
    let _silent = dial_lane(&cluster, Some(credential)).await.unwrap();
    until("a lane is listed", || cluster.proxy.health().lanes > 0).await;
    let mut app = cluster.app(&session).await.unwrap();
    assert_eq!(ask(&mut app, "hello").await.unwrap(), "agent-1: hello");
}

#[tokio::test]
async fn lanes_serve_only_what_their_agent_serves_and_only_beside_its_tunnel() {
    let cluster = Cluster::start().await;
    let (session, agent) = cluster.usual().await;
    cluster.announce("agent-2", "other");
    let _second = cluster.agent("agent-2").await;
    let _foreign = lane(&cluster, "agent-2", "foreign").await;
    let mut app = cluster.app(&session).await.unwrap();
    assert_eq!(ask(&mut app, "hello").await.unwrap(), "agent-1: hello");

    let _alone = lane(&cluster, "agent-1", "alone").await;
    agent.kill();
    until("the tunnel is gone", || cluster.proxy.health().tunnels == 1).await;
    let refused = cluster.app(&session).await.unwrap_err().to_string();
    assert!(refused.contains("InternalError"), "{refused}");
}

#[tokio::test]
async fn only_agents_of_this_cluster_may_hold_a_lane() {
    let cluster = Cluster::start().await;
    let other = Authorities::new("other.example.com", &cluster.clock);
    let same_name = Authorities::new("test.example.com", &cluster.clock);
    let shown = [
        Some(cluster.authorities.user("alice")),
        Some(cluster.authorities.host(SystemRole::Proxy, "proxy-2")),
        Some(cluster.authorities.host(SystemRole::Auth, "auth-2")),
        Some(other.host(SystemRole::App, "agent-1")),
        Some(same_name.host(SystemRole::App, "agent-1")),
        None,
    ];
    for credential in shown {
        if let Ok(mut lane) = dial_lane(&cluster, credential).await {
            ended(&mut lane).await;
        }
        assert_eq!(cluster.proxy.health().lanes, 0);
    }
    let _lane = lane(&cluster, "agent-1", "lane").await;
}

#[tokio::test]
async fn a_locked_agent_loses_its_lanes_in_use_or_not_and_gets_no_other() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let _used = lane(&cluster, "agent-1", "lane").await;
    let mut app = cluster.app(&session).await.unwrap();
    assert_eq!(ask(&mut app, "hello").await.unwrap(), "lane: hello");
    let _ready = lane(&cluster, "agent-1", "lane").await;
    assert_eq!(cluster.proxy.health().lanes, 2);
    lock(&cluster, LockTarget::server(HostId::parse("agent-1").unwrap()));
    ended(&mut app).await;
    no_lanes(&cluster).await;
    let credential = cluster.authorities.host(SystemRole::App, "agent-1");
    if let Ok(mut lane) = dial_lane(&cluster, Some(credential)).await {
        ended(&mut lane).await;
    }
    assert_eq!(cluster.proxy.health().lanes, 0);
}

#[tokio::test]
async fn a_locked_user_is_cut_on_a_lane_too() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let _lane = lane(&cluster, "agent-1", "lane").await;
    let mut app = cluster.app(&session).await.unwrap();
    assert_eq!(ask(&mut app, "hello").await.unwrap(), "lane: hello");
    lock(&cluster, LockTarget::user(UserName::parse("alice").unwrap()));
    ended(&mut app).await;
    no_lanes(&cluster).await;
}

#[tokio::test]
async fn an_agent_that_speaks_before_its_lane_is_taken_loses_it() {
    let cluster = Cluster::start().await;
    let credential = cluster.authorities.host(SystemRole::App, "agent-1");
    let mut end = dial_lane(&cluster, Some(credential)).await.unwrap();
    end.write_all(b"CONNECT aws:443 HTTP/1.1\r\n\r\n").await.unwrap();
    end.flush().await.unwrap();
    ended(&mut end).await;
    no_lanes(&cluster).await;
}

#[tokio::test]
async fn an_agent_cannot_hold_lanes_without_end() {
    let cluster = Cluster::start().await;
    let mut ends = Vec::new();
    for _ in 0..40 {
        let credential = cluster.authorities.host(SystemRole::App, "agent-1");
        ends.push(dial_lane(&cluster, Some(credential)).await.unwrap());
    }
    until("the surplus is closed", || cluster.proxy.health().lanes == 16).await;
    ended(&mut ends[0]).await;
}

/// What passes for a lane's protocol with a user's certificate, or beside another protocol, is none.
#[tokio::test]
async fn a_session_in_the_server_name_makes_no_lane_of_a_connection() {
    let cluster = Cluster::start().await;
    let (session, _agent) = cluster.usual().await;
    let name = wire::app_server_name(&session);
    let user = Some(cluster.authorities.user("alice"));
    let to = (wire::ALPN_LANE, name.as_str());
    if let Ok(mut tls) = dial(&cluster, &cluster.authorities, to, user).await {
        ended(&mut tls).await;
    }
    assert_eq!(cluster.proxy.health().lanes, 0);
}
