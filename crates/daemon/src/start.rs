//! Brings the services up in their order, waits for a signal, brings them down.
//!
//! Up: Auth, Proxy, agent. Down: agent, Proxy, Auth, so that calls under way end
//! and their audit entries are still taken. A second signal ends at once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use access::SystemRole;
use agent::{AgentConfig, Deps, Selector, SpoolSettings, SyncWhen};
use api::files::{self, Mode};
use api::join::{HostFolder, HostIdentity};
use auth::{AuthConfig, Lockout, StaticToken};
use pki::Clock;
use proxy::{ProxyConfig, PublicAddr, WebCertificate, WebKeyPair};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::cluster::{self, Application, IdentityError, Membership};
use crate::config::split_port;
use crate::diag::{self, Probe};
use crate::logging;
use crate::settings::{AppSettings, AuthSettings, ProxySettings, Settings, SpoolSync};

/// Why the services could not run.
#[derive(Debug, Error)]
pub enum StartError {
    /// The Auth Service.
    #[error("the Auth Service could not start")]
    Auth(#[from] auth::StartError),
    /// The Proxy Service.
    #[error("the Proxy Service could not start")]
    Proxy(#[from] proxy::StartError),
    /// The Application Service.
    #[error("the Application Service could not start")]
    Agent(#[from] agent::StartError),
    /// A service has no identity.
    #[error("the {role} service has no identity")]
    Identity {
        /// Which.
        role: SystemRole,
        /// Why.
        source: IdentityError,
    },
    /// A setting that only now turned out wrong.
    #[error("{key} is `{value}`")]
    Setting {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong.
        source: api::error::Cause,
    },
    /// A file or folder.
    #[error(transparent)]
    File(#[from] files::FileError),
    /// The system.
    #[error("the system refused")]
    System(#[from] std::io::Error),
    /// Logs or diagnostics.
    #[error("{0}")]
    Other(#[source] api::error::Cause),
}

/// Runs the services until a signal.
///
/// # Errors
/// When a service cannot start. One that runs mends itself.
pub fn run(settings: Settings, insecure: bool) -> Result<(), StartError> {
    logging::start(&settings.log).map_err(|e| StartError::Other(e.into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(Box::pin(serve(&settings, insecure)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(settings: &Settings, insecure: bool) -> Result<(), StartError> {
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    files::private_folder(&settings.data_dir)?;
    if let Some(path) = &settings.pid_file {
        files::write(path, format!("{}\n", std::process::id()).as_bytes(), Mode::Public)?;
    }
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(watch_signals(stop.clone())?);
    let mut services = Services::default();
    let started = services.start(settings, insecure, &stop, &tasks).await;
    match started {
        Ok(()) => {
            info!("all services are up");
            stop.cancelled().await;
        }
        Err(StartError::Identity { source: IdentityError::Stopped, .. }) => {}
        Err(error) => {
            services.stop(settings.shutdown_deadline).await;
            return Err(error);
        }
    }
    info!("stopping");
    services.stop(settings.shutdown_deadline).await;
    if let Some(path) = &settings.pid_file {
        files::remove(path)?;
    }
    info!("stopped");
    Ok(())
}

/// Cancels `stop` on the first SIGTERM or SIGINT and ends the process on the second.
fn watch_signals(
    stop: CancellationToken,
) -> Result<impl Future<Output = ()> + Send + 'static, StartError> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for signals in 0.. {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            if signals > 0 {
                warn!("second signal: ending at once");
                std::process::exit(1);
            }
            stop.cancel();
        }
    })
}

/// A handle that comes later, held without keeping its service from ending.
type Late<T> = Arc<OnceLock<Weak<T>>>;

/// Takes a handle out of its `Arc`; a health check holds another one for an instant only.
async fn sole<T>(mut shared: Arc<T>) -> T {
    loop {
        match Arc::try_unwrap(shared) {
            Ok(handle) => return handle,
            Err(still_shared) => shared = still_shared,
        }
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
struct Services {
    auth: Option<Arc<auth::Handle>>,
    proxy: Option<Arc<proxy::Handle>>,
    agent: Option<Arc<agent::Handle>>,
}

/// What every service needs to start.
struct Common<'a> {
    settings: &'a Settings,
    insecure: bool,
    clock: Clock,
    folder: HostFolder,
    stop: &'a CancellationToken,
}

impl Services {
    async fn start(
        &mut self,
        settings: &Settings,
        insecure: bool,
        stop: &CancellationToken,
        tasks: &TaskTracker,
    ) -> Result<(), StartError> {
        let common = Common {
            settings,
            insecure,
            clock: Clock::new(now),
            folder: HostFolder::new(&settings.data_dir),
            stop,
        };
        // The agent may wait long for its cluster; what asks for its health is served before.
        let agent: Late<agent::Handle> = Arc::new(OnceLock::new());
        if let Some(auth) = &settings.auth {
            let config = auth_config(settings, auth)?;
            self.auth = Some(Arc::new(auth::start(config, common.clock.clone()).await?));
        }
        if let Some(proxy) = &settings.proxy {
            let membership = self.membership(&common, SystemRole::Proxy).await?;
            let config = proxy_config(&common, proxy, &membership, self.auth_address(settings))?;
            self.proxy = Some(Arc::new(proxy::start(config, common.clock.clone()).await?));
        }
        if let Some(address) = &settings.diag_addr {
            let probes = self.probes(settings, &agent);
            diag::start(address, probes, tasks, stop.clone())
                .await
                .map_err(|e| StartError::Other(e.into()))?;
        }
        if let Some(app) = &settings.app {
            let membership = self.membership(&common, SystemRole::App).await?;
            let handle = Arc::new(self.start_agent(&common, app, &membership).await?);
            let _ = agent.set(Arc::downgrade(&handle));
            self.agent = Some(handle);
        }
        Ok(())
    }

    fn probes(&self, settings: &Settings, agent: &Late<agent::Handle>) -> Vec<Probe> {
        let mut probes: Vec<Probe> = Vec::new();
        if let Some(auth) = self.auth.as_ref().map(Arc::downgrade) {
            probes.push(Box::new(move || {
                ("auth", auth.upgrade().is_some_and(|auth| auth.is_healthy()))
            }));
        }
        if let Some(proxy) = self.proxy.as_ref().map(Arc::downgrade) {
            probes.push(Box::new(move || {
                ("proxy", proxy.upgrade().is_some_and(|proxy| proxy.health().has_snapshot))
            }));
        }
        if settings.app.is_some() {
            let agent = Arc::clone(agent);
            probes.push(Box::new(move || {
                let running = agent.get().and_then(Weak::upgrade);
                ("app", running.is_some_and(|agent| agent.is_ready()))
            }));
        }
        probes
    }

    /// Where the Auth Service is, for services of this process.
    fn auth_address(&self, settings: &Settings) -> String {
        match &self.auth {
            Some(auth) => local(auth.addr()).to_string(),
            None => settings.join.auth_server.clone().unwrap_or_default(),
        }
    }

    async fn membership(
        &self,
        common: &Common<'_>,
        role: SystemRole,
    ) -> Result<Membership, StartError> {
        let settings = common.settings;
        let dns_names = match (role, &settings.proxy) {
            (SystemRole::Proxy, Some(proxy)) => proxy.public_addr.iter().cloned().collect(),
            _ => Vec::new(),
        };
        let dns_names: Vec<String> =
            dns_names.iter().map(|address: &String| split_port(address).0.to_owned()).collect();
        if let Some(auth) = &self.auth {
            return self.local_membership(common, auth, (role, &dns_names)).await;
        }
        let application = Application {
            role,
            node_name: &settings.nodename,
            dns_names,
            join: &settings.join,
            insecure: common.insecure,
        };
        cluster::membership(&common.folder, &application, &common.clock, common.stop)
            .await
            .map_err(|source| StartError::Identity { role, source })
    }

    /// An identity straight from the Auth Service of this process: no token.
    async fn local_membership(
        &self,
        common: &Common<'_>,
        auth: &auth::Handle,
        (role, dns_names): (SystemRole, &[String]),
    ) -> Result<Membership, StartError> {
        let failed = |source: IdentityError| StartError::Identity { role, source };
        let host_id = common.folder.host_id().map_err(|e| failed(e.into()))?;
        let node_name = &common.settings.nodename;
        let (credential, trust) = auth.local_identity(role, &host_id, node_name, dns_names).await?;
        Ok(Membership::new(HostIdentity {
            host_id,
            role,
            cluster: trust.cluster().clone(),
            credential,
            trust,
        }))
    }

    async fn start_agent(
        &self,
        common: &Common<'_>,
        app: &AppSettings,
        membership: &Membership,
    ) -> Result<agent::Handle, StartError> {
        let settings = common.settings;
        let proxies = match (&self.proxy, &settings.join.proxy_server) {
            (Some(proxy), _) => vec![local(proxy.addr()).to_string()],
            (None, Some(address)) => vec![address.clone()],
            (None, None) => Vec::new(),
        };
        let address = match (&self.auth, proxies.first()) {
            (Some(auth), _) => local(auth.addr()).to_string(),
            (None, Some(proxy)) => proxy.clone(),
            (None, None) => String::new(),
        };
        let auth = membership
            .auth_client(&address, &common.clock)
            .map_err(|source| StartError::Identity { role: SystemRole::App, source })?;
        let deps = Deps {
            auth,
            credential: Arc::clone(&membership.credential),
            trust: Arc::clone(&membership.trust),
            clock: common.clock.clone(),
            aws: None,
        };
        let config = agent_config(settings, app, membership, proxies);
        Ok(agent::start(config, deps).await?)
    }

    async fn stop(self, deadline: Duration) {
        if let Some(agent) = self.agent {
            sole(agent).await.stop(deadline).await;
        }
        if let Some(proxy) = self.proxy {
            sole(proxy).await.stop(deadline).await;
        }
        if let Some(auth) = self.auth {
            auth.stop(deadline).await;
        }
    }
}

/// The daemon is the edge where the clock is read.
#[expect(clippy::disallowed_methods, reason = "the one place where services get their clock from")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// An address to dial for what listens on `bound`: the wildcard is no destination.
fn local(bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    }
}

fn listen_address(key: &'static str, text: &str) -> Result<SocketAddr, StartError> {
    use std::net::ToSocketAddrs as _;
    let bad =
        |source: api::error::Cause| StartError::Setting { key, value: text.to_owned(), source };
    let mut found = text.to_socket_addrs().map_err(|e| bad(e.into()))?;
    found.next().ok_or_else(|| bad("the name has no address".into()))
}

fn auth_config(settings: &Settings, auth: &AuthSettings) -> Result<AuthConfig, StartError> {
    let tokens = auth.tokens.iter().map(|text| static_token(text));
    let login = &auth.authentication;
    let defaults = AuthConfig::new(settings.data_dir.clone(), auth.cluster_name.clone());
    Ok(AuthConfig {
        node_name: settings.nodename.clone(),
        listen_addr: listen_address("auth_service.listen_addr", &auth.listen_addr)?,
        public_addrs: auth.public_addrs.clone(),
        proxy_public_addr: settings.proxy.as_ref().map(|proxy| public_addr(settings, proxy)),
        second_factor: login.second_factor,
        webauthn_rp_id: login.webauthn_rp_id.clone(),
        require_session_mfa: login.require_session_mfa,
        local_auth: login.local_auth,
        static_tokens: tokens.collect::<Result<_, _>>()?,
        default_session_ttl: login.default_session_ttl,
        lockout: Lockout {
            failures: login.lockout_failures.unwrap_or(defaults.lockout.failures),
            period: login.lockout_period.unwrap_or(defaults.lockout.period),
        },
        web_idle_timeout: login.web_idle_timeout.unwrap_or(defaults.web_idle_timeout),
        ..defaults
    })
}

/// `app:secret`, or `app:/path` where the file holds the secret.
fn static_token(text: &str) -> Result<StaticToken, StartError> {
    let bad = |source: api::error::Cause| StartError::Setting {
        key: "auth_service.tokens",
        value: "[secret]".to_owned(),
        source,
    };
    let mut token = StaticToken::parse(text).map_err(|e| bad(e.into()))?;
    token.secret = api::join::read_token(&token.secret).map_err(|e| bad(e.into()))?;
    Ok(token)
}

/// What users type: as set, or this host's name with the listening port.
fn public_addr(settings: &Settings, proxy: &ProxySettings) -> String {
    if let Some(address) = &proxy.public_addr {
        return address.clone();
    }
    let (host, port) = split_port(&proxy.web_listen_addr);
    let host = match host {
        "0.0.0.0" | "[::]" | "" => settings.nodename.as_str(),
        other => other,
    };
    format!("{host}:{}", port.unwrap_or("3080"))
}

fn proxy_config(
    common: &Common<'_>,
    proxy: &ProxySettings,
    membership: &Membership,
    auth_addr: String,
) -> Result<ProxyConfig, StartError> {
    let key = "proxy_service.public_addr";
    let address = public_addr(common.settings, proxy);
    let public_addr = PublicAddr::parse(&address).map_err(|source| StartError::Setting {
        key,
        value: address.clone(),
        source: source.into(),
    })?;
    let limits = proxy::Limits {
        connections: usize::try_from(proxy.max_connections).unwrap_or(usize::MAX),
        ..proxy::Limits::default()
    };
    Ok(ProxyConfig {
        listen_addr: listen_address("proxy_service.web_listen_addr", &proxy.web_listen_addr)?,
        public_addr,
        auth_addr,
        credential: Arc::clone(&membership.credential),
        trust: Arc::clone(&membership.trust),
        cluster: membership.identity.cluster.clone(),
        web_certificate: web_certificate(proxy, &common.settings.data_dir),
        limits,
        tunnel: proxy::TunnelSettings::default(),
    })
}

fn web_certificate(proxy: &ProxySettings, data_dir: &Path) -> WebCertificate {
    let pairs = proxy.https_keypairs.iter().map(|(cert_file, key_file)| WebKeyPair {
        key_file: key_file.clone(),
        cert_file: cert_file.clone(),
    });
    let acme = proxy.acme.as_ref().map(|acme| proxy::AcmeSettings {
        directory: acme.directory.clone(),
        email: acme.email.clone(),
        timing: proxy::AcmeTiming::default(),
    });
    WebCertificate {
        files: pairs.collect(),
        reload: proxy.https_keypairs_reload,
        acme,
        data_dir: data_dir.to_owned(),
    }
}

fn agent_config(
    settings: &Settings,
    app: &AppSettings,
    membership: &Membership,
    proxies: Vec<String>,
) -> AgentConfig {
    let resources = app.resources.iter().map(|labels| Selector { labels: labels.clone() });
    let spool = SpoolSettings {
        limit: app.spool_limit,
        sync: match app.spool_sync {
            SpoolSync::BeforeAnswer => SyncWhen::BeforeAnswer,
            SpoolSync::BeforeCall => SyncWhen::BeforeCall,
        },
        ..SpoolSettings::new(settings.data_dir.join("spool"))
    };
    AgentConfig {
        host_id: membership.identity.host_id.clone(),
        cluster: membership.identity.cluster.clone(),
        nodename: settings.nodename.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        proxies,
        apps: app.apps.clone(),
        resources: resources.collect(),
        spool,
        locking: access::resource::LockingMode::default(),
        tunnels_per_proxy: 2,
    }
}
