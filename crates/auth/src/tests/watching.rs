//! Watching: the full list, then each change in order; beats; slow watchers cut off.

use std::collections::HashSet;
use std::time::Duration;

use access::{Role, RoleName, SystemRole};
use api::Resource;
use api::resource::{Kind, PutMode, PutRequest};
use api::types::watch::{Change, Item, Key};
use api::watch::Watch;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_rustls::TlsConnector;

use super::town::{Town, host};

async fn full_list(watch: &mut Watch) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        match watch.next().await.unwrap() {
            Change::Put(item) => items.push(item),
            Change::Ready => return items,
            other => panic!("{other:?} before ready"),
        }
    }
}

async fn next(watch: &mut Watch) -> Change {
    loop {
        match watch.next().await.unwrap() {
            Change::Beat => {}
            change => return change,
        }
    }
}

async fn put_role(town: &Town, name: &str) {
    let role = Role::new(RoleName::parse(name).unwrap());
    let request = PutRequest { resource: Resource::Role(Box::new(role)), mode: PutMode::Replace };
    town.admin().put_resource(&request).await.unwrap();
}

#[tokio::test]
async fn the_full_list_comes_first_and_then_each_change_in_order() {
    let town = Town::start().await;
    town.announce_aws().await;
    town.enrol("alice", &["access"]).await;
    let mut watch = Watch::open(&town.agent("agent-1").await).await.unwrap();
    let items = full_list(&mut watch).await;
    let kinds: HashSet<&str> = items
        .iter()
        .map(|item| match item {
            Item::Role(_) => "role",
            Item::User(user) => {
                assert_eq!(user.name, "alice");
                "user"
            }
            Item::App(_) => "app",
            Item::AppServer(_) => "server",
            Item::AppSession(_) => "session",
            Item::Lock(_) => "lock",
            Item::Preference(_) => "preference",
            Item::WebSession(_) => "web session",
            Item::Trust(trust) => {
                assert_eq!(trust, &town.handle.trust());
                "trust"
            }
        })
        .collect();
    assert_eq!(kinds, HashSet::from(["role", "user", "server", "trust", "preference"]));
    assert_eq!(items.len(), 7, "three presets, a user, an agent, the trust, the preference");
    for round in 0..20 {
        put_role(&town, &format!("role-{round}")).await;
    }
    town.admin().delete_resource(Kind::Role, "role-7").await.unwrap();
    for round in 0..20 {
        let Change::Put(Item::Role(role)) = next(&mut watch).await else { panic!("no role") };
        assert_eq!(role.name().as_str(), format!("role-{round}"));
    }
    let Change::Delete(Key::Role(gone)) = next(&mut watch).await else { panic!("no deletion") };
    assert_eq!(gone, "role-7");
}

/// How many roles a new watch tells of until it tells of `last`.
async fn roles_seen(client: &api::Client, last: &str) -> usize {
    let mut watch = Watch::open(client).await.unwrap();
    let role = |item: Item| match item {
        Item::Role(role) => Some(role.name().to_string()),
        _ => None,
    };
    let mut seen: HashSet<_> = full_list(&mut watch).await.into_iter().filter_map(role).collect();
    while !seen.contains(last) {
        let Change::Put(item) = next(&mut watch).await else { continue };
        seen.extend(role(item));
    }
    seen.len()
}

#[tokio::test]
async fn list_and_changes_fit_together_while_others_write() {
    let town = Town::start().await;
    let proxy = town.proxy().await;
    let writes = async {
        for round in 0..60 {
            put_role(&town, &format!("role-{round}")).await;
        }
    };
    let watches = async {
        for _ in 0..10 {
            assert_eq!(roles_seen(&proxy, "role-59").await, 63, "nothing fell in between");
        }
    };
    tokio::join!(writes, watches);
}

#[tokio::test]
async fn a_quiet_watch_beats() {
    let town =
        Town::start_with(|config| config.limits.watch_beat = Duration::from_millis(20)).await;
    let mut watch = Watch::open(&town.proxy().await).await.unwrap();
    full_list(&mut watch).await;
    for _ in 0..3 {
        assert!(matches!(watch.next().await.unwrap(), Change::Beat));
    }
}

#[tokio::test]
async fn the_default_beat_is_within_the_promise() {
    let limits = crate::Limits::default();
    assert!(limits.watch_beat <= Duration::from_secs(10));
    assert!(limits.watch_beat + limits.watch_stall < api::watch::SILENCE_LIMIT);
}

#[tokio::test]
async fn a_watch_ends_with_its_certificate() {
    let town =
        Town::start_with(|config| config.limits.watch_beat = Duration::from_millis(20)).await;
    let proxy = town.proxy().await;
    let mut watch = Watch::open(&proxy).await.unwrap();
    full_list(&mut watch).await;
    town.hands.turn(Duration::from_secs(11 * 366 * 86_400));
    while watch.next().await.is_ok() {}
}

#[tokio::test]
async fn a_watch_ends_with_the_service() {
    let town = Town::start().await;
    let mut watch = Watch::open(&town.proxy().await).await.unwrap();
    full_list(&mut watch).await;
    town.handle.stop(Duration::from_secs(5)).await;
    while watch.next().await.is_ok() {}
}

/// Opens a watch whose window is so small that it fills at once, and does not read.
#[tokio::test]
async fn a_watcher_that_does_not_read_is_cut_off_and_holds_nobody_up() {
    let town = Town::start_with(|config| {
        config.limits.watch_stall = Duration::from_millis(50);
        config.limits.watch_beat = Duration::from_millis(1);
    })
    .await;
    let credential = town.service(SystemRole::Proxy, &host("sleepy")).await;
    let tcp = tokio::net::TcpStream::connect(town.handle.addr()).await.unwrap();
    let name = api::wire::AUTH_SERVER_NAME.try_into().unwrap();
    let tls = TlsConnector::from(town.tls(Some(credential))).connect(name, tcp).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1_024)
        .handshake(TokioIo::new(tls))
        .await
        .unwrap();
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(connection);
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("https://{}/v1/watch", api::wire::AUTH_SERVER_NAME))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let all = crate::Limits::default().watchers;
    super::town::until(|| async { (town.handle.watch_places() == all).then_some(()) }).await;
    put_role(&town, "still-works").await;
    let end = loop {
        match body.frame().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(end.is_some(), "cut off with an error, not ended as if complete");
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_cut_off() {
    let town = Town::start_with(|config| config.limits.watch_backlog = 4).await;
    let hub = crate::watch::Hub::new(4);
    let mut subscription = hub.subscribe();
    for round in 0..10 {
        let role = Role::new(RoleName::parse(&format!("role-{round}")).unwrap());
        hub.publish(vec![Change::Put(Item::Role(Box::new(role)))]);
    }
    let lagged = subscription.changes.recv().await.unwrap_err();
    assert!(matches!(lagged, tokio::sync::broadcast::error::RecvError::Lagged(_)));
    assert_eq!(hub.subscribe().items.len(), 10, "a new list has everything");
    drop(town);
}

#[tokio::test]
async fn there_are_only_so_many_watchers() {
    let town = Town::start_with(|config| config.limits.watchers = 2).await;
    let proxy = town.proxy().await;
    let _one = Watch::open(&proxy).await.unwrap();
    let two = Watch::open(&proxy).await.unwrap();
    let error = Watch::open(&proxy).await.err().unwrap();
    assert_eq!(error.status(), Some(503));
    drop(two);
    super::town::until(|| async { Watch::open(&proxy).await.ok() }).await;
}
