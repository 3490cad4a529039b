//! Invite and reset links: unguessable, used once, for a while. Whoever holds one sets the
//! user's password and, where the cluster wants it, a second factor, confirmed by a code.

use std::time::{Duration, SystemTime};

use access::{User, UserName};
use api::routes;
use api::types::invites::{Invite, InviteAcceptance, InviteAccepted, InviteKind, InviteLink};
use api::types::ping::SecondFactor;
use audit::events::{MfaAdd, ResetTokenCreate, ResetTokenPurpose, UserPasswordChange};
use aws_lc_rs::digest;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::caller::Actor;
use crate::cluster::Cluster;
use crate::events::{Stamp, end_of, timestamp};
use crate::otp;
use crate::passwords::random;
use crate::refusal::Refusal;
use crate::store::{Credentials, OtpDevice, Reader, StoredInvite, Tx};
use crate::users::device;

const HOUR: u64 = 3_600;

/// A link about to be opened. Its token is kept nowhere: only its hash goes into the store.
pub(crate) struct NewInvite {
    token: Zeroizing<String>,
    hash: [u8; 32],
    stored: StoredInvite,
    life: Duration,
}

impl NewInvite {
    /// Draws the token and the secret of the second factor.
    pub(crate) fn make(
        cluster: &Cluster,
        user: UserName,
        kind: InviteKind,
        seconds: Option<u64>,
    ) -> Result<Self, Refusal> {
        let life = life(kind, seconds)?;
        let expires = end_of(cluster.now(), life)
            .ok_or_else(|| Refusal::invalid("the link would end beyond the calendar"))?;
        let token = Zeroizing::new(hex::encode(random::<16>()?));
        let hash = hashed(&token);
        let otp_secret = match cluster.config.second_factor {
            factor if factor.allows_otp() => Some(otp::new_secret()?),
            _ => None,
        };
        let stored = StoredInvite { user, kind, expires, otp_secret };
        Ok(Self { token, hash, stored, life })
    }

    /// The link for the admin to hand on.
    pub(crate) fn link(&self, cluster: &Cluster) -> InviteLink {
        let path = routes::fill(routes::WEB_INVITE, &self.token);
        InviteLink {
            user: self.stored.user.clone(),
            kind: self.stored.kind,
            url: format!("https://{}{path}", cluster.proxy_addr()),
            expires: timestamp(self.stored.expires),
        }
    }
}

/// How long a link works: an invite 1 hour unless asked otherwise, at most 48; a reset 8, at most 24.
fn life(kind: InviteKind, seconds: Option<u64>) -> Result<Duration, Refusal> {
    let (usual, most) = match kind {
        InviteKind::Invite => (HOUR, 48 * HOUR),
        InviteKind::Reset => (8 * HOUR, 24 * HOUR),
    };
    let seconds = seconds.unwrap_or(usual);
    if seconds == 0 || seconds > most {
        let hours = most / HOUR;
        return Err(Refusal::invalid(format!("the link may work for at most {hours} hours")));
    }
    Ok(Duration::from_secs(seconds))
}

/// Opens a link in place of those that the user had.
pub(crate) fn open(tx: &mut Tx<'_>, actor: &Actor, invite: &NewInvite) -> Result<(), Refusal> {
    tx.open_invite(&invite.hash, &invite.stored)?;
    let purpose = match invite.stored.kind {
        InviteKind::Invite => ResetTokenPurpose::Invite,
        InviteKind::Reset => ResetTokenPurpose::Password,
    };
    tx.record(&actor.stamp().event(ResetTokenCreate {
        user: actor.name(),
        name: invite.stored.user.to_string(),
        ttl: api::duration::long(invite.life),
        purpose,
    }))
}

