//! Where a user stands now: certificate still good, not locked, and with which roles.
//!
//! Every decision starts here. The certificate says who somebody was at login, the snapshot says
//! what has become of that since; neither alone is enough.

use std::time::SystemTime;

use crate::compiled::{FilledRole, Side};
use crate::denial::DenialReason;
use crate::identity::{Claims, Identity};
use crate::language::predicate::{Facts, LabelSource};
use crate::locks::Subject;
use crate::names::{RoleName, Traits};
use crate::policy::{FilledRoles, Policy, UserEntry};
use crate::resource::{LockingMode, RequireMfa};

/// The user's certificate, once its own dates and cluster are checked.
///
/// # Errors
/// The rule that refuses.
pub(crate) fn certificate<'a>(
    identity: &'a Identity,
    now: SystemTime,
    policy: &Policy,
) -> Result<&'a Claims, DenialReason> {
    let claims = identity.user().ok_or(DenialReason::NotAUser)?;
    live_certificate(identity, now, policy)?;
    Ok(claims)
}

/// Whether any certificate is still good for this cluster.
///
/// # Errors
/// The rule that refuses.
pub(crate) fn live_certificate(
    identity: &Identity,
    now: SystemTime,
    policy: &Policy,
) -> Result<(), DenialReason> {
    if identity.expires() <= now {
        return Err(DenialReason::CertificateExpired { at: identity.expires() });
    }
    if identity.cluster() != policy.cluster() {
        let (theirs, ours) = (identity.cluster().clone(), policy.cluster().clone());
        return Err(DenialReason::OtherCluster { theirs, ours });
    }
    Ok(())
}

/// Whether a lock stops the subject now.
///
/// # Errors
/// The lock.
pub(crate) fn unlocked(
    subject: Subject<'_>,
    now: SystemTime,
    policy: &Policy,
) -> Result<(), DenialReason> {
    match policy.lock_index().in_force(subject, now) {
        None => Ok(()),
        Some(lock) => Err(DenialReason::Locked {
            target: lock.spec.target.to_string(),
            message: lock.spec.message.clone(),
        }),
    }
}

/// A user with roles, as of now.
pub(crate) struct Standing<'p> {
    claims: &'p Claims,
    now: SystemTime,
    /// Filled from the traits as of now; from the certificate's, where the snapshot knows none.
    base: Held<'p>,
    /// Filled from the certificate's traits, where they differ and it matters.
    other: Option<FilledRoles>,
    /// Of the roles that the user has now, those that the certificate has too.
    effective: Vec<usize>,
}

/// Roles that the snapshot keeps ready, or that were made ready for this request.
enum Held<'p> {
    Kept(&'p FilledRoles),
    Fresh(FilledRoles),
}

impl Held<'_> {
    fn get(&self) -> &FilledRoles {
        match self {
            Self::Kept(filled) => filled,
            Self::Fresh(filled) => filled,
        }
    }
}

/// A role in one reading of the user's traits.
pub(crate) struct Reading<'a> {
    pub(crate) role: &'a FilledRole,
    pub(crate) traits: &'a Traits,
}

impl<'p> Standing<'p> {
    /// Checks locks, account and roles.
    ///
    /// # Errors
    /// The rule that refuses.
    pub(crate) fn of(
        claims: &'p Claims,
        now: SystemTime,
        policy: &'p Policy,
    ) -> Result<Self, DenialReason> {
        let subject = Subject {
            user: Some(&claims.user),
            roles: &claims.roles,
            hosts: [policy.host(), None],
        };
        unlocked(subject, now, policy)?;
        let user = live_user(claims, now, policy)?;
        let (base, other) = readings_of(user, claims, policy);
        let effective: Vec<usize> = (0_usize..)
            .zip(&base.get().roles)
            .filter(|(index, filled)| {
                certified(claims, *index, filled.role.name()) && is_live(filled, now)
            })
            .map(|(index, _)| index)
            .collect();
        if effective.is_empty() {
            return Err(DenialReason::NoRoleLeft { had: claims.roles.clone() });
        }
        let standing = Self { claims, now, base, other, effective };
        standing.heeds_options(policy)?;
        Ok(standing)
    }

    /// Strict locking, and options that cannot be honoured.
    fn heeds_options(&self, policy: &Policy) -> Result<(), DenialReason> {
        let strict =
            |filled: &FilledRole| filled.role.role().spec.options.lock == Some(LockingMode::Strict);
        let any_strict = policy.preference().locking_mode == LockingMode::Strict
            || self.effective_roles().any(strict);
        if any_strict && policy.locks_out_of_date(self.now) {
            return Err(DenialReason::LocksOutOfDate);
        }
        for filled in self.effective_roles() {
            if let Some(option) = filled.role.unsupported_option() {
                return Err(DenialReason::OptionNotSupported {
                    role: filled.role.name().clone(),
                    option,
                });
            }
        }
        Ok(())
    }

