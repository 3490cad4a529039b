//! Whether a web or TCP app may be used: asked for each request, and again at every change while something is open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use access::{App, AppGrant, AppTraffic, AppUseRequest, Identity, decide_app};
use pki::Clock;
use tokio::time::timeout;

use crate::policy::{LivePolicy, Snapshot};
use crate::record::Visit;
use crate::refusal::Refusal;

/// The clock is looked at this often, whatever the timer says: a machine may have slept.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Visitor {
    /// As the verified certificate says.
    pub(crate) identity: Arc<Identity>,
    /// Where the connection came from, as the proxy says of the stream. Nothing is decided by it.
    pub(crate) address: Option<SocketAddr>,
}

/// What decides.
#[derive(Clone)]
pub(crate) struct AppUse {
    pub(crate) policy: Arc<LivePolicy>,
    pub(crate) clock: Clock,
}

impl AppUse {
    /// Decides, and notes the app.
    pub(crate) fn decide(
        &self,
        visit: &mut Visit,
        identity: &Identity,
        traffic: AppTraffic,
    ) -> Result<(AppGrant, Arc<App>), Refusal> {
        let snapshot = self.policy.now();
        let app = app_of(&snapshot, identity)?;
        visit.through(&app);
        let request = AppUseRequest { app: &app, traffic, now: visit.now() };
        Ok((decide_app(identity, &request, &snapshot.policy)?, app))
    }

    /// What is spoken with the certificate's app.
    pub(crate) fn traffic(&self, identity: &Identity) -> Option<AppTraffic> {
        app_of(&self.policy.now(), identity).ok().map(|app| app.traffic())
    }

    /// Ends when a use that was allowed is so no more: the session has ended, a lock is in force, a role was taken away.
    pub(crate) async fn until_denied(&self, identity: &Identity, traffic: AppTraffic) {
        let mut changes = self.policy.follow();
        let mut was_allowed = false;
        loop {
            changes.mark_unchanged();
            let left = self.time_left(identity, traffic);
            if was_allowed && left.is_none() {
                return;
            }
            was_allowed = left.is_some();
            let wait = left.map_or(LONGEST_WAIT, |left| left.min(LONGEST_WAIT));
            // Whether something has changed or time has passed: look again.
            let _ = timeout(wait, changes.changed()).await;
        }
    }

    fn time_left(&self, identity: &Identity, traffic: AppTraffic) -> Option<Duration> {
        let snapshot = self.policy.now();
        let app = app_of(&snapshot, identity).ok()?;
        let now = self.clock.now();
        let request = AppUseRequest { app: &app, traffic, now };
        let grant = decide_app(identity, &request, &snapshot.policy).ok()?;
        Some(grant.until().duration_since(now).unwrap_or_default() + Duration::from_millis(1))
    }
}

fn app_of(snapshot: &Snapshot, identity: &Identity) -> Result<Arc<App>, Refusal> {
    if !snapshot.is_complete {
        return Err(Refusal::NotReady);
    }
    let claimed = identity.user().and_then(|claims| claims.app.as_ref());
    let name = &claimed.ok_or(Refusal::NoApp)?.name;
    let app = snapshot.apps.get(name).ok_or_else(|| Refusal::AppNotServed { app: name.clone() })?;
    Ok(Arc::clone(app))
}
