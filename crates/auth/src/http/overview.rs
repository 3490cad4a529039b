//! `GET /v1/overview`: whoever may see a part of it.

use std::sync::Arc;

use api::types::overview::{Overview, OverviewQuery};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::Asked;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::overview as rule;
use crate::refusal::Refusal;

pub(super) async fn overview(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<OverviewQuery>,
) -> Result<Json<Overview>, Refusal> {
    rule::overview(&cluster, &caller, query).await.map(Json)
}
