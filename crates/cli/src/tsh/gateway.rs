//! Starts the local proxy for an app session and keeps the session alive while it runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::AppName;
use api::wire;
use pki::{LiveCredential, LocalCa};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::app_session::{self, SavedSession};
use super::context::{Context, Login};
use super::local_proxy::{
    Desk, LocalKey, LocalProxy, Mode, Road, Route, SessionState, Settings, ThrowawayKeys, Upstream,
};
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;
use crate::{edge, moment};

/// How long before its end a session is renewed, at most.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Below this, the time to renew has come.
const SHORTEST: Duration = Duration::from_secs(1);
/// Pause after a renewal that failed.
const RETRY: Duration = Duration::from_secs(5);

/// How AWS tools reach the local proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// As their HTTPS proxy.
    HttpsProxy,
    /// As their endpoint URL.
    EndpointUrl,
}

/// A running local proxy with what AWS tools need to use it.
#[derive(Debug)]
pub struct Gateway {
    /// Its port on this machine.
    pub port: u16,
    /// What to sign with.
    pub keys: ThrowawayKeys,
    /// `AWS_CA_BUNDLE`.
    pub ca_bundle: PathBuf,
    /// When the app session ends unless it is renewed.
    pub session: Arc<SessionState>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// Starts the local proxy of an app session.
    ///
    /// # Errors
    /// When the port cannot be had, or files of the login cannot be used.
    pub async fn start(
        context: &Context,
        login: &Login,
        session: SavedSession,
        (door, port): (Door, u16),
    ) -> Result<Self, Failure> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let keys = keys(&session)?;
        let local_ca = app_session::local_ca(context, login, &session)?;
        let state = SessionState::new(session.app.clone(), session.claims.expires);
        let state = Arc::new(state);
        let credential = LiveCredential::new(session.credential.clone());
        let route = route(context, login, &session, &credential)?;
        let road = Road::open(route, &tasks, &stop);
        let key =
            LocalKey { keys: keys.verifier(), road: road.clone(), session: Arc::clone(&state) };
        let desk = Desk { ring: Arc::new(key), now: context.now };
        let mode = match door {
            Door::HttpsProxy => Mode::HttpsProxy(upstream()?),
            Door::EndpointUrl => Mode::EndpointUrl,
        };
        let settings = Settings { mode, port, local_ca: local_ca.clone(), desk };
        let proxy = LocalProxy::start(settings, &tasks, &stop)
            .await
            .map_err(|error| Failure::of(&error))?;
        let ca_bundle = context.home.app_files(&login.profile, &session.app).local_ca;
        let renewer = Renewer {
            context: context.clone(),
            app: session.app,
            road,
            state,
            credential,
            local_ca,
        };
        let (state, stopped) = (Arc::clone(&renewer.state), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = renewer.run() => {}
                () = stopped.cancelled() => {}
            }
        });
        let port = proxy.address().port();
        Ok(Self { port, keys, ca_bundle, session: state, tasks, stop })
    }

    /// Stops listening and lets open requests go.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // Nothing here waits for the network: this ends as soon as the tasks notice.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.tasks.wait()).await;
    }
}

/// Keys fixed in the environment, or keys of the session.
fn keys(session: &SavedSession) -> Result<ThrowawayKeys, Failure> {
    let fixed = ThrowawayKeys::fixed(
        edge::variable("TELEPORT_AWS_ACCESS_KEY_ID"),
        edge::variable("TELEPORT_AWS_SECRET_ACCESS_KEY"),
    )
    .map_err(|error| Failure::misuse(error.to_string()))?;
    let id = session.claims.app.as_ref().map_or("", |app| app.session.as_str());
    Ok(fixed.unwrap_or_else(|| {
        ThrowawayKeys::of_session(session.credential.key().secret_pem().expose(), id)
    }))
}

/// The user's own proxy settings, as curl and the AWS tools read them.
pub fn upstream() -> Result<Upstream, Failure> {
    let https = edge::variable("https_proxy").or_else(|| edge::variable("HTTPS_PROXY"));
    Upstream::parse(https.as_deref(), no_proxy().as_deref())
        .or_fail("the environment's proxy setting cannot be used")
}

/// The user's own `NO_PROXY`.
#[must_use]
pub fn no_proxy() -> Option<String> {
    edge::variable("no_proxy").or_else(|| edge::variable("NO_PROXY"))
}

fn route(
    context: &Context,
    login: &Login,
    session: &SavedSession,
    credential: &Arc<LiveCredential>,
) -> Result<Route, Failure> {
    let claims = session.claims.app.as_ref();
    let id = claims.map(|app| app.session.clone());
    let session = id.ok_or_else(|| Failure::new("the saved certificate is for no app session"))?;
    let tls = context.tls(login, credential, wire::ALPN_APP)?;
    Ok(Route { address: login.profile.web_proxy_addr.clone(), session, tls })
}

/// Renews the app session before it ends, while the user's login lasts.
struct Renewer {
    context: Context,
    app: AppName,
    road: Road,
    state: Arc<SessionState>,
    credential: Arc<LiveCredential>,
    local_ca: LocalCa,
}

/// Whether the user has been told of the trouble that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Trouble,
}

/// What a try to renew came to.
enum Renewal {
    /// There is a new session.
    Done,
    /// Not now; try again.
    Later(Failure),
    /// The login ends as soon as the session: only the user can help.
    LoginEnds(SystemTime),
}

