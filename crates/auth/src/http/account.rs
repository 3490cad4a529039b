//! `/v1/mfa`, `/v1/account` and `/v1/browser-codes`: people, about themselves.

use std::sync::Arc;

use api::types::browser_codes::{BrowserCode, BrowserCodeRequest};
use api::types::mfa::{
    DeviceRemoval, DeviceRequest, Enrolment, EnrolmentRequest, MfaChallenge, MfaDevice,
    PasswordChange,
};
use axum::Json;
use axum::extract::{Extension, State};

use super::body::{Segment, Sent};
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::{account, browser_codes, mfa};

pub(super) async fn devices(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Vec<MfaDevice>>, Refusal> {
    mfa::list(&cluster, &caller).await.map(Json)
}

pub(super) async fn challenge(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<MfaChallenge>, Refusal> {
    mfa::challenge(&cluster, &caller).await.map(Json)
}

pub(super) async fn begin_enrolment(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<EnrolmentRequest>,
) -> Result<Json<Enrolment>, Refusal> {
    mfa::begin(&cluster, &caller, request).await.map(Json)
}

pub(super) async fn finish_enrolment(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<DeviceRequest>,
) -> Result<Json<MfaDevice>, Refusal> {
    mfa::finish(&cluster, &caller, request).await.map(Json)
}

pub(super) async fn remove_device(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment<String>,
    Sent(removal): Sent<DeviceRemoval>,
) -> Result<Json<()>, Refusal> {
    mfa::remove(&cluster, &caller, (id, removal)).await.map(Json)
}

pub(super) async fn change_password(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(change): Sent<PasswordChange>,
) -> Result<Json<()>, Refusal> {
    account::change_password(&cluster, &caller, change).await.map(Json)
}

pub(super) async fn browser_code(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    Sent(request): Sent<BrowserCodeRequest>,
) -> Result<Json<BrowserCode>, Refusal> {
    browser_codes::make(&cluster, &caller, request).await.map(Json)
}
