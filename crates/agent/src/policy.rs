//! The snapshot that decides: kept fresh by one task, read by every call without a lock.
//!
//! It is published only when complete, so that a rule is never missing from it. While the Auth Service is away the last
//! one counts, unless strict locking says otherwise (`access::decide` sees how old it is).

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use access::policy::{AuthPreference, Policy};
use access::{App, AppName};
use api::error::{ApiError, Chain};
use api::types::watch::{Change, Item, Key};
use api::watch::Watch;
use arc_swap::{ArcSwap, Guard};
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use tunnel::Backoff;

use crate::chance::chance;
use crate::config::{AgentConfig, Deps, Selector};

/// How many changes may be taken in before the snapshot is published.
const MOST_AT_ONCE: usize = 1000;

/// What is known now.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What decides.
    pub(crate) policy: Policy,
    /// The apps that this agent serves.
    pub(crate) apps: HashMap<AppName, Arc<App>>,
    /// Whether the full list has arrived once.
    pub(crate) is_complete: bool,
}

/// The newest snapshot, shared by all.
pub(crate) struct LivePolicy {
    current: ArcSwap<Snapshot>,
    /// Counts publications, for those who wait for one.
    version: watch::Sender<u64>,
    own_apps: Vec<Arc<App>>,
    selectors: Vec<Selector>,
}

impl LivePolicy {
    /// Knows the agent's own apps and refuses every call.
    pub(crate) fn new(config: &AgentConfig) -> Arc<Self> {
        let policy = empty(config);
        let own_apps: Vec<_> = config.apps.iter().cloned().map(Arc::new).collect();
        let apps = own_apps.iter().map(|app| (app.name().clone(), Arc::clone(app))).collect();
        Arc::new(Self {
            current: ArcSwap::from_pointee(Snapshot { policy, apps, is_complete: false }),
            version: watch::Sender::new(0),
            own_apps,
            selectors: config.resources.clone(),
        })
    }

    /// The newest snapshot.
    pub(crate) fn now(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Tells of every publication.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Waits, within `patience`, for a complete snapshot in which `holds` is true.
    pub(crate) async fn wait_for(
        &self,
        patience: Duration,
        holds: impl Fn(&Snapshot) -> bool,
    ) -> bool {
        let is_there = |snapshot: &Snapshot| snapshot.is_complete && holds(snapshot);
        let mut version = self.follow();
        let waiting = version.wait_for(|_| is_there(&self.now()));
        timeout(patience, waiting).await.is_ok_and(|reached| reached.is_ok())
    }

    pub(crate) fn publish(&self, policy: Policy) {
        let mut apps = HashMap::new();
        for app in
            policy.apps().filter(|app| self.selectors.iter().any(|selector| selector.fits(app)))
        {
            apps.insert(app.name().clone(), Arc::clone(app));
        }
        // What teleport.yaml says wins over a dynamic app of the same name.
        for app in &self.own_apps {
            apps.insert(app.name().clone(), Arc::clone(app));
        }
        self.current.store(Arc::new(Snapshot { policy, apps, is_complete: true }));
        self.version.send_modify(|version| *version += 1);
    }
}

/// Follows the Auth Service until `stop`.
pub(crate) async fn follow(
    live: Arc<LivePolicy>,
    config: Arc<AgentConfig>,
    deps: Deps,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let follower = Follower { live, config, deps };
    while !stop.is_cancelled() {
        let (lived, error) = tokio::select! {
            ended = follower.follow_once() => ended,
            () = stop.cancelled() => return,
        };
        warn!(error = %Chain(&error), "not following the Auth Service; the last known rules count");
        let pause = backoff.wait_after(lived, chance());
        // Stopping while pausing ends the loop.
        let _ = timeout(pause, stop.cancelled()).await;
    }
}

struct Follower {
    live: Arc<LivePolicy>,
    config: Arc<AgentConfig>,
    deps: Deps,
}

impl Follower {
    /// Follows one watch to its end, and says how long it lived after its full list.
    async fn follow_once(&self) -> (Duration, ApiError) {
        let mut ready_since = None;
        let Err(error) = self.read(&mut ready_since).await;
        (ready_since.map_or(Duration::ZERO, |since: Instant| since.elapsed()), error)
    }

    async fn read(&self, ready_since: &mut Option<Instant>) -> Result<Infallible, ApiError> {
        let mut watch = Watch::open(&self.deps.auth).await?;
        let mut policy = empty(&self.config);
        loop {
            let changes = next_changes(&mut watch).await?;
            if changes.iter().any(|change| matches!(change, Change::Ready)) {
                *ready_since = Some(Instant::now());
                info!("the snapshot of rules, sessions and locks is complete");
            }
            policy = changes.into_iter().fold(policy, |policy, change| self.apply(policy, change));
            if ready_since.is_some() {
                policy = policy.as_of(self.deps.clock.now());
                self.live.publish(policy.clone());
            }
        }
    }

    fn apply(&self, policy: Policy, change: Change) -> Policy {
        match change {
            Change::Put(item) => self.put(policy, item),
            Change::Delete(key) => delete(policy, &key),
            Change::Ready | Change::Beat => policy,
        }
    }

