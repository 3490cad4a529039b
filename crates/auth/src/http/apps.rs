//! `GET /v1/apps`: the apps that a member may see.

use std::sync::Arc;

use access::App;
use axum::Json;
use axum::extract::{Extension, State};

use crate::apps as rule;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;

pub(super) async fn list(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<App>>, Refusal> {
    let member = caller.member(cluster.now())?;
    rule::visible_apps(&cluster, member).await.map(Json)
}
