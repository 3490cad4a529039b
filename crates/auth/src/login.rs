//! Logging a local user in with password and one-time code.
//!
//! An unknown user, a wrong password, a wrong, missing or used code, a locked user and one who
//! is locked out all get the same words after the same work; the audit log has the reason.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::resource::Finding;
use access::{Claims, Lock, Role, RoleSet, User};
use api::types::login::{LoginReply, LoginRequest};
use api::types::ping::SecondFactor;
use audit::events::{CertCreate, UserLockout, UserLogin};
use pki::PublicKey;

use crate::app_sessions::{certified, chain_of, public_key};
use crate::cluster::Cluster;
use crate::config::Lockout;
use crate::events::{Stamp, rfc3339};
use crate::locks;
use crate::otp;
use crate::passwords::Verdict;
use crate::refusal::Refusal;
use crate::store::{Credentials, Reader, Tx};
use crate::users::device;

/// Longest user name that the audit log repeats of an unknown user.
const SHOWN: usize = 128;

/// Logs a user in and certifies the key that was sent.
pub(crate) async fn login(cluster: &Cluster, request: LoginRequest) -> Result<LoginReply, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    if !cluster.config.local_auth {
        let off = Refusal::denied("logging in with a password is switched off in this cluster");
        return Err(off.hint("local_auth in auth_service.authentication switches it on"));
    }
    let key = public_key(&request.public_key)?;
    let attempt = Attempt::look_up(cluster, request, stamp).await?;
    let verdict = {
        let hash = attempt.account.as_ref().and_then(|a| a.credentials.password_hash.clone());
        cluster.passwords.check(&attempt.request.password, hash).await?
    };
    let lockout = cluster.config.lockout;
    let proof = match attempt.fault(verdict, cluster.config.second_factor) {
        Ok(proof) => proof,
        Err(fault) => {
            cluster.store.write(move |tx| attempt.fail(tx, fault, lockout)).await?;
            return Err(refused());
        }
    };
    let issued = match issue(cluster, &attempt, proof, &key) {
        Ok(issued) => issued,
        Err(refusal) => {
            cluster.store.write(move |tx| attempt.fail(tx, Fault::NothingToIssue, lockout)).await?;
            return Err(refusal);
        }
    };
    let event = certified(&issued.claims);
    let standing =
        cluster.store.write(move |tx| attempt.succeed(tx, proof, event, lockout)).await?;
    match standing {
        Standing::Held => Ok(issued.reply),
        Standing::Overtaken => Err(refused()),
    }
}

/// The one answer to everything that is wrong with a login.
fn refused() -> Refusal {
    Refusal::unknown("invalid username, password or one-time code").hint(
        "after several failures in a row an account is locked out for a while; \
         an administrator can reset it with tctl users reset",
    )
}

/// What a login is about.
struct Attempt {
    request: LoginRequest,
    account: Option<Account>,
    stamp: Stamp,
}

/// What the store has of the user who logs in.
struct Account {
    user: User,
    roles: RoleSet,
    credentials: Credentials,
    is_stopped_by_lock: bool,
}

/// What was proved: the step of the one-time code, if one was shown.
#[derive(Debug, Clone, Copy)]
struct Proof {
    otp_step: Option<u64>,
}

/// Why a login fails: for the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    UnknownUser,
    WrongPassword,
    NoPassword,
    WrongCode,
    NoCode,
    NoDevice,
    LockedOut,
    Locked,
    Expired,
    NothingToIssue,
}

impl Fault {
    fn as_str(self) -> &'static str {
        match self {
            Self::UnknownUser => "no such user",
            Self::WrongPassword => "wrong password",
            Self::NoPassword => "the user has not set a password yet",
            Self::WrongCode => "wrong or used one-time code",
            Self::NoCode => "no one-time code",
            Self::NoDevice => "the user has not enrolled a second factor",
            Self::LockedOut => "locked out after failed logins",
            Self::Locked => "the user is locked",
            Self::Expired => "the account has expired",
            Self::NothingToIssue => "the user's roles allow no certificate",
        }
    }

    /// Whether it is a wrong guess, which counts towards the lock-out.
    fn is_guess(self) -> bool {
        matches!(self, Self::WrongPassword | Self::WrongCode | Self::NoCode)
    }
}

