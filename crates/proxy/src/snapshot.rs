//! What the proxy knows of the cluster: who serves what, and which sessions live.
//!
//! One task follows the Auth Service's watch and publishes an immutable
//! [`Snapshot`] after each change. While the Auth Service is away the last one
//! stays: sessions in it still end by their own time. Nothing is decided here.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{
    App, AppName, AppSession, AppSessionId, AuthPreference, ClusterName, HostId, Lock, LockName,
    Policy, Role, RoleName, UserName, UserNow,
};
use api::error::Chain;
use api::types::app_servers::AppServer;
use api::types::watch::{Change, Item, Key};
use api::types::web_sessions::{WebSessionId, WebSessionNow};
use api::watch::Watch;
use api::{ApiError, Client};
use futures_util::FutureExt as _;
use pki::LiveTrust;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{debug, info, warn};

/// Shortest and longest pause before the watch is opened again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What is known at one moment. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    sessions: Arc<HashMap<AppSessionId, Arc<AppSession>>>,
    users: Arc<HashMap<UserName, Arc<UserNow>>>,
    locks: Arc<HashMap<LockName, Arc<Lock>>>,
    servers: Arc<HashMap<HostId, Arc<AppServer>>>,
    hosts_of_apps: Arc<HashMap<AppName, BTreeSet<HostId>>>,
    apps: Arc<HashMap<AppName, Arc<App>>>,
    /// Apps with a public host of their own, by that host in small letters.
    public_hosts: Arc<HashMap<String, AppName>>,
    roles: Arc<HashMap<RoleName, Arc<Role>>>,
    web_sessions: Arc<HashMap<WebSessionId, Arc<WebSessionNow>>>,
    preference: AuthPreference,
}

/// Why a session does not open anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NotLive {
    /// Not in the snapshot, or its user is not.
    #[error("the app session is unknown or has been ended")]
    Unknown,
    /// Not in a snapshot that may be out of date: the session may be new.
    #[error("the app session is not known, and the Auth Service is away")]
    Unsure,
    /// Its time, or the user's, is over.
    #[error("the app session or its user's account has expired")]
    Expired,
    /// The user may do nothing.
    #[error("the user is locked")]
    UserLocked,
    /// A lock names the user or one of the user's roles.
    #[error("a lock is in force against the user or one of the user's roles")]
    Locked,
}

impl Snapshot {
    /// The session, if it lives.
    pub(crate) fn session(
        &self,
        id: &AppSessionId,
        now: SystemTime,
    ) -> Result<Arc<AppSession>, NotLive> {
        let session = self.sessions.get(id).ok_or(NotLive::Unknown)?;
        if session.expires <= now {
            return Err(NotLive::Expired);
        }
        let user = self.users.get(&session.user).ok_or(NotLive::Unknown)?;
        if user.expires.is_some_and(|end| end <= now) {
            return Err(NotLive::Expired);
        }
        if user.locked && user.lock_expires.is_none_or(|end| end > now) {
            return Err(NotLive::UserLocked);
        }
        if self.locks.values().any(|lock| locks_user(lock, user, now)) {
            return Err(NotLive::Locked);
        }
        Ok(Arc::clone(session))
    }

    /// Whether a lock stops that host.
    pub(crate) fn is_host_locked(&self, host: &HostId, now: SystemTime) -> bool {
        self.locks.values().any(|lock| {
            let target = &lock.spec.target;
            let names_more =
                target.user.is_some() || target.role.is_some() || target.names_unknown();
            lock.is_in_force(now) && !names_more && target.host() == Some(host)
        })
    }

    /// The agents that announced the app.
    pub(crate) fn hosts_of(&self, app: &AppName) -> Vec<HostId> {
        self.hosts_of_apps.get(app).map(|hosts| hosts.iter().cloned().collect()).unwrap_or_default()
    }

    /// Whether the web session lives, as far as is known.
    pub(crate) fn has_web_session(&self, id: &WebSessionId) -> bool {
        self.web_sessions.contains_key(id)
    }

