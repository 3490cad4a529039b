//! Where each page is. Before every one of them stands the [`guard`].

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{get, post};

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
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(from_fn(guard::guard))
}
