//! The settings of several roles that allow one call, as one.

use std::sync::Arc;

use super::{AwsSession, MAX_TAGS, SessionPolicy};
use crate::compiled::FilledRole;
use crate::denial::DenialReason;
use crate::names::RoleName;

/// What AssumeRole carries for a call that these roles allow.
///
/// Tags add up. A role without a session policy gives all that the AWS role gives, as with any other allow rule: a
/// policy holds where every role that allows the call has one, and then what either allows is allowed.
///
/// # Errors
/// When a role's settings cannot be filled for the user, or two roles say different things.
pub(crate) fn merged<'a>(
    roles: impl IntoIterator<Item = &'a FilledRole>,
) -> Result<Arc<AwsSession>, DenialReason> {
    let mut roles = roles.into_iter();
    let Some(first) = roles.next() else { return Ok(Arc::default()) };
    let mut all = Arc::clone(usable(first)?);
    for role in roles {
        let session = usable(role)?;
        if **session != *all {
            add(Arc::make_mut(&mut all), session, role.role.name())?;
        }
    }
    Ok(all)
}

fn usable(role: &FilledRole) -> Result<&Arc<AwsSession>, DenialReason> {
    match &role.session.fault {
        None => Ok(&role.session.session),
        Some(what) => Err(broken(role.role.name(), what.clone())),
    }
}

fn add(all: &mut AwsSession, one: &AwsSession, role: &RoleName) -> Result<(), DenialReason> {
    for (key, value) in &one.tags {
        let told = all.tags.entry(key.clone()).or_insert_with(|| value.clone());
        if told != value {
            let what =
                format!("aws_session_tags[{key:?}] differs from that of another role of the user");
            return Err(broken(role, what));
        }
    }
    if all.tags.len() > MAX_TAGS {
        let what =
            format!("with the user's other roles there are more than {MAX_TAGS} session tags");
        return Err(broken(role, what));
    }
    all.transitive_tag_keys.extend(one.transitive_tag_keys.iter().cloned());
    match (&all.source_identity, &one.source_identity) {
        (Some(told), Some(other)) if told != other => {
            let what = "aws_source_identity differs from that of another role of the user";
            return Err(broken(role, what.to_owned()));
        }
        (None, Some(other)) => all.source_identity = Some(other.clone()),
        _ => {}
    }
    all.policy = match (&all.policy, &one.policy) {
        (Some(told), Some(other)) => Some(told.and(other)),
        _ => None,
    };
    let fits = all.policy.as_ref().map_or(Ok(()), SessionPolicy::check);
    fits.map_err(|error| {
        broken(role, format!("with the user's other roles aws_session_policy is too long: {error}"))
    })
}

fn broken(role: &RoleName, what: String) -> DenialReason {
    DenialReason::AwsSessionBroken { role: role.clone(), what }
}
