//! `/v1/app-delegates`: proxies.

use std::sync::Arc;

use access::SystemRole;
use api::types::app_delegates::{AppDelegateReply, AppDelegateRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::Sent;
use crate::app_delegates as rule;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;

pub(super) async fn make(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<AppDelegateRequest>,
) -> Result<Json<AppDelegateReply>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::make(&cluster, request).await.map(Json)
}
