//! Keeps one app session of a local proxy alive, and renews it before it ends, while the user's login lasts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::AppName;
use api::profile::Rank;
use api::wire;
use aws::RoleArn;
use pki::LiveCredential;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::app_session::{self, SavedSession};
use super::app_sessions;
use super::context::{Context, Login};
use super::key_book::KeyBook;
use super::local_proxy::{Road, Route, SessionState};
use super::session_ring::Setup;
use crate::failure::Failure;
use crate::moment;
use crate::output::Output;

/// How long before its end a session is renewed, at most.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// Below this, the time to renew has come.
const SHORTEST: Duration = Duration::from_secs(1);
/// Pause after a renewal that failed.
const RETRY: Duration = Duration::from_secs(5);

/// An app session in use: its road, and what keeps it alive.
#[derive(Debug)]
pub struct Running {
    /// The way to the agent.
    pub road: Road,
    /// When the session ends unless it is renewed.
    pub state: Arc<SessionState>,
    stop: CancellationToken,
}

impl Running {
    /// Ends the road. Gives `false`: it runs no more.
    pub fn end(&self) -> bool {
        self.stop.cancel();
        false
    }
}

/// Opens the road of a session, and keeps the session alive in the background.
///
/// # Errors
/// When files of the login cannot be used.
pub fn start(setup: &Setup, session: SavedSession) -> Result<Running, Failure> {
    let state = SessionState::new(session.app.clone(), session.claims.expires);
    let state = Arc::new(state);
    let credential = LiveCredential::new(session.credential.clone());
    let login = setup.context.again(&setup.login)?;
    let route = route(&setup.context, &login, &session, &credential)?;
    let stop = setup.stop.child_token();
    let road = Road::open(route, &setup.tasks, &stop);
    let renewer = Renewer {
        setup: setup.clone(),
        role: session.aws_role().cloned(),
        app: session.app,
        road: road.clone(),
        state: Arc::clone(&state),
        credential,
    };
    let stopped = stop.clone();
    setup.tasks.spawn(async move {
        tokio::select! {
            () = renewer.run() => {}
            () = stopped.cancelled() => {}
        }
    });
    Ok(Running { road, state, stop })
}

/// See the module.
struct Renewer {
    setup: Setup,
    app: AppName,
    /// A renewal never changes it.
    role: Option<RoleArn>,
    road: Road,
    state: Arc<SessionState>,
    credential: Arc<LiveCredential>,
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
        let Setup { context, login, .. } = &self.setup;
        let Ok(login) = context.again(login) else { return };
        let Some(saved) = app_sessions::saved_for(context, &login, self.meant()) else { return };
        let session = |claims: &access::Claims| claims.app.as_ref().map(|app| app.session.clone());
        let running = pki::unverified_claims(self.credential.current().cert());
        let is_running = running.is_ok_and(|claims| session(&claims) == session(&saved.claims));
        if is_running {
            return;
        }
        if let Err(failure) = self.take(&login, saved) {
            debug!(%failure, "a new app session could not be taken up");
        }
    }

    /// How long before its end the session that has just begun is to be renewed.
    fn margin(&self) -> Duration {
        let left = moment::until(self.state.expires(), (self.setup.context.now)());
        RENEW_BEFORE.min(left / 5)
    }

    /// Waits until the session is to be renewed.
    async fn until_due(&self, margin: Duration) {
        loop {
            let left = moment::until(self.state.expires(), (self.setup.context.now)());
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
        let context = &self.setup.context;
        let login = context.again(&self.setup.login)?;
        let current = self.state.expires();
        if let Some(saved) = app_sessions::saved_for(context, &login, self.meant())
            && saved.claims.expires > current + Duration::from_secs(60)
        {
            return self.take(&login, saved);
        }
        if login.claims.expires <= current + Duration::from_secs(60) {
            return Ok(Renewal::LoginEnds(login.claims.expires));
        }
        let client = context.client(&login)?;
        let role = self.role.as_ref().map(ToString::to_string);
        let wanted = (&self.app, role, Rank::Beside);
        let session = app_session::open(context, &login, &client, wanted).await?;
        self.take(&login, session)
    }

    fn meant(&self) -> (&AppName, Option<&RoleArn>) {
        (&self.app, self.role.as_ref())
    }

    fn take(&self, login: &Login, session: SavedSession) -> Result<Renewal, Failure> {
        let Setup { context, place, local_ca, .. } = &self.setup;
        place.restore(local_ca)?;
        KeyBook::of(context, login).renewed(&session, (context.now)())?;
        self.credential.replace(session.credential.clone());
        self.road.replace(route(context, login, &session, &self.credential)?);
        self.state.renewed(session.claims.expires);
        Ok(Renewal::Done)
    }
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

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::tsh::local_ca::Place;
    use crate::tsh::tests::{READER, Saved, now};

    fn renewer(saved: &Saved, running: SavedSession) -> Renewer {
        let context = saved.context();
        let login = context.login().unwrap();
        let credential = LiveCredential::new(running.credential.clone());
        let route = route(&context, &login, &running, &credential).unwrap();
        let place = Place::of_app(&context, &login, &running.app);
        let local_ca = place.authority(now(), running.claims.expires).unwrap();
        let state = Arc::new(SessionState::new(running.app.clone(), running.claims.expires));
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let road = Road::open(route, &tasks, &stop);
        let role = running.aws_role().cloned();
        let setup = Setup { context, login, place, local_ca, tasks, stop };
        Renewer { setup, role, app: running.app, road, state, credential }
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
        assert_eq!(bundle, renewer.setup.local_ca.cert().as_str());
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
