//! The web road: TLS for strangers, the web API that `tsh` and new agents use
//! before they have a certificate, and the few pages that people see.
//!
//! There is no session, no cookie and no script here. Whatever is decided is
//! decided by the Auth Service: this relays, bounds and shows.

mod api_routes;
mod assets;
mod certificate;
mod headers;
mod invites;
mod origin;
mod pages;
mod ping;
mod qr;
mod rate;
mod refusal;
mod serve;

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

pub(crate) use self::certificate::WebCertificates;
pub(crate) use self::serve::WebRoad;
use crate::config::PublicAddr;

/// Largest body that is read, bytes.
const BODY_LIMIT: usize = 64 * 1024;
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
    logins: rate::RateLimit,
    joins: rate::RateLimit,
    invites: rate::RateLimit,
    last_ping: ping::LastPing,
}

impl Web {
    pub(crate) fn new(auth: Client, public_addr: PublicAddr, cluster: ClusterName) -> Self {
        Self {
            auth,
            public_addr,
            cluster,
            logins: rate::RateLimit::default(),
            joins: rate::RateLimit::default(),
            invites: rate::RateLimit::default(),
            last_ping: ping::LastPing::default(),
        }
    }

    /// All routes, once plain and once under `/v1`.
    pub(crate) fn routes(self) -> Router {
        let web = Arc::new(self);
        let routes = Router::new()
            .route(api::routes::WEB_PING, get(ping::ping))
            .route("/webapi/find", get(ping::ping))
            .route(api::routes::WEB_LOGIN, post(api_routes::login))
            .route(api::routes::WEB_LOGIN_CHALLENGES, post(api_routes::begin_login))
            .route(api::routes::WEB_LOGIN_CODE, post(api_routes::login_by_browser))
            .route(api::routes::WEB_JOIN, post(api_routes::join))
            .route("/web", get(invites::landing))
            .route(api::routes::WEB_INVITE, get(invites::show).post(invites::accept))
            .route("/web/assets/{name}", get(assets::asset));
        Router::new()
            .route("/", get(|| async { Redirect::to("/web") }))
            .route("/favicon.ico", get(assets::icon))
            .route("/web/", get(|| async { Redirect::to("/web") }))
            .merge(routes.clone())
            .nest("/v1", routes)
            .fallback(refusal::not_found)
            .method_not_allowed_fallback(refusal::method_not_allowed)
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(from_fn(within_deadline))
            .layer(from_fn(headers::harden))
            .layer(Extension(web))
    }
}

async fn within_deadline(request: Request, next: Next) -> Response {
    let kind = refusal::Kind::of(request.uri().path());
    match tokio::time::timeout(REQUEST_DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => refusal::Refusal::late(kind).into_response(),
    }
}
