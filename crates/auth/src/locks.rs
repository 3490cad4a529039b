//! Locks: they bite at the next login, at the next request to us, and, through the watch, at the
//! next call of an app. Sessions that a new lock stops are ended at once.

use std::time::SystemTime;

use access::{HostId, Lock, User};
use api::resource::{Kind, PutMode, PutOutcome};
use api::types::watch::{Item, Key};
use audit::events::{LockCreated, LockDeleted, LockTarget};

use crate::app_sessions::{self, End};
use crate::caller::Actor;
use crate::events::rfc3339;
use crate::refusal::Refusal;
use crate::store::{Tx, not_found};
use crate::web_sessions;

/// Stores a lock.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    actor: &Actor,
    mut lock: Lock,
    mode: PutMode,
) -> Result<PutOutcome, Refusal> {
    let name = lock.metadata.name.to_string();
    let old = tx.find::<Lock>(&name)?.filter(|_| mode != PutMode::Create);
    let outcome = match old {
        None if mode == PutMode::Update => return Err(not_found(Kind::Lock, &name)),
        None => {
            lock.spec.created_at = Some(actor.now());
            lock.spec.created_by = Some(actor.name());
            tx.insert(&mut lock)?;
            PutOutcome::Created
        }
        Some(old) => {
            lock.spec.created_at = old.spec.created_at;
            lock.spec.created_by = old.spec.created_by;
            let expected = match mode {
                PutMode::Update => lock.metadata.revision.clone(),
                _ => old.metadata.revision,
            };
            tx.replace(&mut lock, expected.as_deref())?;
            PutOutcome::Updated
        }
    };
    tx.record(&actor.stamp().event(created(actor, &lock)))?;
    end_sessions(tx, actor, &lock)?;
    tx.put(Item::Lock(Box::new(lock)));
    Ok(outcome)
}

/// Removes a lock.
pub(crate) fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<(), Refusal> {
    let Some(lock) = tx.find::<Lock>(name)? else { return Err(not_found(Kind::Lock, name)) };
    tx.remove::<Lock>(name)?;
    let event = LockDeleted { user: actor.name(), name: name.to_owned() };
    tx.record(&actor.stamp().event(event))?;
    tx.gone(Key::Lock(lock.metadata.name));
    Ok(())
}

/// Whether a lock stops everything that a user does. One that also names a host stops the user
/// there only, and one that names what is not known here stops nothing.
pub(crate) fn stops(lock: &Lock, user: &User, now: SystemTime) -> bool {
    let target = &lock.spec.target;
    if target.names_unknown() || target.host().is_some() || !lock.is_in_force(now) {
        return false;
    }
    let by_name = target.user.as_ref().is_none_or(|name| *name == user.metadata.name);
    let by_role = target.role.as_ref().is_none_or(|role| user.spec.roles.contains(role));
    by_name && by_role && (target.user.is_some() || target.role.is_some())
}

/// Whether a lock stops a host altogether.
pub(crate) fn stops_host(lock: &Lock, host: &HostId, now: SystemTime) -> bool {
    let target = &lock.spec.target;
    let is_wider = target.names_unknown() || target.user.is_some() || target.role.is_some();
    !is_wider && target.host() == Some(host) && lock.is_in_force(now)
}

fn end_sessions(tx: &mut Tx<'_>, actor: &Actor, lock: &Lock) -> Result<(), Refusal> {
    for user in tx.list::<User>()? {
        if stops(lock, &user, actor.now()) {
            app_sessions::end_all(tx, actor.stamp(), &user.metadata.name, End::Locked)?;
            let why = (web_sessions::End::Locked, None);
            web_sessions::end_all(tx, actor.stamp(), &user.metadata.name, why)?;
        }
    }
    Ok(())
}

fn created(actor: &Actor, lock: &Lock) -> LockCreated {
    let target = &lock.spec.target;
    LockCreated {
        user: actor.name(),
        name: lock.metadata.name.to_string(),
        target: LockTarget {
            user: target.user.as_ref().map(ToString::to_string),
            role: target.role.as_ref().map(ToString::to_string),
            mfa_device: target.mfa_device.clone(),
            server_id: target.host().map(ToString::to_string),
            ..LockTarget::default()
        },
        expires: lock.spec.expires.or(lock.metadata.expires).map(rfc3339),
        message: lock.spec.message.clone(),
    }
}
