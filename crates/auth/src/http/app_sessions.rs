//! `/v1/app-sessions`: people, with the certificate of their login.

use std::sync::Arc;

use access::{AppSession, AppSessionId};
use api::types::app_sessions::{AppSessionQuery, AppSessionReply, AppSessionRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Asked, Segment, Sent};
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

pub(super) async fn list(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<AppSessionQuery>,
) -> Result<Json<Vec<AppSession>>, Refusal> {
    rule::list(&cluster, &caller, query).await.map(Json)
}

pub(super) async fn end(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment<AppSessionId>,
) -> Result<Json<()>, Refusal> {
    rule::end(&cluster, &caller, id).await.map(Json)
}