/// Whether the proof still held when it was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Held,
    /// Another login used the code or locked the user out, or an admin reset the user.
    Overtaken,
}

/// A certificate that has been made but not handed out.
struct Issued {
    claims: Claims,
    reply: LoginReply,
}

impl Attempt {
    async fn look_up(
        cluster: &Cluster,
        request: LoginRequest,
        stamp: Stamp,
    ) -> Result<Self, Refusal> {
        let (name, now) = (request.user.clone(), stamp.now);
        let account = cluster.store.read(move |reader| account(reader, &name, now)).await?;
        Ok(Self { request, account, stamp })
    }

    /// Weighs what was shown. Every part is looked at, whatever the others say.
    fn fault(&self, verdict: Verdict, factor: SecondFactor) -> Result<Proof, Fault> {
        let Some(account) = &self.account else { return Err(Fault::UnknownUser) };
        let credentials = &account.credentials;
        let code = self.request.otp.as_deref().filter(|code| !code.trim().is_empty());
        let step = code
            .zip(credentials.otp.as_ref())
            .and_then(|(code, otp)| otp::step_of(code, &otp.secret, otp.last_step, self.stamp.now));
        if credentials.is_locked_out(self.stamp.now) {
            return Err(Fault::LockedOut);
        }
        if credentials.password_hash.is_none() {
            return Err(Fault::NoPassword);
        }
        if verdict == Verdict::Wrong {
            return Err(Fault::WrongPassword);
        }
        let is_needed = match factor {
            SecondFactor::Off => false,
            SecondFactor::Otp | SecondFactor::Webauthn | SecondFactor::On => true,
            // Whoever enrolled one must show it.
            SecondFactor::Optional => credentials.otp.is_some(),
        };
        if is_needed && step.is_none() {
            return Err(match (code, &credentials.otp) {
                (_, None) => Fault::NoDevice,
                (None, _) => Fault::NoCode,
                (Some(_), _) => Fault::WrongCode,
            });
        }
        if account.is_stopped_by_lock || account.user.is_locked(self.stamp.now) {
            return Err(Fault::Locked);
        }
        if account.user.is_expired(self.stamp.now) {
            return Err(Fault::Expired);
        }
        Ok(Proof { otp_step: if is_needed { step } else { None } })
    }

    /// Uses the code up and forgets earlier failures; fails if the code was used or the user
    /// locked out by another login meanwhile.
    fn succeed(
        &self,
        tx: &mut Tx<'_>,
        proof: Proof,
        certificate: CertCreate,
        lockout: Lockout,
    ) -> Result<Standing, Refusal> {
        let mut credentials = tx.credentials(&self.request.user)?;
        let before = self.account.as_ref().map(|account| &account.credentials);
        let is_same = before.is_some_and(|old| old.password_hash == credentials.password_hash);
        let is_used = proof
            .otp_step
            .is_some_and(|step| credentials.otp.as_ref().is_none_or(|otp| otp.last_step >= step));
        let fault = if credentials.is_locked_out(self.stamp.now) {
            Some(Fault::LockedOut)
        } else if is_used {
            Some(Fault::WrongCode)
        } else if !is_same {
            Some(Fault::WrongPassword)
        } else {
            None
        };
        if let Some(fault) = fault {
            self.fail(tx, fault, lockout)?;
            return Ok(Standing::Overtaken);
        }
        credentials.failures = 0;
        credentials.last_failure = None;
        credentials.locked_until = None;
        let mut used = None;
        if let (Some(step), Some(otp)) = (proof.otp_step, credentials.otp.as_mut()) {
            otp.last_step = step;
            used = Some(device(&otp.id));
        }
        tx.keep_credentials(&self.request.user, &credentials)?;
        let mut event = self.event(None);
        event.mfa_device = used;
        tx.record(&self.stamp.event(event))?;
        tx.record(&self.stamp.event(certificate))?;
        Ok(Standing::Held)
    }

