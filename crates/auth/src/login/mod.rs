//! Logging a local user in: with password and one-time code at once, in two steps (password, then
//! a one-time code or a passkey), or by a code that the user's browser was given.
//!
//! An unknown user, a wrong password, a wrong, missing or used factor, a locked user and one who
//! is locked out all get the same words after the same work; the audit log has the reason.

mod attempt;
mod issue;

use std::time::{Duration, SystemTime};

use api::types::login::{
    BrowserLogin, ChallengeLogin, LoginChallenge, LoginChallengeRequest, LoginForm, LoginReply,
    LoginRequest,
};
use api::types::mfa::MfaProof;
use api::types::ping::SecondFactor;
use webauthn_rs::prelude::SecurityKeyAuthentication;

use crate::app_sessions::{certified, public_key};
use crate::browser_codes;
use crate::ceremonies::Taken;
use crate::cluster::Cluster;
use crate::factors::{self, MOST_TRIES, Shown};
use crate::refusal::Refusal;
use crate::relying_party::RelyingParty;
use crate::store::Device;

use attempt::{Account, Attempt, Fault, Standing, Who};
use issue::{Asked, issue};

/// A login whose password was right.
pub(crate) struct Begun {
    /// The password that was right; a reset since then ends the login.
    password_hash: Option<String>,
    /// What a passkey's answer is held against.
    state: Option<SecurityKeyAuthentication>,
    /// Wrong tries so far.
    tries: u32,
}

/// Logs a user in and certifies the key that was sent.
pub(crate) async fn login(cluster: &Cluster, form: LoginForm) -> Result<LoginReply, Refusal> {
    match form {
        LoginForm::Password(request) => at_once(cluster, request).await,
        LoginForm::Challenge(request) => finish(cluster, request).await,
        LoginForm::Browser(request) => by_browser(cluster, request).await,
    }
}

/// The first of two steps: the password.
pub(crate) async fn begin(
    cluster: &Cluster,
    request: LoginChallengeRequest,
) -> Result<LoginChallenge, Refusal> {
    local_auth(cluster)?;
    let LoginChallengeRequest { user, password, remote_addr, user_agent } = request;
    let who = Who { user, remote_addr, user_agent };
    let attempt = Attempt::look_up(cluster, who).await?;
    let verdict = cluster.passwords.check(&password, attempt.password_hash()).await?;
    let factor = cluster.preference().second_factor;
    let begun = attempt.right_password(verdict).and_then(|account| {
        let needed = needed(account, factor)?;
        account.may_log_in(attempt.stamp.now)?;
        Ok((needed, account.credentials.password_hash.clone()))
    });
    let (needed, password_hash) = match begun {
        Ok(begun) => begun,
        Err(fault) => return Err(failed(cluster, attempt, fault).await?),
    };
    let devices = needed.unwrap_or_default();
    let keys = factors::passkeys(&devices);
    // Where passkeys cannot be used, one-time codes still can.
    let proof = match RelyingParty::of(cluster) {
        Ok(party) if !keys.is_empty() => Some(party.begin_proof(&keys)?),
        _ => None,
    };
    let (webauthn, state) = proof.map(|proof| (proof.options, proof.state)).unzip();
    let begun = Begun { password_hash, state, tries: 0 };
    let id = cluster.logins.begin(&attempt.who.user, begun, attempt.stamp.now)?;
    let otp = devices.iter().any(Device::is_totp);
    Ok(LoginChallenge { id, needs_factor: !devices.is_empty(), otp, webauthn })
}

