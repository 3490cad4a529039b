//! Sign-in to the AWS console: the granted role's credentials go in at AWS's federation endpoint, an address that signs
//! a browser in comes out.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_enable-console-custom-url.html>. The
//! first request carries the credentials in its address, the answer a token that is worth as much: neither address,
//! token nor credentials are kept, logged, or put into an event or error.

use std::sync::Arc;
use std::time::Duration;

use access::{ConsoleGrant, permit_console};
use api::error::{Chain, ErrorBody};
use api::types::console::ConsoleSignIn;
use api::wire::{CONSOLE_PATH, HEADER_REQUEST_ID};
use aws::sigv4::Credentials;
use aws::{Partition, Secret};
use aws_config::SdkConfig;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::timeout;
use tracing::info;

use crate::app_use::Visitor;
use crate::assume::{ALWAYS_ALLOWED, LONGEST, SHORTEST};
use crate::call::Road;
use crate::client;
use crate::config::SyncWhen;
use crate::forward;
use crate::record::{Answer, OpenEntry, Visit};
use crate::refusal::Refusal;

const DEADLINE: Duration = Duration::from_secs(30);
/// Largest answer of the federation endpoint, bytes. A token has about a thousand.
const LIMIT: usize = 64 << 10;
/// Everything but what RFC 3986 calls unreserved.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why nobody was signed in.
#[derive(Debug, Error)]
pub(crate) enum SignInError {
    #[error(
        "the login ends in {} minutes, and a session of the AWS console lasts {} minutes at least; log in again with tsh login, or sign out of the web and in again",
        left.as_secs() / 60, SHORTEST.as_secs() / 60
    )]
    TooShort { left: Duration },
    #[error(
        "the agent's setting for the sign-in endpoint (AWS_ENDPOINT_URL_SIGNIN or AWS_ENDPOINT_URL) is no address"
    )]
    BadSetting,
    #[error(
        "the agent could not reach {host}, which it needs for the AWS console; its network must allow it"
    )]
    Unreachable { host: String },
    #[error("the connection to {host} broke before it answered")]
    Interrupted { host: String },
    #[error("{host} did not answer within {DEADLINE:?}")]
    Silent { host: String },
    #[error("{host} refused the role's credentials (status {status})")]
    Refused { host: String, status: u16 },
    #[error("{host} answered with something else than a sign-in token")]
    Unusable { host: String },
}

impl SignInError {
    /// A short, stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::TooShort { .. } => "login-too-short",
            Self::BadSetting => "bad-endpoint-setting",
            Self::Unreachable { .. } => "sign-in-unreachable",
            Self::Interrupted { .. } => "sign-in-interrupted",
            Self::Silent { .. } => "sign-in-silent",
            Self::Refused { .. } => "sign-in-refused",
            Self::Unusable { .. } => "sign-in-unusable",
        }
    }

    /// Whether the credentials have not left.
    pub(crate) fn is_before_sending(&self) -> bool {
        matches!(self, Self::TooShort { .. } | Self::BadSetting | Self::Unreachable { .. })
    }
}

/// Signs users in to the console.
pub(crate) struct Console {
    road: Arc<Road>,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    redirect: Option<String>,
}

/// The `Session` parameter.
#[derive(Serialize)]
struct Handed<'a> {
    #[serde(rename = "sessionId")]
    id: &'a str,
    #[serde(rename = "sessionKey")]
    key: &'a str,
    #[serde(rename = "sessionToken")]
    token: &'a str,
}

#[derive(Deserialize)]
struct Given {
    #[serde(rename = "SigninToken")]
    token: String,
}

/// How long the role's session lasts, and whether AWS may be told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Terms {
    duration: Duration,
    /// AWS refuses `SessionDuration` with credentials that come from chained roles.
    says_duration: bool,
}

impl Console {
    /// Beside the road to AWS, with its rules, record and roles.
    pub(crate) fn new(road: Arc<Road>, tls: &ClientConfig, sdk: &SdkConfig) -> Self {
        Self { road, client: client::client(tls), redirect: forward::redirect_of(sdk, "SIGNIN") }
    }

