//! What stands before every page: the twin of the form's token, and no form from elsewhere.
//!
//! A form counts only if the browser says that one of our own pages sent it, and if its `csrf`
//! field is that of the visitor's cookie, which no other site and no app's subdomain can set.
//! This is checked here, before any handler runs, so that no handler can forget it.

use std::sync::Arc;

use axum::Form;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest as _, FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{Method, StatusCode};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use tracing::{info, warn};

use super::refusal::{Kind, Refusal};
use super::{Web, cookies, origin, session};

/// Largest form, bytes: a role may be long.
const FORM_LIMIT: usize = 512 * 1024;
/// Largest form of somebody who is not signed in, bytes: it is read before anything is known of them.
const STRANGERS_LIMIT: usize = 64 * 1024;

/// Whoever looks at a page, signed in or not.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// For the forms of the page.
    pub(crate) csrf: Arc<str>,
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            warn!(path = parts.uri.path(), "a page without its guard");
            Refusal::new(Kind::Page, StatusCode::INTERNAL_SERVER_ERROR, "the page is not set up")
        })
    }
}

/// Only the token of a form; the rest is the handler's.
#[derive(Deserialize)]
struct Guarded {
    #[serde(default)]
    csrf: String,
}

/// Lets a page be seen, and a form through if it is ours.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let held = cookies::read(request.headers(), cookies::CSRF)
        .filter(|text| session::is_random_text(text))
        .map(Arc::<str>::from);
    let (csrf, is_new) = match held {
        Some(held) => (held, false),
        None => match session::random_text() {
            Ok(drawn) => (Arc::from(drawn.as_str()), true),
            Err(error) => {
                warn!(%error, "no random bytes");
                return Refusal::broken().into_response();
            }
        },
    };
    let mut request = request;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        // A token that was drawn just now is in no form.
        let expected = if is_new { None } else { Some(&*csrf) };
        request = match Box::pin(checked(request, expected)).await {
            Ok(request) => request,
            Err(refusal) => return refusal.into_response(),
        };
    }
    request.extensions_mut().insert(Visitor { csrf: Arc::clone(&csrf) });
    let mut response = next.run(request).await;
    if is_new {
        cookies::set(response.headers_mut(), cookies::CSRF, &csrf, None);
    }
    response
}

/// The request, with its body read, if it is a form of ours.
async fn checked(request: Request, expected: Option<&str>) -> Result<Request, Refusal> {
    let Some(web) = request.extensions().get::<Arc<Web>>() else {
        return Err(Refusal::broken());
    };
    if !origin::is_own(&request, &web.public_addr) {
        info!(path = %logged_path(&request), "a form from another site was refused");
        return Err(foreign("the form was sent from another site"));
    }
    let is_stranger = web.signed_in(request.headers()).await?.is_none();
    let limit = if is_stranger { STRANGERS_LIMIT } else { FORM_LIMIT };
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, limit).await.map_err(|_| {
        Refusal::new(Kind::Page, StatusCode::PAYLOAD_TOO_LARGE, "the form is too large")
            .with_hint(format!("shorten what you typed; a form may have {} KiB", limit / 1024))
    })?;
    let copy = Request::from_parts(parts.clone(), Body::from(bytes.clone()));
    let form = Form::<Guarded>::from_request(copy, &()).await;
    let Form(Guarded { csrf }) = form.map_err(|rejection| {
        Refusal::new(Kind::Page, rejection.status(), "the form cannot be read")
            .with_hint("open the page again and fill in the form there")
    })?;
    let is_twin =
        expected.is_some_and(|expected| bool::from(csrf.as_bytes().ct_eq(expected.as_bytes())));
    if !is_twin {
        return Err(foreign("the page that you sent the form from is too old"));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

fn foreign(message: &str) -> Refusal {
    Refusal::new(Kind::Page, StatusCode::FORBIDDEN, message).with_hint(
        "open the page again and send the form from there; your browser must allow cookies",
    )
}

/// A path of ours may hold an invite's token: only its first two parts are logged.
fn logged_path(request: &Request) -> String {
    request.uri().path().split('/').take(3).collect::<Vec<_>>().join("/")
}
