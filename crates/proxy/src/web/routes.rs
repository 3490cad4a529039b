//! Where each page is. Before every one of them stands the [`guard`].

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use super::pages::go;
use super::pages::{
    account, agents, apps, audit, export, factors, launch, locks, overview, roles, terminal,
    tokens, tsh, users,
};
use super::{guard, invites, links, sign_in};

/// Largest form, bytes; the guard has the same limit.
const FORM_LIMIT: usize = 512 * 1024;

/// All pages.
pub(crate) fn pages() -> Router {
    Router::new()
        .route("/web", get(|| async { go(links::HOME) }))
        .route("/web/", get(|| async { go(links::HOME) }))
        .route("/web/login", get(sign_in::show).post(sign_in::name))
        .route("/web/login/factor", get(sign_in::show_factor).post(sign_in::prove))
        .route("/web/logout", post(sign_in::leave))
        .route("/web/invite/{token}", get(invites::show).post(invites::choose))
        .route("/web/invite/{token}/factor", get(invites::show_factor).post(invites::prove))
        .route("/web/launch/aws/{app}", post(launch::console))
        .route("/web/launch/{host}", get(launch::web).post(launch::web_proved))
        .route("/web/terminal", get(terminal::show))
        .route("/web/tsh", get(tsh::show).post(tsh::approve))
        .route("/web/apps", get(apps::list))
        .route("/web/apps/{name}", get(apps::show))
        .merge(own())
        .merge(cluster())
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(from_fn(guard::guard))
}

/// The user's own account.
fn own() -> Router {
    Router::new()
        .route("/web/account", get(account::show))
        .route("/web/account/password", get(account::show_password).post(account::set_password))
        .route("/web/account/browsers/{id}/end", post(account::end_browser))
        .route("/web/account/apps/{id}/end", post(account::end_app))
        .route("/web/account/factors/new", get(factors::show_new).post(factors::begin))
        .route("/web/account/factors", post(factors::finish))
        .route("/web/account/factors/{id}/remove", get(factors::show_remove).post(factors::remove))
}

/// The cluster, for those whose roles let them.
fn cluster() -> Router {
    Router::new()
        .route("/web/overview", get(overview::show))
        .route("/web/audit", get(audit::list))
        .route("/web/audit/follow", get(audit::follow))
        .route("/web/audit/export", get(export::export))
        .route("/web/audit/{id}", get(audit::show))
        .route("/web/users", get(users::list))
        .route("/web/users/new", get(users::show_new).post(users::create))
        .route("/web/users/{name}", get(users::show))
        .route("/web/users/{name}/edit", get(users::show_edit).post(users::edit))
        .route("/web/users/{name}/yaml", get(users::show_yaml).post(users::set_yaml))
        .route("/web/users/{name}/reset", get(users::show_reset).post(users::reset))
        .route("/web/users/{name}/delete", get(users::show_delete).post(users::delete))
        .route("/web/tokens", get(tokens::list))
        .route("/web/tokens/new", get(tokens::show_new).post(tokens::create))
        .route("/web/tokens/delete", post(tokens::delete))
        .route("/web/agents", get(agents::list))
        .route("/web/agents/{id}", get(agents::show))
        .route("/web/locks", get(locks::list))
        .route("/web/locks/new", get(locks::show_new).post(locks::create))
        .route("/web/locks/{name}/delete", post(locks::delete))
        .route("/web/roles", get(roles::list))
        .route("/web/roles/new", get(roles::show_new).post(roles::create))
        .route("/web/roles/{name}", get(roles::show).post(roles::update))
        .route("/web/roles/{name}/delete", get(roles::show_delete).post(roles::delete))
}
