//! From the cookie of an app's host to the certificate of its app session.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use access::{AppName, AppSessionId};
use api::error::Chain;
use api::types::web_sessions::{TokenHash, WebSessionFound, WebSessionId};
use jiff::Timestamp;
use pki::LiveCredential;
use tracing::warn;

use super::Apps;
use super::line::Line;
use crate::snapshot::Connected;
use crate::web::Token;

/// How often the Auth Service is told that a session is in use, seconds.
const SEEN_EVERY: i64 = 60;

/// A session with an app.
pub(crate) struct OpenedApp {
    /// Of the browser; none where somebody showed an app certificate of their own.
    pub(super) web_session: Option<WebSessionId>,
    pub(super) app: AppName,
    /// The public host that the certificate names.
    pub(super) host: String,
    pub(super) session: AppSessionId,
    pub(super) credential: Arc<LiveCredential>,
    pub(super) expires: SystemTime,
    /// When the Auth Service was last told, seconds since 1970.
    pub(super) seen: AtomicI64,
}

/// Why a cookie lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotIn {
    /// There is no such session, or it has ended, or it is for another app.
    Unknown,
    /// The Auth Service cannot be asked.
    Unsure,
}

impl OpenedApp {
    pub(super) fn line(&self, address: IpAddr) -> Line {
        Line {
            session: self.session.clone(),
            app: self.app.clone(),
            credential: Arc::clone(&self.credential),
            address,
        }
    }
}

impl Apps {
    /// The session of a cookie, if it lives and is for this app.
    pub(super) async fn resume(
        &self,
        token: &Token,
        app: &AppName,
    ) -> Result<Arc<OpenedApp>, NotIn> {
        let (hash, now) = (token.hash(), self.clock.now());
        let kept = self.opened.get(&hash).await.filter(|opened| self.is_live(opened, now));
        let opened = match kept {
            Some(kept) => kept,
            None => self.look_up(token, hash).await?,
        };
        if opened.app != *app || opened.expires <= now {
            return Err(NotIn::Unknown);
        }
        self.note_use(&opened, now).await?;
        Ok(opened)
    }

    /// Whether it lives for sure. A session that the snapshot lacks may have ended or be new.
    fn is_live(&self, opened: &OpenedApp, now: SystemTime) -> bool {
        let snapshot = self.snapshots.newest();
        self.snapshots.connected() == Connected::Now
            && opened.expires > now
            && opened.web_session.as_ref().is_some_and(|id| snapshot.has_web_session(id))
            && snapshot.session(&opened.session, now).is_ok()
    }

    async fn look_up(&self, token: &Token, hash: TokenHash) -> Result<Arc<OpenedApp>, NotIn> {
        let found = match self.auth.find_web_session(hash).await {
            Ok(found) => found,
            Err(error) if error.status().is_some_and(|status| status < 500) => {
                self.opened.invalidate(&hash).await;
                return Err(NotIn::Unknown);
            }
            Err(error) => {
                warn!(error = %Chain(&error), "could not ask for the session of an app");
                return Err(NotIn::Unsure);
            }
        };
        let opened = Arc::new(open(token, found).ok_or(NotIn::Unknown)?);
        self.opened.insert(hash, Arc::clone(&opened)).await;
        Ok(opened)
    }

    /// Tells the Auth Service, once a minute, so that the session does not end for being idle.
    async fn note_use(&self, opened: &OpenedApp, now: SystemTime) -> Result<(), NotIn> {
        let Some(id) = &opened.web_session else { return Ok(()) };
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX).as_second();
        let seen = opened.seen.load(Ordering::Relaxed);
        let is_recent = now.saturating_sub(seen) < SEEN_EVERY;
        let taken = || {
            opened.seen.compare_exchange(seen, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        };
        if is_recent || taken() {
            return Ok(());
        }
        match self.auth.saw_web_session(id).await {
            Ok(()) => Ok(()),
            Err(error) if error.status() == Some(404) => Err(NotIn::Unknown),
            // The session ends by itself if the Auth Service does not come back in time.
            Err(error) => {
                warn!(error = %Chain(&error), "could not note the use of a session");
                opened.seen.store(seen, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

/// Opens a session of an app with its token; one of these pages is none.
fn open(token: &Token, found: WebSessionFound) -> Option<OpenedApp> {
    let app_session = found.session.app_session.as_ref()?;
    let credential = token.open(&found.sealed).ok()?;
    let claims = pki::unverified_claims(credential.cert()).ok()?;
    let app = claims.app.filter(|app| app.session == *app_session && app.aws_role.is_none())?;
    Some(OpenedApp {
        web_session: Some(found.session.id),
        app: app.name,
        host: app.public_addr,
        session: app.session,
        credential: LiveCredential::new(credential),
        expires: SystemTime::from(found.session.expires).min(claims.expires),
        seen: AtomicI64::new(found.session.last_seen.as_second()),
    })
}
