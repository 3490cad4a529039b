//! The running cluster: what every rule may need, and the one place that asks `access`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::rules::{ResourceFacts, RuleRequest, Verb};
use access::{
    AuthPreference, Claims, ClusterName, HostClaims, HostId, Identity, Lock, Policy, Role,
    SystemRole, User, UserNow,
};
use api::types::auth_preference::{AUTH_PREFERENCE_NAME, ClusterAuthPreference};
use arc_swap::{ArcSwap, ArcSwapOption};
use pki::Clock;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authorities::Authorities;
use crate::browser_codes;
use crate::caller::{Actor, Caller};
use crate::ceremonies::Ceremonies;
use crate::config::AuthConfig;
use crate::events::Stamp;
use crate::factors::Challenge;
use crate::invites;
use crate::locks;
use crate::login;
use crate::mfa;
use crate::passwords::Passwords;
use crate::preference::Preference;
use crate::refusal::Refusal;
use crate::signing::Signing;
use crate::store::{Reader, Store};
use crate::throttle::Throttle;
use crate::watch::Hub;
use crate::web_sessions;

/// What the doors and the rules share.
pub(crate) struct Cluster {
    /// Settings.
    pub(crate) config: AuthConfig,
    /// The only store there is.
    pub(crate) store: Store,
    /// What watchers are told.
    pub(crate) hub: Arc<Hub>,
    /// The authorities with their keys.
    pub(crate) authorities: Authorities,
    /// Password hashing.
    pub(crate) passwords: Passwords,
    /// This host.
    pub(crate) host_id: HostId,
    /// Every task of the service.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the service stops.
    pub(crate) stopping: CancellationToken,
    /// Places for watchers.
    pub(crate) watchers: Arc<Semaphore>,
    /// Places for those who wait for the audit log to grow.
    pub(crate) followers: Semaphore,
    /// Loaded or made when first needed.
    signing: OnceCell<Signing>,
    /// The public address of the proxy that was heard of last.
    proxy_heard_of: ArcSwapOption<String>,
    /// How many failures of strangers the audit log takes in.
    pub(crate) failures: Throttle,
    /// Logins between their two steps.
    pub(crate) logins: Ceremonies<login::Begun>,
    /// Challenges to users who are logged in.
    pub(crate) challenges: Ceremonies<Challenge>,
    /// Second factors about to be enrolled.
    pub(crate) enrolments: Ceremonies<mfa::Begun>,
    /// Passkeys offered to holders of links.
    pub(crate) offers: Ceremonies<invites::Offer>,
    /// Browsers' codes for `tsh`.
    pub(crate) codes: Ceremonies<browser_codes::Code>,
    preference: ArcSwap<Preference>,
    reloading: tokio::sync::Mutex<()>,
    clock: Clock,
}

/// How many may wait for the audit log to grow.
const FOLLOWERS: usize = 128;
/// Failures of strangers that are recorded in a burst, and then one in so long.
const FAILURE_BURST: u32 = 120;
const FAILURE_EVERY: Duration = Duration::from_secs(1);

/// The parts that a cluster is put together from.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) hub: Arc<Hub>,
    pub(crate) authorities: Authorities,
    pub(crate) passwords: Passwords,
    pub(crate) host_id: HostId,
}

impl Cluster {
    pub(crate) fn new(config: AuthConfig, parts: Parts, clock: Clock) -> Self {
        let Parts { store, hub, authorities, passwords, host_id } = parts;
        let preference = ArcSwap::from_pointee(Preference::of(&config));
        Self {
            watchers: Arc::new(Semaphore::new(config.limits.watchers)),
            config,
            store,
            hub,
            authorities,
            passwords,
            host_id,
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            followers: Semaphore::new(FOLLOWERS),
            signing: OnceCell::new(),
            proxy_heard_of: ArcSwapOption::empty(),
            failures: Throttle::new(FAILURE_BURST, FAILURE_EVERY),
            logins: Ceremonies::lasting(login::LIFE),
            challenges: Ceremonies::lasting(mfa::LIFE),
            enrolments: Ceremonies::lasting(mfa::LIFE),
            offers: Ceremonies::lasting(mfa::LIFE),
            codes: Ceremonies::lasting(browser_codes::LIFE),
            preference,
            reloading: tokio::sync::Mutex::default(),
            clock,
        }
    }

    /// The present moment; read once a request.
    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// What holds for logins and sessions.
    pub(crate) fn preference(&self) -> Arc<Preference> {
        self.preference.load_full()
    }

    /// Takes up what was stored of it. One at a time, so that an older one never comes last.
    pub(crate) async fn reload_preference(&self) -> Result<(), Refusal> {
        let _turn = self.reloading.lock().await;
        let read = |reader: &Reader<'_>| reader.find::<ClusterAuthPreference>(AUTH_PREFERENCE_NAME);
        let stored = self.store.read(read).await?;
        let defaults = Preference::of(&self.config);
        let preference = match stored {
            Some(stored) => defaults.overlaid(&stored.spec),
            None => defaults,
        };
        self.preference.store(Arc::new(preference));
        Ok(())
    }

    /// Since when a web session must have been used to be live.
    pub(crate) fn idle_since(&self) -> SystemTime {
        web_sessions::idle_since(self.now(), self.config.web_idle_timeout)
    }

    /// The name.
    pub(crate) fn name(&self) -> &ClusterName {
        &self.config.cluster_name
    }

