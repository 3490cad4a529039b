//! A tunnel over memory, and far ends of several habits.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::future::Future;

use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tunnel::{
    End, Far, FarHandle, Incoming, Near, Settings, Stream, TunnelError, accept_on, connect,
};

/// Small enough that windows matter, large enough that nothing waits on memory alone.
pub(crate) const LINE: usize = 64 * 1024;

/// A near end whose far end gives every stream to `serve`. Dropping it ends all tasks.
pub(crate) struct Tunnel {
    pub(crate) near: Near,
    pub(crate) far: FarHandle,
    pub(crate) tasks: JoinSet<Result<(), TunnelError>>,
}

pub(crate) async fn tunnel<S, F>(settings: &Settings, serve: S) -> Tunnel
where
    S: Fn(Incoming) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (proxy, agent) = duplex(LINE);
    let (near, driver) = connect(proxy, settings).await.unwrap();
    let far = accept_on(agent, settings);
    let handle = far.handle();
    let mut tasks = JoinSet::new();
    tasks.spawn(driver);
    tasks.spawn(run(far, serve));
    Tunnel { near, far: handle, tasks }
}

impl Tunnel {
    pub(crate) fn open(&self) -> Stream {
        self.near.open("app:443", HeaderMap::new()).unwrap()
    }

    /// How both ends ended.
    pub(crate) async fn ends(mut self) -> Vec<End> {
        let mut ends = Vec::new();
        while let Some(end) = self.tasks.join_next().await {
            ends.push(end.unwrap());
        }
        ends
    }
}

async fn run<S, F>(mut far: Far<DuplexStream>, serve: S) -> Result<(), TunnelError>
where
    S: Fn(Incoming) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut streams = JoinSet::new();
    while let Some(incoming) = far.next().await? {
        streams.spawn(serve(incoming));
        while streams.try_join_next().is_some() {}
    }
    Ok(())
}

/// Sends back what comes, until the end.
pub(crate) async fn echo(incoming: Incoming) {
    let mut stream = incoming.accept().unwrap();
    loop {
        let next = std::future::poll_fn(|cx| stream.poll_chunk(cx)).await;
        let Some(Ok(chunk)) = next else { break };
        if stream.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = stream.shutdown().await;
}

/// Takes the stream and never reads from it.
pub(crate) async fn ignore(incoming: Incoming) {
    let _stream = incoming.accept().unwrap();
    std::future::pending::<()>().await;
}

/// Writes `bytes`, ends, and reads what comes back.
pub(crate) async fn exchange(mut stream: Stream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await?;
    Ok(back)
}

/// `count` bytes of a pattern that shows any misplaced one.
pub(crate) fn pattern(count: usize) -> Bytes {
    (0..count).map(|place| u8::try_from(place * 31 % 251).unwrap()).collect()
}
