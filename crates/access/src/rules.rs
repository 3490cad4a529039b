//! Verbs on the cluster's own resources: who may create a role, list users, read events.
//!
//! Deny rules come first. A list of all resources is asked about without a resource; conditions
//! then see none, so that each item must be asked about again.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::compiled::Side;
use crate::denial::{Denial, DenialReason, Wanted};
use crate::identity::{HostClaims, Identity, SystemRole};
use crate::language::matcher::Fit;
use crate::language::predicate::{Facts, LabelSource};
use crate::locks::Subject;
use crate::names::Traits;
use crate::policy::Policy;
use crate::standing::{self, Reading, Standing};

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

    /// As a sentence says it.
    const fn in_words(self) -> &'static str {
        match self {
            Self::Read => "read (with secrets)",
            Self::ReadNoSecrets => "read",
            other => other.as_str(),
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

/// What everybody may read, so that the cluster can be used at all.
const PRESENCE: &[&str] = &[
    "app",
    "app_server",
    "auth_server",
    "cluster_auth_preference",
    "cluster_name",
    "cluster_networking_config",
    "node",
    "proxy",
    "remote_cluster",
    "reverse_tunnel",
];

/// What services read beyond that, for their snapshot.
const READ_BY_HOSTS: &[&str] =
    &["app_session", "lock", "role", "session_recording_config", "ui_config"];

/// What services read without secrets only.
const READ_WITHOUT_SECRETS: &[&str] = &["cert_authority", "user"];

/// What services write: their own presence, and what happened.
const WRITTEN_BY_HOSTS: &[&str] = &["app_server", "event"];

/// Decides whether somebody may do something to a resource of the cluster.
///
/// Of a host's certificate only its system roles count: `Admin` and `Auth` may do everything,
/// `Proxy` and `App` read their snapshot and write their own presence and events.
///
/// # Errors
/// The first rule that refuses.
pub fn may(
    identity: &Identity,
    request: &RuleRequest<'_>,
    policy: &Policy,
) -> Result<Permit, Denial> {
    let checked = match identity.host() {
        Some(host) => check_host(identity, host, request, policy),
        None => check_user(identity, request, policy),
    };
    match checked {
        Ok(()) => Ok(Permit {
            subject: identity.subject().to_owned(),
            verb: request.verb,
            kind: request.kind.to_owned(),
        }),
        Err(reason) => {
            let name = request.resource.name.map(str::to_owned);
            let what = Wanted::Resource {
                verb: request.verb.in_words(),
                kind: request.kind.to_owned(),
                name,
            };
            Err(Denial::new(identity.subject(), what, reason))
        }
    }
}

fn check_host(
    identity: &Identity,
    host: &HostClaims,
    request: &RuleRequest<'_>,
    policy: &Policy,
) -> Result<(), DenialReason> {
    standing::live_certificate(identity, request.now, policy)?;
    let subject = Subject { user: None, roles: &[], hosts: [Some(&host.host_id), None] };
    standing::unlocked(subject, request.now, policy)?;
    if host.system_roles.iter().any(|role| entitles(*role, request.verb, request.kind)) {
        return Ok(());
    }
    let roles: Vec<&str> = host.system_roles.iter().map(|role| role.as_str()).collect();
    Err(DenialReason::HostNotEntitled { roles: roles.join(", ") })
}

fn entitles(role: SystemRole, verb: Verb, kind: &str) -> bool {
    match role {
        SystemRole::Admin | SystemRole::Auth => true,
        SystemRole::Proxy | SystemRole::App => match verb {
            Verb::List | Verb::ReadNoSecrets => [PRESENCE, READ_BY_HOSTS, READ_WITHOUT_SECRETS]
                .iter()
                .any(|kinds| kinds.contains(&kind)),
            Verb::Read => [PRESENCE, READ_BY_HOSTS].iter().any(|kinds| kinds.contains(&kind)),
            Verb::Create | Verb::Update | Verb::Delete => {
                WRITTEN_BY_HOSTS.contains(&kind) && (verb == Verb::Create || kind != "event")
            }
            Verb::Use => false,
        },
    }
}

fn check_user(
    identity: &Identity,
    request: &RuleRequest<'_>,
    policy: &Policy,
) -> Result<(), DenialReason> {
    let claims = standing::certificate(identity, request.now, policy)?;
    let standing = Standing::of(claims, request.now, policy)?;
    for reading in standing.denying() {
        let facts = facts_of(&standing, reading.traits, &request.resource);
        check_denied_by(&reading, request, &facts)?;
    }
    if everybody_may(request.verb, request.kind) {
        return Ok(());
    }
    let allows = |side: &Side, traits: &Traits| {
        let facts = facts_of(&standing, traits, &request.resource);
        let covering = side.rules().iter().filter(|rule| rule.covers(request.verb, request.kind));
        covering.into_iter().any(|rule| rule.holds(&facts) == Fit::Yes)
    };
    if standing.allowing(allows).next().is_some() {
        return Ok(());
    }
    Err(DenialReason::NoRuleAllows { looked_at: standing.role_names() })
}

fn check_denied_by(
    reading: &Reading<'_>,
    request: &RuleRequest<'_>,
    facts: &Facts<'_>,
) -> Result<(), DenialReason> {
    let role = reading.role.role.name();
    for rule in
        reading.role.deny.rules().iter().filter(|rule| rule.covers(request.verb, request.kind))
    {
        match rule.holds(facts) {
            Fit::Yes => return Err(DenialReason::DeniedByRule { role: role.clone() }),
            Fit::Unknown => {
                let what = format!("where: {}", rule.fault().unwrap_or("not known"));
                return Err(DenialReason::DenyRuleBroken { role: role.clone(), what });
            }
            Fit::No => {}
        }
    }
    Ok(())
}

fn everybody_may(verb: Verb, kind: &str) -> bool {
    match verb {
        Verb::List | Verb::ReadNoSecrets => PRESENCE.contains(&kind) || kind == "cert_authority",
        Verb::Read => PRESENCE.contains(&kind),
        _ => false,
    }
}

fn facts_of<'a>(
    standing: &'a Standing<'_>,
    traits: &'a Traits,
    resource: &ResourceFacts<'a>,
) -> Facts<'a> {
    let labels = resource.labels.map(|labels| labels as &dyn LabelSource);
    Facts {
        name: resource.name,
        participants: resource.participants,
        ..standing.facts(traits, labels)
    }
}
