//! Sends signed requests to AWS.
//!
//! Where a request goes was settled when it was signed. Nothing is sent twice.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use aws::sigv4::{BadDestination, Destination, Signed, Unsigned};
use aws::{Endpoint, Service};
use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use http::request::Parts;
use http::{Request, Response};
use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::time::sleep;
use tracing::info;

use crate::body::{AwsBody, UpstreamBody};
use crate::expect::Keeper;
use crate::record::OpenEntry;
use crate::upstream::{Connections, DialError, Dialer, Failed, Http};

/// How long neither the request may move nor the answer begin.
pub(crate) const SILENCE: Duration = Duration::from_secs(300);

/// The way to AWS.
pub(crate) struct Upstream {
    connections: Arc<Connections>,
    redirects: Redirects,
}

/// Where the agent's own settings send calls instead.
struct Redirects {
    /// All services but those of `specific`.
    general: Option<String>,
    specific: HashMap<Service, String>,
}

/// What may be sent: nothing can have altered it since it was made ready.
pub(crate) struct Ready(Parts);

impl From<Signed> for Ready {
    fn from(signed: Signed) -> Self {
        Self(signed.into_parts())
    }
}

impl From<Unsigned> for Ready {
    fn from(unsigned: Unsigned) -> Self {
        Self(unsigned.into_parts())
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    #[error("could not connect to {host}")]
    Connect { host: String, source: DialError },
    #[error("the call was not made, as its body did not come whole")]
    Body { source: Box<dyn StdError + Send + Sync> },
    #[error("the connection to {host} broke before an answer came; the call may have been made")]
    Interrupted { host: String, source: Box<dyn StdError + Send + Sync> },
    #[error("{host} did not answer within {SILENCE:?}; the call may have been made")]
    Silent { host: String },
}

impl SendError {
    /// Whether AWS has certainly not carried the call out.
    pub(crate) fn was_not_made(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Body { .. })
    }

    /// A short, stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "aws-unreachable",
            Self::Body { .. } => "body-not-read",
            Self::Interrupted { .. } => "aws-interrupted",
            Self::Silent { .. } => "aws-silent",
        }
    }
}

impl Upstream {
    /// A client with these TLS settings, the operator's own endpoints as the AWS chain states them, and proxies as the
    /// environment does.
    pub(crate) fn new(tls: Arc<ClientConfig>, sdk: &SdkConfig) -> Self {
        Self::by(Dialer::new(&tls, Matcher::from_env()), sdk)
    }

    /// The same, with a dialer of the caller's.
    pub(crate) fn by(dialer: Dialer, sdk: &SdkConfig) -> Self {
        Self { connections: Connections::new(dialer), redirects: Redirects::of(sdk) }
    }

    /// Where calls to an endpoint go: to AWS, or where the operator has redirected the service.
    pub(crate) fn destination(&self, endpoint: &Endpoint) -> Result<Destination, BadDestination> {
        let Redirects { general, specific } = &self.redirects;
        match specific.get(&endpoint.service()).or(general.as_ref()) {
            None => Ok(Destination::aws(endpoint.clone())),
            Some(url) => Destination::redirected(endpoint.clone(), url),
        }
    }

    /// Sends the request, and gives the head of the answer; with its body, where that is small. A body that is held back
    /// goes when AWS asks for it.
    pub(crate) async fn send(
        &self,
        entry: &OpenEntry,
        Ready(parts): Ready,
        (http, body, keeper): (Http, UpstreamBody, Option<Keeper>),
    ) -> Result<Response<AwsBody>, SendError> {
        let host = parts.uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut request = Request::from_parts(parts, body);
        if let Some(keeper) = &keeper {
            keeper.announce(http, &mut request);
        }
        let asked = keeper.as_ref().map(Keeper::asked);
        let is_held_back = asked.is_some();
        tokio::select! {
            answer = self.exchange(&host, (http, keeper), request) => answer,
            never = Keeper::ask_late(asked), if is_held_back => match never {},
            () = silence(entry) => Err(SendError::Silent { host: host.clone() }),
        }
    }

    async fn exchange(
        &self,
        host: &str,
        (http, keeper): (Http, Option<Keeper>),
        request: Request<UpstreamBody>,
    ) -> Result<Response<AwsBody>, SendError> {
        let host = || host.to_owned();
        let interrupted = |error: hyper::Error| match error.is_user() {
            true => SendError::Body { source: Box::new(error) },
            false => SendError::Interrupted { host: host(), source: Box::new(error) },
        };
        let sent = self.connections.send(http, request).await;
        let (reply, lease) = sent.map_err(|failed| match failed {
            Failed::Unsent(source) => SendError::Connect { host: host(), source },
            Failed::Sent(error) => interrupted(error),
        })?;
        let (head, body) = reply.into_parts();
        let body =
            AwsBody::take(&head.headers, body, (lease, keeper)).await.map_err(interrupted)?;
        Ok(Response::from_parts(head, body))
    }
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

impl Redirects {
    /// `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL` and `endpoint_url` of the shared config, in the SDKs' own order.
    fn of(sdk: &SdkConfig) -> Self {
        let general = sdk.endpoint_url().map(str::to_owned);
        let specific: HashMap<_, _> = match sdk.get_origin("endpoint_url").is_client_config() {
            true => HashMap::new(),
            false => Service::all()
                .filter_map(|service| Some((service, specific(sdk, service)?)))
                .filter(|(_, url)| Some(url) != general.as_ref())
                .collect(),
        };
        if let Some(url) = &general {
            info!(%url, "calls are redirected by the agent's own settings");
        }
        for (service, url) in &specific {
            info!(%service, %url, "calls are redirected by the agent's own settings");
        }
        Self { general, specific }
    }
}

/// Where the operator has redirected the service that the settings call by `name`: by itself, or with all others.
pub(crate) fn redirect_of(sdk: &SdkConfig, name: &str) -> Option<String> {
    let general = || sdk.endpoint_url().map(str::to_owned);
    if sdk.get_origin("endpoint_url").is_client_config() {
        return general();
    }
    specific_of(sdk, name).or_else(general)
}

fn specific(sdk: &SdkConfig, service: Service) -> Option<String> {
    specific_of(sdk, service.endpoint_url_name())
}

fn specific_of(sdk: &SdkConfig, name: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(name)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    sdk.service_config()?.load_config(key)
}
