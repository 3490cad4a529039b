//! The pages, drawn on the server. Everything that is filled in is escaped by the template engine.

pub(crate) mod account;
pub(crate) mod agents;
pub(crate) mod apps;
pub(crate) mod audit;
mod editor;
pub(crate) mod export;
pub(crate) mod factors;
mod frame;
pub(crate) mod launch;
mod lists;
pub(crate) mod locks;
mod moments;
pub(crate) mod overview;
mod plot;
pub(crate) mod roles;
pub(crate) mod terminal;
pub(crate) mod tokens;
pub(crate) mod tsh;
pub(crate) mod users;
mod words;

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::header::REFRESH;
use http::{HeaderValue, StatusCode};

use super::refusal::Refusal;

pub(crate) use self::frame::{Frame, Here};
pub(crate) use self::moments::Moment;
pub(crate) use self::words::{Part, as_sentence, in_groups, quoted};

/// Fewest characters of a password.
pub(crate) const PASSWORD_MIN: usize = 12;
/// Most bytes of a password.
pub(crate) const PASSWORD_MAX: usize = 128;

/// Answers with a page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not draw a page");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be drawn.").into_response()
        }
    }
}

/// Leads on with a `GET`, after something was done.
pub(crate) fn go(path: &str) -> Response {
    Redirect::to(path).into_response()
}

#[derive(Template)]
#[template(path = "leave.html")]
struct LeavePage<'a> {
    frame: Frame,
    title: &'a str,
}

/// Leads a form's sender to another site.
///
/// Not a redirect: browsers hold the whole way of a form to `form-action`, and that is this site alone.
pub(crate) fn leave(frame: Frame, to: &str, title: &str) -> Response {
    let mut response = page(StatusCode::OK, &LeavePage { frame, title });
    match HeaderValue::from_str(&format!("0; url={to}")) {
        Ok(mut value) => {
            value.set_sensitive(true);
            response.headers_mut().insert(REFRESH, value);
            response
        }
        Err(_) => Refusal::broken().into_response(),
    }
}

/// A page that says no. Drawn last, when it is known who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusedInside<'a> {
    frame: Frame,
    body: RefusedBody<'a>,
}

#[derive(Template)]
#[template(path = "refusal_door.html")]
struct RefusedOutside<'a> {
    frame: Frame,
    body: RefusedBody<'a>,
}

struct RefusedBody<'a> {
    status: u16,
    title: &'static str,
    message: Vec<Part<'a>>,
    hint: Vec<Part<'a>>,
}

impl Refused {
    /// Draws it, with the navigation where somebody is signed in.
    pub(crate) fn draw(&self, frame: Frame) -> Response {
        let message = as_sentence(&self.message);
        let hint = self.hint.as_deref().map(as_sentence).unwrap_or_default();
        let body = RefusedBody {
            status: self.status.as_u16(),
            title: title(self.status),
            message: Part::all(&message),
            hint: if hint.is_empty() { Vec::new() } else { Part::all(&hint) },
        };
        if frame.person.is_some() {
            page(self.status, &RefusedInside { frame, body })
        } else {
            page(self.status, &RefusedOutside { frame, body })
        }
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::GONE => "This link no longer works",
        StatusCode::FORBIDDEN => "Refused",
        StatusCode::CONFLICT => "Changed meanwhile",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "Not available right now",
        status if status.is_server_error() => "Something went wrong here",
        _ => "That did not work",
    }
}
