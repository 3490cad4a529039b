//! One agent's road without tunnels: a user's TLS connection over a pipe, a fake AWS behind.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::policy::{AppSession, Policy, UserNow};
use access::resource::{LockingMode, Role};
use access::{
    App, AppClaims, AppName, AppSessionId, Claims, ClusterName, HostClaims, HostId, RoleName,
    SystemRole, UserName,
};
use api::wire;
use audit::Event;
use aws::RoleArn;
use aws::sigv4::Keys;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use pki::{
    Authority, AuthorityKind, CertPem, ClientTls, Clock, Credential, KeyPair, LiveCredential,
    LiveTrust, Peers, ServerTls, Trust, TrustedServers, Validity, tls,
};
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fake_aws::FakeAws;
use crate::app_use::AppUse;
use crate::assume::Assume;
use crate::aws_chain::Bundle;
use crate::call::Road;
use crate::config::{AgentConfig, SpoolSettings, SyncWhen};
use crate::console::Console;
use crate::derived::DerivedKeys;
use crate::expect::Expectations;
use crate::forward::Upstream;
use crate::lanes::Lanes;
use crate::policy::LivePolicy;
use crate::record::Recorder;
use crate::server::{Server, Tracked};
use crate::spool::{self, Spool};
use crate::tcp_app::TcpApps;
use crate::tunnels::Tunnels;
use crate::upstream::Dialer;
use crate::web_app::{Clients, Tokens, WebApps};
use crate::workers::Workers;

pub(super) const SESSION: &str = "00112233445566778899aabbccddeeff";
/// alice's session with the web app `grafana`.
pub(super) const WEB_SESSION: &str = "ffeeddccbbaa99887766554433221100";
pub(super) const ROLE: &str = "arn:aws:iam::123456789012:role/reader";
pub(super) type Sender = SendRequest<Full<Bytes>>;
pub(super) type Http1 = http1::SendRequest<Full<Bytes>>;
pub(super) type Tls = TlsStream<DuplexStream>;
/// The keys that AssumeRole gives for [`ROLE`].
pub(super) fn role_keys() -> Keys {
    Keys::new(aws::sigv4::Credentials {
        access_key_id: "ASIATHEROLE".to_owned(),
        secret_access_key: super::fake_aws::SECRET_KEY.into(),
        session_token: None,
    })
}

pub(super) struct Agent {
    pub(super) policy: Arc<LivePolicy>,
    pub(super) spool: Arc<Spool>,
    pub(super) server: Arc<Server>,
    users: Authority,
    hosts: Authority,
    trust: Arc<LiveTrust>,
    connections: JoinSet<()>,
    _dir: TempDir,
}

#[expect(clippy::disallowed_methods, reason = "tests are an edge")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

pub(super) fn clock() -> Clock {
    Clock::new(now)
}

fn cluster() -> ClusterName {
    ClusterName::parse("example.com").unwrap()
}

fn host_id() -> HostId {
    HostId::parse("5f0c1f1e-53a5-4c5e-8a77-1b0d5c0c0002").unwrap()
}

/// alice, who may be `reader` through the app `aws`, in one live session.
pub(super) fn rules() -> Policy {
    let role: Role = serde_json::from_value(serde_json::json!({
        "kind": "role", "version": "v5", "metadata": { "name": "aws-access" },
        "spec": { "allow": { "app_labels": { "*": "*" }, "aws_role_arns": [ROLE] } }
    }))
    .unwrap();
    let user = UserNow {
        name: UserName::parse("alice").unwrap(),
        roles: vec![RoleName::parse("aws-access").unwrap()],
        traits: None,
        locked: false,
        locked_message: None,
        lock_expires: None,
        expires: None,
    };
    let web = AppSession {
        id: AppSessionId::parse(WEB_SESSION).unwrap(),
        app: AppName::parse("grafana").unwrap(),
        aws_role: None,
        ..session()
    };
    without_session().with_role(role).with_user(user).with_session(session()).with_session(web)
}

pub(super) fn without_session() -> Policy {
    Policy::new(cluster()).at_host(host_id()).as_of(now())
}

