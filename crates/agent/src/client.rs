//! A client for what is not AWS's API: web apps, and the sign-in of the AWS console.

use std::time::Duration;

use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use rustls::ClientConfig;
use tokio_util::task::TaskTracker;

use crate::server::Tracked;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const MOST_IDLE: usize = 512;

/// A client that keeps connections, HTTP/1.1, with or without TLS as the address says.
pub(crate) fn client<B>(tls: &ClientConfig) -> Client<HttpsConnector<HttpConnector>, B>
where
    B: Body<Data: Send> + Send,
{
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.set_keepalive(Some(Duration::from_secs(60)));
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http().enable_http1();
    // Kept connections have no end of their own that a shutdown could wait for: they end with this client.
    Client::builder(Tracked(TaskTracker::new()))
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MOST_IDLE)
        .build(connector.wrap_connector(http))
}
