//! One attempt at logging in: who it is about, what is wrong with it, what becomes of it.

use std::sync::Arc;
use std::time::SystemTime;

use access::{Lock, Role, RoleSet, User};
use audit::events::{CertCreate, UserLogin};

use crate::cluster::Cluster;
use crate::config::Lockout;
use crate::events::Stamp;
use crate::factors::Shown;
use crate::lockout;
use crate::locks;
use crate::passwords::Verdict;
use crate::refusal::Refusal;
use crate::store::{Credentials, Device, Reader, Tx};

/// Longest texts of strangers that the audit log repeats.
const SHOWN: usize = 128;

/// Who says to be whom, and where from.
pub(super) struct Who {
    pub(super) user: String,
    pub(super) remote_addr: Option<String>,
    pub(super) user_agent: Option<String>,
}

/// What a login is about.
pub(super) struct Attempt {
    pub(super) who: Who,
    pub(super) account: Option<Account>,
    pub(super) stamp: Stamp,
}

/// What the store has of the user who logs in.
pub(super) struct Account {
    pub(super) user: User,
    pub(super) roles: RoleSet,
    pub(super) credentials: Credentials,
    pub(super) devices: Vec<Device>,
    is_stopped_by_lock: bool,
}

/// Why a login fails: for the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    UnknownUser,
    WrongPassword,
    NoPassword,
    PasswordChanged,
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
            Self::PasswordChanged => "the password was changed during the login",
            Self::WrongCode => "wrong or used one-time code or passkey",
            Self::NoCode => "no one-time code or passkey",
            Self::NoDevice => "the user has not enrolled a second factor",
            Self::LockedOut => "locked out after failed logins",
            Self::Locked => "the user is locked",
            Self::Expired => "the account has expired",
            Self::NothingToIssue => "the user's roles allow no certificate",
        }
    }

    /// Whether it is a wrong guess, which counts towards the lock-out.
    pub(super) fn is_guess(self) -> bool {
        matches!(self, Self::WrongPassword | Self::WrongCode | Self::NoCode)
    }
}

/// Whether the proof still held when it was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Held,
    /// Another login used the factor or locked the user out, or an admin reset the user.
    Overtaken,
}

/// What a login that worked writes down.
pub(super) struct Success {
    pub(super) shown: Option<Shown>,
    /// The password that was right.
    pub(super) password_hash: Option<String>,
    pub(super) certificate: CertCreate,
    pub(super) lockout: Lockout,
}

impl Account {
    /// Whether guesses are taken at all.
    pub(super) fn is_open(&self, now: SystemTime) -> Result<(), Fault> {
        if self.credentials.is_locked_out(now) { Err(Fault::LockedOut) } else { Ok(()) }
    }

    /// Whether the user may log in, whatever was proved.
    pub(super) fn may_log_in(&self, now: SystemTime) -> Result<(), Fault> {
        if self.is_stopped_by_lock || self.user.is_locked(now) {
            return Err(Fault::Locked);
        }
        if self.user.is_expired(now) {
            return Err(Fault::Expired);
        }
        Ok(())
    }
}

impl Attempt {
    pub(super) async fn look_up(cluster: &Cluster, who: Who) -> Result<Self, Refusal> {
        let stamp = cluster.stamp(cluster.now());
        let (name, now) = (who.user.clone(), stamp.now);
        let account = cluster.store.read(move |reader| account(reader, &name, now)).await?;
        Ok(Self { who, account, stamp })
    }

    /// What to check a password against.
    pub(super) fn password_hash(&self) -> Option<String> {
        self.account.as_ref().and_then(|account| account.credentials.password_hash.clone())
    }

    /// The account, if there is one.
    pub(super) fn known(&self) -> Result<&Account, Fault> {
        self.account.as_ref().ok_or(Fault::UnknownUser)
    }

    /// The account, if the password was right and guesses are taken.
    pub(super) fn right_password(&self, verdict: Verdict) -> Result<&Account, Fault> {
        let account = self.known()?;
        account.is_open(self.stamp.now)?;
        if account.credentials.password_hash.is_none() {
            return Err(Fault::NoPassword);
        }
        if verdict == Verdict::Wrong {
            return Err(Fault::WrongPassword);
        }
        Ok(account)
    }

    /// The account, if its password is still the one that was right, and guesses are taken.
    pub(super) fn same_password(&self, hash: Option<&str>) -> Result<&Account, Fault> {
        let account = self.known()?;
        account.is_open(self.stamp.now)?;
        if account.credentials.password_hash.as_deref() != hash {
            return Err(Fault::PasswordChanged);
        }
        Ok(account)
    }

    /// Uses the factor up and forgets earlier failures; fails if the factor was used, the user
    /// locked out or the password changed meanwhile.
    pub(super) fn succeed(&self, tx: &mut Tx<'_>, success: Success) -> Result<Standing, Refusal> {
        let Success { shown, password_hash, certificate, lockout } = success;
        let mut credentials = tx.credentials(&self.who.user)?;
        let fault = if credentials.is_locked_out(self.stamp.now) {
            Some(Fault::LockedOut)
        } else if credentials.password_hash != password_hash {
            Some(Fault::PasswordChanged)
        } else if let Some(shown) = &shown
            && !shown.spend(tx, &self.stamp)?
        {
            Some(Fault::WrongCode)
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
        tx.keep_credentials(&self.who.user, &credentials)?;
        let mut event = self.event(None);
        event.mfa_device = shown.map(|shown| shown.device().clone());
        tx.record(&self.stamp.event(event))?;
        tx.record(&self.stamp.event(certificate))?;
        Ok(Standing::Held)
    }

    /// Records a failure and counts it; enough of them lock the user out.
    pub(super) fn fail(
        &self,
        tx: &mut Tx<'_>,
        fault: Fault,
        lockout: Lockout,
    ) -> Result<(), Refusal> {
        tx.record(&self.stamp.event(self.event(Some(fault))))?;
        if self.account.is_none() || !fault.is_guess() {
            return Ok(());
        }
        let by = (self.who.user.as_str(), self.who.remote_addr.clone());
        lockout::count(tx, &self.stamp, lockout, by)
    }

    fn event(&self, fault: Option<Fault>) -> UserLogin {
        UserLogin {
            user: shortened(&self.who.user),
            method: "local".to_owned(),
            success: fault.is_none(),
            error: fault.map(|fault| fault.as_str().to_owned()),
            remote: self.who.remote_addr.clone(),
            user_agent: self.who.user_agent.as_deref().map(shortened),
            mfa_device: None,
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn account(reader: &Reader<'_>, name: &str, now: SystemTime) -> Result<Option<Account>, Refusal> {
    let credentials = reader.credentials(name)?;
    let devices = reader.devices(name)?;
    let locks = reader.list::<Lock>()?;
    let Some(user) = reader.find::<User>(name)? else { return Ok(None) };
    let mut roles = Vec::new();
    for role in &user.spec.roles {
        roles.extend(reader.find::<Role>(role.as_str())?.map(Arc::new));
    }
    let is_stopped_by_lock = locks.iter().any(|lock| locks::stops(lock, &user, now));
    let roles = RoleSet::new(roles);
    Ok(Some(Account { user, roles, credentials, devices, is_stopped_by_lock }))
}
