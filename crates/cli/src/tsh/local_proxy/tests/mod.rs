//! The local proxy against a stand-in agent, with clients that sign by other code than ours.

mod agent;
mod client;
mod expect;
mod refusals;
mod road;
mod stand_in;
mod streamed;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::identity::{AppClaims, Claims};
use access::{AppName, AppSessionId, ClusterName, UserName};
use api::wire;
use pki::tls::{self, ClientTls, TrustedServers};
use pki::{
    Authority, AuthorityKind, Clock, Credential, KeyPair, LiveCredential, LiveTrust, LocalCa, Trust,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::agent::Agent;
use super::{
    Desk, LocalKey, LocalProxy, Mode, Road, Route, SessionState, Settings, ThrowawayKeys, Upstream,
};
use crate::edge;

const SESSION: &str = "0123456789abcdef0123456789abcdef";
const DYNAMODB: &str = "dynamodb.us-east-1.amazonaws.com";

/// A cluster's two authorities, and what they certify.
struct Cluster {
    user: Authority,
    host: Authority,
}

impl Cluster {
    fn new() -> Self {
        let name = ClusterName::parse("test").unwrap();
        let authority = |kind| Authority::generate(kind, &name, edge::now()).unwrap();
        Self { user: authority(AuthorityKind::User), host: authority(AuthorityKind::Host) }
    }

    fn trust(&self) -> Arc<LiveTrust> {
        let name = ClusterName::parse("test").unwrap();
        let (user, host) = (self.user.cert().clone(), self.host.cert().clone());
        LiveTrust::new(Trust::new(name, vec![user], vec![host]).unwrap())
    }

    fn app_credential(&self) -> Credential {
        let now = edge::now();
        let claims = Claims {
            user: UserName::parse("alice").unwrap(),
            cluster: ClusterName::parse("test").unwrap(),
            roles: Vec::new(),
            traits: access::Traits::new(),
            allowed_aws_roles: Vec::new(),
            app: Some(AppClaims {
                session: AppSessionId::parse(SESSION).unwrap(),
                name: AppName::parse("aws").unwrap(),
                public_addr: "aws.example.com".to_owned(),
                aws_role: None,
            }),
            issued_at: now,
            expires: now + Duration::from_secs(3600),
            mfa: false,
            login_ip: None,
        };
        let key = KeyPair::generate().unwrap();
        let cert = self.user.issue_user(&claims, &key.public(), now).unwrap();
        Credential::new(cert, key).unwrap()
    }

    fn route(&self, address: String) -> Route {
        let tls = tls::client(ClientTls {
            credential: Some(LiveCredential::new(self.app_credential())),
            servers: TrustedServers::Cluster(self.trust()),
            alpn: vec![wire::ALPN_APP.to_vec()],
            clock: Clock::from(edge::now as fn() -> SystemTime),
        });
        Route { address, session: AppSessionId::parse(SESSION).unwrap(), tls: tls.unwrap() }
    }
}

/// A local proxy with a stand-in agent behind it.
struct Bench {
    cluster: Cluster,
    agent: Agent,
    proxy: LocalProxy,
    /// Where clients of this machine find it.
    address: SocketAddr,
    keys: ThrowawayKeys,
    ca: LocalCa,
    session: Arc<SessionState>,
    stop: CancellationToken,
}

impl Bench {
    async fn https() -> Self {
        Self::start(Mode::HttpsProxy(Upstream::default())).await
    }

    async fn endpoint() -> Self {
        Self::start(Mode::EndpointUrl).await
    }

    async fn start(mode: Mode) -> Self {
        Self::start_at(mode, [127, 0, 0, 1].into()).await
    }

    /// Where other machines may come too.
    async fn listening_at(ip: IpAddr) -> Self {
        let mut bench = Self::start_at(Mode::HttpsProxy(Upstream::default()), ip).await;
        let near = SocketAddr::from(([127, 0, 0, 1], bench.proxy.address().port()));
        bench.address = near;
        bench
    }

    async fn start_at(mode: Mode, ip: IpAddr) -> Self {
        let cluster = Cluster::new();
        let agent = Agent::start(&cluster, 0).await;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let road = Road::open(cluster.route(agent.address().to_string()), &tasks, &stop);
        let keys = ThrowawayKeys::random();
        let ca = LocalCa::generate("aws", edge::now(), Duration::from_secs(3600)).unwrap();
        let end = edge::now() + Duration::from_secs(3600);
        let session = Arc::new(SessionState::new(AppName::parse("aws").unwrap(), end));
        let key =
            LocalKey { keys: keys.verifier(), road, session: Arc::clone(&session), derived: None };
        let desk = Desk { ring: Arc::new(key), now: edge::now };
        let settings = Settings {
            mode,
            listen: (ip, 0).into(),
            names: Vec::new(),
            local_ca: ca.clone(),
            desk,
        };
        let proxy = LocalProxy::start(settings, &tasks, &stop).await.unwrap();
        let address = proxy.address();
        Self { cluster, agent, proxy, address, keys, ca, session, stop }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
