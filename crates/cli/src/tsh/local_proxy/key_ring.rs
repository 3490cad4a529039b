//! What a pair of local keys stands for: the app session that its requests go out by.

use std::fmt;
use std::sync::Arc;

use aws::sigv4::Keys;

use super::dial::Road;
use super::session::SessionState;

/// One pair of local keys with the app session behind it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalKey {
    /// Checks signatures that were made with the pair.
    pub keys: Arc<Keys>,
    /// The way to the agent, by the app session.
    pub road: Road,
    /// The app session.
    pub session: Arc<SessionState>,
}

/// Where a running local proxy looks up the keys that requests are signed with.
///
/// An answer says nothing about whether the request is truly signed with the pair: that is checked afterwards.
pub trait KeyRing: fmt::Debug + Send + Sync {
    /// The pair of an access key id, if it is one of ours. Called for each request; must not wait.
    fn find(&self, access_key_id: &str) -> Option<LocalKey>;
}

/// The ring of a proxy that serves one pair.
impl KeyRing for LocalKey {
    fn find(&self, access_key_id: &str) -> Option<LocalKey> {
        (self.keys.access_key_id() == access_key_id).then(|| self.clone())
    }
}
