//! `/v1/users`: admins.

use std::sync::Arc;

use access::UserName;
use api::types::invites::InviteLink;
use api::types::users::{ResetRequest, UserRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Segment, Sent};
use crate::caller::Caller;
use crate::cluster::{Asked, Cluster};
use crate::refusal::Refusal;
use crate::users as rule;

pub(super) async fn add(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<UserRequest>,
) -> Result<Json<InviteLink>, Refusal> {
    let asked = Asked { name: Some(request.name.as_str()), ..Asked::of(rule::ADD, "user") };
    let actor = cluster.authorize(&caller, &asked).await?;
    rule::add(&cluster, actor, request).await.map(Json)
}

pub(super) async fn reset(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<UserName>,
    Sent(request): Sent<ResetRequest>,
) -> Result<Json<InviteLink>, Refusal> {
    let asked = Asked { name: Some(name.as_str()), ..Asked::of(rule::RESET, "user") };
    let actor = cluster.authorize(&caller, &asked).await?;
    rule::reset(&cluster, actor, name, request).await.map(Json)
}
