//! Starts the local proxy for app sessions of a login.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::app_session::SavedSession;
use super::context::{Context, Login};
use super::key_book::KeyBook;
use super::local_ca::Place;
use super::local_proxy::{Desk, LocalProxy, Mode, Settings, ThrowawayKeys, Upstream};
use super::session_ring::{Scope, SessionRing, Setup};
use crate::edge;
use crate::failure::{Failure, OrFail as _};

/// How AWS tools reach the local proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// As their HTTPS proxy.
    HttpsProxy,
    /// As their endpoint URL.
    EndpointUrl,
}

/// What a local proxy is to serve.
#[derive(Debug)]
pub struct Plan {
    /// How tools reach it.
    pub door: Door,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Names and addresses that tools on other machines reach it by, beyond those of this machine.
    pub names: Vec<String>,
    /// Which sessions.
    pub scope: Scope,
    /// The sessions that are meant from the start.
    pub sessions: Vec<SavedSession>,
}

/// A running local proxy with what AWS tools need to use it.
#[derive(Debug)]
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// The sessions that were meant at the start, each with what to sign with.
    pub pairs: Vec<(SavedSession, ThrowawayKeys)>,
    /// `AWS_CA_BUNDLE`.
    pub ca_bundle: PathBuf,
    /// The sessions that it serves.
    pub ring: Arc<SessionRing>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// Starts a local proxy.
    ///
    /// # Errors
    /// When the port cannot be had, or files of the login cannot be used.
    pub async fn start(context: &Context, login: &Login, plan: Plan) -> Result<Self, Failure> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let now = (context.now)();
        let pairs = pairs(context, login, &plan.sessions)?;
        let place = place(context, login, &plan);
        let ends = plan.sessions.iter().map(|session| session.claims.expires);
        let until = ends.max().unwrap_or(login.claims.expires);
        let local_ca = place.authority(now, until)?;
        let ca_bundle = place.cert.clone();
        let setup = Setup {
            context: context.clone(),
            login: login.clone(),
            place,
            local_ca: local_ca.clone(),
            tasks: tasks.clone(),
            stop: stop.clone(),
        };
        let mode = match plan.door {
            Door::HttpsProxy => Mode::HttpsProxy(upstream()?),
            Door::EndpointUrl => Mode::EndpointUrl,
        };
        let ring = Arc::new(SessionRing::new(setup, plan.scope));
        let desk = Desk { ring: Arc::clone(&ring) as _, now: context.now };
        let Plan { listen, names, .. } = plan;
        let settings = Settings { mode, listen, names, local_ca, desk };
        let proxy = LocalProxy::start(settings, &tasks, &stop)
            .await
            .map_err(|error| Failure::of(&error))?;
        for (session, keys) in &pairs {
            ring.serve(session.clone(), keys)?;
        }
        Ok(Self { address: proxy.address(), pairs, ca_bundle, ring, tasks, stop })
    }

    /// Stops listening and lets open requests go.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // Nothing here waits for the network: this ends as soon as the tasks notice.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.tasks.wait()).await;
    }
}

/// The app's own local authority, or the one of all apps where several are served.
fn place(context: &Context, login: &Login, plan: &Plan) -> Place {
    let mut apps = plan.sessions.iter().map(|session| &session.app);
    match (apps.next(), &plan.scope) {
        (Some(first), _) if apps.all(|app| app == first) => Place::of_app(context, login, first),
        (_, Scope::App(app) | Scope::Session(app, _)) => Place::of_app(context, login, app),
        _ => Place::of_login(context, login),
    }
}

/// Keys fixed in the environment, or those of the key book.
fn pairs(
    context: &Context,
    login: &Login,
    sessions: &[SavedSession],
) -> Result<Vec<(SavedSession, ThrowawayKeys)>, Failure> {
    let fixed = ThrowawayKeys::fixed(
        edge::variable("TELEPORT_AWS_ACCESS_KEY_ID"),
        edge::variable("TELEPORT_AWS_SECRET_ACCESS_KEY"),
    )
    .map_err(|error| Failure::misuse(error.to_string()))?;
    if let Some(keys) = fixed {
        let [only] = sessions else {
            return Err(Failure::misuse(format!(
                "TELEPORT_AWS_ACCESS_KEY_ID fixes the keys of one app session, and {} are meant",
                sessions.len()
            ))
            .with_hint("choose one with --app and --aws-role"));
        };
        return Ok(vec![(only.clone(), keys)]);
    }
    let (book, now) = (KeyBook::of(context, login), (context.now)());
    let pairs = sessions.iter().map(|session| Ok((session.clone(), book.pair(session, now)?)));
    pairs.collect()
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
