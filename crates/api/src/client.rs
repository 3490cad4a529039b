//! The typed client of the Auth Service: one HTTP/2 connection inside mutual
//! TLS, dialled when first needed and again when it is lost.

mod identity;

use std::sync::Arc;
use std::time::Duration;

use access::{AppSessionId, HostId, UserName};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::error::{ApiError, Chain};
use crate::http::{self as wire_http, Body, CALL_DEADLINE, Place};
use crate::resource::{Kind, Resource};
use crate::types::app_servers::AppServer;
use crate::types::app_sessions::{AppSessionReply, AppSessionRequest};
use crate::types::audit::{AuditQuery, AuditRow, AuditStored, AuditVerified};
use crate::types::invites::{Invite, InviteAcceptance, InviteAccepted, InviteLink};
use crate::types::join::{JoinReply, JoinRequest};
use crate::types::login::{LoginReply, LoginRequest};
use crate::types::ping::Ping;
use crate::types::status::Status;
use crate::types::tokens::{TokenReply, TokenRequest};
use crate::types::users::{ResetRequest, UserRequest};
use crate::{resource, routes, wire};

mod shelves;
mod views;

/// How long a dial may take, TCP and TLS together.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);

/// A client of the Auth Service's API. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    public_addr: Option<HeaderValue>,
}

struct Shared {
    address: String,
    server_name: ServerName<'static>,
    tls: TlsConnector,
    sender: ArcSwapOption<SendRequest<Body>>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.shared.address)
    }
}

impl Client {
    /// A client that dials `address` (`host:port` of the Auth Service or of a
    /// proxy, which passes the connection on). `tls` carries the caller's
    /// certificate and whom to trust, and offers [`wire::ALPN_AUTH`]. No IO yet.
    ///
    /// # Errors
    /// Never in practice: only if the fixed server name did not parse.
    pub fn new(address: impl Into<String>, tls: Arc<ClientConfig>) -> Result<Self, ApiError> {
        let server_name = ServerName::try_from(wire::AUTH_SERVER_NAME).map_err(|e| {
            ApiError::Setup { what: "the server name".to_owned(), source: Some(e.into()) }
        })?;
        let shared = Shared {
            address: address.into(),
            server_name,
            tls: TlsConnector::from(tls),
            sender: ArcSwapOption::empty(),
            tasks: TaskTracker::new(),
        };
        Ok(Self { shared: Arc::new(shared), public_addr: None })
    }

    /// A proxy's client: its watch tells the Auth Service where users reach the proxy.
    #[must_use]
    pub fn of_proxy_at(self, public_addr: &str) -> Self {
        Self { public_addr: HeaderValue::from_str(public_addr).ok(), ..self }
    }

    /// Where this client dials.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    // --- before login, by a proxy ---------------------------------------------------------

