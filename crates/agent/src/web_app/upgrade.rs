//! Connections that became WebSockets: bytes both ways till an end, a denial or a shutdown.

use std::sync::Arc;

use access::AppTraffic;
use api::error::Chain;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tracing::{Instrument as _, debug};

use super::{WebApps, WebBody};
use crate::app_use::Visitor;
use crate::bytes_between::{Passage, pass};
use crate::record::{Answer, OpenEntry};

/// What the client's connection must hear for the change.
const SAID: [header::HeaderName; 4] = [
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SET_COOKIE,
];

/// The answer that lets the client's connection change.
pub(super) fn switching(app: &HeaderMap) -> Response<WebBody> {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    for name in SAID {
        for value in app.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    answer
}

impl WebApps {
    /// Joins the two ends once both have changed, and closes the entry with the end.
    pub(super) fn join(
        &self,
        (client, app): (OnUpgrade, OnUpgrade),
        entry: OpenEntry,
        visitor: Visitor,
    ) {
        let (app_use, stop) = (self.app_use.clone(), self.stop.clone());
        let joining = async move {
            let answer = Answer::with_status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
            let (client, app) = match tokio::try_join!(client, app) {
                Ok((client, app)) => (TokioIo::new(client), TokioIo::new(app)),
                Err(error) => {
                    debug!(error = %Chain(&error), "a connection did not change its protocol");
                    return entry.answered(&answer, 0, Some("the connection broke".to_owned()));
                }
            };
            let passage = Passage { sent: entry.bytes_in_counter(), received: Arc::default() };
            let denied = app_use.until_denied(&visitor.identity, AppTraffic::Web);
            let ended = tokio::select! {
                ended = pass(client, app, &passage) => ended.err(),
                () = denied => Some("cut: the app may not be used any more".to_owned()),
                () = stop.cancelled() => Some("cut: the agent stops".to_owned()),
            };
            entry.answered(&answer, passage.received(), ended);
        };
        self.tasks.spawn(joining.in_current_span());
    }
}