    /// The user with the roles as of now, without locks: enough to show what the user may do.
    pub(crate) fn policy_of(&self, cluster: ClusterName, user: &UserName) -> Policy {
        let Some(user) = self.users.get(user) else { return Policy::new(cluster) };
        let roles = user.roles.iter().filter_map(|name| self.roles.get(name).cloned());
        let policy = roles.fold(Policy::new(cluster), Policy::with_role);
        policy.with_user(UserNow::clone(user)).with_preference(self.preference.clone())
    }

    /// Whether an agent announces an app whose public host is `host`.
    pub(crate) fn serves_host(&self, host: &str, proxy_host: &str) -> bool {
        let mut apps = self.servers.values().flat_map(|server| &server.apps);
        apps.any(|app| app.public_addr(proxy_host).eq_ignore_ascii_case(host))
    }

    /// The app whose public host is `host`: its own, or a subdomain of the proxy's.
    pub(crate) fn app_at(&self, host: &str, proxy_host: &str) -> Option<Arc<App>> {
        let host = host.to_ascii_lowercase();
        if let Some(name) = self.public_hosts.get(&host) {
            return self.apps.get(name).cloned();
        }
        let name = host.strip_suffix(proxy_host)?.strip_suffix('.')?;
        let app = self.apps.get(name)?;
        app.spec.public_addr.is_none().then(|| Arc::clone(app))
    }

    /// Applies one change.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(item) => self.put(item),
            Change::Delete(key) => self.delete(&key),
            Change::Ready | Change::Beat => {}
        }
    }

    fn put(&mut self, item: Item) {
        match item {
            Item::AppSession(session) => {
                Arc::make_mut(&mut self.sessions).insert(session.id.clone(), Arc::new(session));
            }
            Item::User(user) => {
                Arc::make_mut(&mut self.users).insert(user.name.clone(), Arc::new(*user));
            }
            Item::Lock(lock) => {
                Arc::make_mut(&mut self.locks).insert(lock.name().clone(), Arc::new(*lock));
            }
            Item::AppServer(server) => {
                self.forget_apps_of(&server.host_id);
                let apps = Arc::make_mut(&mut self.hosts_of_apps);
                for app in &server.apps {
                    apps.entry(app.name().clone()).or_default().insert(server.host_id.clone());
                }
                let server = Arc::new(*server);
                Arc::make_mut(&mut self.servers).insert(server.host_id.clone(), server);
                self.index_apps();
            }
            Item::Role(role) => {
                Arc::make_mut(&mut self.roles).insert(role.name().clone(), Arc::new(*role));
            }
            Item::WebSession(session) => {
                let session = Arc::new(*session);
                Arc::make_mut(&mut self.web_sessions).insert(session.id.clone(), session);
            }
            Item::Preference(preference) => {
                self.preference.require_session_mfa = preference.require_session_mfa;
            }
            Item::App(_) | Item::Trust(_) => {}
        }
    }

    fn delete(&mut self, key: &Key) {
        match key {
            Key::AppSession(id) => {
                Arc::make_mut(&mut self.sessions).remove(id);
            }
            Key::User(name) => {
                Arc::make_mut(&mut self.users).remove(name);
            }
            Key::Lock(name) => {
                Arc::make_mut(&mut self.locks).remove(name);
            }
            Key::AppServer(host) => {
                self.forget_apps_of(host);
                Arc::make_mut(&mut self.servers).remove(host);
                self.index_apps();
            }
            Key::Role(name) => {
                Arc::make_mut(&mut self.roles).remove(name);
            }
            Key::WebSession(id) => {
                Arc::make_mut(&mut self.web_sessions).remove(id);
            }
            Key::App(_) => {}
        }
    }

    /// Of agents that describe an app differently the one with the first id counts, and of apps that claim one host the
    /// one with the first name.
    fn index_apps(&mut self) {
        let mut servers: Vec<&Arc<AppServer>> = self.servers.values().collect();
        servers.sort_by(|a, b| a.host_id.as_str().cmp(b.host_id.as_str()));
        let mut apps: HashMap<AppName, Arc<App>> = HashMap::new();
        for app in servers.iter().flat_map(|server| &server.apps) {
            apps.entry(app.name().clone()).or_insert_with(|| Arc::new(app.clone()));
        }
        let mut public_hosts: HashMap<String, AppName> = HashMap::new();
        for (name, app) in &apps {
            let Some(host) = &app.spec.public_addr else { continue };
            let first =
                public_hosts.entry(host.to_ascii_lowercase()).or_insert_with(|| name.clone());
            if name < first {
                first.clone_from(name);
            }
        }
        self.apps = Arc::new(apps);
        self.public_hosts = Arc::new(public_hosts);
    }

    fn forget_apps_of(&mut self, host: &HostId) {
        let Some(server) = self.servers.get(host) else { return };
        let apps = Arc::make_mut(&mut self.hosts_of_apps);
        for app in &server.apps {
            if let Some(hosts) = apps.get_mut(app.name()) {
                hosts.remove(host);
            }
        }
        apps.retain(|_, hosts| !hosts.is_empty());
    }
}

