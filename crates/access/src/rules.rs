//! Verbs on the cluster's own resources: who may create a role, list users, read events.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::denial::Denial;
use crate::identity::Identity;
use crate::policy::Policy;

/// What somebody wants to do to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// See that it is there.
    List,
    /// Make a new one.
    Create,
    /// Read all of it, secrets included.
    Read,
    /// Read it without its secrets.
    ReadNoSecrets,
    /// Change it.
    Update,
    /// Remove it.
    Delete,
    /// Act through it.
    Use,
}

impl Verb {
    /// As rules write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Create => "create",
            Self::Read => "read",
            Self::ReadNoSecrets => "readnosecrets",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Use => "use",
        }
    }
}

/// What conditions may read of a resource.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResourceFacts<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// Its labels.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// For a session: who took part.
    pub participants: &'a [String],
}

/// A verb on a resource, at a moment.
#[derive(Debug, Clone, Copy)]
pub struct RuleRequest<'a> {
    /// The verb.
    pub verb: Verb,
    /// The kind, as rules write it: `user`, `role`, `token`, `app`, `event`, …
    pub kind: &'a str,
    /// The resource. For a list of all: the default; then ask again for each.
    pub resource: ResourceFacts<'a>,
    /// Now.
    pub now: SystemTime,
}

/// The proof that [`may`] allowed a verb on a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    subject: String,
    verb: Verb,
    kind: String,
}

impl Permit {
    /// The user or host.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The verb.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

/// Decides whether somebody may do something to a resource of the cluster.
///
/// # Errors
/// The first rule that refuses.
pub fn may(
    identity: &Identity,
    request: &RuleRequest<'_>,
    policy: &Policy,
) -> Result<Permit, Denial> {
    let _ = (identity, request, policy);
    unimplemented!()
}
