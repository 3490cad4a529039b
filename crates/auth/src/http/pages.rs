//! `/v1/resource-pages` for admins, `/v1/app-pages` for members.

use std::sync::Arc;

use api::resource::Kind;
use api::types::pages::{AppPage, PageQuery, ResourcePage};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Asked, Segment};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::pages as rule;
use crate::refusal::Refusal;

pub(super) async fn resources(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(kind): Segment<Kind>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<ResourcePage>, Refusal> {
    rule::resources(&cluster, &caller, kind, query).await.map(Json)
}

pub(super) async fn apps(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<AppPage>, Refusal> {
    let member = caller.member(cluster.now())?;
    rule::apps(&cluster, member, query).await.map(Json)
}
