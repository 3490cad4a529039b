//! The web API: login of people and joining of services, relayed to the Auth Service.

use std::sync::Arc;
use std::time::Duration;

use api::types::join::{JoinReply, JoinRequest};
use api::types::login::{LoginReply, LoginRequest};
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use tracing::info;

use super::refusal::{Kind, Refusal};
use super::{Peer, Web};

/// `POST /webapi/login`.
pub(crate) async fn login(
    Extension(web): Extension<Arc<Web>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Result<Json<LoginRequest>, JsonRejection>,
) -> Result<Json<LoginReply>, Refusal> {
    web.logins.admit(peer).map_err(too_often)?;
    let Json(mut request) = body.map_err(|rejection| unreadable(&rejection))?;
    // Whatever the client wrote there: the address is the one that we see.
    request.remote_addr = Some(peer.to_string());
    let reply = web.auth.login(&request).await.map_err(|e| Refusal::of_auth(Kind::Api, &e))?;
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
