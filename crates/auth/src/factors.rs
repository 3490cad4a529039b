//! Proving a second factor: which devices count, what was shown, and using it up.
//!
//! A proof is checked first and used up in the same write as what it was shown for, so that it is
//! good once and is not lost when that fails.

use access::UserName;
use api::types::mfa::{MfaKind, MfaProof};
use api::types::ping::SecondFactor;
use audit::events::MfaDevice;
use serde_json::Value;
use webauthn_rs::prelude::{SecurityKey, SecurityKeyAuthentication};

use crate::browser_codes;
use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::events::Stamp;
use crate::lockout;
use crate::otp;
use crate::refusal::Refusal;
use crate::relying_party::RelyingParty;
use crate::store::{Device, Factor, Tx};

/// Wrong tries after which a challenge is no good any more.
pub(crate) const MOST_TRIES: u32 = 5;

/// A challenge to a user who is logged in.
pub(crate) struct Challenge {
    /// What a passkey's answer is held against; `None` for users without a passkey.
    pub(crate) state: Option<SecurityKeyAuthentication>,
    /// Wrong tries so far.
    pub(crate) tries: u32,
}

/// A factor that was shown and is right, and is not used up yet.
#[derive(Clone)]
pub(crate) struct Shown {
    device: MfaDevice,
    use_up: UseUp,
}

#[derive(Clone)]
enum UseUp {
    Code {
        step: u64,
    },
    Passkey {
        key: Box<SecurityKey>,
        counter: u32,
    },
    /// The browser's code was taken out of memory.
    Nothing,
}

impl Shown {
    /// One that a browser's code stands for: it was used up when the code was made.
    pub(crate) fn by_browser(device: MfaDevice) -> Self {
        Self { device, use_up: UseUp::Nothing }
    }

    /// For the audit log.
    pub(crate) fn device(&self) -> &MfaDevice {
        &self.device
    }

    /// Uses it up; `false` when it was used meanwhile, or the device is gone or was copied.
    pub(crate) fn spend(&self, tx: &mut Tx<'_>, stamp: &Stamp) -> Result<bool, Refusal> {
        let id = &self.device.mfa_device_uuid;
        match &self.use_up {
            UseUp::Code { step } => tx.use_totp(id, *step, stamp.now),
            UseUp::Passkey { key, counter } => tx.use_passkey(id, key, *counter, stamp.now),
            UseUp::Nothing => Ok(true),
        }
    }

    /// Uses it up, or refuses.
    pub(crate) fn spend_or_refuse(&self, tx: &mut Tx<'_>, stamp: &Stamp) -> Result<(), Refusal> {
        if self.spend(tx, stamp)? { Ok(()) } else { Err(wrong()) }
    }
}

/// A device as the audit log names it.
pub(crate) fn named(device: &Device) -> MfaDevice {
    MfaDevice {
        mfa_device_name: device.name.clone(),
        mfa_device_uuid: device.id.clone(),
        mfa_device_type: kind_of(device).as_str().to_owned(),
    }
}

/// What a device is.
pub(crate) fn kind_of(device: &Device) -> MfaKind {
    if device.is_totp() { MfaKind::Totp } else { MfaKind::Webauthn }
}

/// Whether a device of this kind counts. Where none is asked for, any does that is shown.
pub(crate) fn counts(factor: SecondFactor, kind: MfaKind) -> bool {
    match (factor, kind) {
        (SecondFactor::Off, _) => true,
        (factor, MfaKind::Totp) => factor.allows_otp(),
        (factor, MfaKind::Webauthn) => factor.allows_webauthn(),
    }
}

/// The devices that count.
pub(crate) fn counting(devices: Vec<Device>, factor: SecondFactor) -> Vec<Device> {
    devices.into_iter().filter(|device| counts(factor, kind_of(device))).collect()
}

/// The passkeys among devices.
pub(crate) fn passkeys(devices: &[Device]) -> Vec<SecurityKey> {
    devices.iter().filter_map(Device::passkey).cloned().collect()
}

