//! The ring of a running local proxy: every pair of keys that it serves, each with its app session's own road.
//!
//! Pairs come from the key book, which is read again whenever it has changed, so that a session that is logged
//! in to later is served too. A road is opened when its first request comes.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use access::AppName;
use aws::RoleArn;
use aws::sigv4::Keys;
use pki::LocalCa;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::app_session::SavedSession;
use super::app_sessions;
use super::context::{Context, Login};
use super::key_book::{Entry, KeyBook, Stamp};
use super::local_ca::Place;
use super::local_proxy::{Given, KeyRing, LocalKey, NotOne, ThrowawayKeys};
use super::renewer::{self, Running};
use crate::failure::Failure;

/// Which sessions a local proxy serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every one of the login.
    All,
    /// Those of one app.
    App(AppName),
    /// One.
    Session(AppName, Option<RoleArn>),
}

impl Scope {
    fn covers(&self, app: &AppName, role: Option<&RoleArn>) -> bool {
        match self {
            Self::All => true,
            Self::App(name) => name == app,
            Self::Session(name, only) => name == app && only.as_ref() == role,
        }
    }
}

/// What every road of a ring is opened with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The saved logins and the clock.
    pub context: Context,
    /// The login.
    pub login: Login,
    /// Where the local authority is kept.
    pub place: Place,
    /// The local authority.
    pub local_ca: LocalCa,
    /// Where tasks go.
    pub tasks: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

/// See the module.
#[derive(Debug)]
pub struct SessionRing {
    setup: Setup,
    scope: Scope,
    book: KeyBook,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stamp: Option<Stamp>,
    /// By access key id.
    from_book: HashMap<String, Pair>,
    /// Pairs that this process has given out: they outlive a logout, for a session that is logged in to anew.
    own: HashMap<String, Pair>,
    running: HashMap<Meant, Running>,
    last_use: SystemTime,
}

/// An app and a role of it.
type Meant = (AppName, Option<RoleArn>);

#[derive(Debug, Clone)]
struct Pair {
    keys: Arc<Keys>,
    secret: aws::Secret<String>,
    meant: Meant,
    /// Of a derived pair, which ends by itself; another ends with its session.
    ends: Option<SystemTime>,
    /// Of a derived pair, by which the agent knows it.
    token: Option<aws::Secret<String>>,
}

impl SessionRing {
    /// A ring that serves the login's sessions in `scope`.
    #[must_use]
    pub fn new(setup: Setup, scope: Scope) -> Self {
        let book = KeyBook::of(&setup.context, &setup.login);
        let state = State {
            stamp: None,
            from_book: HashMap::new(),
            own: HashMap::new(),
            running: HashMap::new(),
            last_use: (setup.context.now)(),
        };
        Self { setup, scope, book, state: Mutex::new(state) }
    }

    /// Serves a session with these keys as long as this process runs, and opens its road at once.
    ///
    /// # Errors
    /// When files of the login cannot be used.
    pub fn serve(&self, session: SavedSession, keys: &ThrowawayKeys) -> Result<(), Failure> {
        let meant: Meant = (session.app.clone(), session.aws_role().cloned());
        let pair = Pair {
            keys: keys.verifier(),
            secret: keys.credentials().secret_access_key,
            meant: meant.clone(),
            ends: None,
            token: None,
        };
        let mut state = self.state();
        state.own.insert(keys.access_key_id().to_owned(), pair);
        if let Slot::Vacant(place) = state.running.entry(meant) {
            place.insert(renewer::start(&self.setup, session)?);
        }
        Ok(())
    }

