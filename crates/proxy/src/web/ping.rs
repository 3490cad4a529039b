//! What the cluster offers before login.
//!
//! The Auth Service's answer is kept for a few seconds, and for longer while it
//! is away: `tsh` then gets as far as a clear error from the login itself.

use std::sync::Arc;
use std::time::Duration;

use api::types::ping::{Ping, PingProxy};
use arc_swap::ArcSwapOption;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use tokio::time::Instant;

use super::Web;
use super::refusal::{Kind, Refusal};

/// How long an answer is given again without asking.
const FRESH: Duration = Duration::from_secs(5);

/// The last answer.
#[derive(Default)]
pub(crate) struct LastPing(ArcSwapOption<(Instant, Ping)>);

/// `GET /webapi/ping`.
pub(crate) async fn ping(Extension(web): Extension<Arc<Web>>) -> Response {
    match web.newest_ping().await {
        Ok(ping) => Json(ping).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

impl Web {
    pub(super) async fn newest_ping(&self) -> Result<Ping, Refusal> {
        let last = self.last_ping.0.load_full();
        if let Some(last) = &last
            && last.0.elapsed() < FRESH
        {
            return Ok(last.1.clone());
        }
        match (self.auth.ping().await, last) {
            (Ok(answer), _) => {
                let ping = self.as_seen_here(answer);
                self.last_ping.0.store(Some(Arc::new((Instant::now(), ping.clone()))));
                Ok(ping)
            }
            (Err(error), Some(last)) if error.is_passing() => Ok(last.1.clone()),
            (Err(error), _) => Err(Refusal::of_auth(Kind::Api, &error)),
        }
    }

    fn as_seen_here(&self, answer: Ping) -> Ping {
        Ping {
            proxy: PingProxy {
                public_addr: self.public_addr.to_string(),
                tls_routing_enabled: true,
            },
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..answer
        }
    }
}
