//! Acting as the user of a browser: from the cookie to a client of the Auth Service that shows that user's certificate.
//!
//! Opened sessions are kept in memory, a bounded number. One counts only while the proxy follows
//! the Auth Service and is told that the session lives; in doubt the Auth Service is asked. So a
//! session that is ended anywhere is over here at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use access::{Claims, Identity, Policy, RuleRequest, Verb};
use api::error::Chain;
use api::types::web_sessions::{TokenHash, WebSession, WebSessionId, WebSessionRequest};
use api::{ApiError, Client, wire};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use moka::future::Cache;
use pki::{ClientTls, Clock, Credential, LiveCredential, LiveTrust, TrustedServers};
use thiserror::Error;
use tracing::{info, warn};

use super::refusal::{Kind, Refusal};
use super::session::{SealError, Token};
use super::{Web, cookies, links};
use crate::snapshot::{Connected, Snapshot, Snapshots};

/// Opened sessions that are kept.
const OPENED: u64 = 10_000;
/// How long one that is not used is kept.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// How often the Auth Service is told that a session is in use, seconds.
const SEEN_EVERY: i64 = 60;

/// What it takes to act as users.
pub(crate) struct Browsers {
    auth: Client,
    trust: Arc<LiveTrust>,
    clock: Clock,
    snapshots: Arc<Snapshots>,
    opened: Cache<TokenHash, Arc<Opened>>,
}

/// A session that was opened with its token.
struct Opened {
    session: WebSession,
    identity: Identity,
    client: Client,
    /// When the Auth Service was last told, seconds since 1970.
    seen: AtomicI64,
}