    /// When a request last named a pair of this ring.
    #[must_use]
    pub fn last_use(&self) -> SystemTime {
        self.state().last_use
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the book if it has changed.
    fn refresh(&self, state: &mut State) {
        let stamp = self.book.stamp();
        if stamp == state.stamp {
            return;
        }
        state.stamp = stamp;
        let mut known = std::mem::take(&mut state.from_book);
        let entries = self.book.entries().into_iter();
        let served = entries.filter(|e| self.scope.covers(&e.app, e.aws_role.as_ref()));
        state.from_book = served
            .map(|entry| {
                let id = entry.credentials.access_key_id.clone();
                // A pair that is known keeps the signing keys that were derived from it.
                let known = known.remove(&id).filter(|pair| pair.is_of(&entry));
                (id, known.unwrap_or_else(|| Pair::of(entry)))
            })
            .collect();
        let State { from_book, own, running, .. } = state;
        let mut pairs = from_book.values().chain(own.values());
        let served: std::collections::HashSet<Meant> =
            pairs.by_ref().map(|pair| pair.meant.clone()).collect();
        // Logged out of: no road is kept to it, and none is renewed.
        running.retain(|meant, running| served.contains(meant) || running.end());
    }

    fn open(&self, (app, role): &Meant) -> Option<Running> {
        let Setup { context, login, .. } = &self.setup;
        // The login that was there at the start may have been replaced.
        let login = context.again(login).ok()?;
        let session = app_sessions::saved_for(context, &login, (app, role.as_ref()))?;
        match renewer::start(&self.setup, session) {
            Ok(running) => Some(running),
            Err(failure) => {
                debug!(%failure, %app, "the road of an app session could not be opened");
                None
            }
        }
    }
}

impl SessionRing {
    /// The app sessions in scope that last.
    fn live(&self) -> Vec<Meant> {
        let Setup { context, login, .. } = &self.setup;
        let login = context.again(login);
        let live = login.ok().and_then(|login| app_sessions::all_live(context, &login).ok());
        let meant = |session: SavedSession| (session.app.clone(), session.aws_role().cloned());
        let live = live.unwrap_or_default().into_iter().map(meant);
        live.filter(|(app, role)| role.is_some() && self.scope.covers(app, role.as_ref())).collect()
    }
}

impl KeyRing for SessionRing {
    fn find(&self, access_key_id: &str) -> Option<LocalKey> {
        let mut state = self.state();
        self.refresh(&mut state);
        let pair = state.own.get(access_key_id).or_else(|| state.from_book.get(access_key_id));
        let now = (self.setup.context.now)();
        let pair = pair.filter(|pair| pair.ends.is_none_or(|end| end > now));
        let Pair { keys, meant, token, .. } = pair?.clone();
        let running = match state.running.entry(meant) {
            Slot::Occupied(there) => there.into_mut(),
            Slot::Vacant(place) => {
                let running = self.open(place.key())?;
                place.insert(running)
            }
        };
        let (road, session) = (running.road.clone(), Arc::clone(&running.state));
        state.last_use = now;
        Some(LocalKey { keys, road, session, derived: token })
    }

    fn only(&self) -> Result<LocalKey, NotOne> {
        let live = self.live();
        let meant = match live.as_slice() {
            [] => return Err(NotOne::None),
            [meant] => meant,
            several => {
                let told = |(app, role): &Meant| match role {
                    Some(role) => format!("`{app}` as {role}"),
                    None => format!("`{app}`"),
                };
                return Err(NotOne::Several(several.iter().map(told).collect()));
            }
        };
        let access_key_id = {
            let mut state = self.state();
            self.refresh(&mut state);
            let mut pairs = state.own.iter().chain(&state.from_book);
            let its = pairs.find(|(_, pair)| pair.ends.is_none() && pair.meant == *meant);
            its.map(|(id, _)| id.clone())
        };
        access_key_id.and_then(|id| self.find(&id)).ok_or(NotOne::None)
    }

    fn learn(&self, access_key_id: &str, given: Given) -> Result<(), Failure> {
        let meant = {
            let mut state = self.state();
            self.refresh(&mut state);
            let pair_of = |id: &str| state.own.get(id).or_else(|| state.from_book.get(id));
            if pair_of(&given.credentials.access_key_id).is_some() {
                return Err(Failure::new("STS has given an access key id that is in use"));
            }
            pair_of(access_key_id).map(|pair| pair.meant.clone())
        };
        // It was there when the request came.
        let (app, aws_role) =
            meant.ok_or_else(|| Failure::new("the app session was logged out of meanwhile"))?;
        let Given { credentials, expires } = given;
        let entry = Entry { app, aws_role, credentials, expires, lent_until: None };
        self.book.add(entry, (self.setup.context.now)())
    }
}

impl Pair {
    fn of(entry: Entry) -> Self {
        let secret = entry.credentials.secret_access_key.clone();
        let ends = entry.is_derived().then_some(entry.expires);
        let token = entry.credentials.session_token.clone();
        let keys = Arc::new(Keys::new(entry.credentials));
        Self { keys, secret, meant: (entry.app, entry.aws_role), ends, token }
    }

