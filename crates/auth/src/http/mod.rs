//! The doors: one file a noun. A door says who may come in, reads what was sent, asks one rule.

mod app_servers;
mod app_sessions;
mod apps;
mod audit;
mod body;
mod invites;
mod join;
mod listener;
mod login;
mod reply;
mod resources;
mod status;
mod tokens;
mod users;
mod watch;

use std::sync::Arc;

use api::routes;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::refusal::Refusal;

pub(crate) use listener::{serve, tls};

/// Every door.
pub(crate) fn router(cluster: Arc<Cluster>) -> Router {
    Router::new()
        .route(routes::JOIN, post(join::join))
        .route(routes::LOGIN, post(login::login))
        .route(routes::INVITE, get(invites::show).post(invites::accept))
        .route(routes::PING, get(status::ping))
        .route(routes::STATUS, get(status::status))
        .route(routes::WATCH, get(watch::watch))
        .route(routes::APP_SERVER, put(app_servers::announce).delete(app_servers::withdraw))
        .route(routes::APP_SERVERS, get(app_servers::list))
        .route(routes::APPS, get(apps::list))
        .route(routes::APP_SESSIONS, post(app_sessions::open))
        .route(routes::APP_SESSION, delete(app_sessions::end))
        .route(routes::USERS, post(users::add))
        .route(routes::USER_RESET, post(users::reset))
        .route(routes::TOKENS, post(tokens::add))
        .route(routes::RESOURCES, post(resources::put))
        .route(routes::RESOURCES_OF_KIND, get(resources::list))
        .route(routes::RESOURCE, get(resources::get).delete(resources::delete))
        .route(routes::AUDIT, get(audit::search).post(audit::store))
        .route(routes::AUDIT_PAGE, get(audit::page))
        .route(routes::AUDIT_ENTRY, get(audit::entry))
        .route(routes::AUDIT_VERIFY, get(audit::verify))
        .fallback(no_such_door)
        .method_not_allowed_fallback(no_such_door)
        .layer(from_fn_with_state(Arc::clone(&cluster), reply::note_denials))
        .layer(from_fn_with_state(Arc::clone(&cluster), in_time))
        .with_state(cluster)
}

async fn no_such_door() -> Refusal {
    Refusal::missing("the Auth Service has no such door")
        .hint("client and server may be of different versions")
}

/// No request lasts forever. A watch answers at once and then goes on by itself.
async fn in_time(State(cluster): State<Arc<Cluster>>, request: Request, next: Next) -> Response {
    match timeout(cluster.config.limits.request, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::busy("the request took too long").into_response(),
    }
}