/// What the page of a link shows.
pub(crate) async fn show(cluster: &Cluster, token: &str) -> Result<Invite, Refusal> {
    let now = cluster.now();
    let hash = hashed(token);
    let invite = cluster.store.read(move |reader| living(reader, &hash, now)).await?;
    let factor = cluster.config.second_factor;
    let otp = match &invite.otp_secret {
        Some(secret) if factor != SecondFactor::Off => {
            Some(otp::enrolment(secret, &invite.user, cluster.name())?)
        }
        _ => None,
    };
    Ok(Invite {
        user: invite.user,
        kind: invite.kind,
        expires: timestamp(invite.expires),
        otp,
        webauthn: None,
        otp_optional: factor == SecondFactor::Optional,
    })
}

/// Sets password and second factor, and closes the link.
pub(crate) async fn accept(
    cluster: &Cluster,
    token: &str,
    acceptance: InviteAcceptance,
) -> Result<InviteAccepted, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let (hash, now) = (hashed(token), stamp.now);
    let invite = cluster.store.read(move |reader| living(reader, &hash, now)).await?;
    let factor = cluster.config.second_factor;
    let otp = enrolled(factor, &invite, acceptance.otp.as_deref(), now)?;
    let password_hash = Some(cluster.passwords.hash(&acceptance.password).await?);
    let credentials = Credentials { password_hash, otp, ..Credentials::default() };
    let user = cluster
        .store
        .write(move |tx| {
            // Somebody may have used the link meanwhile.
            let invite = living(tx, &hash, now)?;
            set(tx, &stamp, &invite.user, &credentials)?;
            Ok(invite.user)
        })
        .await?;
    Ok(InviteAccepted { user })
}

fn set(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    user: &UserName,
    credentials: &Credentials,
) -> Result<(), Refusal> {
    tx.keep_credentials(user.as_str(), credentials)?;
    tx.drop_invites(user.as_str())?;
    tx.record(&stamp.event(UserPasswordChange { user: user.to_string(), remote: None }))?;
    if let Some(otp) = &credentials.otp {
        tx.record(&stamp.event(MfaAdd { user: user.to_string(), device: device(&otp.id) }))?;
    }
    Ok(())
}

/// The second factor as it will be kept. The code that confirms it is used up by that.
fn enrolled(
    factor: SecondFactor,
    invite: &StoredInvite,
    code: Option<&str>,
    now: SystemTime,
) -> Result<Option<OtpDevice>, Refusal> {
    let code = code.filter(|code| !code.trim().is_empty());
    let (code, secret) = match (factor, code, &invite.otp_secret) {
        (SecondFactor::Off, _, _) | (SecondFactor::Optional, None, _) => return Ok(None),
        (_, None, _) => {
            let missing = Refusal::invalid("a one-time code is needed");
            return Err(missing
                .hint("scan the QR code with an authenticator app and enter the code it shows"));
        }
        (_, Some(_), None) => {
            let old = Refusal::conflict(
                "this link was made before the cluster asked for a second factor",
            );
            return Err(old.hint("ask an administrator for a new one: tctl users reset"));
        }
        (_, Some(code), Some(secret)) => (code, secret),
    };
    let step = otp::step_of(code, secret, 0, now).ok_or_else(|| {
        Refusal::invalid("the one-time code is wrong")
            .hint("check the clock of the device; a code works for about a minute")
    })?;
    let id = Uuid::new_v4().to_string();
    Ok(Some(OtpDevice { secret: secret.clone(), id, last_step: step }))
}

/// The link's invite, if it works and the user is still there. The same words for all that do not.
fn living(reader: &Reader<'_>, hash: &[u8; 32], now: SystemTime) -> Result<StoredInvite, Refusal> {
    let dead = || {
        Refusal::missing("the link is not known, was used, or has expired")
            .hint("ask an administrator for a new one: tctl users reset")
    };
    let invite = reader.invite(hash)?.filter(|invite| now < invite.expires).ok_or_else(dead)?;
    match reader.find::<User>(invite.user.as_str())? {
        Some(user) if !user.is_expired(now) => Ok(invite),
        _ => Err(dead()),
    }
}

fn hashed(token: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    digest.as_ref().try_into().unwrap_or_default()
}
