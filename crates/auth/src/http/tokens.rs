//! `POST /v1/tokens`: admins.

use std::sync::Arc;

use access::rules::Verb;
use api::types::tokens::{TokenReply, TokenRequest};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::Sent;
use crate::caller::Caller;
use crate::cluster::{Asked, Cluster};
use crate::refusal::Refusal;
use crate::tokens as rule;

pub(super) async fn add(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<TokenRequest>,
) -> Result<Json<TokenReply>, Refusal> {
    let actor = cluster.authorize(&caller, &Asked::of(&[Verb::Create], "token")).await?;
    rule::add(&cluster, actor, request).await.map(Json)
}