    /// Answers one request.
    pub(crate) async fn answer(
        &self,
        visitor: &Visitor,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        if request.uri().path() != CONSOLE_PATH || request.method() != Method::POST {
            let body = ErrorBody::new("the agent has no such door", None);
            return reply(StatusCode::NOT_FOUND, &body, "");
        }
        let mut visit = Visit::of_console(&visitor.identity, self.road.clock.now());
        let id = visit.id();
        match self.sign_in(&mut visit, visitor).await {
            Ok(signed_in) => reply(StatusCode::OK, &signed_in, &id),
            Err(refusal) => {
                let refusal = self.road.recorder.refused(&mut visit, refusal);
                let body = ErrorBody::new(Chain(&refusal).to_string(), None);
                reply(refusal.status(), &body.with_code(Some(refusal.code())), &id)
            }
        }
    }

    async fn sign_in(
        &self,
        visit: &mut Visit,
        visitor: &Visitor,
    ) -> Result<ConsoleSignIn, Refusal> {
        let (grant, destination) = self.permit(visit, visitor)?;
        let host = self.host(grant.partition())?;
        visit.signing_in_at(host.authority().map_or("", |authority| authority.host()));
        let left = grant.role_session().until().duration_since(visit.now()).unwrap_or_default();
        let terms = terms(left, self.road.assume.is_chaining().await)?;
        let entry = self.road.recorder.open_counting(visit, Arc::default())?;
        let going = self.go(&entry, (&grant, terms), &host);
        match Box::pin(going).await {
            Ok(token) => self.release(entry, &token, &host, (visitor, &destination)).await,
            Err(refusal) => {
                entry.failed(&refusal);
                Err(refusal)
            }
        }
    }

    fn permit(
        &self,
        visit: &mut Visit,
        visitor: &Visitor,
    ) -> Result<(ConsoleGrant, String), Refusal> {
        let snapshot = self.road.policy.now();
        if !snapshot.is_complete {
            return Err(Refusal::NotReady);
        }
        let identity = &visitor.identity;
        let claimed = identity.user().and_then(|claims| claims.app.as_ref());
        let name = &claimed.ok_or(Refusal::NoApp)?.name;
        let app =
            snapshot.apps.get(name).ok_or_else(|| Refusal::AppNotServed { app: name.clone() })?;
        visit.through(app);
        let grant = permit_console(identity, (app, visit.now()), &snapshot.policy)?;
        let destination = match app.partition() {
            Some(_) => app.uri(),
            None => format!("https://{}/", grant.console_host()),
        };
        Ok((grant, destination))
    }

    async fn go(
        &self,
        entry: &OpenEntry,
        (grant, terms): (&ConsoleGrant, Terms),
        host: &Uri,
    ) -> Result<Secret<String>, Refusal> {
        if self.road.sync == SyncWhen::BeforeCall {
            self.road.recorder.durable(entry).await?;
        }
        let role = grant.role_session();
        let assumed = self.road.assume.for_console(role, terms.duration).await;
        let (credentials, duration) = assumed.map_err(Arc::new)?;
        let said = terms.says_duration.then_some(duration);
        let token = self.exchange(host, &credentials, said).await?;
        info!(user = %role.user(), role = %role.aws_role(), "signed in to the AWS console");
        Ok(token)
    }

    /// Lets the address go to the client, once the entry is safe.
    async fn release(
        &self,
        entry: OpenEntry,
        token: &Secret<String>,
        host: &Uri,
        (visitor, destination): (&Visitor, &str),
    ) -> Result<ConsoleSignIn, Refusal> {
        if let Err(error) = self.road.recorder.durable(&entry).await {
            let refusal = Refusal::Withheld(error);
            entry.withheld(&Answer::with_status(200), &refusal);
            return Err(refusal);
        }
        entry.answered(&Answer::with_status(200), 0, None);
        let app = visitor.identity.user().and_then(|claims| claims.app.as_ref());
        let issuer = app.map(|app| format!("https://{}", app.public_addr)).unwrap_or_default();
        Ok(ConsoleSignIn::new(format!(
            "{}?Action=login&Issuer={}&Destination={}&SigninToken={}",
            address(host),
            encoded(&issuer),
            encoded(destination),
            encoded(token.expose()),
        )))
    }

    /// AWS's own sign-in host of the partition, or where the operator has redirected it.
    fn host(&self, partition: Partition) -> Result<Uri, SignInError> {
        let own = || partition.sign_in_host().map(|host| format!("https://{host}"));
        let text = self.redirect.clone().or_else(own).ok_or(SignInError::BadSetting)?;
        let uri: Uri = text.parse().map_err(|_| SignInError::BadSetting)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_bare = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if is_http && is_bare { Ok(uri) } else { Err(SignInError::BadSetting) }
    }

