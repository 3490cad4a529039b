//! What we say on the host of an app, in the place of the app: a line of text for programs, a page for people.

use std::sync::LazyLock;

use api::wire::HEADER_REQUEST_ID;
use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};

/// The page brings its own style: on the host of an app nothing else of ours can be fetched.
const STYLE: &str = include_str!("../../assets/words.css");
/// Longest text that becomes a page, bytes.
const LONGEST: usize = 8 * 1024;

/// Nothing but that style may be used, by its hash.
static PAGE_POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
});

/// Marks an answer of this proxy.
#[derive(Clone, Copy)]
struct Ours;

/// Who reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A person, before a browser that goes to a page.
    Person,
    /// A program, or a script of a page.
    Program,
}

#[derive(Template)]
#[template(path = "words.html")]
struct Page<'a> {
    status: u16,
    title: &'static str,
    words: &'a str,
    pages: &'a str,
    id: Option<&'a str>,
    can_try_again: bool,
    style: &'static str,
}

impl Reader {
    /// By what browsers say of themselves.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        let mode = headers.get("sec-fetch-mode").map(HeaderValue::as_bytes);
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let takes_pages = accept.is_some_and(|accept| accept.contains("text/html"));
        let goes_to_a_page = mode.is_none_or(|mode| mode == b"navigate");
        match takes_pages && goes_to_a_page && *request.method() != Method::HEAD {
            true => Self::Person,
            false => Self::Program,
        }
    }

    /// Makes a page of words of ours. What the app has said stays as it is.
    pub(super) async fn show(self, response: Response, pages: &str) -> Response {
        let by_the_agent = response.headers().contains_key(HEADER_REQUEST_ID);
        let by_us = response.extensions().get::<Ours>().is_some() || by_the_agent;
        if self == Self::Program || !by_us {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let said = Limited::new(body, LONGEST).collect().await;
        let words = said.map(|said| said.to_bytes()).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let page = Page {
            status: parts.status.as_u16(),
            title: title(parts.status),
            words: words.trim(),
            pages,
            id: parts.headers.get(HEADER_REQUEST_ID).and_then(|id| id.to_str().ok()),
            can_try_again: parts.status.is_server_error(),
            style: STYLE,
        };
        let (Ok(page), Some(policy)) = (page.render(), PAGE_POLICY.clone()) else {
            return say(parts.status, words.trim());
        };
        harden(&mut parts.headers);
        parts.headers.remove(header::CONTENT_LENGTH);
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        parts.headers.insert(header::CONTENT_TYPE, html);
        parts.headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        Response::from_parts(parts, Body::from(page))
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "This address cannot be used",
        StatusCode::UNAUTHORIZED => "Sign in first",
        StatusCode::FORBIDDEN => "You may not do this",
        StatusCode::NOT_FOUND => "There is no application here",
        StatusCode::MISDIRECTED_REQUEST => "This is another application",
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            "The application cannot be reached"
        }
        StatusCode::SERVICE_UNAVAILABLE => "Not just now",
        _ => "This did not work",
    }
}

/// Words of ours on the host of an app.
pub(super) fn say(status: StatusCode, words: &str) -> Response {
    let mut response = Response::new(Body::from(format!("{words}\n")));
    *response.status_mut() = status;
    harden(response.headers_mut());
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.extensions_mut().insert(Ours);
    response
}

/// What every answer of ours on the host of an app says.
pub(super) fn harden(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let request = Request::builder().uri("/");
        let put = |request: http::request::Builder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        headers.iter().fold(request, put).body(()).unwrap()
    }

    #[test]
    fn only_a_browser_that_goes_to_a_page_gets_one() {
        for (headers, reader) in [
            (&[("accept", "text/html,*/*"), ("sec-fetch-mode", "navigate")][..], Reader::Person),
            (&[("accept", "text/html")], Reader::Person),
            (&[("accept", "text/html"), ("sec-fetch-mode", "cors")], Reader::Program),
            (&[("accept", "*/*")], Reader::Program),
            (&[], Reader::Program),
        ] {
            assert_eq!(Reader::of(&request(headers)), reader, "{headers:?}");
        }
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn words_of_ours_become_a_page_without_a_way_for_markup() {
        let said = say(StatusCode::BAD_GATEWAY, "The <b>agent</b> is offline.");
        let shown = Reader::Person.show(said, "https://proxy.example.com").await;
        assert_eq!(shown.status(), StatusCode::BAD_GATEWAY);
        let policy = shown.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let page = text(shown).await;
        assert!(page.contains("The &#60;b&#62;agent&#60;/b&#62; is offline."), "{page}");
        assert!(page.contains("https://proxy.example.com/web/apps"), "{page}");
    }

    #[tokio::test]
    async fn programs_and_apps_keep_their_words() {
        let said = say(StatusCode::NOT_FOUND, "There is no application here.");
        let shown = Reader::Program.show(said, "https://proxy.example.com").await;
        assert_eq!(text(shown).await, "There is no application here.\n");
        let mut by_the_app = Response::new(Body::from("<h1>our own</h1>"));
        *by_the_app.status_mut() = StatusCode::NOT_FOUND;
        let shown = Reader::Person.show(by_the_app, "https://proxy.example.com").await;
        assert_eq!(text(shown).await, "<h1>our own</h1>");
    }
}
