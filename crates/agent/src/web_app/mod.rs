//! The road of one request to a web app: decide, open an entry, pass it on, close the entry.
//!
//! Path, query and body are passed on as they come, both ways as streams. Nothing that a client says about itself in a
//! header reaches the app.

mod cookies;
mod headers;
mod site;
mod token;
mod upgrade;

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use access::{AppGrant, AppName, AppTraffic};
use api::error::Chain;
use api::wire::HEADER_REQUEST_ID;
use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, debug_span};

use self::headers::{Told, Upgrade};
use self::site::Site;
pub(crate) use self::token::Tokens;
use crate::app_use::{AppUse, Visitor};
use crate::body::Counted;
use crate::client;
use crate::config::SyncWhen;
use crate::forward::{self, SILENCE};
use crate::record::{Answer, OpenEntry, RecordedBody, Recorder, Visit};
use crate::refusal::Refusal;

/// An answer's body: ours, or the app's on its way through.
pub(crate) type WebBody = Either<Full<Bytes>, RecordedBody<Incoming>>;

/// Why an app did not answer.
#[derive(Debug, Error)]
pub(crate) enum AppError {
    #[error("the uri of app `{app}` cannot be used; an administrator must correct it")]
    BadUri { app: AppName },
    #[error("could not connect to {host}, where app `{app}` is")]
    Connect { app: AppName, host: String, source: Box<dyn StdError + Send + Sync> },
    #[error("the connection to {host}, where app `{app}` is, broke before an answer came")]
    Interrupted { app: AppName, host: String, source: Box<dyn StdError + Send + Sync> },
    #[error("app `{app}` at {host} did not answer within {SILENCE:?}")]
    Silent { app: AppName, host: String },
}

impl AppError {
    /// Whether nothing of the request has left.
    pub(crate) fn is_before_sending(&self) -> bool {
        matches!(self, Self::BadUri { .. } | Self::Connect { .. })
    }

    /// A short, stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::BadUri { .. } => "bad-app-uri",
            Self::Connect { .. } => "app-unreachable",
            Self::Interrupted { .. } => "app-interrupted",
            Self::Silent { .. } => "app-silent",
        }
    }

    /// As gateways say it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Silent { .. } => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Counted>;

/// What the road leads past.
pub(crate) struct WebApps {
    pub(crate) app_use: AppUse,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) sync: SyncWhen,
    pub(crate) tokens: Tokens,
    pub(crate) clients: Clients,
    /// Where the tasks of upgraded connections belong.
    pub(crate) tasks: TaskTracker,
    /// Ends upgraded connections.
    pub(crate) stop: CancellationToken,
}

/// The ways to apps.
pub(crate) struct Clients {
    verified: HttpClient,
    unverified: HttpClient,
}

impl Clients {
    /// With the system's roots, and without any check for apps that say so.
    pub(crate) fn new(verified: &ClientConfig, unverified: &ClientConfig) -> Self {
        Self { verified: client::client(verified), unverified: client::client(unverified) }
    }

    fn of(&self, site: &Site) -> &HttpClient {
        if site.is_unverified() { &self.unverified } else { &self.verified }
    }
}

/// A request that was allowed, and where it goes.
struct Admitted {
    grant: AppGrant,
    site: Site,
    path: PathAndQuery,
    /// As the browser asked for it.
    host: String,
}

impl WebApps {
    /// Answers one request: with the app's answer, or in plain words why not.
    pub(crate) async fn answer(
        &self,
        visitor: &Visitor,
        mut request: Request<Incoming>,
    ) -> Response<WebBody> {
        let upgrade = match request.version() {
            Version::HTTP_11 => Upgrade::of(request.headers()),
            _ => Upgrade::No,
        };
        let client = (upgrade == Upgrade::WebSocket).then(|| hyper::upgrade::on(&mut request));
        let (method, uri) = (request.method().as_str(), request.uri());
        let asked = (method, uri.path(), uri.query().unwrap_or_default());
        let mut visit = Visit::of_app(&visitor.identity, asked, self.app_use.clock.now());
        let span = debug_span!("request", id = %visit.id());
        let going = self.go(&mut visit, visitor, request, client);
        let answered = Box::pin(going).instrument(span).await;
        answered.unwrap_or_else(|refusal| self.refuse(&mut visit, refusal))
    }

