//! `/v1/app-tokens` for agents, `/v1/jwks` for members.

use std::sync::Arc;

use access::SystemRole;
use api::types::app_tokens::{AppToken, AppTokenRequest, JwkSet};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::Sent;
use crate::app_tokens as rule;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;

pub(super) async fn make(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<AppTokenRequest>,
) -> Result<Json<AppToken>, Refusal> {
    let agent = cluster.service(&caller, &[SystemRole::App]).await?;
    rule::make(&cluster, &agent, request.session).await.map(Json)
}

pub(super) async fn keys(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<JwkSet>, Refusal> {
    caller.member(cluster.now())?;
    rule::keys(&cluster).await.map(Json)
}
