//! A user's own second factors: seeing, enrolling and removing them, and being asked for one.

use std::time::Duration;

use access::UserName;
use api::types::mfa::{
    DeviceRemoval, DeviceRequest, Enrolment, EnrolmentRequest, MfaChallenge, MfaDevice, MfaKind,
};
use audit::events::{MfaAdd, MfaDelete};
use uuid::Uuid;
use webauthn_rs::prelude::SecurityKeyRegistration;
use zeroize::Zeroizing;

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::events::{Stamp, timestamp};
use crate::factors::{self, Accept, Challenge, kind_of, named};
use crate::otp;
use crate::refusal::Refusal;
use crate::relying_party::RelyingParty;
use crate::store::{Device, Factor, Tx};
use crate::users;

/// How long a challenge or an enrolment may stay open.
pub(crate) const LIFE: Duration = Duration::from_secs(5 * 60);
/// Most devices of one user.
const MOST_DEVICES: usize = 20;
/// Longest name of a device, characters.
const LONGEST_NAME: usize = 64;

/// An enrolment that was begun.
pub(crate) struct Begun {
    name: String,
    /// The password at that time: a reset since then ends the enrolment.
    password_hash: Option<String>,
    factor: BegunFactor,
}

enum BegunFactor {
    Totp(Zeroizing<Vec<u8>>),
    Passkey(Box<SecurityKeyRegistration>),
}

/// The caller's devices.
pub(crate) async fn list(cluster: &Cluster, caller: &Caller) -> Result<Vec<MfaDevice>, Refusal> {
    let user = caller.person(cluster.now())?.user.clone();
    let devices = devices(cluster, &user).await?;
    Ok(devices.iter().map(shown).collect())
}

/// Asks the caller for a factor.
pub(crate) async fn challenge(cluster: &Cluster, caller: &Caller) -> Result<MfaChallenge, Refusal> {
    let now = cluster.now();
    let user = caller.person(now)?.user.clone();
    // All of them: which count is for the door to say that the proof is shown at.
    let devices = devices(cluster, &user).await?;
    if devices.is_empty() {
        return Err(Refusal::conflict(format!("user {user} has no second factor"))
            .hint("add one on the account page, or with tsh mfa add"));
    }
    let keys = factors::passkeys(&devices);
    let otp = devices.iter().any(Device::is_totp);
    let proof = match RelyingParty::of(cluster) {
        Ok(party) if !keys.is_empty() => Some(party.begin_proof(&keys)?),
        // Codes can still be shown.
        Err(refusal) if !otp => return Err(refusal),
        _ => None,
    };
    let (webauthn, state) = proof.map(|proof| (proof.options, proof.state)).unzip();
    let id = cluster.challenges.begin(user.as_str(), Challenge { state, tries: 0 }, now)?;
    Ok(MfaChallenge { id, otp, webauthn })
}

