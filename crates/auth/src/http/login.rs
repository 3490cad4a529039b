//! `POST /v1/login`: proxies only, for people who have no certificate yet.

use std::sync::Arc;

use access::SystemRole;
use api::types::login::{LoginReply, LoginRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::Sent;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::login as rule;
use crate::refusal::Refusal;

pub(super) async fn login(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<LoginRequest>,
) -> Result<Json<LoginReply>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::login(&cluster, request).await.map(Json)
}