/// Why a session could not be begun or resumed.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// The Auth Service refuses or cannot be asked.
    #[error("the Auth Service did not agree")]
    Auth(#[from] ApiError),
    /// The sealed certificate.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The certificate is not one of a user of this cluster.
    #[error("the certificate names no user of this cluster")]
    Identity(#[from] pki::IdentityError),
    /// TLS cannot be set up with it.
    #[error("the certificate cannot be used")]
    Tls(#[from] pki::TlsError),
}

/// A browser, for the list of sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) remote_addr: Option<String>,
    pub(crate) user_agent: Option<String>,
}

impl Browsers {
    pub(crate) fn new(
        auth: Client,
        trust: Arc<LiveTrust>,
        clock: Clock,
        snapshots: Arc<Snapshots>,
    ) -> Self {
        let opened = Cache::builder().max_capacity(OPENED).time_to_idle(KEPT).build();
        Self { auth, trust, clock, snapshots, opened }
    }

    /// Begins a session with a certificate that was just issued, and gives the cookie's token.
    pub(crate) async fn begin(
        &self,
        credential: Credential,
        browser: Browser,
    ) -> Result<Token, SessionError> {
        let token = Token::draw()?;
        let request = WebSessionRequest {
            token_hash: token.hash(),
            sealed: token.seal(&credential)?,
            remote_addr: browser.remote_addr,
            user_agent: browser.user_agent,
            app_session: None,
            parent: None,
        };
        let (identity, client) = self.act_as(credential)?;
        let session = client.open_web_session(&request).await?;
        info!(user = %session.user, session = %session.id, "web session began");
        let opened = Opened {
            seen: AtomicI64::new(session.last_seen.as_second()),
            session,
            identity,
            client,
        };
        self.opened.insert(token.hash(), Arc::new(opened)).await;
        Ok(token)
    }

    /// Who is signed in by that cookie; `None` for nobody.
    pub(crate) async fn resume(&self, token: &Token) -> Result<Option<SignedIn>, SessionError> {
        let hash = token.hash();
        let now = self.clock.now();
        let opened = match self.opened.get(&hash).await.filter(|opened| self.is_live(opened, now)) {
            Some(opened) => opened,
            None => match self.look_up(token, hash).await? {
                Some(opened) => opened,
                None => return Ok(None),
            },
        };
        if !self.note_use(&opened, now).await? {
            self.opened.invalidate(&hash).await;
            return Ok(None);
        }
        let snapshot = self.snapshots.newest();
        let cluster = self.trust.current().cluster().clone();
        let policy = snapshot.policy_of(cluster, &opened.session.user);
        Ok(Some(SignedIn(Arc::new(Inner { opened, policy, now }))))
    }

    /// Ends a session.
    pub(crate) async fn end(&self, token: &Token, signed_in: &SignedIn) -> Result<(), ApiError> {
        self.opened.invalidate(&token.hash()).await;
        match signed_in.client().end_web_session(&signed_in.session().id).await {
            Err(error) if error.status() != Some(404) => Err(error),
            _ => Ok(()),
        }
    }

    /// What is known of the cluster.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.newest()
    }

    /// Whether it lives for sure. A session that the snapshot lacks may have ended or be new.
    fn is_live(&self, opened: &Opened, now: SystemTime) -> bool {
        self.snapshots.connected() == Connected::Now
            && is_before(now, opened.session.expires)
            && self.snapshots.newest().has_web_session(&opened.session.id)
    }

    async fn look_up(
        &self,
        token: &Token,
        hash: TokenHash,
    ) -> Result<Option<Arc<Opened>>, SessionError> {
        let found = match self.auth.find_web_session(hash).await {
            Ok(found) => found,
            Err(error) if error.status() == Some(404) => {
                self.opened.invalidate(&hash).await;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        // The session of an app's own host is no session of these pages.
        if found.session.app_session.is_some() {
            return Ok(None);
        }
        if let Some(opened) = self.opened.get(&hash).await {
            return Ok(Some(opened));
        }
        let (identity, client) = self.act_as(token.open(&found.sealed)?)?;
        let opened = Arc::new(Opened {
            seen: AtomicI64::new(found.session.last_seen.as_second()),
            session: found.session,
            identity,
            client,
        });
        self.opened.insert(hash, Arc::clone(&opened)).await;
        Ok(Some(opened))
    }

    /// Tells the Auth Service, once a minute, so that the session does not end for being idle.
    async fn note_use(&self, opened: &Opened, now: SystemTime) -> Result<bool, SessionError> {
        let now = Timestamp::try_from(now).unwrap_or(Timestamp::MAX).as_second();
        let seen = opened.seen.load(Ordering::Relaxed);
        if now.saturating_sub(seen) < SEEN_EVERY
            || opened
                .seen
                .compare_exchange(seen, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return Ok(true);
        }
        match self.auth.saw_web_session(&opened.session.id).await {
            Ok(()) => Ok(true),
            Err(error) if error.status() == Some(404) => Ok(false),
            Err(error) => {
                opened.seen.store(seen, Ordering::Relaxed);
                Err(error.into())
            }
        }
    }

    fn act_as(&self, credential: Credential) -> Result<(Identity, Client), SessionError> {
        let trust = self.trust.current();
        // The key is at hand and fits: `Credential` has seen to it.
        let identity = pki::identity_of(&credential.cert().chain(), &trust, self.clock.now())?;
        let tls = pki::tls::client(ClientTls {
            credential: Some(LiveCredential::new(credential)),
            servers: TrustedServers::Cluster(Arc::clone(&self.trust)),
            alpn: vec![wire::ALPN_AUTH.to_vec()],
            clock: self.clock.clone(),
        })?;
        let client = Client::new(self.auth.address(), tls)?;
        Ok((identity, client))
    }
}

fn is_before(now: SystemTime, end: Timestamp) -> bool {
    SystemTime::from(end) > now
}

/// A user who is signed in with a browser. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SignedIn(Arc<Inner>);

struct Inner {
    opened: Arc<Opened>,
    policy: Policy,
    now: SystemTime,
}

impl SignedIn {
    /// The Auth Service, as this user.
    pub(crate) fn client(&self) -> &Client {
        &self.0.opened.client
    }

    /// The session.
    pub(crate) fn session(&self) -> &WebSession {
        &self.0.opened.session
    }

    /// The session's id.
    pub(crate) fn id(&self) -> &WebSessionId {
        &self.session().id
    }

    /// The user's name.
    pub(crate) fn user(&self) -> &str {
        self.session().user.as_str()
    }

    /// Who this is, as the certificate says.
    pub(crate) fn identity(&self) -> &Identity {
        &self.0.opened.identity
    }

    /// What the certificate says.
    pub(crate) fn claims(&self) -> Option<&Claims> {
        self.identity().user()
    }

    /// The user's roles, as of now.
    pub(crate) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// The time of the request.
    pub(crate) fn now(&self) -> SystemTime {
        self.0.now
    }

    /// Whether a page is worth showing. The Auth Service decides again on every call.
    pub(crate) fn may(&self, verb: Verb, kind: &str) -> bool {
        let request =
            RuleRequest { verb, kind, resource: access::ResourceFacts::default(), now: self.now() };
        access::may(self.identity(), &request, self.policy()).is_ok()
    }
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignedIn({}, {})", self.session().user, self.session().id)
    }
}

/// Why a page of a signed-in user is not shown.
#[derive(Debug)]
pub(crate) enum NotShown {
    /// Nobody is signed in: a page leads to the sign-in and back.
    SignIn { back: Option<String> },
    /// It is not known who is signed in.
    Refused(Refusal),
}

impl IntoResponse for NotShown {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn { back } => {
                let mut response = Redirect::to(&links::sign_in(back.as_deref())).into_response();
                cookies::clear(response.headers_mut(), cookies::SESSION);
                response
            }
            Self::Refused(refusal) => refusal.into_response(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = NotShown;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NotShown> {
        let Some(web) = parts.extensions.get::<Arc<Web>>().cloned() else {
            return Err(NotShown::Refused(Refusal::broken()));
        };
        match web.signed_in(&parts.headers).await {
            Ok(Some(signed_in)) => Ok(signed_in),
            Ok(None) => {
                let is_page = parts.method == Method::GET;
                let back = parts.uri.path_and_query().filter(|_| is_page);
                Err(NotShown::SignIn { back: back.map(ToString::to_string) })
            }
            Err(refusal) => Err(NotShown::Refused(refusal)),
        }
    }
}

impl Web {
    /// Who is signed in by the request's cookie; `None` for nobody.
    pub(crate) async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, Refusal> {
        let Some(token) = token_of(headers) else { return Ok(None) };
        match self.browsers.resume(&token).await {
            Ok(found) => Ok(found),
            Err(SessionError::Auth(error)) => Err(Refusal::of_auth(Kind::Page, &error)),
            Err(error) => {
                warn!(error = %Chain(&error), "a web session cannot be opened");
                Ok(None)
            }
        }
    }
}

/// The token in the session's cookie.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<Token> {
    cookies::read(headers, cookies::SESSION).and_then(Token::parse)
}

/// The user's session could not be begun.
pub(crate) fn not_begun(error: &SessionError) -> Refusal {
    if let SessionError::Auth(error) = error {
        return Refusal::of_auth(Kind::Page, error);
    }
    warn!(error = %Chain(error), "a web session could not be begun");
    Refusal::new(Kind::Page, StatusCode::INTERNAL_SERVER_ERROR, "your session could not be begun")
        .with_hint("try again; if it lasts, tell the administrator of this cluster")
}
