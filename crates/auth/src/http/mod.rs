//! The doors: one file a noun. A door says who may come in, reads what was sent, asks one rule.

mod account;
mod app_delegates;
mod app_servers;
mod app_sessions;
mod app_tokens;
mod apps;
mod audit;
mod body;
mod invites;
mod join;
mod listener;
mod login;
mod overview;
mod pages;
mod reply;
mod resources;
mod status;
mod tokens;
mod users;
mod watch;
mod web_certificates;
mod web_sessions;

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
        .route(routes::LOGIN_CHALLENGES, post(login::begin))
        .route(routes::INVITE, get(invites::show).post(invites::accept))
        .route(routes::PING, get(status::ping))
        .route(routes::STATUS, get(status::status))
        .route(routes::OVERVIEW, get(overview::overview))
        .route(routes::RESOURCE_PAGE, get(pages::resources))
        .route(routes::APP_PAGE, get(pages::apps))
        .route(routes::WATCH, get(watch::watch))
        .route(routes::APP_SERVER, put(app_servers::announce).delete(app_servers::withdraw))
        .route(routes::APP_SERVERS, get(app_servers::list))
        .route(routes::APPS, get(apps::list))
        .route(routes::APP_SESSIONS, post(app_sessions::open).get(app_sessions::list))
        .route(routes::APP_SESSION, delete(app_sessions::end))
        .route(routes::APP_DELEGATES, post(app_delegates::make))
        .route(routes::APP_TOKENS, post(app_tokens::make))
        .route(routes::JWKS, get(app_tokens::keys))
        .merge(certificates())
        .merge(identity())
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

/// The doors to the shelf of web certificates.
fn certificates() -> Router<Arc<Cluster>> {
    use web_certificates as shelf;
    Router::new()
        .route(routes::WEB_CERTIFICATES, get(shelf::list))
        .route(routes::WEB_CERTIFICATE, get(shelf::get).put(shelf::put).delete(shelf::delete))
        .route(routes::WEB_CERTIFICATE_LEASE, post(shelf::lease))
        .route(routes::ACME_ACCOUNT, get(shelf::account).put(shelf::put_account))
        .route(
            routes::ACME_ANSWER,
            get(shelf::answer).put(shelf::put_answer).delete(shelf::delete_answer),
        )
}

/// The doors of web sessions and of what people do about their own accounts.
fn identity() -> Router<Arc<Cluster>> {
    Router::new()
        .route(routes::WEB_SESSIONS, get(web_sessions::list).post(web_sessions::open))
        .route(routes::WEB_SESSION_LOOKUP, post(web_sessions::find))
        .route(routes::WEB_SESSION, delete(web_sessions::end))
        .route(routes::WEB_SESSION_SEEN, put(web_sessions::saw))
        .route(routes::MFA_DEVICES, get(account::devices).post(account::finish_enrolment))
        .route(routes::MFA_DEVICE_REMOVE, post(account::remove_device))
        .route(routes::MFA_CHALLENGES, post(account::challenge))
        .route(routes::MFA_ENROLMENTS, post(account::begin_enrolment))
        .route(routes::ACCOUNT_PASSWORD, post(account::change_password))
        .route(routes::BROWSER_CODES, post(account::browser_code))
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
