//! The web API: login of people and joining of services, relayed to the Auth Service.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::ApiError;
use api::types::join::{JoinReply, JoinRequest};
use api::types::login::{
    BrowserLogin, ChallengeLogin, LoginChallenge, LoginChallengeRequest, LoginForm, LoginReply,
    LoginRequest,
};
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use tracing::info;

use super::refusal::{Kind, Refusal};
use super::{Peer, Web};

/// `POST /webapi/login`: in one step, or the second of two.
pub(crate) async fn login(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Result<Json<LoginForm>, JsonRejection>,
) -> Result<Json<LoginReply>, Refusal> {
    web.logins.admit(peer).map_err(too_often)?;
    let Json(form) = body.map_err(|rejection| unreadable(&rejection))?;
    // Whatever the client wrote there: the address is the one that we see.
    let remote_addr = Some(peer.to_string());
    let reply = match form {
        LoginForm::Password(request) => {
            web.auth.login(&LoginRequest { remote_addr, ..request }).await
        }
        LoginForm::Challenge(request) => {
            web.auth.finish_login(&ChallengeLogin { remote_addr, ..request }).await
        }
        LoginForm::Browser(request) => {
            web.auth.login_by_browser(&BrowserLogin { remote_addr, ..request }).await
        }
    };
    logged_in(peer, reply)
}

/// `POST /webapi/login/challenges`.
pub(crate) async fn begin_login(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Result<Json<LoginChallengeRequest>, JsonRejection>,
) -> Result<Json<LoginChallenge>, Refusal> {
    web.logins.admit(peer).map_err(too_often)?;
    let Json(mut request) = body.map_err(|rejection| unreadable(&rejection))?;
    request.remote_addr = Some(peer.to_string());
    web.auth.begin_login(&request).await.map(Json).map_err(|e| Refusal::of_auth(Kind::Api, &e))
}

/// `POST /webapi/login/code`.
pub(crate) async fn login_by_browser(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Result<Json<BrowserLogin>, JsonRejection>,
) -> Result<Json<LoginReply>, Refusal> {
    web.logins.admit(peer).map_err(too_often)?;
    let Json(mut request) = body.map_err(|rejection| unreadable(&rejection))?;
    request.remote_addr = Some(peer.to_string());
    logged_in(peer, web.auth.login_by_browser(&request).await)
}

fn logged_in(
    peer: IpAddr,
    reply: Result<LoginReply, ApiError>,
) -> Result<Json<LoginReply>, Refusal> {
    let reply = reply.map_err(|e| Refusal::of_auth(Kind::Api, &e))?;
    info!(user = %reply.user, %peer, "user logged in");
    Ok(Json(reply))
}

/// `POST /webapi/host/credentials`.
pub(crate) async fn join(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Result<Json<JoinRequest>, JsonRejection>,
) -> Result<Json<JoinReply>, Refusal> {
    web.joins.admit(peer).map_err(too_often)?;
    let Json(request) = body.map_err(|rejection| unreadable(&rejection))?;
    let reply = web.auth.join(&request).await.map_err(|e| Refusal::of_auth(Kind::Api, &e))?;
    info!(host_id = %request.host_id, %peer, "service joined");
    Ok(Json(reply))
}

fn too_often(wait: Duration) -> Refusal {
    Refusal::too_often(Kind::Api, wait)
}

/// The reader's own words may quote the body, and with it a password: they are not passed on.
fn unreadable(rejection: &JsonRejection) -> Refusal {
    let message = match rejection {
        JsonRejection::MissingJsonContentType(_) => "the body must be application/json",
        JsonRejection::JsonSyntaxError(_) => "the body is not valid JSON",
        JsonRejection::JsonDataError(_) => {
            "the body lacks a field, or has one that is unknown or of another type"
        }
        _ => "the body is too large or could not be read",
    };
    Refusal::new(Kind::Api, rejection.status(), message)
}
