//! `/v1/app-sessions`: people, with the certificate of their login.

use std::sync::Arc;

use access::AppSessionId;
use api::types::app_sessions::{AppSessionReply, AppSessionRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Segment, Sent};
use crate::app_sessions as rule;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;

pub(super) async fn open(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<AppSessionRequest>,
) -> Result<Json<AppSessionReply>, Refusal> {
    rule::open(&cluster, &caller, request).await.map(Json)
}

pub(super) async fn end(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment<AppSessionId>,
) -> Result<Json<()>, Refusal> {
    rule::end(&cluster, &caller, id).await.map(Json)
}