/// Begins an enrolment. Whoever has a device must show one.
pub(crate) async fn begin(
    cluster: &Cluster,
    caller: &Caller,
    request: EnrolmentRequest,
) -> Result<Enrolment, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let user = caller.person(stamp.now)?.user.clone();
    let name = device_name(&request.name)?;
    allowed(cluster, request.kind)?;
    let old = devices(cluster, &user).await?;
    if old.iter().any(|device| device.name == name) {
        return Err(Refusal::conflict(format!("there is a device named \"{name}\" already"))
            .hint("choose another name"));
    }
    if old.len() >= MOST_DEVICES {
        return Err(Refusal::too_many(format!("a user may have {MOST_DEVICES} devices"))
            .hint("remove one that you do not use any more"));
    }
    // Made before the proof is used up: what cannot be begun costs nothing.
    let (factor, enrolment) = match request.kind {
        MfaKind::Totp => {
            let secret = otp::new_secret()?;
            let totp = otp::enrolment(&secret, &user, cluster.name())?;
            (BegunFactor::Totp(secret), Enrolment { totp: Some(totp), ..empty() })
        }
        MfaKind::Webauthn => {
            let begun =
                RelyingParty::of(cluster)?.begin_enrolment(&user, &factors::passkeys(&old))?;
            let enrolment = Enrolment { webauthn: Some(begun.options), ..empty() };
            (BegunFactor::Passkey(Box::new(begun.state)), enrolment)
        }
    };
    let shown = match (request.proof, old.is_empty()) {
        (_, true) => None,
        (None, false) => {
            return Err(Refusal::needs_factor("a device that you have must be shown first"));
        }
        (Some(proof), false) => {
            Some(factors::prove(cluster, caller, (proof, Accept::Any), &stamp).await?)
        }
    };
    let password_hash = {
        let (user, stamp) = (user.clone(), stamp.clone());
        let spend = move |tx: &mut Tx<'_>| {
            users::in_good_standing(tx, &user, stamp.now)?;
            if let Some(shown) = &shown {
                shown.spend_or_refuse(tx, &stamp)?;
            } else if !tx.devices(user.as_str())?.is_empty() {
                return Err(Refusal::needs_factor("a device that you have must be shown first"));
            }
            Ok(tx.credentials(user.as_str())?.password_hash)
        };
        cluster.store.write(spend).await?
    };
    let begun = Begun { name, password_hash, factor };
    let id = cluster.enrolments.begin(user.as_str(), begun, stamp.now)?;
    Ok(Enrolment { id, ..enrolment })
}

/// Finishes an enrolment.
pub(crate) async fn finish(
    cluster: &Cluster,
    caller: &Caller,
    request: DeviceRequest,
) -> Result<MfaDevice, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let user = caller.person(stamp.now)?.user.clone();
    let gone = || {
        Refusal::missing("this enrolment took too long, was used already, or is not yours")
            .hint("begin again")
    };
    let begun = cluster.enrolments.take(&request.enrolment, stamp.now).ok_or_else(gone)?;
    if begun.user() != user.as_str() {
        cluster.enrolments.put_back(begun, stamp.now);
        return Err(gone());
    }
    let factor = match (&begun.what().factor, request.code, request.credential) {
        (BegunFactor::Totp(secret), Some(code), None) => confirmed(secret, &code, &stamp),
        (BegunFactor::Passkey(state), None, Some(credential)) => {
            RelyingParty::of(cluster)?.finish_enrolment(state, credential).map(passkey)
        }
        (BegunFactor::Totp(_), ..) => Err(Refusal::invalid("the code of the app is needed")),
        (BegunFactor::Passkey(_), ..) => Err(Refusal::invalid("the new credential is needed")),
    };
    let factor = match factor {
        Ok(factor) => factor,
        Err(refusal) => {
            // A mistyped code is no reason to scan the picture again.
            cluster.enrolments.put_back(begun, stamp.now);
            return Err(refusal);
        }
    };
    let Begun { name, password_hash, .. } = begun.into_inner();
    let device = new_device(name, factor, &stamp);
    let answer = shown(&device);
    cluster
        .store
        .write(move |tx| {
            users::in_good_standing(tx, &user, stamp.now)?;
            if tx.credentials(user.as_str())?.password_hash != password_hash {
                return Err(gone());
            }
            add(tx, &stamp, &user, &device)
        })
        .await?;
    Ok(answer)
}

/// Removes a device, unless the cluster would then have no factor of the user's to ask for.
pub(crate) async fn remove(
    cluster: &Cluster,
    caller: &Caller,
    (id, removal): (String, DeviceRemoval),
) -> Result<(), Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let user = caller.person(stamp.now)?.user.clone();
    let factor = cluster.preference().second_factor;
    // Before the proof is used up; again when it is.
    removable(devices(cluster, &user).await?, &id, factor)?;
    let shown = factors::prove(cluster, caller, (removal.proof, Accept::Any), &stamp).await?;
    cluster
        .store
        .write(move |tx| {
            shown.spend_or_refuse(tx, &stamp)?;
            let device = removable(tx.devices(user.as_str())?, &id, factor)?;
            tx.drop_device(user.as_str(), &device.id)?;
            let event = MfaDelete { user: user.to_string(), device: named(&device) };
            tx.record(&stamp.event(event))
        })
        .await
}

