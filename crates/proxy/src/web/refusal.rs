//! Answers that say no: JSON for programs, a page for people.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use api::ApiError;
use api::error::{Chain, ErrorBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode, Uri};
use tracing::warn;

use super::pages::{Frame, Here, Refused};
use super::{Web, cookies, session};

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A program.
    Api,
    /// A person.
    Page,
}

impl Kind {
    /// By the path alone.
    pub(crate) fn of(path: &str) -> Self {
        let path = path.strip_prefix("/v1").unwrap_or(path);
        if path.starts_with("/webapi/") { Self::Api } else { Self::Page }
    }
}

/// An answer that says no.
#[derive(Debug)]
pub(crate) struct Refusal {
    kind: Kind,
    status: StatusCode,
    message: String,
    hint: Option<String>,
    code: Option<String>,
    wait: Option<Duration>,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, status: StatusCode, message: impl Into<String>) -> Self {
        Self { kind, status, message: message.into(), hint: None, code: None, wait: None }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Too many requests from one address.
    pub(crate) fn too_often(kind: Kind, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(1);
        let refusal =
            Self::new(kind, StatusCode::TOO_MANY_REQUESTS, "too many requests from your address");
        let mut refusal = refusal.with_hint(format!("try again in {seconds} s"));
        refusal.wait = Some(Duration::from_secs(seconds));
        refusal
    }

    /// Something of ours is not as it must be; the log has it.
    pub(crate) fn broken() -> Self {
        Self::new(Kind::Page, StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be shown")
            .with_hint("try again; if it lasts, tell the administrator of this cluster")
    }

    /// There is no such thing.
    pub(crate) fn nothing(what: impl Into<String>) -> Self {
        Self::new(Kind::Page, StatusCode::NOT_FOUND, what)
    }

    /// The answer took too long.
    pub(crate) fn late(kind: Kind) -> Self {
        Self::new(kind, StatusCode::REQUEST_TIMEOUT, "the request took too long")
            .with_hint("try again")
    }

    /// What the Auth Service said, or that it could not be asked. The log gets
    /// the cause without the path, for a path may hold a token.
    pub(crate) fn of_auth(kind: Kind, error: &ApiError) -> Self {
        if let ApiError::Refused { status, message, hint, code } = error
            && let Ok(status) = StatusCode::from_u16(*status)
            && status.is_client_error()
        {
            let refusal = Self::new(kind, status, message.clone());
            return Self { hint: hint.clone(), code: code.clone(), ..refusal };
        }
        warn!(cause = cause(error), "could not ask the Auth Service");
        Self::new(
            kind,
            StatusCode::SERVICE_UNAVAILABLE,
            "the cluster's Auth Service cannot be reached right now",
        )
        .with_hint("try again in a moment; if it lasts, tell the administrator of this cluster")
    }
}

fn cause(error: &ApiError) -> String {
    let (mut text, source) = match error {
        ApiError::Unreachable { address, source } => {
            (format!("cannot connect to {address}"), Some(source))
        }
        ApiError::Interrupted { source, .. } => ("connection failed".to_owned(), Some(source)),
        ApiError::Refused { status, .. } => (format!("it answered {status}"), None),
        ApiError::BadReply { .. } => ("unexpected answer".to_owned(), None),
        ApiError::Setup { .. } => ("the request could not be made".to_owned(), None),
    };
    if let Some(source) = source {
        let _ = write!(text, ": {}", Chain(source.as_ref()));
    }
    text
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = match self.kind {
            Kind::Api => {
                let body = ErrorBody::new(self.message, self.hint).with_code(self.code.as_deref());
                (self.status, Json(body)).into_response()
            }
            Kind::Page => {
                let refused =
                    Refused { status: self.status, message: self.message, hint: self.hint };
                let mut response = self.status.into_response();
                response.extensions_mut().insert(refused);
                response
            }
        };
        if let Some(wait) = self.wait {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response
    }
}

/// Draws the pages that say no, when all else has been done: with the navigation for who is signed in.
pub(crate) async fn draw(
    Extension(web): Extension<Arc<Web>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers().clone();
    let response = next.run(request).await;
    let Some(refused) = response.extensions().get::<Refused>().cloned() else { return response };
    let csrf = cookies::read(&headers, cookies::CSRF).filter(|text| session::is_random_text(text));
    let signed_in = match csrf {
        Some(_) if refused.status != StatusCode::SERVICE_UNAVAILABLE => {
            web.signed_in(&headers).await.ok().flatten()
        }
        _ => None,
    };
    let csrf = Arc::from(csrf.unwrap_or_default());
    let cluster = web.cluster.as_str();
    let frame = match &signed_in {
        Some(me) => Frame::of(cluster, &csrf, me, Here::Elsewhere),
        None => Frame::open(cluster, &csrf),
    };
    let (mut head, _) = response.into_parts();
    let mut drawn = refused.draw(frame);
    head.headers.remove(http::header::CONTENT_LENGTH);
    for (name, value) in &head.headers {
        drawn.headers_mut().append(name, value.clone());
    }
    drawn
}

/// There is nothing at that path.
pub(crate) async fn not_found(uri: Uri) -> Refusal {
    Refusal::new(Kind::of(uri.path()), StatusCode::NOT_FOUND, "there is nothing at this address")
        .with_hint("check the link, or begin at /web")
}

/// Something is there, but not for this method.
pub(crate) async fn method_not_allowed(uri: Uri) -> Refusal {
    Refusal::new(
        Kind::of(uri.path()),
        StatusCode::METHOD_NOT_ALLOWED,
        "this address does not take that method",
    )
}