fn session() -> AppSession {
    AppSession {
        id: AppSessionId::parse(SESSION).unwrap(),
        user: UserName::parse("alice").unwrap(),
        app: AppName::parse("aws").unwrap(),
        aws_role: Some(RoleArn::parse(ROLE).unwrap()),
        expires: now() + Duration::from_secs(7200),
    }
}

pub(super) fn claims() -> Claims {
    Claims {
        user: UserName::parse("alice").unwrap(),
        cluster: cluster(),
        roles: vec![RoleName::parse("aws-access").unwrap()],
        traits: Default::default(),
        allowed_aws_roles: vec![ROLE.to_owned()],
        app: Some(AppClaims {
            session: AppSessionId::parse(SESSION).unwrap(),
            name: AppName::parse("aws").unwrap(),
            public_addr: "aws.example.com".to_owned(),
            aws_role: Some(RoleArn::parse(ROLE).unwrap()),
        }),
        issued_at: now(),
        expires: now() + Duration::from_secs(7200),
        mfa: false,
        login_ip: None,
    }
}

/// The certificate of alice's session with `grafana`.
pub(super) fn web_claims() -> Claims {
    let app = AppClaims {
        session: AppSessionId::parse(WEB_SESSION).unwrap(),
        name: AppName::parse("grafana").unwrap(),
        public_addr: "grafana.example.com".to_owned(),
        aws_role: None,
    };
    Claims { app: Some(app), ..claims() }
}

/// Where the services are, as `AWS_ENDPOINT_URL_<SERVICE>` would say.
#[derive(Debug)]
struct Endpoints {
    aws: String,
    dynamodb: Option<String>,
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        assert_eq!((key.env(), key.profile()), ("AWS_ENDPOINT_URL", "endpoint_url"));
        match key.service_id() {
            "DYNAMODB" => self.dynamodb.clone().or_else(|| Some(self.aws.clone())),
            _ => Some(self.aws.clone()),
        }
    }
}