/// The newest snapshot, for everyone who needs it.
#[derive(Debug)]
pub(crate) struct Snapshots {
    newest: watch::Sender<Arc<Snapshot>>,
    connected: watch::Sender<Connected>,
}

/// How fresh the snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connected {
    /// There has been no full list yet.
    Never,
    /// The watch is open: changes arrive as they happen.
    Now,
    /// The watch is broken; the last snapshot stays.
    Lost,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            newest: watch::Sender::new(Arc::default()),
            connected: watch::Sender::new(Connected::Never),
        }
    }
}

impl Snapshots {
    pub(crate) fn newest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.newest.borrow())
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.newest.subscribe()
    }

    pub(crate) fn connected(&self) -> Connected {
        *self.connected.borrow()
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let (sessions, agents) = (snapshot.sessions.len(), snapshot.servers.len());
        self.newest.send_replace(Arc::new(snapshot));
        if self.connected.send_replace(Connected::Now) != Connected::Now {
            info!(sessions, agents, "following the Auth Service");
        }
    }

    /// Follows the watch for ever, from a full list again whenever it breaks.
    pub(crate) async fn follow(&self, client: &Client, trust: &LiveTrust) {
        let mut failures = 0;
        loop {
            let before = self.connected();
            let Err(error) = self.follow_once(client, trust).await;
            let was_ready = self.connected() == Connected::Now;
            failures = if was_ready { 0 } else { failures + 1 };
            if before != Connected::Never || was_ready {
                self.connected.send_replace(Connected::Lost);
            }
            let pause = jittered(pause_after(failures));
            if was_ready || failures == 1 {
                warn!(error = %Chain(&error), "lost the Auth Service; the last snapshot stays");
            } else {
                debug!(error = %Chain(&error), ?pause, "the Auth Service is still away");
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn follow_once(
        &self,
        client: &Client,
        trust: &LiveTrust,
    ) -> Result<std::convert::Infallible, ApiError> {
        let mut watch = Watch::open(client).await?;
        let mut snapshot = Snapshot::default();
        let mut is_whole = false;
        loop {
            let mut next = Some(watch.next().await?);
            // What has arrived together is published together.
            while let Some(change) = next.take() {
                is_whole |= matches!(change, Change::Ready);
                renew(trust, &change);
                snapshot.apply(change);
                next = watch.next().now_or_never().transpose()?;
            }
            if is_whole {
                self.publish(snapshot.clone());
            }
        }
    }
}

/// Of a lock that names a host as well the agent on that host judges.
fn locks_user(lock: &Lock, user: &UserNow, now: SystemTime) -> bool {
    let target = &lock.spec.target;
    if !lock.is_in_force(now) || target.names_unknown() || target.host().is_some() {
        return false;
    }
    let fits_user = target.user.as_ref().is_none_or(|name| *name == user.name);
    let fits_role = target.role.as_ref().is_none_or(|role| user.roles.contains(role));
    !target.is_empty() && fits_user && fits_role
}

fn renew(trust: &LiveTrust, change: &Change) {
    let Change::Put(Item::Trust(newest)) = change else { return };
    let current = trust.current();
    if current.cluster() != newest.cluster() {
        warn!(theirs = %newest.cluster(), ours = %current.cluster(), "authorities of another cluster are not trusted");
    } else if *current != *newest {
        info!(cluster = %newest.cluster(), "the authorities have changed");
        trust.replace(newest.clone());
    }
}

fn pause_after(failures: u32) -> Duration {
    let (shortest, longest) = PAUSES;
    shortest.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(longest)
}

/// Between half and the whole of `pause`, so that proxies do not come back all at once.
fn jittered(pause: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish();
    let share = (chance % 1024) as u32;
    pause / 2 + (pause / 2048) * share
}

#[cfg(test)]
mod tests {
    use access::{App, LockTarget};

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn id() -> AppSessionId {
        AppSessionId::from_bytes([7; 16])
    }

    fn user() -> UserNow {
        UserNow {
            name: UserName::parse("alice").unwrap(),
            roles: vec![RoleName::parse("dev").unwrap()],
            traits: None,
            locked: false,
            locked_message: None,
            lock_expires: None,
            expires: None,
        }
    }

    fn with(user: UserNow, lock: Option<Lock>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.apply(Change::Put(Item::User(Box::new(user))));
        snapshot.apply(Change::Put(Item::AppSession(AppSession {
            id: id(),
            user: UserName::parse("alice").unwrap(),
            app: AppName::parse("aws").unwrap(),
            aws_role: None,
            expires: at(1000),
        })));
        if let Some(lock) = lock {
            snapshot.apply(Change::Put(Item::Lock(Box::new(lock))));
        }
        snapshot
    }

    fn lock(target: LockTarget) -> Lock {
        Lock::new(LockName::parse("lock-1").unwrap(), target)
    }

    fn verdict(snapshot: &Snapshot, second: u64) -> Result<(), NotLive> {
        snapshot.session(&id(), at(second)).map(|_| ())
    }

    #[test]
    fn a_session_lives_until_its_end_and_while_its_user_is_there() {
        assert_eq!(verdict(&with(user(), None), 999), Ok(()));
        assert_eq!(verdict(&with(user(), None), 1000), Err(NotLive::Expired));
        let gone = [Key::User(user().name), Key::AppSession(id())];
        for key in gone {
            let mut snapshot = with(user(), None);
            snapshot.apply(Change::Delete(key.clone()));
            assert_eq!(verdict(&snapshot, 500), Err(NotLive::Unknown), "{key:?}");
        }
    }

    #[test]
    fn table_of_accounts() {
        let until = |second| UserNow { locked: true, lock_expires: Some(at(second)), ..user() };
        let cases = [
            (UserNow { locked: true, ..user() }, Err(NotLive::UserLocked)),
            (until(501), Err(NotLive::UserLocked)),
            (until(500), Ok(())),
            (UserNow { expires: Some(at(500)), ..user() }, Err(NotLive::Expired)),
            (UserNow { expires: Some(at(501)), ..user() }, Ok(())),
        ];
        for (user, expected) in cases {
            assert_eq!(verdict(&with(user.clone(), None), 500), expected, "{user:?}");
        }
    }

    #[test]
    fn table_of_locks() {
        let target = |user: &str, role: &str| LockTarget {
            user: (!user.is_empty()).then(|| UserName::parse(user).unwrap()),
            role: (!role.is_empty()).then(|| RoleName::parse(role).unwrap()),
            ..LockTarget::default()
        };
        let host = LockTarget::server(HostId::parse("agent-1").unwrap());
        let login = LockTarget { login: Some("root".to_owned()), ..target("alice", "") };
        let cases = [
            (target("alice", ""), Err(NotLive::Locked)),
            (target("bob", ""), Ok(())),
            (target("", "dev"), Err(NotLive::Locked)),
            (target("", "ops"), Ok(())),
            (target("alice", "dev"), Err(NotLive::Locked)),
            (target("alice", "ops"), Ok(())),
            (target("", ""), Ok(())),
            (host, Ok(())),
            (login, Ok(())),
        ];
        for (target, expected) in cases {
            let snapshot = with(user(), Some(lock(target.clone())));
            assert_eq!(verdict(&snapshot, 500), expected, "{target}");
        }
        let mut over = lock(target("alice", ""));
        over.spec.expires = Some(at(500));
        assert_eq!(verdict(&with(user(), Some(over.clone())), 499), Err(NotLive::Locked));
        assert_eq!(verdict(&with(user(), Some(over)), 500), Ok(()));
    }

    fn announce(snapshot: &mut Snapshot, host: &str, apps: &[&str]) {
        let apps =
            apps.iter().map(|app| App::new(AppName::parse(app).unwrap(), "https://x/")).collect();
        snapshot.apply(Change::Put(Item::AppServer(Box::new(AppServer {
            host_id: HostId::parse(host).unwrap(),
            hostname: host.to_owned(),
            version: "0.1.0".to_owned(),
            apps,
            expires: None,
        }))));
    }

    fn hosts(snapshot: &Snapshot, app: &str) -> Vec<String> {
        let app = AppName::parse(app).unwrap();
        snapshot.hosts_of(&app).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_announcement_replaces_the_old_one() {
        let mut snapshot = Snapshot::default();
        announce(&mut snapshot, "one", &["aws", "logs"]);
        announce(&mut snapshot, "two", &["aws"]);
        assert_eq!(hosts(&snapshot, "aws"), ["one", "two"]);
        announce(&mut snapshot, "one", &["logs"]);
        assert_eq!(hosts(&snapshot, "aws"), ["two"]);
        assert_eq!(hosts(&snapshot, "logs"), ["one"]);
        snapshot.apply(Change::Delete(Key::AppServer(HostId::parse("two").unwrap())));
        assert!(hosts(&snapshot, "aws").is_empty());
    }

    #[test]
    fn an_app_answers_at_its_own_host_or_below_the_proxys() {
        let mut snapshot = Snapshot::default();
        announce(&mut snapshot, "one", &["grafana", "wiki"]);
        let name = |snapshot: &Snapshot, host: &str| {
            snapshot.app_at(host, "example.com").map(|app| app.name().to_string())
        };
        assert_eq!(name(&snapshot, "Grafana.example.com").as_deref(), Some("grafana"));
        for host in [
            "example.com",
            "x.grafana.example.com",
            "grafanaexample.com",
            "grafana.example.org",
            ".example.com",
        ] {
            assert_eq!(name(&snapshot, host), None, "{host}");
        }
        let mut app = App::new(AppName::parse("wiki").unwrap(), "https://x/");
        app.spec.public_addr = Some("Wiki.example.net".to_owned());
        let mut other = App::new(AppName::parse("a-thief").unwrap(), "https://x/");
        other.spec.public_addr = Some("grafana.example.net".to_owned());
        snapshot.apply(Change::Put(Item::AppServer(Box::new(AppServer {
            host_id: HostId::parse("one").unwrap(),
            hostname: "one".to_owned(),
            version: "0.1.0".to_owned(),
            apps: vec![app, other],
            expires: None,
        }))));
        assert_eq!(name(&snapshot, "wiki.example.net").as_deref(), Some("wiki"));
        assert_eq!(name(&snapshot, "wiki.example.com"), None, "it has a host of its own");
        assert_eq!(name(&snapshot, "grafana.example.com"), None, "withdrawn");
    }

    #[test]
    fn pauses_grow_to_a_bound_and_vary() {
        assert_eq!(pause_after(0), PAUSES.0);
        assert_eq!(pause_after(1000), PAUSES.1);
        for _ in 0..100 {
            let pause = jittered(PAUSES.1);
            assert!(pause >= PAUSES.1 / 2 && pause <= PAUSES.1, "{pause:?}");
        }
    }
}