    /// What the cluster offers before login.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn ping(&self) -> Result<Ping, ApiError> {
        self.get(routes::PING).await
    }

    /// Joins a new service, directly or relayed.
    ///
    /// # Errors
    /// When Auth cannot be reached or the token does not allow it.
    pub async fn join(&self, request: &JoinRequest) -> Result<JoinReply, ApiError> {
        self.send(Method::POST, routes::JOIN, request).await
    }

    /// Logs a local user in, relayed by a proxy.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn login(&self, request: &LoginRequest) -> Result<LoginReply, ApiError> {
        self.send(Method::POST, routes::LOGIN, request).await
    }

    /// Shows an invite, relayed by a proxy.
    ///
    /// # Errors
    /// When Auth cannot be reached or the link does not work.
    pub async fn invite(&self, token: &str) -> Result<Invite, ApiError> {
        self.get(&routes::fill(routes::INVITE, token)).await
    }

    /// Accepts an invite, relayed by a proxy.
    ///
    /// # Errors
    /// When Auth cannot be reached, the link does not work, or password or code do not suit.
    pub async fn accept_invite(
        &self,
        token: &str,
        acceptance: &InviteAcceptance,
    ) -> Result<InviteAccepted, ApiError> {
        self.send(Method::POST, &routes::fill(routes::INVITE, token), acceptance).await
    }

    // --- services -----------------------------------------------------------------------

    /// Announces an agent's apps.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn announce(&self, server: &AppServer) -> Result<(), ApiError> {
        let path = routes::fill(routes::APP_SERVER, server.host_id.as_str());
        self.send(Method::PUT, &path, server).await
    }

    /// Withdraws an agent's apps.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn withdraw(&self, host: &HostId) -> Result<(), ApiError> {
        self.delete(&routes::fill(routes::APP_SERVER, host.as_str())).await
    }

    /// Stores a batch of audit events: flat JSON objects, a line each.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses; nothing of the batch is stored then.
    pub async fn store_audit(&self, lines: Bytes) -> Result<AuditStored, ApiError> {
        self.exchange(Method::POST, routes::AUDIT, "application/x-ndjson", lines).await
    }

    /// Opens the watch; read it with [`crate::watch`].
    pub(crate) async fn watch(&self) -> Result<Response<Incoming>, ApiError> {
        let what = "GET /v1/watch";
        let mut request = request(Method::GET, routes::WATCH, Bytes::new(), None)?;
        if let Some(address) = &self.public_addr {
            request.headers_mut().insert(wire::HEADER_PUBLIC_ADDR, address.clone());
        }
        let reply = self.round_trip(what, request);
        let reply = within(self.place(what), reply).await?;
        wire_http::refused(self.place(what), reply).await
    }

    // --- users --------------------------------------------------------------------------

    /// The agents and the apps that the caller may see.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn apps(&self) -> Result<Vec<access::App>, ApiError> {
        self.get(routes::APPS).await
    }

    /// Opens an app session.
    ///
    /// # Errors
    /// When Auth cannot be reached or the user may not.
    pub async fn open_app_session(
        &self,
        request: &AppSessionRequest,
    ) -> Result<AppSessionReply, ApiError> {
        self.send(Method::POST, routes::APP_SESSIONS, request).await
    }

    /// Ends an app session of the caller.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn end_app_session(&self, id: &AppSessionId) -> Result<(), ApiError> {
        self.delete(&routes::fill(routes::APP_SESSION, id.as_str())).await
    }

    // --- admins -------------------------------------------------------------------------

    /// Name, version, CA pins.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn status(&self) -> Result<Status, ApiError> {
        self.get(routes::STATUS).await
    }

    /// The agents and their apps.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn app_servers(&self) -> Result<Vec<AppServer>, ApiError> {
        self.get(routes::APP_SERVERS).await
    }

    /// Makes a join token.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn add_token(&self, request: &TokenRequest) -> Result<TokenReply, ApiError> {
        self.send(Method::POST, routes::TOKENS, request).await
    }

    /// Makes a user and an invite link.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn add_user(&self, request: &UserRequest) -> Result<InviteLink, ApiError> {
        self.send(Method::POST, routes::USERS, request).await
    }

    /// Resets a user's password and second factor.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn reset_user(
        &self,
        user: &UserName,
        request: &ResetRequest,
    ) -> Result<InviteLink, ApiError> {
        self.send(Method::POST, &routes::fill(routes::USER_RESET, user.as_str()), request).await
    }

    /// Stores a resource.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn put_resource(
        &self,
        request: &resource::PutRequest,
    ) -> Result<resource::PutReply, ApiError> {
        self.send(Method::POST, routes::RESOURCES, request).await
    }

    /// All resources of a kind.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn resources(&self, kind: Kind) -> Result<Vec<Resource>, ApiError> {
        self.get(&routes::fill(routes::RESOURCES_OF_KIND, kind.as_str())).await
    }

    /// One resource.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses, e.g. 404.
    pub async fn resource(&self, kind: Kind, name: &str) -> Result<Resource, ApiError> {
        self.get(&routes::fill_all(routes::RESOURCE, &[kind.as_str(), name])).await
    }

    /// Removes a resource.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses, e.g. 404.
    pub async fn delete_resource(&self, kind: Kind, name: &str) -> Result<(), ApiError> {
        self.delete(&routes::fill_all(routes::RESOURCE, &[kind.as_str(), name])).await
    }

    /// Searches the audit log.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRow>, ApiError> {
        self.get(&format!("{}?{}", routes::AUDIT, query_of(query))).await
    }

    /// Checks the hash chain of the audit log.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn verify_audit(&self) -> Result<AuditVerified, ApiError> {
        self.get(routes::AUDIT_VERIFY).await
    }

    // --- the one way out ------------------------------------------------------------------

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.exchange(Method::GET, path, "", Bytes::new()).await
    }

    async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.exchange(Method::DELETE, path, "", Bytes::new()).await
    }

    async fn send<Q: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Q,
    ) -> Result<T, ApiError> {
        let bytes = serde_json::to_vec(body).map_err(|e| ApiError::Setup {
            what: format!("could not write the body of {method} {}", routes::shown(path)),
            source: Some(e.into()),
        })?;
        self.exchange(method, path, "application/json", bytes.into()).await
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<T, ApiError> {
        let what = format!("{method} {}", routes::shown(path));
        let place = self.place(&what);
        let content_type = (!content_type.is_empty()).then_some(content_type);
        let request = request(method, path, body, content_type)?;
        within(place, async {
            let reply = self.round_trip(&what, request).await?;
            wire_http::read(place, reply).await
        })
        .await
    }

    fn place<'a>(&'a self, what: &'a str) -> Place<'a> {
        Place { address: &self.shared.address, what }
    }

    async fn round_trip(
        &self,
        what: &str,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, ApiError> {
        let mut sender = self.sender().await?;
        match sender.try_send_request(request).await {
            Ok(reply) => Ok(reply),
            Err(mut error) => match error.take_message() {
                // The connection died before anything was sent: dial once more.
                Some(request) => {
                    self.shared.sender.store(None);
                    let mut sender = self.sender().await?;
                    sender.send_request(request).await.map_err(|e| self.place(what).interrupted(e))
                }
                None => Err(self.place(what).interrupted(error.into_error())),
            },
        }
    }

    async fn sender(&self) -> Result<SendRequest<Body>, ApiError> {
        if let Some(sender) = self.shared.sender.load_full()
            && !sender.is_closed()
        {
            return Ok(SendRequest::clone(&sender));
        }
        let sender = match timeout(DIAL_DEADLINE, self.dial()).await {
            Ok(dialled) => dialled?,
            Err(late) => return Err(self.unreachable(late)),
        };
        self.shared.sender.store(Some(Arc::new(sender.clone())));
        Ok(sender)
    }

    async fn dial(&self) -> Result<SendRequest<Body>, ApiError> {
        let shared = &self.shared;
        let tcp =
            crate::outward::connect(&shared.address).await.map_err(|e| self.unreachable(e))?;
        tcp.set_nodelay(true).map_err(|e| self.unreachable(e))?;
        let tls = shared.tls.connect(shared.server_name.clone(), tcp);
        let tls = tls.await.map_err(|e| self.unreachable(e))?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(|e| self.unreachable(e))?;
        let address = shared.address.clone();
        shared.tasks.spawn(async move {
            if let Err(error) = connection.await {
                debug!(%address, error = %Chain(&error), "connection to the Auth Service ended");
            }
        });
        Ok(sender)
    }

    fn unreachable(&self, source: impl Into<crate::error::Cause>) -> ApiError {
        ApiError::Unreachable { address: self.shared.address.clone(), source: source.into() }
    }
}

fn request(
    method: Method,
    path: &str,
    body: Bytes,
    content_type: Option<&'static str>,
) -> Result<Request<Body>, ApiError> {
    let uri = format!("https://{}{path}", wire::AUTH_SERVER_NAME);
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(kind) = content_type {
        request = request.header(http::header::CONTENT_TYPE, kind);
    }
    request.body(Body::new(body)).map_err(|e| ApiError::Setup {
        what: format!("bad path {}", routes::shown(path)),
        source: Some(e.into()),
    })
}

async fn within<T>(
    place: Place<'_>,
    call: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    match timeout(CALL_DEADLINE, call).await {
        Ok(result) => result,
        Err(late) => Err(place.interrupted(late)),
    }
}

/// The fields of a flat type as a query string.
fn query_of<Q: Serialize>(query: &Q) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(query) else {
        return String::new();
    };
    let pairs = fields.into_iter().map(|(name, value)| {
        let text = match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        format!("{name}={}", routes::encode(&text))
    });
    pairs.collect::<Vec<_>>().join("&")
}
