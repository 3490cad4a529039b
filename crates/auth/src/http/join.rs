//! `POST /v1/join`: strangers, and proxies that pass a stranger's request on.

use std::sync::Arc;

use access::SystemRole;
use api::types::join::{JoinReply, JoinRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::Sent;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::join as rule;
use crate::refusal::Refusal;

pub(super) async fn join(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<JoinRequest>,
) -> Result<Json<JoinReply>, Refusal> {
    if !caller.is_stranger() {
        cluster.service(&caller, &[SystemRole::Proxy]).await?;
    }
    rule::join(&cluster, &caller, request).await.map(Json)
}
