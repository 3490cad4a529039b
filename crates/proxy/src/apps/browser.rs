//! Requests of browsers on an app's host: into the app with its cookie, to the launch without.

use std::net::IpAddr;
use std::sync::Arc;

use access::{App, AppTraffic};
use api::ApiError;
use api::error::Chain;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use subtle::ConstantTimeEq as _;
use tracing::warn;

use super::code::Code;
use super::opened::{NotIn, OpenedApp};
use super::words::{Reader, harden, say};
use super::{Apps, cookie};
use crate::splice::Steps;
use crate::web::{Token, cookies, is_random_text, random_text};

/// Where a browser takes up the session that was opened for it.
pub(super) const TAKE_UP: &str = "/x-causeway-auth";
/// Where it ends the session.
const LOG_OUT: &str = "/x-causeway-logout";
/// How long a launch may take, seconds: signing in is part of it.
const STATE_AGE: u64 = 15 * 60;
/// Longest path that a launch leads back to.
const PATH_LIMIT: usize = 8 * 1024;
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What is known of a request beside itself.
pub(crate) struct Visit {
    /// Where it comes from.
    pub(crate) address: IpAddr,
    /// Counts the life of its connection.
    pub(crate) steps: Steps,
    /// The session of the app certificate that the connection showed.
    pub(crate) certified: Option<Arc<OpenedApp>>,
}

impl Apps {
    /// Answers a request on an app's host.
    pub(crate) async fn answer(
        &self,
        at: (Arc<App>, String),
        request: Request<Incoming>,
        visit: Visit,
    ) -> Response {
        let reader = Reader::of(&request);
        let answer = Box::pin(self.answer_in_text(at, request, visit)).await;
        reader.show(answer, &self.pages()).await
    }

    /// Answers on a subdomain at which no app is.
    pub(crate) async fn nobody(&self, request: &Request<Incoming>) -> Response {
        let words = format!("There is no application here. Yours are at {}.", self.pages());
        Reader::of(request).show(say(StatusCode::NOT_FOUND, &words), &self.pages()).await
    }

    async fn answer_in_text(
        &self,
        (app, host): (Arc<App>, String),
        request: Request<Incoming>,
        visit: Visit,
    ) -> Response {
        if app.traffic() != AppTraffic::Web {
            let pages = self.pages();
            return say(
                StatusCode::NOT_FOUND,
                &format!(
                    "Application {} is no web application. It is launched from {pages}.",
                    app.name()
                ),
            );
        }
        if let Some(certified) = visit.certified.clone() {
            if !certified.host.eq_ignore_ascii_case(&host) || certified.app != *app.name() {
                let words = "The certificate of this connection is for another application.";
                return say(StatusCode::MISDIRECTED_REQUEST, words);
            }
            return self.pass(&certified, request, visit).await;
        }
        let is_get = *request.method() == Method::GET;
        match request.uri().path() {
            TAKE_UP if is_get => self.take_up(&host, &request).await,
            LOG_OUT if is_get || *request.method() == Method::POST => {
                self.log_out(&app, &request).await
            }
            _ => self.with_cookie((&app, &host), request, visit).await,
        }
    }

    async fn with_cookie(
        &self,
        (app, host): (&App, &str),
        request: Request<Incoming>,
        visit: Visit,
    ) -> Response {
        let token = cookies::read(request.headers(), cookie::APP).and_then(Token::parse);
        let resumed = match &token {
            Some(token) => self.resume(token, app.name()).await,
            None => Err(NotIn::Unknown),
        };
        match resumed {
            Ok(opened) if self.is_foreign(host, &request) => {
                let words = "The request was sent by another site's page.";
                drop(opened);
                say(StatusCode::FORBIDDEN, words)
            }
            Ok(opened) => self.pass(&opened, request, visit).await,
            Err(NotIn::Unknown) => self.begin(host, &request),
            Err(NotIn::Unsure) => say(
                StatusCode::SERVICE_UNAVAILABLE,
                "It is not known who you are just now; try again shortly.",
            ),
        }
    }