/// Keeps a new device.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    stamp: &Stamp,
    user: &UserName,
    device: &Device,
) -> Result<(), Refusal> {
    tx.add_device(user.as_str(), device)?;
    tx.record(&stamp.event(MfaAdd { user: user.to_string(), device: named(device) }))
}

/// A device as it begins.
pub(crate) fn new_device(name: String, factor: Factor, stamp: &Stamp) -> Device {
    let id = Uuid::new_v4().to_string();
    Device { id, name, added: stamp.now, last_used: None, factor }
}

/// The app whose code confirms its secret; the code is used up by that.
pub(crate) fn confirmed(secret: &[u8], code: &str, stamp: &Stamp) -> Result<Factor, Refusal> {
    let last_step = otp::step_of(code, secret, 0, stamp.now).ok_or_else(|| {
        Refusal::invalid("the one-time code is wrong")
            .hint("check the clock of the device; a code works for about a minute")
    })?;
    Ok(Factor::Totp { secret: Zeroizing::new(secret.to_vec()), last_step })
}

/// A new passkey. Its counter is taken up by its first use.
pub(crate) fn passkey(key: webauthn_rs::prelude::SecurityKey) -> Factor {
    Factor::Passkey { key: Box::new(key), counter: 0 }
}

/// Reads the name of a device.
pub(crate) fn device_name(text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    let is_fit = !name.is_empty()
        && name.chars().count() <= LONGEST_NAME
        && !name.chars().any(char::is_control);
    if is_fit {
        return Ok(name.to_owned());
    }
    Err(Refusal::invalid(format!("the name of a device has 1 to {LONGEST_NAME} characters")))
}

fn removable(
    devices: Vec<Device>,
    id: &str,
    factor: api::types::ping::SecondFactor,
) -> Result<Device, Refusal> {
    let others = devices.iter().filter(|device| device.id != id);
    let is_last = factor.is_required()
        && !others.into_iter().any(|device| factors::counts(factor, kind_of(device)));
    let device = devices.into_iter().find(|device| device.id == id);
    let device = device.ok_or_else(|| {
        Refusal::missing("you have no such device").hint("tsh mfa ls lists your devices")
    })?;
    if is_last {
        let last = format!(
            "\"{}\" is your last second factor, and this cluster requires one",
            device.name
        );
        return Err(Refusal::conflict(last).hint("add another one first"));
    }
    Ok(device)
}

fn allowed(cluster: &Cluster, kind: MfaKind) -> Result<(), Refusal> {
    let factor = cluster.preference().second_factor;
    if factors::counts(factor, kind) {
        return Ok(());
    }
    let what = match kind {
        MfaKind::Totp => "one-time codes",
        MfaKind::Webauthn => "passkeys",
    };
    Err(Refusal::conflict(format!("{what} are no second factor in this cluster"))
        .hint(format!("second_factor is set to {}", factor.as_str())))
}

async fn devices(cluster: &Cluster, user: &UserName) -> Result<Vec<Device>, Refusal> {
    let user = user.clone();
    cluster.store.read(move |reader| reader.devices(user.as_str())).await
}

fn shown(device: &Device) -> MfaDevice {
    MfaDevice {
        id: device.id.clone(),
        name: device.name.clone(),
        kind: kind_of(device),
        added: timestamp(device.added),
        last_used: device.last_used.map(timestamp),
    }
}

fn empty() -> Enrolment {
    Enrolment { id: String::new(), totp: None, webauthn: None }
}
