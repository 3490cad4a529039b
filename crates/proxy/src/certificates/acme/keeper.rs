//! The one task that keeps ordered certificates: obtains them at first use, renews them ahead of
//! time, lets names rest whose order failed, and forgets those that are no longer enrolled.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api::error::Chain;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tracing::{error, info, warn};

use super::Shown;
use super::held::Held;
use super::names::Standing;
use super::obtain::{NotObtained, Sources};
use super::schedule;

/// Orders under way at once.
const AT_ONCE: usize = 4;
/// People who wait for one name.
const ASKERS: usize = 64;
/// Shortest pause between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

/// Somebody waits for a certificate.
pub(crate) struct Wish {
    pub(crate) name: String,
    /// Told when the certificate is shown; dropped when there will be none for now.
    pub(crate) told: oneshot::Sender<()>,
}

/// What is known of a name.
#[derive(Default)]
struct Name {
    held: Option<Held>,
    failures: u32,
    /// Nothing is tried before.
    rests_until: Option<SystemTime>,
    is_under_way: bool,
    askers: Vec<oneshot::Sender<()>>,
}

type Outcome = (Option<Held>, Result<(), NotObtained>);

/// The keeper.
pub(crate) struct Keeper {
    shown: Arc<Shown>,
    sources: Sources,
    names: HashMap<String, Name>,
    queue: VecDeque<String>,
    under_way: JoinSet<Outcome>,
    jobs: HashMap<Id, String>,
}

impl Keeper {
    pub(crate) fn new(shown: Arc<Shown>, sources: Sources) -> Self {
        Self {
            shown,
            sources,
            names: HashMap::new(),
            queue: VecDeque::new(),
            under_way: JoinSet::new(),
            jobs: HashMap::new(),
        }
    }

    /// Keeps, for ever. Begins with the proxy's own name.
    pub(crate) async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        let own = self.shown.own.clone();
        self.want(&own);
        loop {
            self.begin();
            let pause = self.pause();
            tokio::select! {
                Some(wish) = wishes.recv() => self.wish(wish),
                Some(done) = self.under_way.join_next_with_id() => self.finish(done),
                () = tokio::time::sleep(pause) => self.look(),
            }
        }
    }

    fn wish(&mut self, wish: Wish) {
        let now = self.sources.clock.now();
        let name = self.names.entry(wish.name.clone()).or_default();
        if name.held.is_some() {
            let _ = wish.told.send(());
        } else if !name.rests(now) && name.askers.len() < ASKERS {
            name.askers.push(wish.told);
            self.want(&wish.name);
        }
    }

    /// Puts a name into the queue unless it is there.
    fn want(&mut self, name: &str) {
        let state = self.names.entry(name.to_owned()).or_default();
        if !state.is_under_way {
            state.is_under_way = true;
            self.queue.push_back(name.to_owned());
        }
    }

    fn begin(&mut self) {
        while self.under_way.len() < AT_ONCE {
            let Some(name) = self.queue.pop_front() else { return };
            let (sources, wanted) = (self.sources.clone(), name.clone());
            let job = self.under_way.spawn(async move { sources.obtain(&wanted).await });
            self.jobs.insert(job.id(), name);
        }
    }

    fn finish(&mut self, done: Result<(Id, Outcome), JoinError>) {
        let (id, outcome) = match done {
            Ok((id, outcome)) => (id, Some(outcome)),
            Err(failed) => (failed.id(), None),
        };
        let Some(key) = self.jobs.remove(&id) else { return };
        let now = self.sources.clock.now();
        let name = self.names.entry(key.clone()).or_default();
        name.is_under_way = false;
        let (held, result) = outcome.unwrap_or((None, Ok(())));
        let is_news = held.is_some();
        name.held = held.or(name.held.take());
        match result {
            Ok(()) if is_news => {
                name.failures = 0;
                name.rests_until = None;
            }
            Ok(()) => name.rests_until = Some(now + schedule::rest_after(1, schedule::chance())),
            Err(failed) => name.fail(&key, &failed, now),
        }
        for asker in name.askers.drain(..) {
            if name.held.is_some() {
                let _ = asker.send(());
            }
        }
        if is_news {
            self.publish();
        }
    }

    /// Renews what is due and forgets what is no longer enrolled.
    fn look(&mut self) {
        let now = self.sources.clock.now();
        let before = self.names.len();
        let shown = Arc::clone(&self.shown);
        self.names.retain(|key, name| {
            let is_resting = name.rests(now) || name.is_under_way;
            let is_useful = name.held.is_some() || is_resting || *key == shown.own;
            is_useful && shown.standing(key) != Standing::Foreign
        });
        if self.names.len() != before {
            self.publish();
        }
        let due: Vec<String> = self
            .names
            .iter()
            .filter(|(key, name)| name.is_wanted(**key == self.shown.own, now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            self.want(&key);
        }
    }

    fn pause(&self) -> Duration {
        let now = self.sources.clock.now();
        let next = self
            .names
            .iter()
            .filter_map(|(key, name)| name.next(*key == self.shown.own))
            .map(|next| next.duration_since(now).unwrap_or_default())
            .min();
        let look = self.sources.timing.look;
        next.unwrap_or(look).clamp(SHORTEST.min(look), look)
    }

    fn publish(&self) {
        let held = self.names.iter().filter_map(|(key, name)| {
            name.held.as_ref().map(|held| (key.clone(), Arc::clone(&held.certified)))
        });
        self.shown.certificates.store(Arc::new(held.collect()));
    }
}

impl Name {
    fn rests(&self, now: SystemTime) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    fn is_wanted(&self, is_own: bool, now: SystemTime) -> bool {
        !self.is_under_way && self.next(is_own).is_some_and(|next| next <= now)
    }

    /// When it is tried again unasked: one that is held when it is due, the proxy's own always.
    fn next(&self, is_own: bool) -> Option<SystemTime> {
        if self.is_under_way {
            return None;
        }
        let due = match &self.held {
            Some(held) => held.renew_at,
            None if is_own => SystemTime::UNIX_EPOCH,
            None => return None,
        };
        Some(self.rests_until.map_or(due, |until| until.max(due)))
    }

    fn fail(&mut self, key: &str, failed: &NotObtained, now: SystemTime) {
        if let NotObtained::Leased { until } = failed {
            info!(name = key, "another proxy orders the web certificate, or did in vain");
            // It may be on the shelf any moment; looking there costs little.
            self.rests_until = Some((*until).min(now + COLLEAGUES_REST));
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let rest = match failed {
            // Nobody was asked but the Auth Service, which may not be up or know us yet.
            NotObtained::Shelf(_) => schedule::short_rest_after(self.failures, schedule::chance()),
            _ => schedule::rest_after(self.failures, schedule::chance()),
        };
        self.rests_until = Some(now + rest);
        let hint = failed.hint();
        match self.held.as_ref().map(|held| held.left(now)) {
            Some(left) if left < LAST_CALL => {
                error!(name = key, error = %Chain(failed), ?left, retry_in = ?rest, hint, "the web certificate ends soon and cannot be renewed");
            }
            _ => {
                warn!(name = key, error = %Chain(failed), retry_in = ?rest, hint, "could not order a web certificate");
            }
        }
    }
}

/// When the shelf is looked at again after a colleague's lease was met.
const COLLEAGUES_REST: Duration = Duration::from_secs(30);

/// From then on a failed renewal is an error.
const LAST_CALL: Duration = Duration::from_secs(7 * 24 * 3600);
