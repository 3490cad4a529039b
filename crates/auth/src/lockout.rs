//! Counting wrong guesses: of passwords and of second factors, at a login or after it. Enough of
//! them in a row lock the user out of both for a while.

use audit::events::UserLockout;

use crate::config::Lockout;
use crate::events::{Stamp, rfc3339};
use crate::refusal::Refusal;
use crate::store::Tx;

/// Counts a wrong guess at a user who is there.
pub(crate) fn count(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    lockout: Lockout,
    (user, remote): (&str, Option<String>),
) -> Result<(), Refusal> {
    let mut credentials = tx.credentials(user)?;
    // Another guess may have locked the user out since this one was made.
    if credentials.is_locked_out(stamp.now) {
        return Ok(());
    }
    let is_recent = credentials.last_failure.is_some_and(|last| {
        stamp.now.duration_since(last).is_ok_and(|passed| passed <= lockout.period)
    });
    let earlier = if is_recent { credentials.failures } else { 0 };
    credentials.failures = earlier.saturating_add(1);
    credentials.last_failure = Some(stamp.now);
    if credentials.failures >= lockout.failures {
        let until = stamp.now.checked_add(lockout.period).unwrap_or(stamp.now);
        tx.record(&stamp.event(UserLockout {
            user: user.to_owned(),
            attempts: credentials.failures,
            expires: rfc3339(until),
            remote,
        }))?;
        credentials.locked_until = Some(until);
        credentials.failures = 0;
    }
    tx.keep_credentials(user, &credentials)
}
