//! The signed tokens that tell apps who their user is: had from the Auth Service once a session, and kept till shortly
//! before their end.

use std::time::{Duration, SystemTime};

use access::AppSessionId;
use api::error::Chain;
use api::types::secret::SecretText;
use http::HeaderValue;
use moka::future::Cache;
use pki::Clock;
use tokio::time::timeout;
use tracing::warn;

/// A request waits no longer for its token.
const PATIENCE: Duration = Duration::from_secs(3);
/// A new one is fetched this long before the end of the old.
const MARGIN: Duration = Duration::from_secs(60);
/// After a failure the next try comes no sooner.
const PAUSE: Duration = Duration::from_secs(5);
const MOST: u64 = 10_000;

/// Gets tokens.
pub(crate) struct Tokens {
    auth: Option<api::Client>,
    clock: Clock,
    kept: Cache<AppSessionId, Kept>,
}

#[derive(Clone)]
struct Kept {
    token: Option<SecretText>,
    use_until: SystemTime,
}

impl Tokens {
    /// From this Auth Service; `None` gives none.
    pub(crate) fn new(auth: Option<api::Client>, clock: Clock) -> Self {
        let kept = Cache::builder().max_capacity(MOST).time_to_idle(Duration::from_secs(3600));
        Self { auth, clock, kept: kept.build() }
    }

    /// The token of a session. Without one the app is told nothing, and a client's own word for it is taken out all the
    /// same.
    pub(crate) async fn of(&self, session: &AppSessionId) -> Option<SecretText> {
        let auth = self.auth.as_ref()?;
        if let Some(kept) = self.kept.get(session).await {
            if self.clock.now() < kept.use_until {
                return kept.token;
            }
            self.kept.invalidate(session).await;
        }
        let fetching = self.kept.get_with(session.clone(), Box::pin(self.fetch(auth, session)));
        fetching.await.token
    }

    async fn fetch(&self, auth: &api::Client, session: &AppSessionId) -> Kept {
        let now = self.clock.now();
        let why = match timeout(PATIENCE, auth.app_token(session)).await {
            Ok(Ok(given)) => {
                let end = SystemTime::from(given.expires);
                let lasts = end.duration_since(now).unwrap_or_default();
                let use_until = now + lasts.saturating_sub(MARGIN).max(lasts / 2);
                return Kept { token: Some(given.token), use_until };
            }
            Ok(Err(error)) => Chain(&error).to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        warn!(%session, why, "no token for an app: it is asked without");
        Kept { token: None, use_until: now + PAUSE }
    }
}

/// The token as a header's value, marked so that no log shows it.
pub(crate) fn header(token: &SecretText) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(token.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
