//! How a tunnel ends: drained, cut, or given up because the peer fell silent.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic, in its helpers too")]

mod common;

use std::time::Duration;

use common::{LINE, echo, exchange, ignore, pattern, tunnel};
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tunnel::{OpenError, Settings, TunnelError, accept_on, connect};

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_draining_far_end_finishes_open_streams_and_takes_no_new_ones() {
    let tunnel = tunnel(&Settings::default(), echo).await;
    let mut open = tunnel.open();
    open.accepted_by_peer().await.unwrap();
    tunnel.far.drain(LONG);
    while !tunnel.near.is_draining() {
        tokio::task::yield_now().await;
    }
    let refused = tunnel.near.open("app:443", HeaderMap::new()).unwrap_err();
    assert!(matches!(refused, OpenError::Draining), "{refused}");

    let bytes = pattern(200_000);
    assert_eq!(round_trip(open, &bytes).await, bytes);
    tunnel.near.closed().await.unwrap();
    for end in tunnel.ends().await {
        end.unwrap();
    }
}

#[tokio::test]
async fn a_draining_near_end_finishes_open_streams_and_opens_no_new_ones() {
    let tunnel = tunnel(&Settings::default(), echo).await;
    let open = tunnel.open();
    tunnel.near.drain(LONG);
    assert!(tunnel.near.is_draining());
    assert!(tunnel.near.open("app:443", HeaderMap::new()).is_err());
    let bytes = pattern(200_000);
    assert_eq!(round_trip(open, &bytes).await, bytes);
    for end in tunnel.ends().await {
        end.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_is_cut() {
    let tunnel = tunnel(&Settings::default(), ignore).await;
    let mut stuck = tunnel.open();
    stuck.accepted_by_peer().await.unwrap();
    let begun = Instant::now();
    tunnel.far.drain(Duration::from_secs(7));
    let error = stuck.read_u8().await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 7, "{error}");
    let ends = tunnel.ends().await;
    assert!(ends.iter().any(|end| matches!(end, Err(TunnelError::DrainTimedOut { .. }))));
}

#[tokio::test(start_paused = true)]
async fn a_near_drain_that_takes_too_long_is_cut() {
    let tunnel = tunnel(&Settings::default(), ignore).await;
    let _stuck = tunnel.open();
    tunnel.near.drain(Duration::from_secs(7));
    let end = tunnel.near.closed().await;
    assert!(matches!(end, Err(TunnelError::DrainTimedOut { streams: 1 })), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_far_end_is_given_up_within_twenty_seconds() {
    let settings = Settings::default();
    let (line, mut peer) = Line::cuttable();
    let (near, driver) = connect(line, &settings).await.unwrap();
    let mut far = accept_on(peer.far.take().unwrap(), &settings);
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    tasks.spawn(async move {
        while let Ok(Some(_)) = far.next().await {}
        Ok(())
    });
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!near.is_draining());
    peer.cut();
    let cut = Instant::now();
    let end = near.closed().await;
    assert!(matches!(end, Err(TunnelError::Silent { .. })), "{end:?}");
    assert!(cut.elapsed() <= Duration::from_secs(20), "{:?}", cut.elapsed());
    let refused = near.open("app:443", HeaderMap::new()).unwrap_err();
    assert!(matches!(refused, OpenError::Closed), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_speaks_is_given_up_by_either_end() {
    let settings = Settings::default();
    let begun = Instant::now();
    let (agent, _silent) = duplex(LINE);
    let far = accept_on(agent, &settings).next().await;
    assert!(matches!(far, Err(TunnelError::Silent { .. })), "{far:?}");
    let (proxy, _silent) = duplex(LINE);
    let (_near, driver) = connect(proxy, &settings).await.unwrap();
    let end = driver.await;
    assert!(matches!(end, Err(TunnelError::Silent { .. })), "{end:?}");
    assert!(begun.elapsed() <= Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_but_living_tunnel_stays() {
    let tunnel = tunnel(&Settings::default(), echo).await;
    tokio::time::sleep(24 * LONG).await;
    assert_eq!(exchange(tunnel.open(), b"still here").await.unwrap(), b"still here");
}

#[tokio::test]
async fn a_cut_connection_ends_streams_and_both_ends() {
    let settings = Settings::default();
    let (line, mut peer) = Line::cuttable();
    let (near, driver) = connect(line, &settings).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    let far = accept_on(peer.far.take().unwrap(), &settings);
    let mut stream = near.open("app:443", HeaderMap::new()).unwrap();
    drop(far);
    peer.close();
    assert!(stream.read_u8().await.is_err());
    assert!(stream.write_all(&pattern(4_000_000)).await.is_err());
    let _ = near.closed().await;
    assert!(near.is_draining());
}

async fn round_trip(stream: tunnel::Stream, bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        writer.write_all(bytes).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    tokio::join!(write, async { reader.read_to_end(&mut back).await.unwrap() });
    back
}

/// A line that can fall silent without closing: two copiers between two pipes.
struct Line {
    far: Option<DuplexStream>,
    copier: JoinSet<()>,
    held: std::sync::Arc<tokio::sync::Notify>,
}

impl Line {
    fn cuttable() -> (DuplexStream, Self) {
        let (near, mut left) = duplex(LINE);
        let (mut right, far) = duplex(LINE);
        let held = std::sync::Arc::new(tokio::sync::Notify::new());
        let cut = held.clone();
        let mut copier = JoinSet::new();
        copier.spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut left, &mut right) => {}
                () = cut.notified() => std::future::pending().await,
            }
        });
        let line = Self { far: Some(far), copier, held };
        (near, line)
    }

    fn cut(&self) {
        self.held.notify_one();
    }

    fn close(&mut self) {
        self.copier.abort_all();
    }
}
