//! `/v1/invites/{token}`: proxies only, for the holder of a link.

use std::sync::Arc;

use access::SystemRole;
use api::types::invites::{Invite, InviteAcceptance, InviteAccepted};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Segment, Sent};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::invites as rule;
use crate::refusal::Refusal;

pub(super) async fn show(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(token): Segment<String>,
) -> Result<Json<Invite>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::show(&cluster, &token).await.map(Json)
}

pub(super) async fn accept(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(token): Segment<String>,
    Sent(acceptance): Sent<InviteAcceptance>,
) -> Result<Json<InviteAccepted>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::accept(&cluster, &token, acceptance).await.map(Json)
}
