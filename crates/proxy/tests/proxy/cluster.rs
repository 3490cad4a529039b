//! A cluster for tests: its authorities, a running proxy, agents and clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use access::{
    App, AppName, AppSession, AppSessionId, Claims, ClusterName, HostClaims, HostId, SystemRole,
    UserName, UserNow,
};
use api::types::app_servers::AppServer;
use api::types::watch::{Change, Item};
use api::wire;
use pki::{
    Accept, Authority, AuthorityKind, ClientTls, Clock, Credential, KeyPair, LiveCredential,
    LiveTrust, Peers, ServerTls, Trust, TrustedServers, Validity,
};
use proxy::{Handle, Limits, ProxyConfig, PublicAddr, TunnelSettings, WebCertificate};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tunnel::{FarHandle, Incoming, Records};

use crate::stand_in::StandIn;

/// Waits this long for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A clock that tests turn by hand.
#[derive(Clone)]
pub(crate) struct Turned(Arc<AtomicU64>);

impl Turned {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_800_000_000)))
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }

    pub(crate) fn turn(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(crate) fn clock(&self) -> Clock {
        let turned = self.clone();
        Clock::new(move || turned.now())
    }
}

/// The authorities of one cluster.
pub(crate) struct Authorities {
    pub(crate) name: ClusterName,
    pub(crate) host: Authority,
    pub(crate) user: Authority,
    pub(crate) clock: Turned,
}

impl Authorities {
    pub(crate) fn new(name: &str, clock: &Turned) -> Self {
        let name = ClusterName::parse(name).unwrap();
        let make = |kind| Authority::generate(kind, &name, clock.now()).unwrap();
        Self {
            host: make(AuthorityKind::Host),
            user: make(AuthorityKind::User),
            name: name.clone(),
            clock: clock.clone(),
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        let user = vec![self.user.cert().clone()];
        Trust::new(self.name.clone(), user, vec![self.host.cert().clone()]).unwrap()
    }

    pub(crate) fn host(&self, role: SystemRole, id: &str) -> Arc<LiveCredential> {
        let key = KeyPair::generate().unwrap();
        let claims = HostClaims {
            host_id: HostId::parse(id).unwrap(),
            cluster: self.name.clone(),
            system_roles: vec![role],
            node_name: id.to_owned(),
        };
        let names = match role {
            SystemRole::Auth => wire::AUTH_SERVER_NAME,
            SystemRole::Proxy => wire::PROXY_SERVER_NAME,
            SystemRole::App | SystemRole::Admin => wire::APP_SERVER_WILDCARD,
        };
        let now = self.clock.now();
        let validity = Validity { now, not_after: now + 30 * DAY };
        let cert =
            self.host.issue_host(&claims, &key.public(), &[names.to_owned()], validity).unwrap();
        LiveCredential::new(Credential::new(cert, key).unwrap())
    }

    pub(crate) fn user(&self, name: &str) -> Arc<LiveCredential> {
        let key = KeyPair::generate().unwrap();
        let now = self.clock.now();
        let claims = Claims {
            user: UserName::parse(name).unwrap(),
            cluster: self.name.clone(),
            roles: vec![],
            traits: access::Traits::new(),
            allowed_aws_roles: vec![],
            app: None,
            issued_at: now,
            expires: now + DAY,
            mfa: false,
            login_ip: None,
        };
        let cert = self.user.issue_user(&claims, &key.public(), now).unwrap();
        LiveCredential::new(Credential::new(cert, key).unwrap())
    }
}

/// A running proxy with its stand-in for the Auth Service.
pub(crate) struct Cluster {
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) auth: Arc<StandIn>,
    pub(crate) proxy: Handle,
    pub(crate) clock: Turned,
    _data_dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ProxyConfig)) -> Self {
        let clock = Turned::new();
        let authorities = Arc::new(Authorities::new("test.example.com", &clock));
        let auth = StandIn::start(&authorities).await;
        let data_dir = tempfile::tempdir().unwrap();
        let mut config = config(&authorities, &auth, data_dir.path());
        change(&mut config);
        let proxy = proxy::start(config, clock.clock()).await.unwrap();
        let cluster = Self { authorities, auth, proxy, clock, _data_dir: data_dir };
        until("the proxy has a snapshot", || cluster.proxy.health().follows_auth).await;
        cluster
    }

    /// Announces that the agent serves the app.
    pub(crate) fn announce(&self, host: &str, app: &str) {
        let app = App::new(AppName::parse(app).unwrap(), "https://console.aws.amazon.com/");
        self.auth.tell(Change::Put(Item::AppServer(Box::new(AppServer {
            host_id: HostId::parse(host).unwrap(),
            hostname: host.to_owned(),
            version: "0.1.0".to_owned(),
            apps: vec![app],
            expires: None,
        }))));
    }

    /// Puts a user there.
    pub(crate) fn add_user(&self, name: &str, locked: bool) {
        self.auth.tell(Change::Put(Item::User(Box::new(UserNow {
            name: UserName::parse(name).unwrap(),
            roles: vec![],
            traits: None,
            locked,
            locked_message: None,
            lock_expires: None,
            expires: None,
        }))));
    }

    /// Puts a user there who may do everything.
    pub(crate) fn add_admin(&self, name: &str) {
        self.add_user(name, false);
        let rule = serde_json::json!([{"resources": ["*"], "verbs": ["*"]}]);
        self.give(name, serde_json::json!(["arn:aws:iam::123456789012:role/Reader"]), rule);
    }

    /// Lets a user use these AWS roles with every app, and do nothing else.
    pub(crate) fn allow(&self, name: &str, arns: &[&str]) {
        self.give(name, serde_json::json!(arns), serde_json::json!([]));
    }

    fn give(&self, name: &str, arns: serde_json::Value, rules: serde_json::Value) {
        let role = serde_json::json!({
            "kind": "role", "version": "v7", "metadata": {"name": "all"},
            "spec": {"allow": {"app_labels": {"*": "*"}, "aws_role_arns": arns, "rules": rules}},
        });
        let role: access::Role = serde_json::from_value(role).unwrap();
        self.auth.tell(Change::Put(Item::Role(Box::new(role))));
        let mut user = UserNow::new(UserName::parse(name).unwrap(), vec!["all".parse().unwrap()]);
        user.traits = None;
        self.auth.tell(Change::Put(Item::User(Box::new(user))));
    }

    /// Another proxy of the same cluster, in place of this one.
    pub(crate) async fn restart_proxy(self) -> Self {
        self.proxy.stop(Duration::from_secs(1)).await;
        let config = config(&self.authorities, &self.auth, self._data_dir.path());
        let proxy = proxy::start(config, self.clock.clock()).await.unwrap();
        let cluster = Self { proxy, ..self };
        until("the proxy has a snapshot", || cluster.proxy.health().follows_auth).await;
        cluster
    }

    /// Puts a live session of an hour there; `digit` makes its id.
    pub(crate) fn open_session(&self, digit: char, user: &str, app: &str) -> AppSessionId {
        let id = AppSessionId::parse(&digit.to_string().repeat(32)).unwrap();
        self.auth.tell(Change::Put(Item::AppSession(AppSession {
            id: id.clone(),
            user: UserName::parse(user).unwrap(),
            app: AppName::parse(app).unwrap(),
            aws_role: None,
            expires: self.clock.now() + Duration::from_secs(3600),
        })));
        id
    }

    /// Alice's session for app `aws`, served by a connected agent.
    pub(crate) async fn usual(&self) -> (AppSessionId, Agent) {
        self.add_user("alice", false);
        let session = self.open_session('a', "alice", "aws");
        self.announce("agent-1", "aws");
        let agent = self.agent("agent-1").await;
        (session, agent)
    }

    /// Connects an agent and waits until its tunnel is there.
    pub(crate) async fn agent(&self, host: &str) -> Agent {
        let tunnels = self.proxy.health().tunnels;
        let agent = Agent::connect(self, host).await;
        until("the tunnel is registered", || self.proxy.health().tunnels > tunnels).await;
        agent
    }

    /// TLS with one of our protocols, to whatever the proxy sends it to.
    pub(crate) async fn dial(
        &self,
        alpn: &[u8],
        server_name: &str,
        credential: Option<Arc<LiveCredential>>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        dial(self, &self.authorities, (alpn, server_name), credential).await
    }

    /// An app connection, end to end with an agent.
    pub(crate) async fn app(
        &self,
        session: &AppSessionId,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let user = self.authorities.user("alice");
        self.dial(wire::ALPN_APP, &wire::app_server_name(session), Some(user)).await
    }
}