/// Password and one-time code at once.
async fn at_once(cluster: &Cluster, request: LoginRequest) -> Result<LoginReply, Refusal> {
    local_auth(cluster)?;
    let key = public_key(&request.public_key)?;
    let LoginRequest { user, password, otp, ttl_seconds, remote_addr, user_agent, .. } = request;
    let attempt = Attempt::look_up(cluster, Who { user, remote_addr, user_agent }).await?;
    let verdict = cluster.passwords.check(&password, attempt.password_hash()).await?;
    let code = otp.filter(|code| !code.trim().is_empty());
    // Looked at whatever the password is, so that the answer to a wrong one takes no less time.
    let shown = code.as_deref().and_then(|code| {
        factors::by_code(&attempt.account.as_ref()?.devices, code, &attempt.stamp)
    });
    let weighed = attempt.right_password(verdict).and_then(|account| {
        let shown = match needed(account, cluster.preference().second_factor)? {
            None => None,
            Some(devices) => Some(fitting(shown, &devices, code.as_deref())?),
        };
        account.may_log_in(attempt.stamp.now)?;
        Ok((shown, account.credentials.password_hash.clone()))
    });
    match weighed {
        Ok((shown, hash)) => {
            let asked = Asked { key, ttl_seconds, ends: None, mfa: shown.is_some() };
            certify(cluster, attempt, (shown, hash), asked).await
        }
        Err(fault) => Err(failed(cluster, attempt, fault).await?),
    }
}

/// The second of two steps: the factor.
async fn finish(cluster: &Cluster, request: ChallengeLogin) -> Result<LoginReply, Refusal> {
    local_auth(cluster)?;
    let key = public_key(&request.public_key)?;
    let ChallengeLogin { challenge, proof, ttl_seconds, remote_addr, user_agent, .. } = request;
    let begun = cluster.logins.take(&challenge, cluster.now()).ok_or_else(gone)?;
    let who = Who { user: begun.user().to_owned(), remote_addr, user_agent };
    let attempt = Attempt::look_up(cluster, who).await?;
    match weigh(cluster, &attempt, &begun, (&challenge, proof)) {
        Ok(shown) => {
            let asked = Asked { key, ttl_seconds, ends: None, mfa: shown.is_some() };
            let hash = begun.into_inner().password_hash;
            certify(cluster, attempt, (shown, hash), asked).await
        }
        Err(fault) => {
            let now = attempt.stamp.now;
            let refusal = failed(cluster, attempt, fault).await?;
            tried(cluster, begun, fault, now);
            Err(refusal)
        }
    }
}

/// A wrong guess leaves the login open for a few more.
fn tried(cluster: &Cluster, mut begun: Taken<Begun>, fault: Fault, now: SystemTime) {
    begun.what_mut().tries += 1;
    if fault.is_guess() && begun.what().tries < MOST_TRIES {
        cluster.logins.put_back(begun, now);
    }
}

fn weigh(
    cluster: &Cluster,
    attempt: &Attempt,
    begun: &Taken<Begun>,
    (challenge, proof): (&str, Option<MfaProof>),
) -> Result<Option<Shown>, Fault> {
    let account = attempt.same_password(begun.what().password_hash.as_deref())?;
    let shown = match needed(account, cluster.preference().second_factor)? {
        None => None,
        Some(devices) => {
            let shown = match proof {
                None => return Err(Fault::NoCode),
                Some(MfaProof::Otp { code }) => factors::by_code(&devices, &code, &attempt.stamp),
                Some(MfaProof::Webauthn { challenge: named, credential }) => {
                    let party = RelyingParty::of(cluster).ok().filter(|_| named == challenge);
                    party.zip(begun.what().state.as_ref()).and_then(|(party, state)| {
                        factors::by_passkey(&party, &devices, state, credential)
                    })
                }
                // A browser that is signed in gives codes for logging in, without any password.
                Some(MfaProof::Browser { .. }) => None,
            };
            Some(shown.ok_or(Fault::WrongCode)?)
        }
    };
    account.may_log_in(attempt.stamp.now)?;
    Ok(shown)
}

