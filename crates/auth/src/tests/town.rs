//! A running Auth Service in a folder of its own, with a clock that tests turn.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::{App, AppName, ClusterName, HostId, RoleName, SystemRole, UserName};
use api::types::app_servers::AppServer;
use api::types::audit::{AuditQuery, AuditRow};
use api::types::invites::InviteAcceptance;
use api::types::login::{LoginReply, LoginRequest, Password};
use api::types::ping::SecondFactor;
use api::types::users::UserRequest;
use api::{Client, wire};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::{
    ClientTls, Clock, Credential, KeyPair, LiveCredential, LiveTrust, Trust, TrustedServers,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{AuthConfig, Handle, PasswordCost};

pub(super) const PASSWORD: &str = "correct horse battery staple";
/// 2026-11-22T08:00:00Z.
const NOON: u64 = 1_795_334_400;

/// The service, its folder and its clock.
pub(super) struct Town {
    pub(super) handle: Handle,
    pub(super) hands: Hands,
    pub(super) dir: TempDir,
}

/// The hands of the clock.
#[derive(Clone)]
pub(super) struct Hands(Arc<AtomicU64>);

impl Hands {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOON * 1_000)))
    }

    pub(super) fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    pub(super) fn turn(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(super) fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::new(move || hands.now())
    }
}

pub(super) fn cluster_name() -> ClusterName {
    ClusterName::parse("teleport.example.com").unwrap()
}

pub(super) fn config(data_dir: &Path) -> AuthConfig {
    AuthConfig {
        listen_addr: "127.0.0.1:0".parse().unwrap(),
        proxy_public_addr: Some("teleport.example.com:443".to_owned()),
        second_factor: SecondFactor::Off,
        password_cost: PasswordCost::least(),
        sweep_every: Duration::from_millis(20),
        ..AuthConfig::new(data_dir.to_owned(), cluster_name())
    }
}

