//! What a pair of local keys stands for: the app session that its requests go out by.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws::Secret;
use aws::sigv4::{Credentials, Keys};
use thiserror::Error;

use super::dial::Road;
use super::session::SessionState;
use crate::failure::Failure;

/// One pair of local keys with the app session behind it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LocalKey {
    /// Checks signatures that were made with the pair.
    pub keys: Arc<Keys>,
    /// The way to the agent, by the app session.
    pub road: Road,
    /// The app session.
    pub session: Arc<SessionState>,
    /// Of temporary keys that STS has given by this road: the session token, which names them to the agent.
    pub derived: Option<Secret<String>>,
}

/// Where a running local proxy looks up the keys that requests are signed with.
///
/// An answer says nothing about whether the request is truly signed with the pair: that is checked afterwards.
pub trait KeyRing: fmt::Debug + Send + Sync {
    /// The pair of an access key id, if it is one of ours. Called for each request; must not wait.
    fn find(&self, access_key_id: &str) -> Option<LocalKey>;

    /// A pair of the one app session that is served, for a request that names none. May wait for the disk.
    ///
    /// # Errors
    /// When there is no session, or more than one.
    fn only(&self) -> Result<LocalKey, NotOne>;

    /// Takes in temporary keys that STS has given in answer to a request that was signed with the pair of
    /// `access_key_id`. May wait for the disk.
    ///
    /// # Errors
    /// When they cannot be kept: then nobody must be given them.
    fn learn(&self, access_key_id: &str, given: Given) -> Result<(), Failure>;
}

/// Why there is no app session that a request stands for which names none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotOne {
    /// None lasts.
    #[error("this proxy serves no app session now; run `tsh apps login`")]
    None,
    /// More than one.
    #[error(
        "this proxy serves several app sessions: {}; start one for the session that is meant, \
         `tsh proxy aws --app NAME --aws-role ROLE`", .0.join(", ")
    )]
    Several(Vec<String>),
}

/// Temporary keys in an answer of STS: ours, and good until then. `Debug` does not show the secret.
#[derive(Debug)]
pub struct Given {
    /// The keys.
    pub credentials: Credentials,
    /// Their end.
    pub expires: SystemTime,
}

/// The ring of a proxy that serves one pair.
impl KeyRing for LocalKey {
    fn find(&self, access_key_id: &str) -> Option<LocalKey> {
        (self.keys.access_key_id() == access_key_id).then(|| self.clone())
    }

    fn only(&self) -> Result<LocalKey, NotOne> {
        Ok(self.clone())
    }

    fn learn(&self, _: &str, _: Given) -> Result<(), Failure> {
        Err(Failure::new("this local proxy serves one pair of keys only"))
    }
}
