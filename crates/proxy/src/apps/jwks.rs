//! `/.well-known/jwks.json`: the keys with which apps check the tokens that say who their user is.

use std::sync::Arc;
use std::time::Duration;

use api::types::app_tokens::JwkSet;
use api::{ApiError, Client};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use moka::future::Cache;

/// How long the answer of the Auth Service is given again.
const FRESH: Duration = Duration::from_secs(60);

/// The keys.
pub(crate) struct Keys {
    auth: Client,
    kept: Cache<(), JwkSet>,
}

impl Keys {
    /// As the Auth Service knows them.
    pub(crate) fn new(auth: Client) -> Self {
        Self { auth, kept: Cache::builder().time_to_live(FRESH).build() }
    }

    /// The one route.
    pub(crate) fn routes(self) -> Router {
        Router::new().route("/.well-known/jwks.json", get(show)).with_state(Arc::new(self))
    }
}

async fn show(State(keys): State<Arc<Keys>>) -> Response {
    let fetched: Result<JwkSet, Arc<ApiError>> =
        keys.kept.try_get_with((), Box::pin(keys.auth.jwks())).await;
    match fetched {
        Ok(set) => {
            let fresh = HeaderValue::from_static("public, max-age=300");
            ([(header::CACHE_CONTROL, fresh)], Json(set)).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
