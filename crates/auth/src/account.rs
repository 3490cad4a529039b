//! A user's own password, changed by somebody who knows the old one.

use api::types::login::Password;
use api::types::mfa::PasswordChange;
use audit::events::UserPasswordChange;

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::factors::{self, Accept};
use crate::lockout;
use crate::passwords::Verdict;
use crate::refusal::Refusal;
use crate::web_sessions;

/// Changes the password. The user's other web sessions end.
pub(crate) async fn change_password(
    cluster: &Cluster,
    caller: &Caller,
    change: PasswordChange,
) -> Result<(), Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let user = caller.person(stamp.now)?.user.clone();
    let PasswordChange { old, new, proof, keep_session } = change;
    let (credentials, has_device) = {
        let user = user.clone();
        let read = move |reader: &crate::store::Reader<'_>| {
            let devices = reader.devices(user.as_str())?;
            Ok((reader.credentials(user.as_str())?, !devices.is_empty()))
        };
        cluster.store.read(read).await?
    };
    if has_device && proof.is_none() {
        return Err(Refusal::needs_factor("a second factor must be shown to change the password"));
    }
    let old_hash = credentials.password_hash.clone();
    if credentials.is_locked_out(stamp.now) {
        return Err(wrong());
    }
    if cluster.passwords.check(&old, old_hash.clone()).await? == Verdict::Wrong {
        let (lockout, stamp, remote) = (cluster.config.lockout, stamp, caller.remote());
        let count = move |tx: &mut crate::store::Tx<'_>| {
            lockout::count(tx, &stamp, lockout, (user.as_str(), Some(remote)))
        };
        cluster.store.write(count).await?;
        return Err(wrong());
    }
    let shown = match proof.filter(|_| has_device) {
        Some(proof) => Some(factors::prove(cluster, caller, (proof, Accept::Any), &stamp).await?),
        None => None,
    };
    let new_hash = hashed(cluster, &old, &new).await?;
    let remote = caller.remote();
    cluster
        .store
        .write(move |tx| {
            crate::users::in_good_standing(tx, &user, stamp.now)?;
            let mut credentials = tx.credentials(user.as_str())?;
            if credentials.password_hash != old_hash {
                return Err(wrong());
            }
            if let Some(shown) = &shown {
                shown.spend_or_refuse(tx, &stamp)?;
            }
            credentials.password_hash = Some(new_hash);
            tx.keep_credentials(user.as_str(), &credentials)?;
            tx.record(
                &stamp.event(UserPasswordChange { user: user.to_string(), remote: Some(remote) }),
            )?;
            let why = (web_sessions::End::PasswordChanged, keep_session.as_ref());
            web_sessions::end_all(tx, &stamp, &user, why)
        })
        .await
}

async fn hashed(cluster: &Cluster, old: &Password, new: &Password) -> Result<String, Refusal> {
    if old == new {
        return Err(Refusal::invalid("the new password is the old one"));
    }
    cluster.passwords.hash(new).await
}

fn wrong() -> Refusal {
    Refusal::denied("the old password is wrong, or too many tries failed; try again later")
        .hint("an administrator can reset the account with tctl users reset")
}