/// Which authenticator app showed a code, if one did and the code was not used.
pub(crate) fn by_code(devices: &[Device], code: &str, stamp: &Stamp) -> Option<Shown> {
    devices.iter().find_map(|device| match &device.factor {
        Factor::Totp { secret, last_step } => {
            let step = otp::step_of(code, secret, *last_step, stamp.now)?;
            Some(Shown { device: named(device), use_up: UseUp::Code { step } })
        }
        Factor::Passkey { .. } => None,
    })
}

/// Which passkey answered a challenge, if one did.
pub(crate) fn by_passkey(
    party: &RelyingParty,
    devices: &[Device],
    state: &SecurityKeyAuthentication,
    credential: Value,
) -> Option<Shown> {
    let result = party.finish_proof(state, credential)?;
    devices.iter().find_map(|device| {
        let mut key = device.passkey()?.clone();
        // Only the key that answered is updated.
        key.update_credential(&result)?;
        let use_up = UseUp::Passkey { key: Box::new(key), counter: result.counter() };
        Some(Shown { device: named(device), use_up })
    })
}

/// Which devices a proof may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Those that the cluster's settings ask for.
    Counting,
    /// Any of the user's: to set the account in order.
    Any,
}

/// Checks a proof of somebody who is logged in. A wrong one counts towards the lock-out.
pub(crate) async fn prove(
    cluster: &Cluster,
    caller: &Caller,
    (proof, accept): (MfaProof, Accept),
    stamp: &Stamp,
) -> Result<Shown, Refusal> {
    let user = caller.person(stamp.now)?.user.clone();
    let (credentials, devices) = {
        let name = user.clone();
        let read = move |reader: &crate::store::Reader<'_>| {
            Ok((reader.credentials(name.as_str())?, reader.devices(name.as_str())?))
        };
        cluster.store.read(read).await?
    };
    if credentials.is_locked_out(stamp.now) {
        return Err(locked_out());
    }
    let devices = match accept {
        Accept::Counting => counting(devices, cluster.preference().second_factor),
        Accept::Any => devices,
    };
    let shown = checked(cluster, &user, &devices, proof, stamp);
    if let Some(shown) = shown {
        return Ok(shown);
    }
    let (lockout, stamp, remote) = (cluster.config.lockout, stamp.clone(), caller.remote());
    cluster
        .store
        .write(move |tx| lockout::count(tx, &stamp, lockout, (user.as_str(), Some(remote))))
        .await?;
    Err(wrong())
}

fn checked(
    cluster: &Cluster,
    user: &UserName,
    devices: &[Device],
    proof: MfaProof,
    stamp: &Stamp,
) -> Option<Shown> {
    match proof {
        MfaProof::Otp { code } => by_code(devices, &code, stamp),
        MfaProof::Webauthn { challenge, credential } => {
            by_challenge(cluster, (user, &challenge), devices, credential, stamp)
        }
        MfaProof::Browser { code, verifier } => {
            browser_codes::proof_of(cluster, user, (&code, &verifier), stamp)
                .filter(|shown| devices.iter().any(|d| d.id == shown.device.mfa_device_uuid))
        }
    }
}

/// A challenge is good for its own user, once, and for a few tries.
fn by_challenge(
    cluster: &Cluster,
    (user, challenge): (&UserName, &str),
    devices: &[Device],
    credential: Value,
    stamp: &Stamp,
) -> Option<Shown> {
    let mut taken = cluster.challenges.take(challenge, stamp.now)?;
    if taken.user() != user.as_str() {
        // Somebody else's stays as it is: it is not for this caller to use up.
        cluster.challenges.put_back(taken, stamp.now);
        return None;
    }
    let party = RelyingParty::of(cluster).ok()?;
    let state = taken.what().state.as_ref()?;
    let shown = by_passkey(&party, devices, state, credential);
    if shown.is_none() {
        taken.what_mut().tries += 1;
        if taken.what().tries < MOST_TRIES {
            cluster.challenges.put_back(taken, stamp.now);
        }
    }
    shown
}

/// The answer to a proof that is none.
pub(crate) fn wrong() -> Refusal {
    Refusal::denied("the second factor was not accepted").hint(
        "a one-time code works once and for about a minute; a passkey's answer works once and for \
         five minutes",
    )
}

fn locked_out() -> Refusal {
    Refusal::denied("too many wrong passwords, codes or passkeys in a row: try again later")
        .hint("an administrator can reset the account with tctl users reset")
}
