//! `/v1/app-servers`: an agent's own record; the list for members.

use std::sync::Arc;

use access::{HostId, SystemRole};
use api::types::app_servers::AppServer;
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Segment, Sent};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::{app_servers as rule, apps};

pub(super) async fn announce(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(host): Segment<HostId>,
    Sent(server): Sent<AppServer>,
) -> Result<Json<()>, Refusal> {
    let agent = cluster.service(&caller, &[SystemRole::App]).await?;
    if server.host_id != host {
        return Err(Refusal::invalid("the path and the body name different hosts"));
    }
    rule::announce(&cluster, &agent, server).await.map(Json)
}

pub(super) async fn withdraw(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(host): Segment<HostId>,
) -> Result<Json<()>, Refusal> {
    let agent = cluster.service(&caller, &[SystemRole::App]).await?;
    rule::withdraw(&cluster, &agent, host).await.map(Json)
}

pub(super) async fn list(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<AppServer>>, Refusal> {
    let member = caller.member(cluster.now())?;
    apps::visible(&cluster, member).await.map(Json)
}
