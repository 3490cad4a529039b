//! The hub of changes: what there is, and who wants to hear of each change.
//!
//! It keeps every watched item as the line that watchers are sent, so that a
//! watcher's full list and its first change fit together without a gap and a
//! line is written once for all. The store's thread publishes after each
//! commit, in the order of commits. Watchers that fall behind are cut off by
//! the door, not waited for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use access::{Lock, Role, User, UserNow};
use api::types::watch::{Change, Item, Key, PreferenceNow};
use bytes::Bytes;
use pki::Trust;
use tokio::sync::broadcast;
use tracing::error;

use crate::refusal::Refusal;
use crate::store::Reader;

/// What watchers are told of.
#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    trust: Option<Line>,
    preference: Option<Line>,
    items: HashMap<Key, Line>,
    changes: broadcast::Sender<Line>,
}

/// A line of the watch, and who hears it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// The line, its break included.
    pub(crate) bytes: Bytes,
    audience: Audience,
}

impl Line {
    /// Whether this sort of watcher hears it.
    pub(crate) fn is_for(&self, watcher: Audience) -> bool {
        self.audience == Audience::Everybody || self.audience == watcher
    }
}

/// Who hears a line, and who a watcher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Agents and proxies.
    Everybody,
    /// Proxies: web sessions are no business of agents.
    Proxies,
}

/// The full list at one moment, and the changes after it.
pub(crate) struct Subscription {
    /// One line an item.
    pub(crate) items: Vec<Line>,
    /// One line a change.
    pub(crate) changes: broadcast::Receiver<Line>,
}

impl Hub {
    /// An empty hub whose watchers may lag `backlog` changes behind.
    pub(crate) fn new(backlog: usize) -> Self {
        let (changes, _) = broadcast::channel(backlog.max(1));
        Self {
            state: Mutex::new(State {
                trust: None,
                preference: None,
                items: HashMap::new(),
                changes,
            }),
        }
    }

    /// Takes changes in and passes them on.
    pub(crate) fn publish(&self, changes: Vec<Change>) {
        let lines: Vec<_> = changes.into_iter().filter_map(written).collect();
        if lines.is_empty() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (change, line) in lines {
            match change {
                Change::Put(item) => match key_of(&item) {
                    Some(key) => drop(state.items.insert(key, line.clone())),
                    None if matches!(item, Item::Preference(_)) => {
                        state.preference = Some(line.clone());
                    }
                    None => state.trust = Some(line.clone()),
                },
                Change::Delete(key) => drop(state.items.remove(&key)),
                Change::Ready | Change::Beat => continue,
            }
            // Nobody may be listening.
            let _ = state.changes.send(line);
        }
    }

    /// The full list now, and every change after it.
    pub(crate) fn subscribe(&self) -> Subscription {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let once = state.trust.iter().chain(&state.preference);
        let items = once.chain(state.items.values()).cloned().collect();
        Subscription { items, changes: state.changes.subscribe() }
    }
}

/// A line of the watch, line break included.
pub(crate) fn line(change: &Change) -> Option<Bytes> {
    match serde_json::to_vec(change) {
        Ok(mut line) => {
            line.push(b'\n');
            Some(line.into())
        }
        Err(error) => {
            error!(%error, "a change cannot be written for watchers");
            None
        }
    }
}

fn written(change: Change) -> Option<(Change, Line)> {
    let audience = match &change {
        Change::Put(Item::WebSession(_)) | Change::Delete(Key::WebSession(_)) => Audience::Proxies,
        _ => Audience::Everybody,
    };
    let line = Line { bytes: line(&change)?, audience };
    Some((change, line))
}

fn key_of(item: &Item) -> Option<Key> {
    Some(match item {
        Item::Role(role) => Key::Role(role.metadata.name.clone()),
        Item::User(user) => Key::User(user.name.clone()),
        Item::App(app) => Key::App(app.metadata.name.clone()),
        Item::AppServer(server) => Key::AppServer(server.host_id.clone()),
        Item::AppSession(session) => Key::AppSession(session.id.clone()),
        Item::Lock(lock) => Key::Lock(lock.metadata.name.clone()),
        Item::WebSession(session) => Key::WebSession(session.id.clone()),
        Item::Trust(_) | Item::Preference(_) => return None,
    })
}

/// What watchers are told of a user.
pub(crate) fn user_item(user: &User) -> Item {
    Item::User(Box::new(UserNow::from(user)))
}

/// Everything in the store that watchers are told of, for a hub that starts.
pub(crate) fn everything(
    reader: &Reader<'_>,
    (trust, preference): (Trust, PreferenceNow),
    now: SystemTime,
) -> Result<Vec<Change>, Refusal> {
    let mut items = vec![Item::Trust(trust), Item::Preference(preference)];
    items.extend(reader.list::<Role>()?.into_iter().map(|role| Item::Role(Box::new(role))));
    items.extend(reader.list::<User>()?.iter().map(user_item));
    items.extend(reader.list::<access::App>()?.into_iter().map(|app| Item::App(Box::new(app))));
    items.extend(reader.list::<Lock>()?.into_iter().map(|lock| Item::Lock(Box::new(lock))));
    let servers = reader.servers(now)?.into_iter();
    items.extend(servers.map(|server| Item::AppServer(Box::new(server))));
    items.extend(reader.sessions()?.into_iter().map(Item::AppSession));
    let web_sessions = reader.web_sessions()?.into_iter();
    items.extend(web_sessions.map(|session| Item::WebSession(Box::new(session.now()))));
    Ok(items.into_iter().map(Change::Put).collect())
}
