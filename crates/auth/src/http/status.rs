//! `/v1/status` for members, `/v1/ping` for proxies.

use std::sync::Arc;

use access::SystemRole;
use api::types::ping::Ping;
use api::types::status::Status;
use axum::Json;
use axum::extract::{Extension, State};

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::status as rule;

pub(super) async fn status(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Status>, Refusal> {
    caller.member(cluster.now())?;
    Ok(Json(rule::status(&cluster)))
}

pub(super) async fn ping(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Ping>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    Ok(Json(rule::ping(&cluster)))
}