impl Town {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut AuthConfig)) -> Self {
        let (dir, hands) = (tempfile::tempdir().unwrap(), Hands::new());
        let mut config = config(dir.path());
        change(&mut config);
        let handle = crate::start(config, hands.clock()).await.unwrap();
        Self { handle, hands, dir }
    }

    /// Stops the service and starts it again on the same folder.
    pub(super) async fn restart_with(self, change: impl FnOnce(&mut AuthConfig)) -> Self {
        self.handle.stop(Duration::from_secs(5)).await;
        let mut config = config(self.dir.path());
        change(&mut config);
        let handle = crate::start(config, self.hands.clock()).await.unwrap();
        Self { handle, ..self }
    }

    pub(super) fn tls(&self, credential: Option<Credential>) -> Arc<rustls::ClientConfig> {
        self.tls_trusting(credential, self.handle.trust())
    }

    pub(super) fn tls_trusting(
        &self,
        credential: Option<Credential>,
        trust: Trust,
    ) -> Arc<rustls::ClientConfig> {
        pki::tls::client(ClientTls {
            credential: credential.map(LiveCredential::new),
            servers: TrustedServers::Cluster(LiveTrust::new(trust)),
            alpn: vec![wire::ALPN_AUTH.to_vec()],
            clock: self.hands.clock(),
        })
        .unwrap()
    }

    pub(super) fn client(&self, credential: Option<Credential>) -> Client {
        Client::new(self.handle.addr().to_string(), self.tls(credential)).unwrap()
    }

    pub(super) fn admin_credential(&self) -> Credential {
        let folder = self.dir.path().join(crate::ADMIN_FOLDER);
        let read = |name| std::fs::read_to_string(folder.join(name)).unwrap();
        Credential::from_pem(&read(crate::ADMIN_CERTIFICATE), &read(crate::ADMIN_KEY)).unwrap()
    }

    pub(super) fn admin(&self) -> Client {
        self.client(Some(self.admin_credential()))
    }

    pub(super) async fn service(&self, role: SystemRole, host: &HostId) -> Credential {
        let (credential, _) = self.handle.local_identity(role, host, "node", &[]).await.unwrap();
        credential
    }

    pub(super) async fn proxy(&self) -> Client {
        self.client(Some(self.service(SystemRole::Proxy, &host("proxy-1")).await))
    }

    pub(super) async fn agent(&self, id: &str) -> Client {
        self.client(Some(self.service(SystemRole::App, &host(id)).await))
    }

    /// Makes a user with a password.
    pub(super) async fn enrol(&self, name: &str, roles: &[&str]) {
        let request = UserRequest {
            name: UserName::parse(name).unwrap(),
            roles: roles.iter().map(|role| RoleName::parse(role).unwrap()).collect(),
            traits: [("aws_role_arns".to_owned(), vec![ARN.to_owned()])].into(),
            ttl_seconds: None,
        };
        let link = self.admin().add_user(&request).await.unwrap();
        let token = token_of(&link.url);
        let acceptance = InviteAcceptance {
            password: Password::new(PASSWORD.to_owned()),
            otp: None,
            webauthn: None,
            remote_addr: None,
        };
        self.proxy().await.accept_invite(&token, &acceptance).await.unwrap();
    }

    /// Logs in with the usual password.
    pub(super) async fn login(&self, name: &str) -> (Credential, LoginReply) {
        let key = KeyPair::generate().unwrap();
        let reply = self.proxy().await.login(&login_request(name, &key)).await.unwrap();
        let credential =
            Credential::from_pem(&reply.certificate, key.secret_pem().expose()).unwrap();
        (credential, reply)
    }

    /// Makes a user and logs in.
    pub(super) async fn user(&self, name: &str, roles: &[&str]) -> Client {
        self.enrol(name, roles).await;
        self.client(Some(self.login(name).await.0))
    }

    /// Lets an agent announce the app `aws`.
    pub(super) async fn announce_aws(&self) -> Client {
        let agent = self.agent("agent-1").await;
        agent.announce(&server("agent-1", &["aws"])).await.unwrap();
        agent
    }

    /// The newest events of a name.
    pub(super) async fn events(&self, event: &str) -> Vec<serde_json::Value> {
        let query = AuditQuery { event: Some(event.to_owned()), ..AuditQuery::default() };
        let rows: Vec<AuditRow> = self.admin().audit(&query).await.unwrap();
        rows.into_iter().map(|row| row.event).collect()
    }

    /// One request by hand; `None` when not even a connection came about.
    pub(super) async fn raw(
        &self,
        credential: Option<Credential>,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Option<(StatusCode, serde_json::Value)> {
        let tls = self.tls(credential);
        let tcp = TcpStream::connect(self.handle.addr()).await.ok()?;
        let name = wire::AUTH_SERVER_NAME.try_into().unwrap();
        let tls = TlsConnector::from(tls).connect(name, tcp).await.ok()?;
        let handshake =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls));
        let (mut sender, connection) = handshake.await.ok()?;
        let tasks = tokio_util::task::TaskTracker::new();
        tasks.spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", wire::AUTH_SERVER_NAME))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        let reply = sender.send_request(request).await.ok()?;
        let status = reply.status();
        if reply.headers().get("content-type").is_some_and(|kind| kind == "application/x-ndjson") {
            return Some((status, serde_json::Value::Null));
        }
        let bytes = reply.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}

pub(super) const ARN: &str = "arn:aws:iam::123456789012:role/ExampleTeleportDynamoDBRole";

pub(super) fn host(id: &str) -> HostId {
    HostId::parse(id).unwrap()
}

pub(super) fn app(name: &str) -> App {
    App::new(AppName::parse(name).unwrap(), "https://console.aws.amazon.com/console/home")
}

pub(super) fn server(id: &str, apps: &[&str]) -> AppServer {
    AppServer {
        host_id: host(id),
        hostname: id.to_owned(),
        version: "0.1.0".to_owned(),
        apps: apps.iter().map(|name| app(name)).collect(),
        expires: None,
    }
}

pub(super) fn login_request(name: &str, key: &KeyPair) -> LoginRequest {
    LoginRequest {
        user: name.to_owned(),
        password: Password::new(PASSWORD.to_owned()),
        otp: None,
        public_key: key.public_pem(),
        ttl_seconds: None,
        remote_addr: Some("192.0.2.7".to_owned()),
        user_agent: None,
    }
}

pub(super) fn token_of(url: &str) -> String {
    url.rsplit('/').next().unwrap().to_owned()
}

/// Asks again until the answer is there, for a while.
pub(super) async fn until<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> T {
    for _ in 0..500 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come about");
}
