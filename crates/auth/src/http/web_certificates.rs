//! `/v1/web-certificates`, `/v1/acme-account`, `/v1/acme-answers`: proxies alone.

use std::sync::Arc;

use access::SystemRole;
use api::types::web_certificates::{
    AcmeAccount, AcmeAccountQuery, AcmeAnswer, Lease, LeaseRequest, WebCertificate,
    WebCertificateListed,
};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Asked, Segment, Sent};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::web_certificates as rule;

const PROXY: &[SystemRole] = &[SystemRole::Proxy];

pub(super) async fn list(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<WebCertificateListed>>, Refusal> {
    cluster.service(&caller, PROXY).await?;
    rule::list(&cluster).await.map(Json)
}

pub(super) async fn get(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<String>,
) -> Result<Json<WebCertificate>, Refusal> {
    cluster.service(&caller, PROXY).await?;
    rule::get(&cluster, name).await.map(Json)
}

pub(super) async fn put(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<String>,
    Sent(certificate): Sent<WebCertificate>,
) -> Result<Json<()>, Refusal> {
    let host = cluster.service(&caller, PROXY).await?;
    rule::put(&cluster, &host.host_id, name, certificate).await.map(Json)
}

pub(super) async fn delete(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<String>,
) -> Result<Json<()>, Refusal> {
    cluster.service(&caller, PROXY).await?;
    rule::delete(&cluster, name).await.map(Json)
}

pub(super) async fn lease(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<String>,
    Sent(request): Sent<LeaseRequest>,
) -> Result<Json<Lease>, Refusal> {
    let host = cluster.service(&caller, PROXY).await?;
    rule::lease(&cluster, &host.host_id, name, request).await.map(Json)
}

pub(super) async fn account(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<AcmeAccountQuery>,
) -> Result<Json<AcmeAccount>, Refusal> {
    cluster.service(&caller, PROXY).await?;
    rule::account(&cluster, query.directory).await.map(Json)
}

pub(super) async fn put_account(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(account): Sent<AcmeAccount>,
) -> Result<Json<AcmeAccount>, Refusal> {
    cluster.service(&caller, PROXY).await?;
    rule::put_account(&cluster, account).await.map(Json)
}

pub(super) async fn answer(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<String>,
) -> Result<Json<AcmeAnswer>, Refusal> {
    cluster.service(&caller, PROXY).await?;
    rule::answer(&cluster, name).await.map(Json)
}

pub(super) async fn put_answer(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<String>,
    Sent(answer): Sent<AcmeAnswer>,
) -> Result<Json<()>, Refusal> {
    let host = cluster.service(&caller, PROXY).await?;
    rule::put_answer(&cluster, &host.host_id, name, answer).await.map(Json)
}

pub(super) async fn delete_answer(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(name): Segment<String>,
) -> Result<Json<()>, Refusal> {
    cluster.service(&caller, PROXY).await?;
    rule::delete_answer(&cluster, name).await.map(Json)
}
