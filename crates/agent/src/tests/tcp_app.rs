//! TCP apps: bytes both ways, one event each, cut when they must be.

use access::resource::{Lock, LockTarget};
use access::{LockName, UserName};
use api::wire;
use audit::events::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::fake_aws::{FakeAws, reply};
use super::harness::{Agent, Setup, claims, rules, web_app, web_claims};

async fn agent(uri: &str) -> Agent {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    Agent::start_with(&aws, Setup { app: web_app(uri), ..Setup::default() }).await
}

#[tokio::test]
async fn bytes_go_both_ways_and_leave_one_event() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let mut agent = agent(&format!("tcp://{target}")).await;
    let mut client = agent.open(&web_claims(), wire::ALPN_APP_TCP).await.unwrap();
    client.write_all(b"SELECT 1").await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    let mut heard = [0; 8];
    app.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"SELECT 1");
    app.write_all(b"one").await.unwrap();
    drop(app);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"one");
    drop(client);
    let event = agent.ended_event().await;
    assert_eq!((event.method.as_str(), event.path.as_str()), ("CONNECT", target.as_str()));
    assert_eq!((event.outcome, event.bytes_in, event.bytes_out), (Outcome::Answered, 8, 3));
}

#[tokio::test]
async fn a_lock_cuts_an_open_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut agent = agent(&format!("tcp://{}", listener.local_addr().unwrap())).await;
    let mut client = agent.open(&web_claims(), wire::ALPN_APP_TCP).await.unwrap();
    client.write_all(b"x").await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    app.read_u8().await.unwrap();
    let target = LockTarget::user(UserName::parse("alice").unwrap());
    agent.policy.publish(rules().with_lock(Lock::new(LockName::parse("stop").unwrap(), target)));
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    assert_eq!(app.read(&mut [0; 1]).await.unwrap_or(0), 0, "the app's end is closed too");
    let event = agent.ended_event().await;
    assert!(event.error.unwrap().starts_with("cut:"));
}

#[tokio::test]
async fn who_may_not_and_what_is_no_tcp_app_is_closed_unconnected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (uri, claims, decision) in [
        (format!("http://{address}"), web_claims(), "other-traffic"),
        (format!("tcp://{address}"), claims(), "other-traffic"),
        ("tcp://nowhere".to_owned(), web_claims(), "bad-app-uri"),
    ] {
        let mut agent = agent(&uri).await;
        let mut client = agent.open(&claims, wire::ALPN_APP_TCP).await.unwrap();
        let mut rest = Vec::new();
        let _ = client.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        assert_eq!(agent.the_event().await.decision, decision, "{uri}");
    }
    assert!(futures_util::FutureExt::now_or_never(listener.accept()).is_none());
}