    async fn go(
        &self,
        visit: &mut Visit,
        visitor: &Visitor,
        request: Request<Incoming>,
        client: Option<OnUpgrade>,
    ) -> Result<Response<WebBody>, Refusal> {
        let (parts, body) = request.into_parts();
        let admitted = self.admit(visit, visitor, &parts)?;
        let bytes_in = Arc::new(AtomicU64::new(0));
        let entry = self.recorder.open_counting(visit, Arc::clone(&bytes_in))?;
        if let Some(start) = admitted.site.start_of(&admitted.path) {
            entry.answered(&Answer::with_status(302), 0, None);
            return Ok(redirect(start));
        }
        let upgrade = if client.is_some() { Upgrade::WebSocket } else { Upgrade::No };
        let body = Counted::new(body, bytes_in);
        let passed = async {
            let request = self.for_app(&admitted, visitor, (parts, upgrade)).await?.map(|()| body);
            self.pass_on(&entry, &admitted.site, request).await
        };
        match passed.await {
            Ok(reply) => self.release(entry, &admitted, (visitor, client), reply).await,
            Err(refusal) => {
                entry.failed(&refusal);
                Err(refusal)
            }
        }
    }

    /// Whether the app may be used, and what exactly is asked of it.
    fn admit(
        &self,
        visit: &mut Visit,
        visitor: &Visitor,
        parts: &Parts,
    ) -> Result<Admitted, Refusal> {
        let (grant, app) = self.app_use.decide(visit, &visitor.identity, AppTraffic::Web)?;
        let public = visitor.identity.user().and_then(|claims| claims.app.as_ref());
        let public = public.map_or("", |app| app.public_addr.as_str());
        let host = asked_host(parts, public)?;
        if parts.method == Method::CONNECT {
            return Err(Refusal::BadRequest { why: "CONNECT is for proxies" });
        }
        let path = parts.uri.path_and_query().filter(|path| path.as_str().starts_with('/'));
        let path = path.ok_or(Refusal::BadRequest { why: "it has no path" })?.clone();
        Ok(Admitted { grant, site: Site::of(&app)?, path, host })
    }

    /// The request as the app gets it.
    async fn for_app(
        &self,
        admitted: &Admitted,
        visitor: &Visitor,
        (parts, upgrade): (Parts, Upgrade),
    ) -> Result<Request<()>, Refusal> {
        let Admitted { grant, site, path, host } = admitted;
        let token = self.tokens.of(grant.session()).await;
        let added = match &token {
            Some(token) if site.wants_token() => {
                let mut traits = grant.traits().clone();
                traits.insert("jwt".to_owned(), vec![token.expose().to_owned()]);
                site.headers(&traits)
            }
            _ => site.headers(grant.traits()),
        };
        let told = Told {
            identity: &visitor.identity,
            address: visitor.address,
            host,
            added,
            token: token.as_ref().and_then(token::header),
        };
        let mut request = Request::new(());
        *request.method_mut() = parts.method;
        *request.uri_mut() = site.address(path)?;
        *request.headers_mut() = parts.headers;
        headers::to_app(request.headers_mut(), site, upgrade, told);
        Ok(request)
    }

    async fn pass_on(
        &self,
        entry: &OpenEntry,
        site: &Site,
        request: Request<Counted>,
    ) -> Result<Response<Incoming>, Refusal> {
        if self.sync == SyncWhen::BeforeCall {
            self.recorder.durable(entry).await?;
        }
        let (app, host) = (site.app().clone(), site.authority().to_string());
        tokio::select! {
            reply = self.clients.of(site).request(request) => {
                let reply = reply.map_err(|error| match error.is_connect() {
                    true => AppError::Connect { app, host, source: Box::new(error) },
                    false => AppError::Interrupted { app, host, source: Box::new(error) },
                })?;
                Ok(reply)
            }
            () = forward::silence(entry) => Err(AppError::Silent { app, host }.into()),
        }
    }

