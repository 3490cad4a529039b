//! `/v1/web-sessions`: people, with the certificate of their login; finding a session by its cookie
//! and noting its use are for proxies.

use std::sync::Arc;

use access::SystemRole;
use api::types::web_sessions::{
    WebSession, WebSessionFound, WebSessionId, WebSessionLookup, WebSessionRequest,
};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Segment, Sent};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::web_sessions as rule;

pub(super) async fn open(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<WebSessionRequest>,
) -> Result<Json<WebSession>, Refusal> {
    rule::open(&cluster, &caller, request).await.map(Json)
}

pub(super) async fn list(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<WebSession>>, Refusal> {
    rule::list(&cluster, &caller).await.map(Json)
}

pub(super) async fn find(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(lookup): Sent<WebSessionLookup>,
) -> Result<Json<WebSessionFound>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::find(&cluster, lookup.token_hash).await.map(Json)
}

pub(super) async fn saw(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment<WebSessionId>,
) -> Result<Json<()>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::saw(&cluster, id).await.map(Json)
}

pub(super) async fn end(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment<WebSessionId>,
) -> Result<Json<()>, Refusal> {
    rule::end(&cluster, &caller, id).await.map(Json)
}
