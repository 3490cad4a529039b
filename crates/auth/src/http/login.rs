//! `/v1/login`: proxies only, for people who have no certificate yet.

use std::sync::Arc;

use access::SystemRole;
use api::types::login::{LoginChallenge, LoginChallengeRequest, LoginForm, LoginReply};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::Sent;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::login as rule;
use crate::refusal::Refusal;

pub(super) async fn login(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(form): Sent<LoginForm>,
) -> Result<Json<LoginReply>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::login(&cluster, form).await.map(Json)
}

pub(super) async fn begin(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<LoginChallengeRequest>,
) -> Result<Json<LoginChallenge>, Refusal> {
    cluster.service(&caller, &[SystemRole::Proxy]).await?;
    rule::begin(&cluster, request).await.map(Json)
}
