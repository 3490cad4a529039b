//! The web road: TLS for strangers, the web API that `tsh` and new agents use
//! before they have a certificate, and the pages that people see.
//!
//! A signed-in browser is a user certificate that is kept for it ([`as_user`]): each page asks the
//! Auth Service as that user. Whatever is decided is decided there: this relays, bounds and shows.

mod api_routes;
mod as_user;
mod assets;
pub(crate) mod cookies;
mod guard;
mod headers;
mod invites;
mod links;
mod origin;
mod page;
mod pages;
mod ping;
mod qr;
mod rate;
mod refusal;
mod routes;
mod serve;
mod session;
mod sign_in;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use access::ClusterName;
use api::Client;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::Method;

pub(crate) use self::as_user::{Browsers, SignedIn};
pub(crate) use self::serve::WebRoad;
pub(crate) use self::session::{Token, is_random_text, random_text};
use crate::agents::Agents;
use crate::apps::Apps;
use crate::config::{ProxyConfig, PublicAddr};
use crate::places::Places;

/// Largest body that is read, bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Requests with a body that are read at once, and so many of one address: with what a stranger's may
/// hold this bounds the memory that strangers can take.
const BODIES: (usize, usize) = (2_000, 200);
/// Longest that one request may take, from its head to the answer's head.
const REQUEST_DEADLINE: Duration = Duration::from_secs(40);

/// Where a request came from: the other end of its TCP connection, whatever any header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What the pages and the web API work with.
pub(crate) struct Web {
    auth: Client,
    public_addr: PublicAddr,
    cluster: ClusterName,
    browsers: as_user::Browsers,
    agents: Arc<Agents>,
    apps: Arc<Apps>,
    set_ups: invites::SetUps,
    logins: rate::RateLimit,
    joins: rate::RateLimit,
    invites: rate::RateLimit,
    bodies: Arc<Places>,
    last_ping: ping::LastPing,
}

impl Web {
    pub(crate) fn new(
        auth: Client,
        config: &ProxyConfig,
        browsers: Browsers,
        (agents, apps): (Arc<Agents>, Arc<Apps>),
    ) -> Self {
        Self {
            auth,
            public_addr: config.public_addr.clone(),
            cluster: config.cluster.clone(),
            browsers,
            agents,
            apps,
            set_ups: invites::SetUps::default(),
            logins: rate::RateLimit::default(),
            joins: rate::RateLimit::default(),
            invites: rate::RateLimit::default(),
            bodies: Places::new(BODIES.0, BODIES.1),
            last_ping: ping::LastPing::default(),
        }
    }

    /// All routes, those of programs also under `/v1`.
    pub(crate) fn routes(self) -> Router {
        let web = Arc::new(self);
        let programs = Router::new()
            .route(api::routes::WEB_PING, get(ping::ping))
            .route("/webapi/find", get(ping::ping))
            .route(api::routes::WEB_LOGIN, post(api_routes::login))
            .route(api::routes::WEB_LOGIN_CHALLENGES, post(api_routes::begin_login))
            .route(api::routes::WEB_LOGIN_CODE, post(api_routes::login_by_browser))
            .route(api::routes::WEB_JOIN, post(api_routes::join))
            .layer(DefaultBodyLimit::max(BODY_LIMIT));
        Router::new()
            .route("/", get(|| async { Redirect::to("/web") }))
            .route("/favicon.ico", get(assets::icon))
            .route("/web/assets/{name}", get(assets::asset))
            .merge(programs.clone())
            .nest("/v1", programs)
            .merge(routes::pages())
            .fallback(refusal::not_found)
            .method_not_allowed_fallback(refusal::method_not_allowed)
            .layer(from_fn(within_places))
            .layer(from_fn(within_deadline))
            .layer(from_fn(refusal::draw))
            .layer(from_fn(headers::harden))
            .layer(Extension(web))
    }
}

async fn within_places(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let Some(_place) = web.bodies.enter(peer) else {
        let kind = refusal::Kind::of(request.uri().path());
        return refusal::Refusal::too_often(kind, Duration::from_secs(1)).into_response();
    };
    next.run(request).await
}

async fn within_deadline(request: Request, next: Next) -> Response {
    let kind = refusal::Kind::of(request.uri().path());
    match tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal::Refusal::late(kind).into_response(),
    }
}