fn config(authorities: &Authorities, auth: &StandIn, data_dir: &std::path::Path) -> ProxyConfig {
    ProxyConfig {
        listen_addr: "127.0.0.1:0".parse().unwrap(),
        public_addr: PublicAddr::parse("proxy.example.com:443").unwrap(),
        auth_addr: auth.addr.to_string(),
        credential: authorities.host(SystemRole::Proxy, "proxy-1"),
        trust: LiveTrust::new(authorities.trust()),
        cluster: authorities.name.clone(),
        web_certificate: WebCertificate::self_signed(data_dir.to_owned()),
        limits: Limits {
            open: Duration::from_secs(2),
            session_wait: Duration::from_millis(300),
            ..Limits::default()
        },
        tunnel: TunnelSettings::default(),
    }
}

pub(crate) async fn dial(
    cluster: &Cluster,
    authorities: &Authorities,
    to: (&[u8], &str),
    credential: Option<Arc<LiveCredential>>,
) -> std::io::Result<TlsStream<TcpStream>> {
    dial_on(cluster, authorities, to, (credential, |tcp| tcp)).await
}

/// The same, with something between TLS and the connection.
async fn dial_on<T: AsyncRead + AsyncWrite + Unpin>(
    cluster: &Cluster,
    authorities: &Authorities,
    (alpn, server_name): (&[u8], &str),
    (credential, wrap): (Option<Arc<LiveCredential>>, impl FnOnce(TcpStream) -> T),
) -> std::io::Result<TlsStream<T>> {
    let tls = pki::tls::client(ClientTls {
        credential,
        servers: TrustedServers::Cluster(LiveTrust::new(cluster.authorities.trust())),
        alpn: vec![alpn.to_vec()],
        clock: authorities.clock.clock(),
    })
    .unwrap();
    let tcp = TcpStream::connect(cluster.proxy.addr()).await?;
    tcp.set_nodelay(true)?;
    let name = server_name.to_owned().try_into().unwrap();
    TlsConnector::from(tls).connect(name, wrap(tcp)).await
}