    /// Lets the answer go to the client, once the entry is safe.
    async fn release(
        &self,
        entry: OpenEntry,
        admitted: &Admitted,
        (visitor, client): (&Visitor, Option<OnUpgrade>),
        mut reply: Response<Incoming>,
    ) -> Result<Response<WebBody>, Refusal> {
        if let Err(error) = self.recorder.durable(&entry).await {
            let refusal = Refusal::Withheld(error);
            entry.withheld(&Answer::of(&reply), &refusal);
            return Err(refusal);
        }
        headers::to_client(reply.headers_mut(), &admitted.site);
        if reply.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(RecordedBody::wrap(entry, reply).map(Either::Right));
        }
        let app = hyper::upgrade::on(&mut reply);
        let Some(client) = client else {
            let why = "the app changed the protocol unasked";
            entry.answered(&Answer::of(&reply), 0, Some(why.to_owned()));
            return Err(Refusal::BadRequest { why });
        };
        self.join((client, app), entry, visitor.clone());
        Ok(upgrade::switching(reply.headers()))
    }

    /// Records the refusal, and says it.
    fn refuse(&self, visit: &mut Visit, refusal: Refusal) -> Response<WebBody> {
        let refusal = self.recorder.refused(visit, refusal);
        let text = format!("{}.\n", Chain(&refusal));
        let mut answer = Response::new(Either::Left(Full::new(text.into())));
        *answer.status_mut() = refusal.status();
        let headers = answer.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(id) = HeaderValue::from_str(&visit.id()) {
            headers.insert(HEADER_REQUEST_ID, id);
        }
        answer
    }
}

/// The host that was asked for, which must be the app's own; or this machine's, at the user's end of `tsh proxy app`.
/// Another name may be one that a foreign page has given to an address of ours.
fn asked_host(parts: &Parts, public: &str) -> Result<String, Refusal> {
    let mut named = parts.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let (header, more) = (named.next(), named.next());
    let of_uri = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let asked = of_uri.or(header).ok_or(Refusal::BadRequest { why: "it names no host" })?;
    if more.is_some() || header.is_some_and(|header| header != asked) {
        return Err(Refusal::BadRequest { why: "it names two hosts" });
    }
    let foreign = || Refusal::BadRequest { why: "it is for another host than the app's" };
    let text = std::str::from_utf8(asked).map_err(|_| foreign())?;
    let authority: http::uri::Authority = text.parse().map_err(|_| foreign())?;
    let host = authority.host();
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    if text.contains('@') || !(is_here || host.eq_ignore_ascii_case(public)) {
        return Err(foreign());
    }
    Ok(if is_here { public.to_owned() } else { text.to_owned() })
}

fn redirect(to: HeaderValue) -> Response<WebBody> {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = StatusCode::FOUND;
    answer.headers_mut().insert(header::LOCATION, to);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_apps_own_host_is_answered() {
        let asked = |uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            asked_host(&request.body(()).unwrap().into_parts().0, "grafana.example.com").ok()
        };
        let own = |port: &str| Some(format!("grafana.example.com{port}"));
        assert_eq!(asked("https://grafana.example.com/x", &[]), own(""));
        assert_eq!(asked("/x", &["grafana.example.com:3080"]), own(":3080"));
        assert_eq!(asked("/x", &["localhost:1234"]), own(""));
        assert_eq!(asked("/x", &["127.0.0.1:1234"]), own(""));
        for (uri, hosts) in [
            ("/x", &[][..]),
            ("/x", &["evil.example.com"]),
            ("/x", &["grafana.example.com.evil.example"]),
            ("/x", &["user@grafana.example.com"]),
            ("/x", &["grafana.example.com", "grafana.example.com"]),
            ("https://grafana.example.com/x", &["evil.example.com"]),
            ("http://evil.example.com/x", &["grafana.example.com"]),
            ("/x", &["127.0.0.1.evil.example"]),
        ] {
            assert_eq!(asked(uri, hosts), None, "{uri} {hosts:?}");
        }
    }
}