    fn put(&self, policy: Policy, item: Item) -> Policy {
        match item {
            Item::Role(role) => policy.with_role(*role),
            Item::User(user) => policy.with_user(*user),
            Item::App(app) => policy.with_app(*app),
            Item::AppSession(session) => policy.with_session(session),
            Item::Lock(lock) => policy.with_lock(*lock),
            Item::Trust(trust) => {
                if trust.cluster() != &self.config.cluster {
                    warn!(cluster = %trust.cluster(), "the Auth Service sent the authorities of another cluster");
                } else if *self.deps.trust.current() != trust {
                    info!("the authorities of the cluster have changed");
                    self.deps.trust.replace(trust);
                }
                policy
            }
            Item::Preference(preference) => {
                let require_session_mfa = preference.require_session_mfa;
                let preference =
                    AuthPreference { require_session_mfa, ..policy.preference().clone() };
                policy.with_preference(preference)
            }
            Item::AppServer(_) | Item::WebSession(_) => policy,
        }
    }
}

/// Waits for a change, and takes what has come with it, so that a burst is published once.
async fn next_changes(watch: &mut Watch) -> Result<Vec<Change>, ApiError> {
    let mut changes = vec![watch.next().await?];
    while changes.len() < MOST_AT_ONCE {
        match watch.next().now_or_never() {
            Some(change) => changes.push(change?),
            None => break,
        }
    }
    Ok(changes)
}

/// Nothing known: refuses every call.
fn empty(config: &AgentConfig) -> Policy {
    let preference = AuthPreference { locking_mode: config.locking, ..AuthPreference::default() };
    Policy::new(config.cluster.clone()).at_host(config.host_id.clone()).with_preference(preference)
}

fn delete(policy: Policy, key: &Key) -> Policy {
    match key {
        Key::Role(name) => policy.without_role(name),
        Key::User(name) => policy.without_user(name),
        Key::App(name) => policy.without_app(name),
        Key::AppSession(id) => policy.without_session(id),
        Key::Lock(name) => policy.without_lock(name.as_str()),
        Key::AppServer(_) | Key::WebSession(_) => policy,
    }
}

impl Selector {
    /// Whether an app has these labels. A selector without labels fits none.
    fn fits(&self, app: &App) -> bool {
        let fits = |(key, values): (&String, &Vec<String>)| {
            let is_any = values.iter().any(|value| value == "*");
            if key == "*" {
                return is_any;
            }
            app.label(key).is_some_and(|label| is_any || values.iter().any(|value| value == label))
        };
        !self.labels.is_empty() && self.labels.iter().all(fits)
    }
}

#[cfg(test)]
mod tests {
    use access::{ClusterName, HostId};

    use super::*;
    use crate::config::SpoolSettings;

    fn app(name: &str, labels: &[(&str, &str)]) -> App {
        let mut app = App::new(AppName::parse(name).unwrap(), "https://console.aws.amazon.com");
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        app.metadata.labels = labels.collect();
        app
    }

    fn selector(labels: &[(&str, &[&str])]) -> Selector {
        let words = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        let labels = labels.iter().map(|(key, values)| ((*key).to_owned(), words(values)));
        Selector { labels: labels.collect() }
    }

    #[test]
    fn a_selector_fits_apps_that_have_all_its_labels() {
        let prod = app("aws", &[("env", "prod"), ("team", "a")]);
        for (labels, fits) in [
            (&[("env", &["prod"][..])][..], true),
            (&[("env", &["dev", "prod"])], true),
            (&[("env", &["*"])], true),
            (&[("*", &["*"])], true),
            (&[("env", &["prod"]), ("team", &["a"])], true),
            (&[("env", &["prod"]), ("team", &["b"])], false),
            (&[("env", &["dev"])], false),
            (&[("owner", &["*"])], false),
            (&[("*", &["prod"])], false),
            (&[("env", &[])], false),
            (&[], false),
        ] {
            assert_eq!(selector(labels).fits(&prod), fits, "{labels:?}");
        }
    }

    fn live(own: Vec<App>, resources: Vec<Selector>) -> Arc<LivePolicy> {
        LivePolicy::new(&AgentConfig {
            host_id: HostId::parse("5f0c1f1e-53a5-4c5e-8a77-1b0d5c0c0002").unwrap(),
            cluster: cluster(),
            nodename: "agent-1".to_owned(),
            version: "0.0.0".to_owned(),
            proxies: Vec::new(),
            apps: own,
            resources,
            spool: SpoolSettings::new("/nowhere".into()),
            locking: Default::default(),
            tunnels_per_proxy: 2,
        })
    }

    fn cluster() -> ClusterName {
        ClusterName::parse("example.com").unwrap()
    }

    #[test]
    fn own_apps_are_served_from_the_start_and_win_over_dynamic_ones() {
        let own = app("aws", &[("from", "file")]);
        let live = live(vec![own.clone()], vec![selector(&[("from", &["cluster"])])]);
        assert_eq!(live.now().apps.len(), 1);
        assert!(!live.now().is_complete);
        let policy = Policy::new(cluster())
            .with_app(app("aws", &[("from", "cluster")]))
            .with_app(app("aws-two", &[("from", "cluster")]))
            .with_app(app("aws-three", &[("from", "elsewhere")]));
        live.publish(policy);
        let snapshot = live.now();
        let mut names: Vec<_> = snapshot.apps.keys().map(AppName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["aws", "aws-two"]);
        let aws = AppName::parse("aws").unwrap();
        assert_eq!(*snapshot.apps[&aws], own);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_publication_that_holds() {
        let live = live(Vec::new(), vec![selector(&[("*", &["*"])])]);
        let has_aws = |snapshot: &Snapshot| snapshot.policy.app("aws").is_some();
        assert!(!live.wait_for(Duration::ZERO, has_aws).await);
        let publish = async {
            live.publish(Policy::new(cluster()));
            tokio::task::yield_now().await;
            live.publish(Policy::new(cluster()).with_app(app("aws", &[])));
        };
        let (there, ()) = tokio::join!(live.wait_for(Duration::from_secs(60), has_aws), publish);
        assert!(there);
    }
}
