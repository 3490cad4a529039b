//! `GET /v1/watch`: services. First everything there is, then `ready`, then each change.

use std::sync::Arc;
use std::time::SystemTime;

use access::SystemRole;
use api::types::watch::Change;
use api::wire::HEADER_PUBLIC_ADDR;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::channel::{Channel, Sender};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::info;

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::watch::{Audience, Subscription, line};

/// Frames between our task and the connection.
const FRAMES: usize = 16;
/// Bytes of lines that are sent as one frame.
const FRAME: usize = 64 * 1024;

pub(super) async fn watch(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let now = cluster.now();
    cluster.service(&caller, &[SystemRole::App, SystemRole::Proxy]).await?;
    let public_addr = headers.get(HEADER_PUBLIC_ADDR).and_then(|value| value.to_str().ok());
    if let Some(addr) = public_addr.filter(|_| caller.is(SystemRole::Proxy)) {
        cluster.hear_of_proxy(addr);
    }
    let ends = caller.identity(now)?.expires();
    let place = Arc::clone(&cluster.watchers).try_acquire_owned();
    let place = place.map_err(|_| Refusal::busy("too many watchers; try again"))?;
    let (sender, body) = Channel::<Bytes, CutOff>::new(FRAMES);
    let subscription = cluster.hub.subscribe();
    let audience =
        if caller.is(SystemRole::Proxy) { Audience::Proxies } else { Audience::Everybody };
    let mut watcher = Watcher { cluster: Arc::clone(&cluster), sender, ends, audience };
    let who = caller.name().unwrap_or_default();
    cluster.tasks.spawn(async move {
        let why = watcher.run(subscription).await;
        info!(%who, ?why, "watch ended");
        watcher.sender.abort(why);
        drop(place);
    });
    Response::builder()
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(Body::new(body))
        .map_err(|error| Refusal::broken("the answer to a watch", error))
}

/// Why a watch ended. The watcher starts over from a full list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum CutOff {
    #[error("the watcher fell behind")]
    Behind,
    #[error("the watcher does not read")]
    Stalled,
    #[error("the watcher has gone")]
    Gone,
    #[error("the watcher's certificate has expired")]
    Expired,
    #[error("the Auth Service is stopping")]
    Stopping,
}

struct Watcher {
    cluster: Arc<Cluster>,
    sender: Sender<Bytes, CutOff>,
    ends: SystemTime,
    audience: Audience,
}

impl Watcher {
    async fn run(&mut self, subscription: Subscription) -> CutOff {
        match self.follow(subscription).await {
            Ok(never) => never,
            Err(why) => why,
        }
    }

    async fn follow(&mut self, subscription: Subscription) -> Result<CutOff, CutOff> {
        let Subscription { items, mut changes } = subscription;
        let heard = items.into_iter().filter(|line| line.is_for(self.audience));
        for frame in frames(heard.map(|line| line.bytes).collect()) {
            self.send(frame).await?;
        }
        self.send_change(&Change::Ready).await?;
        let beat = self.cluster.config.limits.watch_beat;
        let stopping = self.cluster.stopping.clone();
        // What others hear is no sign of life to this watcher.
        let mut silent_until = Instant::now() + beat;
        loop {
            let change = tokio::select! {
                change = timeout_at(silent_until, changes.recv()) => change,
                () = stopping.cancelled() => return Err(CutOff::Stopping),
            };
            if self.cluster.now() >= self.ends {
                return Err(CutOff::Expired);
            }
            match change {
                Ok(Ok(line)) if line.is_for(self.audience) => self.send(line.bytes).await?,
                Ok(Ok(_)) => continue,
                Ok(Err(RecvError::Lagged(_))) => return Err(CutOff::Behind),
                Ok(Err(RecvError::Closed)) => return Err(CutOff::Stopping),
                Err(_) => self.send_change(&Change::Beat).await?,
            }
            silent_until = Instant::now() + beat;
        }
    }

    async fn send_change(&mut self, change: &Change) -> Result<(), CutOff> {
        match line(change) {
            Some(line) => self.send(line).await,
            None => Err(CutOff::Behind),
        }
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), CutOff> {
        let stall = self.cluster.config.limits.watch_stall;
        match timeout(stall, self.sender.send_data(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CutOff::Gone),
            Err(_) => Err(CutOff::Stalled),
        }
    }
}

/// Lines put together into larger frames.
fn frames(lines: Vec<Bytes>) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut frame = BytesMut::new();
    for line in lines {
        if !frame.is_empty() && frame.len() + line.len() > FRAME {
            frames.push(frame.split().freeze());
        }
        frame.extend_from_slice(&line);
    }
    if !frame.is_empty() {
        frames.push(frame.freeze());
    }
    frames
}