    /// The roles that count for allowing.
    pub(crate) fn effective_roles(&self) -> impl Iterator<Item = &FilledRole> {
        self.effective.iter().filter_map(|&index| self.base.get().roles.get(index))
    }

    /// Their names.
    pub(crate) fn role_names(&self) -> Vec<RoleName> {
        self.effective_roles().map(|filled| filled.role.name().clone()).collect()
    }

    /// Every role that the user has now, in each reading: a role that came after the login
    /// allows nothing yet, but denies at once.
    pub(crate) fn denying(&self) -> impl Iterator<Item = Reading<'_>> {
        let all = self
            .views()
            .flat_map(|view| view.roles.iter().map(|role| Reading { role, traits: &view.traits }));
        all.filter(|reading| is_live(reading.role, self.now))
    }

    /// The effective roles that allow by every reading of the traits: a certificate gives no more
    /// than it said, and no more than the user has now.
    pub(crate) fn allowing<'s>(
        &'s self,
        fits: impl Fn(&Side, &Traits) -> bool + 's,
    ) -> impl Iterator<Item = &'s FilledRole> + 's {
        self.effective.iter().filter_map(move |&index| {
            let role = self.base.get().roles.get(index)?;
            let mut readings = self.views().map(|view| (view.roles.get(index), &view.traits));
            readings
                .all(|(role, traits)| role.is_some_and(|role| fits(&role.allow, traits)))
                .then_some(role)
        })
    }

    /// Whether the roles say another thing of AWS sessions by the certificate's traits than by those as of now.
    pub(crate) fn tells_aws_otherwise(&self) -> bool {
        self.other.as_ref().is_some_and(|other| {
            let base = &self.base.get().roles;
            base.iter().zip(&other.roles).any(|(now, then)| now.session != then.session)
        })
    }

    /// The same roles in the same order, once for each reading of the traits.
    fn views(&self) -> impl Iterator<Item = &FilledRoles> {
        std::iter::once(self.base.get()).chain(self.other.as_ref())
    }

    /// Whether the cluster or a role asks for a second factor for each session.
    pub(crate) fn asks_for_mfa<'a>(
        roles: impl Iterator<Item = &'a FilledRole>,
        policy: &Policy,
    ) -> Option<(RequireMfa, Option<RoleName>)> {
        let by_roles = roles.map(|filled| (filled.role.require_mfa(), Some(filled.role.name())));
        let by_cluster = std::iter::once((policy.preference().require_session_mfa, None));
        let asking = by_cluster.chain(by_roles).filter(|(mfa, _)| *mfa != RequireMfa::No);
        asking.max_by_key(|(mfa, _)| *mfa).map(|(mfa, role)| (mfa, role.cloned()))
    }

    /// What conditions may read.
    pub(crate) fn facts<'a>(
        &'a self,
        traits: &'a Traits,
        labels: Option<&'a dyn LabelSource>,
    ) -> Facts<'a> {
        Facts {
            user: self.claims.user.as_str(),
            roles: &self.claims.roles,
            traits,
            name: None,
            labels,
            participants: &[],
        }
    }
}

/// The user's roles by the traits as of now and, where that differs, by the certificate's.
fn readings_of<'p>(
    user: &'p UserEntry,
    claims: &Claims,
    policy: &'p Policy,
) -> (Held<'p>, Option<FilledRoles>) {
    let kept = policy.kept_roles(user, &claims.traits);
    if !kept.read_traits || kept.traits == claims.traits {
        return (Held::Kept(kept), None);
    }
    let fresh = policy.fill_roles(user, &claims.traits);
    match user.now().traits {
        Some(_) => (Held::Kept(kept), Some(fresh)),
        // What was kept comes from another certificate of the same user.
        None => (Held::Fresh(fresh), None),
    }
}

fn live_user<'p>(
    claims: &Claims,
    now: SystemTime,
    policy: &'p Policy,
) -> Result<&'p UserEntry, DenialReason> {
    let entry = policy.user_entry(&claims.user).ok_or(DenialReason::UserUnknown)?;
    let user = entry.now();
    if user.is_locked(now) {
        return Err(DenialReason::UserLocked { message: user.locked_message.clone() });
    }
    if user.is_expired(now) {
        return Err(DenialReason::UserExpired);
    }
    Ok(entry)
}

/// Whether the certificate has the role, most often at the same place.
fn certified(claims: &Claims, index: usize, role: &RoleName) -> bool {
    claims.roles.get(index) == Some(role) || claims.roles.contains(role)
}

fn is_live(filled: &FilledRole, now: SystemTime) -> bool {
    !filled.role.role().metadata.is_expired(now)
}
