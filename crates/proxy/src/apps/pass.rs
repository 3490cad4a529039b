//! One request of a browser, over the line to the agent, and the answer back: streams both ways.

use api::error::Chain;
use api::headers::{remove_hop_by_hop, remove_our_cookies};
use axum::body::Body;
use axum::response::Response;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, Uri, Version, header};
use hyper::body::Incoming;
use tracing::{debug, info};

use super::browser::Visit;
use super::line::{Line, LineError};
use super::opened::OpenedApp;
use super::pulse::{Pulse, Pulsed};
use super::words::say;
use super::{Apps, host};
use crate::agents::NoAgent;

impl Apps {
    /// Passes a request on, for a session that is let in.
    pub(super) async fn pass(
        &self,
        opened: &OpenedApp,
        request: Request<Incoming>,
        visit: Visit,
    ) -> Response {
        let line = opened.line(visit.address);
        if is_websocket(&request) {
            return self.open_socket(&line, request).await;
        }
        let mut pulse = Pulse::new(visit.steps);
        let sent = pulse.during(Box::pin(self.send(&line, request))).await;
        match sent {
            Ok(reply) => {
                let (mut parts, inner) = reply.into_parts();
                remove_hop_by_hop(&mut parts.headers);
                parts.version = Version::HTTP_11;
                Response::from_parts(parts, Body::new(Pulsed { inner, pulse }))
            }
            Err(refusal) => refusal,
        }
    }

    async fn send(
        &self,
        line: &Line,
        request: Request<Incoming>,
    ) -> Result<http::Response<Incoming>, Response> {
        let request = for_agent(request).ok_or_else(|| {
            say(StatusCode::BAD_REQUEST, "The request cannot be passed on: it has no path.")
        })?;
        let mut sender = self.lines.shared(line).await.map_err(|error| explain(&error))?;
        sender.send_request(request).await.map_err(|error| {
            debug!(error = %Chain(&error), app = %line.app, "a request was not answered");
            say(
                StatusCode::BAD_GATEWAY,
                "The connection to the application's agent broke before it answered.",
            )
        })
    }
}

/// The request as HTTP/2 carries it to the agent. Path and query stay as they are.
fn for_agent(request: Request<Incoming>) -> Option<Request<Incoming>> {
    let path = request.uri().path_and_query().filter(|path| path.as_str().starts_with('/'))?;
    if *request.method() == Method::CONNECT {
        return None;
    }
    let uri = address(&request, path.clone())?;
    let (mut parts, body) = request.into_parts();
    clean(&mut parts.headers);
    parts.headers.remove(header::HOST);
    let mut passed = Request::new(body);
    *passed.method_mut() = parts.method;
    *passed.uri_mut() = uri;
    *passed.headers_mut() = parts.headers;
    *passed.version_mut() = Version::HTTP_2;
    Some(passed)
}

/// `https://` and the host that was asked for, with its port.
fn address<B>(request: &Request<B>, path: PathAndQuery) -> Option<Uri> {
    let asked = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(asked).path_and_query(path);
    host::host_of(request).and(uri.build().ok())
}

/// Takes out what is between the browser and this proxy alone.
pub(super) fn clean(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    remove_our_cookies(headers);
}

/// Whether the connection is to become a WebSocket. Only HTTP/1.1 can do that here, and only that is passed on.
fn is_websocket<B>(request: &Request<B>) -> bool {
    let names = |name: HeaderName, wanted: &str| {
        let values = request.headers().get_all(name).into_iter();
        let mut words =
            values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    request.version() == Version::HTTP_11
        && *request.method() == Method::GET
        && names(header::CONNECTION, "upgrade")
        && names(header::UPGRADE, "websocket")
}

/// Why there is no way to the agent, for whoever sits before the browser.
pub(super) fn explain(error: &LineError) -> Response {
    info!(error = %Chain(error), "no way to the agent of an app");
    let words = match error {
        LineError::Agent(NoAgent::NotServed { .. } | NoAgent::Offline { .. }) => {
            "The application's agent is offline. Try again later, or tell your administrator."
        }
        LineError::Session(_) => "The session has ended. Open the application again.",
        _ => "The application's agent cannot be reached. Try again shortly.",
    };
    say(StatusCode::BAD_GATEWAY, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_this_proxy_alone_stays_here() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, "close".parse().unwrap());
        headers.append(header::COOKIE, "__Host-causeway_app=x; a=1".parse().unwrap());
        clean(&mut headers);
        assert_eq!(headers, HeaderMap::from_iter([(header::COOKIE, "a=1".parse().unwrap())]));
    }

    #[test]
    fn only_a_websocket_over_http1_is_one() {
        let request = |version: Version, upgrade: &str| {
            Request::builder()
                .version(version)
                .header("connection", "keep-alive, Upgrade")
                .header("upgrade", upgrade)
                .body(())
                .unwrap()
        };
        assert!(is_websocket(&request(Version::HTTP_11, "WebSocket")));
        assert!(!is_websocket(&request(Version::HTTP_11, "h2c")));
        assert!(!is_websocket(&request(Version::HTTP_10, "websocket")));
        assert!(!is_websocket(&request(Version::HTTP_2, "websocket")));
    }

    #[test]
    fn paths_are_passed_on_as_they_are() {
        for path in ["/", "//a", "/../x", "/a/../b", "/%2F", "/?a=b+c"] {
            let request = Request::builder().uri(path).header("host", "a.example.com:3080");
            let request = request.body(()).unwrap();
            let given = request.uri().path_and_query().unwrap().clone();
            let uri = address(&request, given).unwrap();
            assert_eq!(uri.to_string(), format!("https://a.example.com:3080{path}"));
        }
    }
}