    /// Credentials in, token out.
    async fn exchange(
        &self,
        host: &Uri,
        credentials: &Credentials,
        duration: Option<Duration>,
    ) -> Result<Secret<String>, SignInError> {
        let name = || host.authority().map(ToString::to_string).unwrap_or_default();
        let request = ask(host, credentials, duration)
            .ok_or_else(|| SignInError::Unusable { host: name() })?;
        // Causes are left out on purpose: they might show the address.
        let asking = async {
            let reply = self.client.request(request).await;
            let reply = reply.map_err(|error| match error.is_connect() {
                true => SignInError::Unreachable { host: name() },
                false => SignInError::Interrupted { host: name() },
            })?;
            let status = reply.status();
            if !status.is_success() {
                return Err(SignInError::Refused { host: name(), status: status.as_u16() });
            }
            let body = Limited::new(reply.into_body(), LIMIT).collect().await;
            let body = body.map_err(|_| SignInError::Unusable { host: name() })?.to_bytes();
            let given = serde_json::from_slice::<Given>(&body);
            let token = given.map_err(|_| SignInError::Unusable { host: name() })?.token;
            Ok(Secret::new(token))
        };
        match timeout(DEADLINE, asking).await {
            Ok(answered) => answered,
            Err(_) => Err(SignInError::Silent { host: name() }),
        }
    }
}

/// As long as the login lasts, within what AWS allows.
fn terms(left: Duration, is_chaining: bool) -> Result<Terms, SignInError> {
    if left < SHORTEST {
        return Err(SignInError::TooShort { left });
    }
    let longest = if is_chaining { ALWAYS_ALLOWED } else { LONGEST };
    // Whole seconds: AWS knows no others.
    let duration = Duration::from_secs(left.min(longest).as_secs());
    Ok(Terms { duration, says_duration: !is_chaining })
}

fn ask(
    host: &Uri,
    credentials: &Credentials,
    duration: Option<Duration>,
) -> Option<Request<Empty<Bytes>>> {
    let handed = Handed {
        id: &credentials.access_key_id,
        key: credentials.secret_access_key.expose(),
        token: credentials.session_token.as_ref()?.expose(),
    };
    let session = Secret::new(serde_json::to_string(&handed).ok()?);
    let duration = duration
        .map(|duration| format!("&SessionDuration={}", duration.as_secs()))
        .unwrap_or_default();
    let address = Secret::new(format!(
        "{}?Action=getSigninToken{duration}&Session={}",
        address(host),
        encoded(session.expose())
    ));
    Request::get(address.expose().as_str()).body(Empty::new()).ok()
}

fn address(host: &Uri) -> String {
    let scheme = host.scheme_str().unwrap_or("https");
    let authority = host.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}/federation", host.path().trim_end_matches('/'))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

fn reply(status: StatusCode, body: &impl Serialize, id: &str) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HEADER_REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lasts_as_the_login_within_what_aws_allows() {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        for (left, is_chaining, expected) in [
            (minutes(16), false, Some((minutes(16), true))),
            (minutes(15), false, Some((minutes(15), true))),
            (minutes(15) - Duration::from_secs(1), false, None),
            (minutes(0), true, None),
            (minutes(13 * 60), false, Some((minutes(12 * 60), true))),
            (minutes(13 * 60), true, Some((minutes(60), false))),
            (minutes(30), true, Some((minutes(30), false))),
        ] {
            let terms = terms(left, is_chaining).ok();
            let found = terms.map(|terms| (terms.duration, terms.says_duration));
            assert_eq!(found, expected, "{left:?} {is_chaining}");
        }
    }

    #[test]
    fn values_are_encoded_whole() {
        assert_eq!(encoded("https://a/b?c=d&e f+g"), "https%3A%2F%2Fa%2Fb%3Fc%3Dd%26e%20f%2Bg");
    }

    #[test]
    fn the_address_has_the_operators_own_host_and_path() {
        for (host, expected) in [
            ("https://signin.aws.amazon.com", "https://signin.aws.amazon.com/federation"),
            ("http://127.0.0.1:4566/", "http://127.0.0.1:4566/federation"),
            ("http://127.0.0.1:4566/aws/", "http://127.0.0.1:4566/aws/federation"),
        ] {
            assert_eq!(address(&host.parse().unwrap()), expected);
        }
    }
}
