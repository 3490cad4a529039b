//! `/v1/audit`: agents and proxies store, admins and auditors search and verify.

use std::sync::Arc;

use access::SystemRole;
use access::rules::Verb;
use api::types::audit::{AuditEntry, AuditPage, AuditQuery, AuditRow, AuditStored, AuditVerified};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Asked as Query, Batch, Segment};
use crate::audit as rule;
use crate::caller::Caller;
use crate::cluster::{Asked, Cluster};
use crate::refusal::Refusal;

/// What searching takes.
const READ: &[Verb] = &[Verb::List, Verb::Read];

pub(super) async fn store(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Batch(lines): Batch,
) -> Result<Json<AuditStored>, Refusal> {
    let host = caller.service(&[SystemRole::App, SystemRole::Proxy], cluster.now())?;
    rule::store(&cluster, host, lines).await.map(Json)
}

pub(super) async fn search(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Vec<AuditRow>>, Refusal> {
    cluster.authorize(&caller, &Asked::of(READ, "event")).await?;
    rule::search(&cluster, query).await.map(Json)
}

pub(super) async fn page(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditPage>, Refusal> {
    cluster.authorize(&caller, &Asked::of(READ, "event")).await?;
    rule::page(&cluster, query).await.map(Json)
}

pub(super) async fn entry(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment<String>,
) -> Result<Json<AuditEntry>, Refusal> {
    cluster.authorize(&caller, &Asked::of(READ, "event")).await?;
    rule::entry(&cluster, id).await.map(Json)
}

pub(super) async fn verify(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AuditVerified>, Refusal> {
    cluster.authorize(&caller, &Asked::of(READ, "event")).await?;
    rule::verify(&cluster).await.map(Json)
}
