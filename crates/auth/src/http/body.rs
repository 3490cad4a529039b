//! Reading what was sent: bounded, and as the type that the door wants.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use bytes::Bytes;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// Largest body but for batches of audit events, bytes.
const LARGEST: usize = 1024 * 1024;
/// Largest batch of audit events, bytes.
const LARGEST_BATCH: usize = 8 * 1024 * 1024;

/// A JSON body of at most 1 MiB.
pub(super) struct Sent<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = bounded(request.into_body(), LARGEST).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let is_ours = error.is_data() || error.is_syntax() || error.is_eof();
            debug_assert!(is_ours, "nothing else can fail on bytes in memory");
            Refusal::invalid(format!("the body cannot be read: {error}"))
        })
    }
}

/// A batch of audit events, a line each.
pub(super) struct Batch(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Batch {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        bounded(request.into_body(), LARGEST_BATCH).await.map(Self)
    }
}

/// The one `{…}` segment, or both, of a route.
pub(super) struct Segment<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(value)| Self(value)).map_err(|bad| Refusal::invalid(bad.body_text()))
    }
}

/// The query string.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|bad| Refusal::invalid(bad.body_text()))
    }
}

async fn bounded(body: Body, largest: usize) -> Result<Bytes, Refusal> {
    use http_body_util::LengthLimitError;
    to_bytes(body, largest).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        if source.is_some_and(|source| source.is::<LengthLimitError>()) {
            return Refusal::too_large(format!("the body is larger than {largest} bytes"));
        }
        Refusal::invalid("the body broke off")
    })
}
