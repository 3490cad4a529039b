//! The snapshot that services keep: one long reply, a JSON line each.
//!
//! First every item there is (`put`), then `ready`, then each change as it
//! happens. A `beat` comes at least every 10 seconds, so that a dead
//! connection is noticed. A watcher that falls behind is cut off and starts over.

use access::resource::RequireMfa;
use access::{
    App, AppName, AppSession, AppSessionId, HostId, Lock, LockName, Role, RoleName, UserName,
    UserNow,
};
use pki::Trust;
use serde::{Deserialize, Serialize};

use super::app_servers::AppServer;
use super::web_sessions::{WebSessionId, WebSessionNow};

/// One line of the watch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", content = "item", rename_all = "snake_case")]
pub enum Change {
    /// An item that is there, is new or has changed.
    Put(Item),
    /// An item that is gone.
    Delete(Key),
    /// The full list has been sent.
    Ready,
    /// Nothing changed, the connection lives.
    Beat,
}

/// Something in the snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Item {
    /// A role.
    Role(Box<Role>),
    /// What services must know of a user: never a secret.
    User(Box<UserNow>),
    /// A dynamic app (`kind: app`).
    App(Box<App>),
    /// An agent and its apps.
    AppServer(Box<AppServer>),
    /// A live app session.
    AppSession(AppSession),
    /// A lock.
    Lock(Box<Lock>),
    /// The authorities.
    Trust(Trust),
    /// What holds for every session.
    Preference(PreferenceNow),
    /// A live web session; proxies hear of it, agents do not.
    WebSession(Box<WebSessionNow>),
}

/// What an admin prefers for the whole cluster, as far as services enforce it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferenceNow {
    /// Whether each app session needs a second factor of its own.
    #[serde(default)]
    pub require_session_mfa: RequireMfa,
}

/// Names something in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Key {
    /// A role.
    Role(RoleName),
    /// A user.
    User(UserName),
    /// A dynamic app.
    App(AppName),
    /// An agent.
    AppServer(HostId),
    /// An app session.
    AppSession(AppSessionId),
    /// A lock, by name.
    Lock(LockName),
    /// A web session.
    WebSession(WebSessionId),
}