    /// Whether a page of another origin sent what only the app's own pages may send: what changes something, and
    /// WebSockets, which browsers open across origins with all cookies.
    fn is_foreign<B>(&self, host: &str, request: &Request<B>) -> bool {
        let headers = request.headers();
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if is_safe && !headers.contains_key(header::UPGRADE) {
            return false;
        }
        match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            Some(site) => site != b"same-origin" && site != b"none",
            None => headers.get(header::ORIGIN).is_some_and(|origin| {
                !origin.as_bytes().eq_ignore_ascii_case(self.origin_of(host).as_bytes())
            }),
        }
    }

    /// Sends the browser to the launch; whoever cannot follow is told so.
    fn begin<B>(&self, host: &str, request: &Request<B>) -> Response {
        let headers = request.headers();
        let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
        let is_page = matches!(*request.method(), Method::GET | Method::HEAD)
            && mode.is_none_or(|mode| mode == b"navigate")
            && !headers.contains_key(header::UPGRADE);
        if !is_page {
            return say(
                StatusCode::UNAUTHORIZED,
                "Sign in first: open this application in a browser window.",
            );
        }
        let held = cookies::read(headers, cookie::STATE).filter(|state| is_random_text(state));
        let state = match held {
            Some(held) => held.to_owned(),
            None => match random_text() {
                Ok(drawn) => drawn.to_string(),
                Err(_) => {
                    return say(StatusCode::INTERNAL_SERVER_ERROR, "This page cannot be shown.");
                }
            },
        };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let path = if path.len() > PATH_LIMIT { "/" } else { path };
        let path = utf8_percent_encode(path, VALUE);
        let to = format!("{}/web/launch/{host}?path={path}&state={state}", self.pages());
        let mut response = go(StatusCode::FOUND, &to);
        cookies::set(response.headers_mut(), cookie::STATE, &state, Some(STATE_AGE));
        response
    }

    /// Takes up the session that was opened for this browser.
    async fn take_up<B>(&self, host: &str, request: &Request<B>) -> Response {
        let stale = || {
            say(
                StatusCode::BAD_REQUEST,
                "This link is good once and for half a minute. Open the application again.",
            )
        };
        let query = request.uri().query().unwrap_or_default();
        let (Some(code), Some(state)) = (value(query, "code"), value(query, "state")) else {
            return stale();
        };
        let held = cookies::read(request.headers(), cookie::STATE).unwrap_or_default();
        if !bool::from(held.as_bytes().ct_eq(state.as_bytes())) {
            return stale();
        }
        let opened = Code::open(&code, &state, host, self.clock.now());
        let Some((opened, token)) =
            opened.and_then(|code| Token::parse(&code.token).map(|token| (code, token)))
        else {
            return stale();
        };
        let entry = self.used.entry(token.hash()).or_insert(()).await;
        if !entry.is_fresh() {
            return stale();
        }
        let mut response =
            go(StatusCode::SEE_OTHER, &format!("{}{}", self.origin_of(host), opened.path));
        cookies::set(response.headers_mut(), cookie::APP, token.expose(), None);
        cookies::clear(response.headers_mut(), cookie::STATE);
        response
    }

    /// Ends the session with the app.
    async fn log_out<B>(&self, app: &App, request: &Request<B>) -> Response {
        let token = cookies::read(request.headers(), cookie::APP).and_then(Token::parse);
        if let Some(token) = token
            && let Ok(opened) = self.resume(&token, app.name()).await
        {
            self.opened.invalidate(&token.hash()).await;
            let ended = match &opened.web_session {
                Some(id) => self.auth.end_web_session(id).await,
                None => Ok(()),
            };
            if let Err(error) = ended.or_else(ended_already) {
                warn!(error = %Chain(&error), "a session with an app could not be ended");
                let words = "The session could not be ended just now; try again shortly.";
                return say(StatusCode::SERVICE_UNAVAILABLE, words);
            }
        }
        let mut response = go(StatusCode::SEE_OTHER, &format!("{}/web/apps", self.pages()));
        cookies::clear(response.headers_mut(), cookie::APP);
        response
    }
}

fn ended_already(error: ApiError) -> Result<(), ApiError> {
    if error.status() == Some(404) { Ok(()) } else { Err(error) }
}

/// A value of a query.
fn value(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(percent_decode_str(value).decode_utf8().ok()?.into_owned())
}

/// Leads on. Addresses here hold states and codes: no other site is to see them.
fn go(status: StatusCode, to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    harden(response.headers_mut());
    if let Ok(mut to) = HeaderValue::from_str(to) {
        to.set_sensitive(true);
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}
