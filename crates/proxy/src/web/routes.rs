//! Where each page is. Before every one of them stands the [`guard`].

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use super::pages::{account, apps, factors};
use super::{guard, invites, sign_in};

/// Largest form, bytes; the guard has the same limit.
const FORM_LIMIT: usize = 512 * 1024;

/// All pages.
pub(crate) fn pages() -> Router {
    Router::new()
        .route("/web/login", get(sign_in::show).post(sign_in::name))
        .route("/web/login/factor", get(sign_in::show_factor).post(sign_in::prove))
        .route("/web/logout", post(sign_in::leave))
        .route("/web/invite/{token}", get(invites::show).post(invites::choose))
        .route("/web/invite/{token}/factor", get(invites::show_factor).post(invites::prove))
        .route("/web/apps", get(apps::list))
        .route("/web/apps/{name}", get(apps::show))
        .merge(own())
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