    fn is_of(&self, entry: &Entry) -> bool {
        let (ours, theirs) = (&self.secret, &entry.credentials.secret_access_key);
        let is_same = aws_lc_rs::constant_time::verify_slices_are_equal(
            ours.expose().as_bytes(),
            theirs.expose().as_bytes(),
        );
        let same_end = self.ends == entry.is_derived().then_some(entry.expires);
        is_same.is_ok() && same_end && entry.is_for(&self.meant.0, self.meant.1.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tsh::tests::{READER, Saved, now};

    const WRITER: &str = "arn:aws:iam::123456789012:role/writer";

    fn ring(saved: &Saved, scope: Scope) -> SessionRing {
        let context = saved.context();
        let login = context.login().unwrap();
        let place = Place::of_login(&context, &login);
        let local_ca = place.authority(now(), now()).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        SessionRing::new(Setup { context, login, place, local_ca, tasks, stop }, scope)
    }

    fn pair(saved: &Saved, session: &SavedSession) -> ThrowawayKeys {
        let context = saved.context();
        let login = context.login().unwrap();
        KeyBook::of(&context, &login).pair(session, now()).unwrap()
    }

    #[tokio::test]
    async fn each_pair_leads_to_its_own_session_and_a_later_one_is_known_at_once() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        let ring = ring(&saved, Scope::All);
        assert!(ring.find("AKIAIOSFODNN7EXAMPLE").is_none());
        let first = pair(&saved, &saved.sessions(&profile)[0]);
        let found = ring.find(first.access_key_id()).unwrap();
        assert_eq!(found.session.expires(), now() + Duration::from_secs(3_600));
        saved.log_in_to_app(&profile, "aws", (Some(WRITER), 1_800));
        let newest = saved.sessions(&profile).remove(0);
        let second = pair(&saved, &newest);
        let later = ring.find(second.access_key_id()).unwrap();
        assert_eq!(later.session.expires(), now() + Duration::from_secs(1_800));
        let again = ring.find(first.access_key_id()).unwrap();
        assert!(Arc::ptr_eq(&again.session, &found.session), "one road a session");
        assert!(Arc::ptr_eq(&again.keys, &found.keys), "with the keys derived before");
        // Logged out of: not served any more.
        let context = saved.context();
        let login = context.login().unwrap();
        KeyBook::of(&context, &login).forget(&newest.app, newest.aws_role()).unwrap();
        assert!(ring.find(second.access_key_id()).is_none());
        assert!(ring.find(first.access_key_id()).is_some());
    }

    #[tokio::test]
    async fn a_request_that_names_no_session_stands_for_the_only_one() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        let all = ring(&saved, Scope::All);
        assert_eq!(all.only().unwrap_err(), NotOne::None);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        assert_eq!(all.only().unwrap_err(), NotOne::None, "nobody has its keys yet");
        let first = pair(&saved, &saved.sessions(&profile)[0]);
        assert_eq!(all.only().unwrap().keys.access_key_id(), first.access_key_id());
        // One that has ended does not count, one that lasts does, whether its keys are in use or not.
        saved.log_in_to_app(&profile, "old", (Some(WRITER), 0));
        assert!(all.only().is_ok());
        saved.log_in_to_app(&profile, "prod", (Some(WRITER), 3_600));
        let words = all.only().unwrap_err().to_string();
        for part in ["`aws` as", READER, "`prod` as", WRITER, "--app NAME --aws-role ROLE"] {
            assert!(words.contains(part), "{words}");
        }
        let narrow = ring(&saved, Scope::App(AppName::parse("aws").unwrap()));
        assert_eq!(narrow.only().unwrap().keys.access_key_id(), first.access_key_id());
        let other = ring(&saved, Scope::App(AppName::parse("absent").unwrap()));
        assert_eq!(other.only().unwrap_err(), NotOne::None);
    }

