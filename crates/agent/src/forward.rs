//! Sends signed requests to AWS, over kept connections.
//!
//! Where a request goes was settled when it was signed. Nothing is sent twice: only a request of which no byte had left
//! when a kept connection proved dead goes out again on another.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use aws::sigv4::{BadDestination, Destination, Signed};
use aws::{Endpoint, Service};
use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use http::{Request, Response};
use http_body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::body::{AwsBody, RequestBody, UpstreamBody};
use crate::record::OpenEntry;
use crate::server::Tracked;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// AWS's own servers close idle connections after about 20 seconds and more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);
const MOST_IDLE: usize = 512;
/// How long neither the request may move nor the answer begin.
pub(crate) const SILENCE: Duration = Duration::from_secs(300);

/// The way to AWS.
pub(crate) struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, UpstreamBody>,
    redirects: HashMap<Service, String>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    #[error("could not connect to {host}")]
    Connect { host: String, source: Box<dyn StdError + Send + Sync> },
    #[error("the connection to {host} broke before an answer came; the call may have been made")]
    Interrupted { host: String, source: Box<dyn StdError + Send + Sync> },
    #[error("{host} did not answer within {SILENCE:?}; the call may have been made")]
    Silent { host: String },
}

impl SendError {
    /// Whether nothing of the request has left.
    pub(crate) fn is_before_sending(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }

    /// A short, stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "aws-unreachable",
            Self::Interrupted { .. } => "aws-interrupted",
            Self::Silent { .. } => "aws-silent",
        }
    }
}

impl Upstream {
    /// A client with these TLS settings, and the operator's own endpoints as the AWS chain states them.
    pub(crate) fn new(tls: Arc<ClientConfig>, sdk: &SdkConfig) -> Self {
        Self { client: client(&tls), redirects: redirects(sdk) }
    }

    /// Where calls to an endpoint go: to AWS, or where the operator has redirected the service.
    pub(crate) fn destination(&self, endpoint: &Endpoint) -> Result<Destination, BadDestination> {
        match self.redirects.get(&endpoint.service()) {
            None => Ok(Destination::aws(endpoint.clone())),
            Some(url) => Destination::redirected(endpoint.clone(), url),
        }
    }

    /// Sends the request, and gives the head of the answer; with its body, where that is small.
    pub(crate) async fn send(
        &self,
        entry: &OpenEntry,
        signed: Signed,
        body: RequestBody,
    ) -> Result<Response<AwsBody>, SendError> {
        let host = signed.uri().authority().map(ToString::to_string).unwrap_or_default();
        let request = Request::from_parts(signed.into_parts(), body.into_upstream());
        tokio::select! {
            answer = self.exchange(&host, request) => answer,
            () = silence(entry) => Err(SendError::Silent { host: host.clone() }),
        }
    }

    async fn exchange(
        &self,
        host: &str,
        request: Request<UpstreamBody>,
    ) -> Result<Response<AwsBody>, SendError> {
        let host = || host.to_owned();
        let reply =
            self.client.request(request).await.map_err(|error| match error.is_connect() {
                true => SendError::Connect { host: host(), source: Box::new(error) },
                false => SendError::Interrupted { host: host(), source: Box::new(error) },
            })?;
        let (head, body) = reply.into_parts();
        let body = AwsBody::take(&head.headers, body)
            .await
            .map_err(|error| SendError::Interrupted { host: host(), source: Box::new(error) })?;
        Ok(Response::from_parts(head, body))
    }
}

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

/// Ends when the request has not moved for long.
pub(crate) async fn silence(entry: &OpenEntry) {
    let mut passed = entry.bytes_in();
    loop {
        sleep(SILENCE).await;
        let now = entry.bytes_in();
        if now == passed {
            return;
        }
        passed = now;
    }
}

/// `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL` and `endpoint_url` of the shared config, in the SDKs' own order.
fn redirects(sdk: &SdkConfig) -> HashMap<Service, String> {
    let redirect = |service: Service| Some((service, redirect(sdk, service)?));
    let redirects: HashMap<_, _> = Service::all().filter_map(redirect).collect();
    for (service, url) in &redirects {
        info!(%service, %url, "calls are redirected by the agent's own settings");
    }
    redirects
}

fn redirect(sdk: &SdkConfig, service: Service) -> Option<String> {
    redirect_of(sdk, service.endpoint_url_name())
}

/// Where the operator has redirected the service that the settings call by `name`.
pub(crate) fn redirect_of(sdk: &SdkConfig, name: &str) -> Option<String> {
    let general = || sdk.endpoint_url().map(str::to_owned);
    if sdk.get_origin("endpoint_url").is_client_config() {
        return general();
    }
    let key = ServiceConfigKey::builder()
        .service_id(name)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok();
    let specific = key.and_then(|key| sdk.service_config()?.load_config(key));
    specific.or_else(general)
}