impl Renewer {
    async fn run(&self) {
        let mut output = Output::of_process();
        let mut told = Told::Nothing;
        let mut margin = self.margin();
        loop {
            tokio::select! {
                () = self.until_due(margin) => {}
                () = self.road.refused() => {
                    self.pick_up();
                    continue;
                }
            }
            let words = match self.renew().await {
                Renewal::Done => {
                    told = Told::Nothing;
                    margin = self.margin();
                    continue;
                }
                Renewal::LoginEnds(end) => format!(
                    "the login ends at {}; run `tsh login` in another terminal to go on",
                    moment::local(end)
                ),
                Renewal::Later(failure) => {
                    let text = failure.text().unwrap_or_default();
                    let reason = text.trim_start_matches("ERROR: ");
                    format!("could not renew the app session yet: {reason}")
                }
            };
            if told == Told::Nothing {
                output.warn(words);
            }
            told = Told::Trouble;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The running session was refused. If the user has logged in to the app again meanwhile, in
    /// another terminal, that session is taken up.
    fn pick_up(&self) {
        let Ok(login) = self.context.login() else { return };
        let Ok(Some(saved)) = app_session::saved(&self.context, &login, &self.app) else { return };
        let session = |claims: &access::Claims| claims.app.as_ref().map(|app| app.session.clone());
        let running = pki::unverified_claims(self.credential.current().cert());
        let is_running = running.is_ok_and(|claims| session(&claims) == session(&saved.claims));
        if is_running || saved.aws_role() != self.role().as_ref() {
            return;
        }
        if let Err(failure) = self.take(&login, saved) {
            debug!(%failure, "a new app session could not be taken up");
        }
    }

    /// How long before its end the session that has just begun is to be renewed.
    fn margin(&self) -> Duration {
        let left = moment::until(self.state.expires(), (self.context.now)());
        RENEW_BEFORE.min(left / 5)
    }

    /// Waits until the session is to be renewed.
    async fn until_due(&self, margin: Duration) {
        loop {
            let left = moment::until(self.state.expires(), (self.context.now)());
            let wait = left.saturating_sub(margin);
            if wait < SHORTEST {
                return;
            }
            // Woken at least each minute, because the clock may jump (a laptop that slept).
            tokio::time::sleep(wait.min(Duration::from_secs(60))).await;
        }
    }

    async fn renew(&self) -> Renewal {
        match self.try_renew().await {
            Ok(renewal) => renewal,
            Err(failure) => Renewal::Later(failure),
        }
    }

    async fn try_renew(&self) -> Result<Renewal, Failure> {
        // Read again: the user may have logged in anew, or into the app in another terminal.
        let login = self.context.login()?;
        let current = self.state.expires();
        if let Some(saved) = app_session::saved(&self.context, &login, &self.app)?
            && saved.claims.expires > current + Duration::from_secs(60)
            && saved.aws_role() == self.role().as_ref()
        {
            return self.take(&login, saved);
        }
        if login.claims.expires <= current + Duration::from_secs(60) {
            return Ok(Renewal::LoginEnds(login.claims.expires));
        }
        let client = self.context.client(&login)?;
        let role = self.role().map(|role| role.to_string());
        let session = app_session::open(&self.context, &login, &client, (&self.app, role)).await?;
        self.take(&login, session)
    }

    /// The role of the running session: a renewal never changes it.
    fn role(&self) -> Option<aws::RoleArn> {
        let claims = pki::unverified_claims(self.credential.current().cert()).ok()?;
        claims.app?.aws_role
    }

    fn take(&self, login: &Login, session: SavedSession) -> Result<Renewal, Failure> {
        app_session::restore_local_ca(&self.context, login, &self.app, &self.local_ca)?;
        self.credential.replace(session.credential.clone());
        self.road.replace(route(&self.context, login, &session, &self.credential)?);
        self.state.renewed(session.claims.expires);
        Ok(Renewal::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tsh::tests::{READER, Saved, now};

    fn renewer(saved: &Saved, running: SavedSession) -> Renewer {
        let context = saved.context();
        let login = context.login().unwrap();
        let credential = LiveCredential::new(running.credential.clone());
        let route = route(&context, &login, &running, &credential).unwrap();
        let local_ca = app_session::local_ca(&context, &login, &running).unwrap();
        let state = SessionState::new(running.app.clone(), running.claims.expires);
        let road = Road::open(route, &TaskTracker::new(), &CancellationToken::new());
        Renewer { context, app: running.app, road, state: Arc::new(state), credential, local_ca }
    }

    #[tokio::test]
    async fn a_session_that_ends_with_its_login_is_renewed_once_the_user_has_logged_in_again() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 60);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 60));
        let renewer = renewer(&saved, saved.sessions(&profile).remove(0));
        let end = now() + Duration::from_secs(60);
        assert!(matches!(renewer.try_renew().await, Ok(Renewal::LoginEnds(at)) if at == end));

        // Out and in again, in another terminal: the files that running tools read come back.
        saved.context().home.remove(&profile).unwrap();
        let profile = saved.log_in("localhost", 7_200);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        assert!(matches!(renewer.try_renew().await, Ok(Renewal::Done)));
        assert_eq!(renewer.state.expires(), now() + Duration::from_secs(3_600));
        let files = saved.context().home.app_files(&profile, &renewer.app);
        let bundle = std::fs::read_to_string(files.local_ca).unwrap();
        assert_eq!(bundle, renewer.local_ca.cert().as_str());
    }

    #[tokio::test]
    async fn a_session_with_another_role_is_never_taken_up() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 60));
        let renewer = renewer(&saved, saved.sessions(&profile).remove(0));
        saved.log_in_to_app(&profile, "aws", (Some("arn:aws:iam::123456789012:role/admin"), 3_600));
        renewer.pick_up();
        assert_eq!(renewer.state.expires(), now() + Duration::from_secs(60));
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        renewer.pick_up();
        assert_eq!(renewer.state.expires(), now() + Duration::from_secs(3_600));
    }
}
