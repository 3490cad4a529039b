//! Invite and reset links: unguessable, used once, for a while. Whoever holds one sets the
//! user's password and, where the cluster wants it, a second factor, confirmed by a code.

use std::time::{Duration, SystemTime};

use access::{User, UserName};
use api::routes;
use api::types::invites::{
    Invite, InviteAcceptance, InviteAccepted, InviteKind, InviteLink, NewPasskey, PasskeyOffer,
};
use api::types::ping::SecondFactor;
use audit::events::{MfaDelete, ResetTokenCreate, ResetTokenPurpose, UserPasswordChange};
use aws_lc_rs::digest;
use webauthn_rs::prelude::SecurityKeyRegistration;
use zeroize::Zeroizing;

use crate::caller::Actor;
use crate::cluster::Cluster;
use crate::events::{Stamp, end_of, timestamp};
use crate::factors::named;
use crate::mfa;
use crate::otp;
use crate::passwords::random;
use crate::refusal::Refusal;
use crate::relying_party::RelyingParty;
use crate::store::{Credentials, Device, Reader, StoredInvite, Tx};
use crate::web_sessions;

const HOUR: u64 = 3_600;
/// What devices are called that are enrolled with a link, unless their owner says otherwise.
const OTP: &str = "otp";
const PASSKEY: &str = "passkey";

/// A passkey offered to whoever holds a link.
pub(crate) struct Offer {
    /// Which link.
    link: [u8; 32],
    state: Box<SecurityKeyRegistration>,
}

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
        let otp_secret = match cluster.preference().second_factor {
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
    let factor = cluster.preference().second_factor;
    let otp = match &invite.otp_secret {
        Some(secret) if factor.allows_otp() => {
            Some(otp::enrolment(secret, &invite.user, cluster.name())?)
        }
        _ => None,
    };
    let webauthn = match offer(cluster, &invite.user, hash) {
        Ok(offer) => offer,
        // Where passkeys cannot be used, one-time codes still can.
        Err(_) if otp.is_some() => None,
        Err(refusal) => return Err(refusal),
    };
    Ok(Invite {
        user: invite.user,
        kind: invite.kind,
        expires: timestamp(invite.expires),
        otp,
        webauthn,
        otp_optional: !factor.is_required(),
    })
}

/// Offers a passkey, where the cluster takes them.
fn offer(
    cluster: &Cluster,
    user: &UserName,
    link: [u8; 32],
) -> Result<Option<PasskeyOffer>, Refusal> {
    if !cluster.preference().second_factor.allows_webauthn() {
        return Ok(None);
    }
    let begun = RelyingParty::of(cluster)?.begin_enrolment(user, &[])?;
    let offer = Offer { link, state: Box::new(begun.state) };
    let enrolment = cluster.offers.begin(user.as_str(), offer, cluster.now())?;
    Ok(Some(PasskeyOffer { enrolment, options: begun.options }))
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
    let InviteAcceptance { password, otp, webauthn, remote_addr } = acceptance;
    // Before the offer of a passkey is used up: the password may still have to be another.
    let password_hash = Some(cluster.passwords.hash(&password).await?);
    let devices = enrolled(cluster, (&invite, hash), (otp, webauthn), &stamp)?;
    let new = NewAccount {
        credentials: Credentials { password_hash, ..Credentials::default() },
        devices,
        remote: remote_addr,
    };
    let user = cluster
        .store
        .write(move |tx| {
            // Somebody may have used the link meanwhile.
            let invite = living(tx, &hash, now)?;
            set(tx, &stamp, &invite.user, &new)?;
            Ok(invite.user)
        })
        .await?;
    Ok(InviteAccepted { user })
}

/// What the holder of a link set.
struct NewAccount {
    credentials: Credentials,
    devices: Vec<Device>,
    remote: Option<String>,
}

/// Nothing that was set before stays: no device, and no session.
fn set(tx: &mut Tx<'_>, stamp: &Stamp, user: &UserName, new: &NewAccount) -> Result<(), Refusal> {
    for old in tx.devices(user.as_str())? {
        let event = MfaDelete { user: user.to_string(), device: named(&old) };
        tx.record(&stamp.event(event))?;
    }
    tx.drop_devices(user.as_str())?;
    web_sessions::end_all(tx, stamp, user, (web_sessions::End::PasswordChanged, None))?;
    tx.keep_credentials(user.as_str(), &new.credentials)?;
    tx.drop_invites(user.as_str())?;
    let remote = new.remote.clone();
    tx.record(&stamp.event(UserPasswordChange { user: user.to_string(), remote }))?;
    for device in &new.devices {
        mfa::add(tx, stamp, user, device)?;
    }
    Ok(())
}

/// The second factors as they will be kept: an authenticator app, a passkey, or both.
fn enrolled(
    cluster: &Cluster,
    (invite, link): (&StoredInvite, [u8; 32]),
    (code, passkey): (Option<String>, Option<NewPasskey>),
    stamp: &Stamp,
) -> Result<Vec<Device>, Refusal> {
    let factor = cluster.preference().second_factor;
    let code = code.filter(|code| factor.allows_otp() && !code.trim().is_empty());
    let passkey = passkey.filter(|_| factor.allows_webauthn());
    if code.is_none() && passkey.is_none() && factor.is_required() {
        return Err(missing(factor));
    }
    let mut devices = Vec::new();
    if let Some(code) = code {
        let secret = invite.otp_secret.as_ref().ok_or_else(older_link)?;
        let app = mfa::confirmed(secret, &code, stamp)?;
        devices.push(mfa::new_device(OTP.to_owned(), app, stamp));
    }
    if let Some(passkey) = passkey {
        let name = mfa::device_name(passkey.name.as_deref().unwrap_or(PASSKEY))?;
        if devices.iter().any(|device| device.name == name) {
            return Err(Refusal::invalid(format!("two devices cannot both be named \"{name}\"")));
        }
        let offer = cluster.offers.take(&passkey.enrolment, stamp.now);
        let offer = offer.filter(|offer| offer.what().link == link).ok_or_else(|| {
            Refusal::invalid("the passkey was made for another page, or too long ago")
                .hint("load the page again, and make it once more")
        })?;
        let state = offer.into_inner().state;
        let key = RelyingParty::of(cluster)?.finish_enrolment(&state, passkey.credential)?;
        devices.push(mfa::new_device(name, mfa::passkey(key), stamp));
    }
    Ok(devices)
}

fn missing(factor: SecondFactor) -> Refusal {
    match factor {
        SecondFactor::Webauthn => Refusal::invalid("a passkey is needed")
            .hint("make one with this device, a phone or a security key"),
        SecondFactor::On => Refusal::invalid("a one-time code or a passkey is needed")
            .hint("scan the QR code with an authenticator app, or make a passkey"),
        _ => Refusal::invalid("a one-time code is needed")
            .hint("scan the QR code with an authenticator app and enter the code it shows"),
    }
}

fn older_link() -> Refusal {
    Refusal::conflict("this link was made before the cluster asked for one-time codes")
        .hint("ask an administrator for a new one: tctl users reset")
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