/// By a browser's code: who let it log in was logged in there.
async fn by_browser(cluster: &Cluster, request: BrowserLogin) -> Result<LoginReply, Refusal> {
    let key = public_key(&request.public_key)?;
    let BrowserLogin { browser_code, verifier, ttl_seconds, remote_addr, user_agent, .. } = request;
    let code = browser_codes::login_of(cluster, (&browser_code, &verifier), cluster.now())
        .ok_or_else(browser_codes::no_such_code)?;
    let who = Who { user: code.user.clone(), remote_addr, user_agent };
    let attempt = Attempt::look_up(cluster, who).await?;
    let weighed = attempt
        .same_password(code.password_hash.as_deref())
        .and_then(|account| account.may_log_in(attempt.stamp.now));
    match weighed {
        Ok(()) => {
            let asked = Asked { key, ttl_seconds, ends: code.ends, mfa: code.mfa };
            certify(cluster, attempt, (code.shown, code.password_hash), asked).await
        }
        Err(fault) => Err(failed(cluster, attempt, fault).await?),
    }
}

/// The devices of which one must be shown; `None` where none needs to be.
fn needed(account: &Account, factor: SecondFactor) -> Result<Option<Vec<Device>>, Fault> {
    let devices = factors::counting(account.devices.clone(), factor);
    match factor {
        SecondFactor::Off => Ok(None),
        // Whoever enrolled one must show it.
        SecondFactor::Optional => Ok((!devices.is_empty()).then_some(devices)),
        SecondFactor::Otp | SecondFactor::Webauthn | SecondFactor::On if devices.is_empty() => {
            Err(Fault::NoDevice)
        }
        SecondFactor::Otp | SecondFactor::Webauthn | SecondFactor::On => Ok(Some(devices)),
    }
}

fn fitting(shown: Option<Shown>, devices: &[Device], code: Option<&str>) -> Result<Shown, Fault> {
    let counts = |shown: &Shown| devices.iter().any(|d| d.id == shown.device().mfa_device_uuid);
    match (shown.filter(counts), code) {
        (Some(shown), _) => Ok(shown),
        (None, Some(_)) => Err(Fault::WrongCode),
        (None, None) => Err(Fault::NoCode),
    }
}

/// Certifies the key, and writes down that the login worked, if nothing overtook it.
async fn certify(
    cluster: &Cluster,
    attempt: Attempt,
    (shown, password_hash): (Option<Shown>, Option<String>),
    asked: Asked,
) -> Result<LoginReply, Refusal> {
    let issued = match issue(cluster, &attempt, &asked) {
        Ok(issued) => issued,
        Err(refusal) => {
            failed(cluster, attempt, Fault::NothingToIssue).await?;
            return Err(refusal);
        }
    };
    let event = certified(&issued.claims);
    let lockout = cluster.config.lockout;
    let succeed = attempt::Success { shown, password_hash, certificate: event, lockout };
    let standing = cluster.store.write(move |tx| attempt.succeed(tx, succeed)).await?;
    match standing {
        Standing::Held => Ok(issued.reply),
        Standing::Overtaken => Err(refused()),
    }
}

/// Writes a failure down; gives the answer to it.
async fn failed(cluster: &Cluster, attempt: Attempt, fault: Fault) -> Result<Refusal, Refusal> {
    let lockout = cluster.config.lockout;
    cluster.store.write(move |tx| attempt.fail(tx, fault, lockout)).await?;
    Ok(refused())
}

fn local_auth(cluster: &Cluster) -> Result<(), Refusal> {
    if cluster.preference().local_auth {
        return Ok(());
    }
    let off = Refusal::denied("logging in with a password is switched off in this cluster");
    Err(off.hint("local_auth in auth_service.authentication switches it on"))
}

/// The one answer to everything that is wrong with a login.
fn refused() -> Refusal {
    Refusal::unknown("invalid username, password or one-time code").hint(
        "after several failures in a row an account is locked out for a while; \
         an administrator can reset it with tctl users reset",
    )
}

fn gone() -> Refusal {
    Refusal::unknown("this login took too long, or was used already")
        .hint("begin again with your password")
}

/// How long a login may stay open between its two steps.
pub(crate) const LIFE: Duration = Duration::from_secs(5 * 60);