    #[tokio::test]
    async fn a_narrow_ring_knows_its_own_pairs_only() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        for (app, role) in [("aws", READER), ("aws", WRITER), ("prod", READER)] {
            saved.log_in_to_app(&profile, app, (Some(role), 3_600));
        }
        let context = saved.context();
        let login = context.login().unwrap();
        let all = app_sessions::all_live(&context, &login).unwrap();
        let pairs: Vec<ThrowawayKeys> = all.iter().map(|session| pair(&saved, session)).collect();
        let app = AppName::parse("aws").unwrap();
        let writer = RoleArn::parse(WRITER).unwrap();
        for (scope, expected) in [
            (Scope::All, vec![true, true, true]),
            (Scope::App(app.clone()), vec![true, true, false]),
            (Scope::Session(app, Some(writer)), vec![false, true, false]),
        ] {
            let ring = ring(&saved, scope.clone());
            let known: Vec<bool> =
                pairs.iter().map(|pair| ring.find(pair.access_key_id()).is_some()).collect();
            assert_eq!(known, expected, "{scope:?}");
        }
    }

    #[tokio::test]
    async fn a_derived_pair_ends_by_itself() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        let context = saved.context();
        let login = context.login().unwrap();
        let session = saved.sessions(&profile).remove(0);
        let derived = |id: &str, expires| Entry {
            app: session.app.clone(),
            aws_role: session.aws_role().cloned(),
            credentials: aws::sigv4::Credentials {
                access_key_id: id.to_owned(),
                secret_access_key: "a-secret-of-ours".into(),
                session_token: Some("a-token-of-ours".into()),
            },
            expires,
            lent_until: None,
        };
        let book = KeyBook::of(&context, &login);
        book.add(derived("ASIAENDED", now()), now()).unwrap();
        book.add(derived("ASIALASTS", now() + Duration::from_secs(1)), now()).unwrap();
        let ring = ring(&saved, Scope::All);
        let lasts = ring.find("ASIALASTS").unwrap();
        assert_eq!(lasts.derived.unwrap().expose(), "a-token-of-ours");
        assert!(ring.find("ASIAENDED").is_none());
        // The session's own pair is another.
        assert!(!pair(&saved, &session).access_key_id().starts_with("ASIA"));
    }

    #[tokio::test]
    async fn what_sts_has_given_is_known_to_every_proxy_until_the_session_is_logged_out_of() {
        let saved = Saved::new();
        let profile = saved.log_in("localhost", 7_200);
        saved.log_in_to_app(&profile, "aws", (Some(READER), 3_600));
        let session = saved.sessions(&profile).remove(0);
        let own = pair(&saved, &session);
        let (first, second) = (ring(&saved, Scope::All), ring(&saved, Scope::All));
        let given = |id: &str| Given {
            credentials: aws::sigv4::Credentials {
                access_key_id: id.to_owned(),
                secret_access_key: "a-secret-of-ours".into(),
                session_token: Some("a-token-of-ours".into()),
            },
            expires: now() + Duration::from_secs(1_800),
        };
        assert!(first.learn("ASIANOBODY", given("ASIAX")).is_err());
        assert!(first.find(own.access_key_id()).unwrap().derived.is_none());
        first.learn(own.access_key_id(), given("ASIAONE")).unwrap();
        for ring in [&first, &second] {
            let found = ring.find("ASIAONE").unwrap();
            assert_eq!(found.derived.unwrap().expose(), "a-token-of-ours");
        }
        second.learn("ASIAONE", given("ASIATWO")).unwrap();
        assert!(first.learn("ASIAONE", given("ASIATWO")).is_err(), "nothing is replaced");
        assert!(first.learn("ASIAONE", given(own.access_key_id())).is_err());
        assert!(first.find("ASIATWO").is_some(), "keys that were got with such keys");
        let context = saved.context();
        let login = context.login().unwrap();
        KeyBook::of(&context, &login).forget(&session.app, session.aws_role()).unwrap();
        assert!(first.find("ASIAONE").is_none() && second.find("ASIATWO").is_none());
    }
}
