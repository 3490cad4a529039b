//! Writing refusals, and noting those that a known caller got for what it may not do.

use std::sync::Arc;

use ::audit::events::AuthFailure;
use access::SystemRole;
use api::error::Chain;
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{debug, error};

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::refusal::{Kind, Refusal};

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self.body())).into_response();
        match self.kind() {
            Kind::Broken => error!(error = %Chain(&self), "a request failed"),
            Kind::Denied => {
                response.extensions_mut().insert(Denied(self.to_string()));
            }
            _ => debug!(refusal = %self, "a request was refused"),
        }
        response
    }
}

/// What was denied, for the audit log.
#[derive(Debug, Clone)]
struct Denied(String);

/// Records that a known caller was denied something. What proxies pass on
/// (joining, logging in) records its own failures.
pub(super) async fn note_denials(
    State(cluster): State<Arc<Cluster>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let is_relayed = matches!(
        request.uri().path(),
        api::routes::JOIN | api::routes::LOGIN | api::routes::LOGIN_CHALLENGES
    );
    let has_own_event = is_relayed && caller.is(SystemRole::Proxy);
    let response = next.run(request).await;
    let denied = response.extensions().get::<Denied>().filter(|_| !has_own_event).cloned();
    let (Some(Denied(why)), Some(user)) = (denied, caller.name()) else { return response };
    let stamp = cluster.stamp(cluster.now());
    if cluster.failures.take(stamp.now) {
        let event = stamp.event(AuthFailure::new(Some(&user), why, Some(caller.remote())));
        if let Err(error) = cluster.store.write(move |tx| tx.record(&event)).await {
            error!(error = %Chain(&error), "could not record a denial");
        }
    }
    response
}
