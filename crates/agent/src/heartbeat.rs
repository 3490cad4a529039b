//! Tells the Auth Service which apps this agent serves: at the start, on change, and about once a minute.

use std::sync::Arc;
use std::time::Duration;

use access::App;
use api::error::Chain;
use api::types::app_servers::AppServer;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use tunnel::Backoff;

use crate::chance::chance;
use crate::config::{AgentConfig, Deps};
use crate::policy::LivePolicy;

/// Records end after some minutes; two beats may get lost.
const EVERY: Duration = Duration::from_secs(60);
const WITHDRAW_DEADLINE: Duration = Duration::from_secs(2);

/// Announces until `stop`, and withdraws then.
pub(crate) async fn beat(
    config: Arc<AgentConfig>,
    deps: Deps,
    policy: Arc<LivePolicy>,
    stop: CancellationToken,
) {
    let heart = Heart { config, deps, policy };
    tokio::select! {
        () = heart.beat() => {}
        () = stop.cancelled() => {}
    }
    match timeout(WITHDRAW_DEADLINE, heart.deps.auth.withdraw(&heart.config.host_id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(error = %Chain(&error), "could not withdraw the apps"),
        Err(_) => debug!("could not withdraw the apps in time"),
    }
}

struct Heart {
    config: Arc<AgentConfig>,
    deps: Deps,
    policy: Arc<LivePolicy>,
}

impl Heart {
    async fn beat(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut changes = self.policy.follow();
        loop {
            changes.mark_unchanged();
            let server = self.server();
            match self.deps.auth.announce(&server).await {
                Ok(()) => {
                    backoff.reset();
                    debug!(apps = server.apps.len(), "announced the apps");
                    let pause = EVERY.mul_f64(0.75 + chance() / 4.0);
                    // Whether the time is over or the apps have changed: announce again.
                    let _ = timeout(pause, self.changed(&mut changes, &server)).await;
                }
                Err(error) => {
                    warn!(error = %Chain(&error), "could not announce the apps; trying again");
                    sleep(backoff.wait_after(Duration::ZERO, chance())).await;
                }
            }
        }
    }

    /// Waits until the served apps are others than those announced.
    async fn changed(&self, changes: &mut watch::Receiver<u64>, announced: &AppServer) {
        while changes.changed().await.is_ok() {
            if self.apps() != announced.apps {
                info!("the apps that are served have changed");
                return;
            }
        }
    }

    fn server(&self) -> AppServer {
        AppServer {
            host_id: self.config.host_id.clone(),
            hostname: self.config.nodename.clone(),
            version: self.config.version.clone(),
            apps: self.apps(),
            expires: None,
        }
    }

    fn apps(&self) -> Vec<App> {
        let snapshot = self.policy.now();
        let mut apps: Vec<App> = snapshot.apps.values().map(|app| App::clone(app)).collect();
        apps.sort_by(|left, right| left.name().cmp(right.name()));
        apps
    }
}
