//! `/v1/resources`: admins.

use std::sync::Arc;

use api::Resource;
use api::resource::{Kind, PutReply, PutRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Segment, Sent};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::resources as rule;

pub(super) async fn put(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<PutRequest>,
) -> Result<Json<PutReply>, Refusal> {
    rule::put(&cluster, &caller, request).await.map(Json)
}

pub(super) async fn list(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(kind): Segment<Kind>,
) -> Result<Json<Vec<Resource>>, Refusal> {
    rule::list(&cluster, &caller, kind).await.map(Json)
}

pub(super) async fn get(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment((kind, name)): Segment<(Kind, String)>,
) -> Result<Json<Resource>, Refusal> {
    rule::get(&cluster, &caller, kind, name).await.map(Json)
}

pub(super) async fn delete(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment((kind, name)): Segment<(Kind, String)>,
) -> Result<Json<()>, Refusal> {
    rule::delete(&cluster, &caller, kind, name).await.map(Json)
}