    /// Time and cluster for the events of a request.
    pub(crate) fn stamp(&self, now: SystemTime) -> Stamp {
        Stamp { now, cluster: self.name().clone() }
    }

    /// Where the proxy is for people: as set, or as a proxy said itself (`host:port`).
    pub(crate) fn known_proxy_addr(&self) -> Option<String> {
        let configured = self.config.proxy_public_addr.clone();
        configured.or_else(|| self.proxy_heard_of.load_full().map(|addr| addr.to_string()))
    }

    /// Where the proxy is for people, or the cluster's name for want of better.
    pub(crate) fn proxy_addr(&self) -> String {
        self.known_proxy_addr().unwrap_or_else(|| self.name().to_string())
    }

    /// Notes where a proxy says that people reach it; what is no `host:port` is passed over.
    pub(crate) fn hear_of_proxy(&self, addr: &str) {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if (1..=260).contains(&addr.len()) && addr.bytes().all(is_fit) {
            self.proxy_heard_of.store(Some(Arc::new(addr.to_owned())));
        }
    }

    /// The proxy's host, of which apps are subdomains.
    pub(crate) fn proxy_host(&self) -> String {
        host_of(self.proxy_addr())
    }

    /// The same, if a proxy's address is set or was heard of.
    pub(crate) fn known_proxy_host(&self) -> Option<String> {
        self.known_proxy_addr().map(host_of)
    }

    /// The keys that sign apps' tokens; the first call may make them.
    pub(crate) async fn signing(&self) -> Result<&Signing, Refusal> {
        self.signing.get_or_try_init(|| Signing::open(&self.store, self.now())).await
    }

    /// Lets a caller act on a resource of the cluster, or says which rule refuses.
    pub(crate) async fn authorize(
        &self,
        caller: &Caller,
        asked: &Asked<'_>,
    ) -> Result<Actor, Refusal> {
        let stamp = self.stamp(self.now());
        let identity = caller.operator(stamp.now)?;
        let policy = self.policy_for(identity, stamp.now).await?;
        for verb in asked.verbs {
            let resource = ResourceFacts {
                name: asked.name,
                labels: asked.labels,
                ..ResourceFacts::default()
            };
            let request = RuleRequest { verb: *verb, kind: asked.kind, resource, now: stamp.now };
            access::may(identity, &request, &policy).map_err(|d| denied(&d))?;
        }
        Ok(Actor::admitted(identity, stamp))
    }

    /// Lets a service in, unless its host is locked. Only reporting to the audit log stays open to
    /// a locked host: what it saw is worth having.
    pub(crate) async fn service(
        &self,
        caller: &Caller,
        roles: &[SystemRole],
    ) -> Result<HostClaims, Refusal> {
        let now = self.now();
        let host = caller.service(roles, now)?.clone();
        let locks = self.store.read(|reader| reader.list::<Lock>()).await?;
        match locks.iter().find(|lock| locks::stops_host(lock, &host.host_id, now)) {
            None => Ok(host),
            Some(lock) => {
                let locked = format!("host {} is locked by lock {}", host.host_id, lock.name());
                Err(Refusal::denied(locked)
                    .hint("an administrator can remove it: tctl rm lock/NAME"))
            }
        }
    }

    /// The part of the policy that bears on one caller, as the store has it now.
    pub(crate) async fn policy_for(
        &self,
        identity: &Identity,
        now: SystemTime,
    ) -> Result<Policy, Refusal> {
        let require_session_mfa = self.preference().require_session_mfa;
        let preference = AuthPreference { require_session_mfa, ..AuthPreference::default() };
        let policy = Policy::new(self.name().clone()).with_preference(preference).as_of(now);
        let claims = identity.user().cloned();
        self.store
            .read(move |reader| {
                let policy = with_locks(reader, policy)?;
                claims.map_or(Ok(policy.clone()), |claims| with_user(reader, policy, &claims))
            })
            .await
    }
}

fn host_of(addr: String) -> String {
    match addr.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => addr,
    }
}

/// What a caller wants to do to which resource.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// Each must be allowed.
    pub(crate) verbs: &'a [Verb],
    /// The kind as rules write it.
    pub(crate) kind: &'a str,
    /// The resource, where one is named.
    pub(crate) name: Option<&'a str>,
    /// Its labels.
    pub(crate) labels: Option<&'a std::collections::BTreeMap<String, String>>,
}

impl<'a> Asked<'a> {
    /// A verb on a kind as a whole.
    pub(crate) fn of(verbs: &'a [Verb], kind: &'a str) -> Self {
        Self { verbs, kind, name: None, labels: None }
    }
}

/// A denial as the caller sees it: the rule, then the remedy.
pub(crate) fn denied(denial: &access::Denial) -> Refusal {
    Refusal::denied(denial.to_string())
}

fn with_locks(reader: &Reader<'_>, policy: Policy) -> Result<Policy, Refusal> {
    Ok(reader.list::<Lock>()?.into_iter().fold(policy, Policy::with_lock))
}

fn with_user(reader: &Reader<'_>, policy: Policy, claims: &Claims) -> Result<Policy, Refusal> {
    let Some(user) = reader.find::<User>(claims.user.as_str())? else { return Ok(policy) };
    let names: BTreeSet<_> = user.spec.roles.iter().chain(&claims.roles).cloned().collect();
    let mut policy = policy.with_user(UserNow::from(&user));
    for name in names {
        if let Some(role) = reader.find::<Role>(name.as_str())? {
            policy = policy.with_role(role);
        }
    }
    Ok(policy)
}
