//! The client of a proxy's web API: what is asked before there is a certificate.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::error::ApiError;
use crate::http::{self as wire_http, Body, CALL_DEADLINE, Place};
use crate::routes;
use crate::types::join::{JoinReply, JoinRequest};
use crate::types::login::{
    BrowserLogin, ChallengeLogin, LoginChallenge, LoginChallengeRequest, LoginReply, LoginRequest,
};
use crate::types::ping::Ping;

const DIAL_DEADLINE: Duration = Duration::from_secs(10);

/// A client of one proxy. A connection a call: there are few.
#[derive(Clone)]
pub struct WebClient {
    host: String,
    address: String,
    tls: Arc<ClientConfig>,
    tasks: TaskTracker,
}

impl WebClient {
    /// A client of the proxy at `host:port`. `tls` says whom to trust
    /// (the system's roots, or anybody with `--insecure`).
    #[must_use]
    pub fn new(host: &str, port: u16, tls: Arc<ClientConfig>) -> Self {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let address =
            if bare.contains(':') { format!("[{bare}]:{port}") } else { format!("{bare}:{port}") };
        Self { host: bare, address, tls, tasks: TaskTracker::new() }
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the cluster offers before login.
    ///
    /// # Errors
    /// When the proxy cannot be reached, is not trusted, or refuses.
    pub async fn ping(&self) -> Result<Ping, ApiError> {
        self.call(Method::GET, routes::WEB_PING, &()).await
    }

    /// Logs a local user in.
    ///
    /// # Errors
    /// When the proxy cannot be reached, is not trusted, or refuses.
    pub async fn login(&self, request: &LoginRequest) -> Result<LoginReply, ApiError> {
        self.call(Method::POST, routes::WEB_LOGIN, request).await
    }

    /// Checks name and password, and asks for what is still to be shown.
    ///
    /// # Errors
    /// When the proxy cannot be reached, is not trusted, or refuses.
    pub async fn begin_login(
        &self,
        request: &LoginChallengeRequest,
    ) -> Result<LoginChallenge, ApiError> {
        self.call(Method::POST, routes::WEB_LOGIN_CHALLENGES, request).await
    }

    /// Finishes a login in two steps.
    ///
    /// # Errors
    /// When the proxy cannot be reached, is not trusted, or refuses.
    pub async fn finish_login(&self, request: &ChallengeLogin) -> Result<LoginReply, ApiError> {
        self.call(Method::POST, routes::WEB_LOGIN, request).await
    }

    /// Logs in by a code that the user's browser was given.
    ///
    /// # Errors
    /// When the proxy cannot be reached, is not trusted, or refuses.
    pub async fn login_by_browser(&self, request: &BrowserLogin) -> Result<LoginReply, ApiError> {
        self.call(Method::POST, routes::WEB_LOGIN_CODE, request).await
    }

    /// Joins a new service through the proxy.
    ///
    /// # Errors
    /// When the proxy cannot be reached, is not trusted, or the token does not allow it.
    pub async fn join(&self, request: &JoinRequest) -> Result<JoinReply, ApiError> {
        self.call(Method::POST, routes::WEB_JOIN, request).await
    }

    async fn call<Q: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &Q,
    ) -> Result<T, ApiError> {
        let what = format!("{method} {path}");
        let place = Place { address: &self.address, what: &what };
        let call = async {
            let reply = self.round_trip(place, method, path, body).await?;
            wire_http::read(place, reply).await
        };
        match timeout(CALL_DEADLINE, call).await {
            Ok(result) => result,
            Err(late) => Err(place.interrupted(late)),
        }
    }

    async fn round_trip<Q: Serialize>(
        &self,
        place: Place<'_>,
        method: Method,
        path: &str,
        body: &Q,
    ) -> Result<http::Response<hyper::body::Incoming>, ApiError> {
        let setup = |what: &str, source: crate::error::Cause| ApiError::Setup {
            what: what.to_owned(),
            source: Some(source),
        };
        let body = if method == Method::GET {
            Vec::new()
        } else {
            serde_json::to_vec(body).map_err(|e| setup("could not write the request", e.into()))?
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, &self.address)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::new(body.into()))
            .map_err(|e| setup("could not write the request", e.into()))?;
        let tls = match timeout(DIAL_DEADLINE, self.dial()).await {
            Ok(tls) => tls?,
            Err(late) => return Err(self.unreachable(late)),
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
            .await
            .map_err(|e| self.unreachable(e))?;
        self.tasks.spawn(async move {
            // A broken connection shows itself in the call that it carries.
            let _ = connection.await;
        });
        sender.send_request(request).await.map_err(|e| place.interrupted(e))
    }

    async fn dial(&self) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ApiError> {
        let name = ServerName::try_from(self.host.clone()).map_err(|e| ApiError::Setup {
            what: format!("`{}` is not a host name", self.host),
            source: Some(e.into()),
        })?;
        let tcp = crate::outward::connect(&self.address).await.map_err(|e| self.unreachable(e))?;
        tcp.set_nodelay(true).map_err(|e| self.unreachable(e))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        connector.connect(name, tcp).await.map_err(|e| self.unreachable(e))
    }

    fn unreachable(&self, source: impl Into<crate::error::Cause>) -> ApiError {
        ApiError::Unreachable { address: self.address.clone(), source: source.into() }
    }
}
