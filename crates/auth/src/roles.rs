//! Roles: stored as resources; one that somebody holds is not deleted.

use access::{Role, User};
use api::resource::{Kind, PutMode, PutOutcome};
use api::types::watch::{Item, Key};
use audit::events::{RoleCreated, RoleDeleted, RoleUpdated};

use crate::caller::Actor;
use crate::refusal::Refusal;
use crate::store::{Tx, not_found};

/// Stores a role.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    actor: &Actor,
    mut role: Role,
    mode: PutMode,
) -> Result<PutOutcome, Refusal> {
    let name = role.metadata.name.to_string();
    let old = tx.find::<Role>(&name)?.filter(|_| mode != PutMode::Create);
    let outcome = match old {
        None if mode == PutMode::Update => return Err(not_found(Kind::Role, &name)),
        None => {
            tx.insert(&mut role)?;
            tx.record(&actor.stamp().event(RoleCreated { user: actor.name(), name }))?;
            PutOutcome::Created
        }
        Some(old) => {
            let expected = match mode {
                PutMode::Update => role.metadata.revision.clone(),
                _ => old.metadata.revision,
            };
            tx.replace(&mut role, expected.as_deref())?;
            tx.record(&actor.stamp().event(RoleUpdated { user: actor.name(), name }))?;
            PutOutcome::Updated
        }
    };
    tx.put(Item::Role(Box::new(role)));
    Ok(outcome)
}

/// Deletes a role that nobody holds.
pub(crate) fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<(), Refusal> {
    let Some(role) = tx.find::<Role>(name)? else { return Err(not_found(Kind::Role, name)) };
    let holders = holders(tx, name)?;
    if !holders.is_empty() {
        let used = format!("role \"{name}\" is held by {}", named(&holders));
        return Err(Refusal::conflict(used).hint("take the role from them first"));
    }
    tx.remove::<Role>(name)?;
    let event = RoleDeleted { user: actor.name(), name: name.to_owned() };
    tx.record(&actor.stamp().event(event))?;
    tx.gone(Key::Role(role.metadata.name));
    Ok(())
}

fn holders(tx: &Tx<'_>, role: &str) -> Result<Vec<String>, Refusal> {
    let users = tx.list::<User>()?.into_iter();
    let held = users.filter(|user| user.spec.roles.iter().any(|held| *held == role));
    Ok(held.map(|user| user.metadata.name.to_string()).collect())
}

/// At most three names, and how many more there are.
fn named(users: &[String]) -> String {
    let shown: Vec<_> = users.iter().take(3).map(|user| format!("user \"{user}\"")).collect();
    let shown = shown.join(", ");
    match users.len().saturating_sub(3) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
