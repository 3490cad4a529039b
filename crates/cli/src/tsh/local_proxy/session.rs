//! What the road must know of the app session at each request: whether it still runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::AppName;

/// The end of the running app session. Renewing moves it.
#[derive(Debug)]
pub struct SessionState {
    app: AppName,
    expires: AtomicU64,
}

impl SessionState {
    /// A session of `app` that ends at `expires`.
    #[must_use]
    pub fn new(app: AppName, expires: SystemTime) -> Self {
        let state = Self { app, expires: AtomicU64::new(0) };
        state.renewed(expires);
        state
    }

    /// The app.
    #[must_use]
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The session was renewed and ends at another time.
    pub fn renewed(&self, expires: SystemTime) {
        let seconds = expires.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.expires.store(seconds, Ordering::Relaxed);
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.expires.load(Ordering::Relaxed))
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self, now: SystemTime) -> bool {
        now >= self.expires()
    }
}