/// The agent's end of a lane.
pub(crate) type LaneEnd = TlsStream<Records<TcpStream>>;

/// Dials a lane as whoever `credential` says.
pub(crate) async fn dial_lane(
    cluster: &Cluster,
    credential: Option<Arc<LiveCredential>>,
) -> std::io::Result<LaneEnd> {
    let to = (wire::ALPN_LANE, wire::PROXY_SERVER_NAME);
    dial_on(cluster, &cluster.authorities, to, (credential, Records::new)).await
}

/// Waits until the proxy takes the lane, and says back what it hears, with `name` before it.
pub(crate) fn serve_lane(
    cluster: &Cluster,
    (lane, host): (LaneEnd, &str),
    name: &str,
) -> JoinSet<()> {
    let server = app_server(cluster, cluster.authorities.host(SystemRole::App, host));
    let name = name.to_owned();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let Ok((head, tcp)) = tunnel::lane::wait(lane).await else { return };
        assert_eq!(head.target, "aws:443");
        assert!(head.headers.contains_key(wire::HEADER_CLIENT_ADDR));
        echo(server, tcp, name).await;
    });
    tasks
}

/// How an agent ends app traffic.
fn app_server(cluster: &Cluster, credential: Arc<LiveCredential>) -> TlsAcceptor {
    let server = pki::tls::server(ServerTls {
        credential,
        trust: LiveTrust::new(cluster.authorities.trust()),
        peers: Peers::Required(Accept::Users),
        alpn: vec![wire::ALPN_APP.to_vec()],
        clock: cluster.clock.clock(),
    });
    TlsAcceptor::from(server.unwrap())
}

/// An agent that ends app traffic and says back what it hears, with its name before it.
pub(crate) struct Agent {
    pub(crate) handle: FarHandle,
    task: tokio::task::AbortHandle,
    _tasks: JoinSet<()>,
}

impl Agent {
    async fn connect(cluster: &Cluster, host: &str) -> Self {
        let credential = cluster.authorities.host(SystemRole::App, host);
        let tls = cluster
            .dial(wire::ALPN_TUNNEL, wire::PROXY_SERVER_NAME, Some(Arc::clone(&credential)))
            .await
            .unwrap();
        let acceptor = app_server(cluster, credential);
        let mut far = tunnel::accept_on(tls, &tunnel::Settings::default());
        let handle = far.handle();
        let mut tasks = JoinSet::new();
        let name = host.to_owned();
        let task = tasks.spawn(async move {
            let mut streams = JoinSet::new();
            while let Ok(Some(incoming)) = far.next().await {
                take(incoming, &mut streams, &acceptor, &name);
            }
        });
        Self { handle, task, _tasks: tasks }
    }

    /// Whether its tunnel has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Dies without a word.
    pub(crate) fn kill(self) {
        self.task.abort();
    }
}

fn take(incoming: Incoming, streams: &mut JoinSet<()>, tls: &TlsAcceptor, name: &str) {
    assert_eq!(incoming.target(), "aws:443");
    assert!(incoming.headers().contains_key(wire::HEADER_CLIENT_ADDR));
    if name.starts_with("refusing") {
        return incoming.refuse(http::StatusCode::SERVICE_UNAVAILABLE, "full");
    }
    let Ok(stream) = incoming.accept() else { return };
    if name.starts_with("raw") {
        streams.spawn(echo_raw(stream));
    } else {
        streams.spawn(echo(tls.clone(), stream, name.to_owned()));
    }
}

async fn echo(tls: TlsAcceptor, stream: impl AsyncRead + AsyncWrite + Unpin, name: String) {
    let Ok(mut tls) = tls.accept(stream).await else { return };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length) = tls.read(&mut buffer).await {
        if length == 0 {
            break;
        }
        let said = [name.as_bytes(), b": ", &buffer[..length]].concat();
        if tls.write_all(&said).await.is_err() || tls.flush().await.is_err() {
            return;
        }
    }
    let _ = tls.shutdown().await;
}

/// Drops the client's first TLS record, then says back what it hears.
async fn echo_raw(mut stream: tunnel::Stream) {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut rest).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(stream);
    if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        let _ = writer.shutdown().await;
    }
}

/// Says something and hears the answer.
pub(crate) async fn ask(tls: &mut TlsStream<TcpStream>, text: &str) -> std::io::Result<String> {
    tls.write_all(text.as_bytes()).await?;
    tls.flush().await?;
    let mut buffer = vec![0; 1024];
    let length = tokio::time::timeout(PATIENCE, tls.read(&mut buffer)).await??;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}