fn sdk(endpoints: Endpoints, own_token: Option<String>) -> SdkConfig {
    let credentials =
        Credentials::new("AKIATHEAGENT", "canary-agent-secret-77", own_token, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .service_config(endpoints)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build()
}

/// A way to AWS that stands at this URL.
pub(super) fn upstream(dialer: Dialer, url: String) -> Upstream {
    Upstream::by(dialer, &sdk(Endpoints { aws: url, dynamodb: None }, None))
}

/// What a test may want otherwise.
pub(super) struct Setup {
    pub(super) dynamodb: Option<String>,
    pub(super) spool_limit: u64,
    pub(super) rules: Option<Policy>,
    /// The agent's own session token, where its own credentials are temporary.
    pub(super) own_token: Option<String>,
    /// The app `grafana`.
    pub(super) app: App,
    pub(super) upstream: Option<Upstream>,
    /// How long AWS may be silent until a body is asked for all the same.
    pub(super) silence: Duration,
    /// The app `aws`, if it is to be another.
    pub(super) aws_app: Option<App>,
}

impl Default for Setup {
    fn default() -> Self {
        let app = web_app("http://127.0.0.1:1");
        Self {
            dynamodb: None,
            spool_limit: 1 << 30,
            rules: Some(rules()),
            own_token: None,
            app,
            upstream: None,
            silence: Duration::from_secs(3600),
            aws_app: None,
        }
    }
}

/// The app `grafana` at a URI.
pub(super) fn web_app(uri: &str) -> App {
    App::new(AppName::parse("grafana").unwrap(), uri)
}

impl Agent {
    pub(super) async fn start(aws: &FakeAws) -> Self {
        Self::start_with(aws, Setup::default()).await
    }

    #[expect(clippy::too_many_lines, reason = "one agent, put together in one place")]
    pub(super) async fn start_with(aws: &FakeAws, setup: Setup) -> Self {
        let dir = TempDir::new().unwrap();
        let settings = SpoolSettings::new(dir.path().join("spool"));
        let mut config = config(
            SpoolSettings { limit: setup.spool_limit, segment: 1 << 20, ..settings },
            setup.app,
        );
        if let (Some(app), Some(place)) = (setup.aws_app, config.apps.first_mut()) {
            *place = app;
        }
        let spool = Arc::new(Spool::open(config.spool.clone()).unwrap());
        let users = Authority::generate(AuthorityKind::User, &cluster(), now()).unwrap();
        let hosts = Authority::generate(AuthorityKind::Host, &cluster(), now()).unwrap();
        let trust = trust(&users, &hosts);
        let policy = LivePolicy::new(&config);
        if let Some(rules) = setup.rules {
            policy.publish(rules);
        }
        let tasks = TaskTracker::new();
        let sdk =
            sdk(Endpoints { aws: aws.url(), dynamodb: setup.dynamodb }, setup.own_token.clone());
        let recorder = Arc::new(Recorder {
            spool: Arc::clone(&spool),
            cluster: cluster(),
            host_id: host_id(),
        });
        let towards_aws = Bundle::default().tls(clock()).unwrap();
        let road = Arc::new(Road {
            clock: clock(),
            trust: Arc::clone(&trust),
            policy: Arc::clone(&policy),
            recorder: Arc::clone(&recorder),
            sync: SyncWhen::BeforeAnswer,
            upstream: setup
                .upstream
                .unwrap_or_else(|| Upstream::new(Arc::clone(&towards_aws), &sdk)),
            assume: Assume::new(sdk.clone(), clock()),
            derived: Arc::new(DerivedKeys::new(host_id(), clock())),
            expectations: Expectations::new(setup.silence),
        });
        let app_use = AppUse { policy: Arc::clone(&policy), clock: clock() };
        let (sync, stop) = (SyncWhen::BeforeAnswer, CancellationToken::new());
        let server = Server {
            tls: tls::server(ServerTls {
                credential: host_credential(&hosts, SystemRole::App, "*.app.causeway.internal"),
                trust: Arc::clone(&trust),
                peers: Peers::Required(pki::Accept::Users),
                alpn: wire::APP_PROTOCOLS.iter().map(|name| name.to_vec()).collect(),
                clock: clock(),
            })
            .unwrap(),
            console: Console::new(Arc::clone(&road), &towards_aws, &sdk),
            road,
            web: Arc::new(WebApps {
                app_use: app_use.clone(),
                recorder: Arc::clone(&recorder),
                sync,
                tokens: Tokens::new(None, clock()),
                clients: Clients::new(&towards_aws, &towards_aws),
                tasks: tasks.clone(),
                stop: stop.clone(),
            }),
            tcp: TcpApps { app_use, recorder, sync, stop: stop.clone() },
            session_patience: Duration::from_millis(300),
            tasks,
            stop,
        };
        let (server, connections) = (Arc::new(server), JoinSet::new());
        Self { policy, spool, server, users, hosts, trust, connections, _dir: dir }
    }

    /// The temporary keys that are known.
    pub(super) fn derived(&self) -> &DerivedKeys {
        &self.server.road.derived
    }

    /// A connection with alice's app certificate.
    pub(super) async fn connect(&mut self) -> Sender {
        let credential = user_credential(&self.users, &claims());
        self.connect_as(credential).await.unwrap()
    }

    /// The same, for bodies that stream.
    pub(super) async fn connect_streaming<B>(&mut self) -> SendRequest<B>
    where
        B: http_body::Body<Data = Bytes, Error = std::io::Error> + Send + Unpin + 'static,
    {
        let credential = user_credential(&self.users, &claims());
        self.connect_with_body(credential).await.unwrap()
    }

    /// The same, with another certificate.
    pub(super) async fn connect_streaming_with<B>(&mut self, claims: &Claims) -> SendRequest<B>
    where
        B: http_body::Body<Data = Bytes, Error = std::io::Error> + Send + Unpin + 'static,
    {
        let credential = user_credential(&self.users, claims);
        self.connect_with_body(credential).await.unwrap()
    }

    /// A connection with another certificate of this cluster's authorities.
    pub(super) async fn connect_with(&mut self, claims: &Claims) -> Result<Sender, String> {
        let credential = user_credential(&self.users, claims);
        self.connect_as(credential).await
    }

    /// A connection with a host's certificate.
    pub(super) async fn connect_as_host(&mut self) -> Result<Sender, String> {
        let credential = host_credential(&self.hosts, SystemRole::Proxy, "proxy.causeway.internal");
        self.connect_as(credential).await
    }

    pub(super) async fn connect_as(
        &mut self,
        credential: Arc<LiveCredential>,
    ) -> Result<Sender, String> {
        self.connect_with_body(credential).await
    }

    async fn connect_with_body<B>(
        &mut self,
        credential: Arc<LiveCredential>,
    ) -> Result<SendRequest<B>, String>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let tls = self.dial(credential, wire::ALPN_APP).await?;
        self.http2_on(tls).await
    }

    /// A connection with alice's app certificate over what a proxy would have opened.
    pub(super) async fn connect_over<T>(&mut self, io: T) -> Result<Sender, String>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let credential = user_credential(&self.users, &claims());
        let tls = self.tls_on(io, credential, wire::ALPN_APP).await?;
        self.http2_on(tls).await
    }

    async fn http2_on<T, B>(&mut self, tls: TlsStream<T>) -> Result<SendRequest<B>, String>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let tasks = Tracked(self.server.tasks.clone());
        let (mut sender, connection) = http2::Builder::new(tasks)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1 << 20)
            .handshake(TokioIo::new(tls))
            .await
            .map_err(|error| error.to_string())?;
        self.connections.spawn(async move { drop(connection.await) });
        sender.ready().await.map_err(|error| error.to_string())?;
        Ok(sender)
    }

    /// A connection with HTTP/1.1 inside, which can become another one.
    pub(super) async fn connect_http1(&mut self, claims: &Claims, alpn: &[u8]) -> Http1 {
        let tls = self.open(claims, alpn).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        self.connections.spawn(async move { drop(connection.with_upgrades().await) });
        sender
    }

    /// A bare connection.
    pub(super) async fn open(&mut self, claims: &Claims, alpn: &[u8]) -> Result<Tls, String> {
        let credential = user_credential(&self.users, claims);
        self.dial(credential, alpn).await
    }

    async fn dial(&mut self, credential: Arc<LiveCredential>, alpn: &[u8]) -> Result<Tls, String> {
        let (near, far) = tokio::io::duplex(1 << 20);
        let server = Arc::clone(&self.server);
        let address = Some("192.0.2.7:50123".parse().unwrap());
        self.connections.spawn(async move { server.serve(far, address).await });
        self.tls_on(near, credential, alpn).await
    }

    async fn tls_on<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: T,
        credential: Arc<LiveCredential>,
        alpn: &[u8],
    ) -> Result<TlsStream<T>, String> {
        let config = tls::client(ClientTls {
            credential: Some(credential),
            servers: TrustedServers::Cluster(Arc::clone(&self.trust)),
            alpn: vec![alpn.to_vec()],
            clock: clock(),
        })
        .unwrap();
        let session = AppSessionId::parse(SESSION).unwrap();
        let name = ServerName::try_from(wire::app_server_name(&session)).unwrap();
        let connecting = TlsConnector::from(config).connect(name, io).await;
        connecting.map_err(|error| error.to_string())
    }

    /// What a proxy of `hosts` shows to agents.
    pub(super) fn proxy_tls(&self) -> Arc<rustls::ServerConfig> {
        tls::server(ServerTls {
            credential: host_credential(&self.hosts, SystemRole::Proxy, wire::PROXY_SERVER_NAME),
            trust: Arc::clone(&self.trust),
            peers: Peers::Required(pki::Accept::Hosts),
            alpn: vec![wire::ALPN_LANE.to_vec()],
            clock: clock(),
        })
        .unwrap()
    }

    /// Lanes that end at this agent; `stop` ends them.
    pub(super) fn lanes(&self, stop: &CancellationToken, patience: Duration) -> Arc<Lanes> {
        let tls = tls::client(ClientTls {
            credential: Some(host_credential(&self.hosts, SystemRole::App, "agent-1")),
            servers: TrustedServers::Cluster(Arc::clone(&self.trust)),
            alpn: vec![wire::ALPN_LANE.to_vec()],
            clock: clock(),
        })
        .unwrap();
        let tunnels = Tunnels {
            tls: Arc::clone(&tls),
            server: Arc::clone(&self.server),
            tasks: self.server.tasks.clone(),
            standing: tokio::sync::watch::Sender::new(0),
            stop: stop.clone(),
            patience: Arc::new(std::sync::OnceLock::from(patience)),
        };
        let workers = Arc::new(Workers::of(2).unwrap());
        Arc::new(Lanes { tls, tunnels: Arc::new(tunnels), workers })
    }

    /// Everything that was recorded so far: the last state of each request.
    pub(super) async fn events(&self) -> Vec<Event> {
        let auth = spool::tests::Auth::default();
        spool::tests::ship_all(&self.spool, &auth).await;
        auth.taken()
    }

    /// Waits for the last state of the one request of the test.
    pub(super) async fn ended_event(&self) -> audit::events::RequestFields {
        loop {
            let event = self.the_event().await;
            if event.outcome != audit::events::Outcome::Unknown {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for the one request of the test to end in the record.
    pub(super) async fn the_event(&self) -> audit::events::RequestFields {
        loop {
            let events = self.events().await;
            if let [event] = events.as_slice() {
                return event.what.as_request().unwrap().clone();
            }
            assert!(events.is_empty(), "{events:?}");
            tokio::task::yield_now().await;
        }
    }
}

fn config(spool: SpoolSettings, web: App) -> AgentConfig {
    AgentConfig {
        host_id: host_id(),
        cluster: cluster(),
        nodename: "agent-1".to_owned(),
        version: "0.0.0".to_owned(),
        proxies: Vec::new(),
        apps: vec![
            App::new(AppName::parse("aws").unwrap(), "https://console.aws.amazon.com/home/home"),
            web,
        ],
        resources: Vec::new(),
        spool,
        locking: LockingMode::BestEffort,
        tunnels_per_proxy: 2,
    }
}

fn trust(users: &Authority, hosts: &Authority) -> Arc<LiveTrust> {
    let trust = Trust::new(cluster(), vec![users.cert().clone()], vec![hosts.cert().clone()]);
    LiveTrust::new(trust.unwrap())
}

fn live(cert: CertPem, key: KeyPair) -> Arc<LiveCredential> {
    LiveCredential::new(Credential::new(cert, key).unwrap())
}

pub(super) fn user_credential(users: &Authority, claims: &Claims) -> Arc<LiveCredential> {
    let key = KeyPair::generate().unwrap();
    live(users.issue_user(claims, &key.public(), now()).unwrap(), key)
}

fn host_credential(hosts: &Authority, role: SystemRole, name: &str) -> Arc<LiveCredential> {
    let key = KeyPair::generate().unwrap();
    let claims = HostClaims {
        host_id: host_id(),
        cluster: cluster(),
        system_roles: vec![role],
        node_name: "agent-1".to_owned(),
    };
    let validity = Validity { now: now(), not_after: now() + Duration::from_secs(86_400) };
    live(hosts.issue_host(&claims, &key.public(), &[name.to_owned()], validity).unwrap(), key)
}

/// An authority of this cluster's name that nobody here trusts.
pub(super) fn strangers() -> Authority {
    Authority::generate(AuthorityKind::User, &cluster(), now()).unwrap()
}

/// A request as a client would have signed it: the agent checks its form, `tsh` its signature.
pub(super) fn dynamodb(operation: &str, body: &str) -> Request<Full<Bytes>> {
    signed("POST", "https://dynamodb.eu-central-1.amazonaws.com/", "dynamodb")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

pub(super) fn signed(method: &str, uri: &str, service: &str) -> http::request::Builder {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=THROWAWAY/20261122/eu-central-1/{service}/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature={}",
        "0".repeat(64)
    );
    Request::builder()
        .method(method)
        .uri(uri)
        .header("authorization", authorization)
        .header("x-amz-date", "20261122T080000Z")
}

pub(super) async fn text(answer: Response<Incoming>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