    /// Records a failure and counts it; enough of them lock the user out.
    fn fail(&self, tx: &mut Tx<'_>, fault: Fault, lockout: Lockout) -> Result<(), Refusal> {
        tx.record(&self.stamp.event(self.event(Some(fault))))?;
        // Another login may have locked the user out since this one looked.
        let mut credentials = tx.credentials(&self.request.user)?;
        let counts = fault.is_guess() && !credentials.is_locked_out(self.stamp.now);
        if self.account.is_none() || !counts {
            return Ok(());
        }
        let is_recent = credentials.last_failure.is_some_and(|last| {
            self.stamp.now.duration_since(last).is_ok_and(|passed| passed <= lockout.period)
        });
        let earlier = if is_recent { credentials.failures } else { 0 };
        credentials.failures = earlier.saturating_add(1);
        credentials.last_failure = Some(self.stamp.now);
        if credentials.failures >= lockout.failures {
            let until = self.stamp.now.checked_add(lockout.period).unwrap_or(self.stamp.now);
            tx.record(&self.stamp.event(UserLockout {
                user: self.request.user.clone(),
                attempts: credentials.failures,
                expires: rfc3339(until),
                remote: self.request.remote_addr.clone(),
            }))?;
            credentials.locked_until = Some(until);
            credentials.failures = 0;
        }
        tx.keep_credentials(&self.request.user, &credentials)
    }

    fn event(&self, fault: Option<Fault>) -> UserLogin {
        UserLogin {
            user: self.request.user.chars().take(SHOWN).collect(),
            method: "local".to_owned(),
            success: fault.is_none(),
            error: fault.map(|fault| fault.as_str().to_owned()),
            remote: self.request.remote_addr.clone(),
            user_agent: None,
            mfa_device: None,
        }
    }
}

fn account(reader: &Reader<'_>, name: &str, now: SystemTime) -> Result<Option<Account>, Refusal> {
    let credentials = reader.credentials(name)?;
    let locks = reader.list::<Lock>()?;
    let Some(user) = reader.find::<User>(name)? else { return Ok(None) };
    let mut roles = Vec::new();
    for role in &user.spec.roles {
        roles.extend(reader.find::<Role>(role.as_str())?.map(Arc::new));
    }
    let is_stopped_by_lock = locks.iter().any(|lock| locks::stops(lock, &user, now));
    let roles = RoleSet::new(roles);
    Ok(Some(Account { user, roles, credentials, is_stopped_by_lock }))
}

fn issue(
    cluster: &Cluster,
    attempt: &Attempt,
    proof: Proof,
    key: &PublicKey,
) -> Result<Issued, Refusal> {
    let Attempt { request, account, stamp } = attempt;
    let account = account.as_ref().ok_or_else(refused)?;
    let asked = request.ttl_seconds.map(Duration::from_secs);
    let login = access::login_claims(&access::LoginRequest {
        user: &account.user,
        roles: &account.roles,
        cluster: cluster.name(),
        now: stamp.now,
        ttl: Some(asked.unwrap_or(cluster.config.default_session_ttl)),
        mfa: proof.otp_step.is_some(),
        login_ip: request.remote_addr.as_deref().and_then(|addr| addr.parse().ok()),
    })
    .map_err(|error| Refusal::denied(error.to_string()))?;
    let certificate = cluster
        .authorities
        .user
        .issue_user(&login.claims, key, stamp.now)
        .map_err(|error| Refusal::broken("issuing a certificate", error))?;
    let reply = LoginReply {
        user: login.claims.user.clone(),
        certificate: chain_of(&certificate),
        trust: cluster.authorities.trust().clone(),
        cluster: cluster.name().clone(),
        warnings: login.warnings.iter().map(Finding::to_string).collect(),
    };
    Ok(Issued { claims: login.claims, reply })
}
