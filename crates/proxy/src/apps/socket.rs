//! WebSockets: a connection of their own to the agent, and bytes both ways until an end. The end of the session cuts
//! the connection to the agent, and with it the browser's.

use std::sync::Arc;

use api::error::Chain;
use api::headers::remove_hop_by_hop;
use api::wire;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tracing::debug;

use super::line::Line;
use super::pass::{clean, explain};
use super::words::say;
use super::{Apps, host};

impl Apps {
    /// Opens one.
    pub(super) async fn open_socket(
        &self,
        line: &Line,
        mut request: Request<Incoming>,
    ) -> Response {
        let Ok(place) = Arc::clone(&self.sockets).try_acquire_owned() else {
            return say(
                StatusCode::SERVICE_UNAVAILABLE,
                "There are too many open connections. Try again later.",
            );
        };
        let browser = hyper::upgrade::on(&mut request);
        let Some(request) = for_agent(&request) else {
            return say(StatusCode::BAD_REQUEST, "The request cannot be passed on.");
        };
        let mut sender = match self.lines.single::<Empty<Bytes>>(line, wire::ALPN_APP_HTTP1).await {
            Ok(sender) => sender,
            Err(error) => return explain(&error),
        };
        let mut reply = match sender.send_request(request).await {
            Ok(reply) => reply,
            Err(error) => {
                debug!(error = %Chain(&error), "a WebSocket was not answered");
                return say(
                    StatusCode::BAD_GATEWAY,
                    "The connection to the application's agent broke.",
                );
            }
        };
        if reply.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (mut parts, body) = reply.into_parts();
            remove_hop_by_hop(&mut parts.headers);
            return Response::from_parts(parts, Body::new(body));
        }
        let agent = hyper::upgrade::on(&mut reply);
        self.lines.dialler.connections.spawn(|_, steps| async move {
            let _place = place;
            let Ok((browser, agent)) = tokio::try_join!(browser, agent) else { return };
            let mut browser = crate::splice::Watched::new(TokioIo::new(browser), steps);
            let mut agent = TokioIo::new(agent);
            if let Err(error) = copy_bidirectional(&mut browser, &mut agent).await {
                debug!(error = %Chain(&error), "a WebSocket broke off");
            }
        });
        let (parts, _) = reply.into_parts();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        response
    }
}

fn for_agent(request: &Request<Incoming>) -> Option<Request<Empty<Bytes>>> {
    let path = request.uri().path_and_query().filter(|path| path.as_str().starts_with('/'))?;
    let host = request.headers().get(header::HOST)?.clone();
    host::host_of(request)?;
    let mut passed = Request::new(Empty::new());
    *passed.uri_mut() = path.as_str().parse().ok()?;
    let mut headers = request.headers().clone();
    clean(&mut headers);
    headers.insert(header::HOST, host);
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    *passed.headers_mut() = headers;
    Some(passed)
}
