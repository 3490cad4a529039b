//! Temporary keys that users have got from STS by way of this agent: the real ones stay here, users hold others.
//!
//! A user's keys are a name for the real ones, good for one app session through this very agent until the real ones or
//! the session end. They live in this process's memory alone: when it ends, so do they.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use access::{AppSessionId, Grant, HostId, UserName};
use aws::sigv4::{Credentials, Keys};
use aws::sts::{BadAnswer, KeysAnswer};
use aws::{RoleArn, Secret};
use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use pki::Clock;
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::policy::LivePolicy;

/// Keys of one app session at most; those that end first go.
const MOST_OF_SESSION: usize = 64;
/// Keys in all at most.
const MOST: usize = 10_000;
/// Roles that can be assumed one with the keys of the other.
const LONGEST_CHAIN: usize = 16;
/// How often what has ended is dropped, if nothing else gives occasion to.
const SWEEP: Duration = Duration::from_secs(60);
/// What all our tokens start with.
const TOKEN: &str = "causeway";

/// Why keys that users hold stand for nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum NotKnown {
    #[error(
        "these temporary keys are not known here: they have expired, the agent has been restarted, or they belong to \
         another app session; get new ones from STS (tools may keep old ones, the AWS CLI in ~/.aws/cli/cache)"
    )]
    Ended,
    #[error(
        "these temporary keys were got by way of another agent of the app, which alone can use them; get new ones from STS"
    )]
    OtherAgent,
}

/// Why no keys can be given out.
#[derive(Debug, Error)]
pub(crate) enum NotKept {
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    #[error("it is no answer that the operation has, or may hold keys in a form that is not known")]
    Other,
    #[error("it could not be read")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("its keys are not of the role that was asked for")]
    OtherRole,
    #[error("its keys have expired already")]
    Expired,
    #[error("there are {MOST} temporary keys in use through this agent already; try again later")]
    Full,
    #[error("there are no random numbers to be had")]
    Chance,
}

/// Real keys for which the user holds others.
pub(crate) struct Derived {
    /// What calls are signed with.
    pub(crate) keys: Arc<Keys>,
    /// The roles that were assumed one after the other; the last is the one of the keys.
    pub(crate) chain: Vec<RoleArn>,
    session: AppSessionId,
    user: UserName,
    expires: SystemTime,
}

/// All of them.
pub(crate) struct DerivedKeys {
    host_id: HostId,
    clock: Clock,
    /// By the digest of the token, so that looking one up takes no time that tells of it.
    known: Mutex<HashMap<[u8; 32], Arc<Derived>>>,
}

impl DerivedKeys {
    /// None yet.
    pub(crate) fn new(host_id: HostId, clock: Clock) -> Self {
        Self { host_id, clock, known: Mutex::default() }
    }

    /// What a token stands for in an app session.
    pub(crate) fn find(
        &self,
        token: &str,
        (session, user): (&AppSessionId, &UserName),
    ) -> Result<Arc<Derived>, NotKnown> {
        let is_good = |derived: &&Arc<Derived>| {
            derived.session == *session
                && derived.user == *user
                && self.clock.now() < derived.expires
        };
        if let Some(found) = self.known().get(&digest_of(token)).filter(is_good) {
            return Ok(Arc::clone(found));
        }
        let agent = token.strip_prefix(TOKEN).and_then(|rest| rest.split('.').nth(1));
        match agent.is_some_and(|agent| agent != self.host_id.as_str()) {
            true => Err(NotKnown::OtherAgent),
            false => Err(NotKnown::Ended),
        }
    }

    /// Keeps the keys of AWS's answer, and gives the answer with others in their place.
    ///
    /// `asked` is the role that was to be assumed, `by` are the keys that the call was made with.
    pub(crate) fn keep(
        &self,
        (grant, asked): (&Grant, Option<&RoleArn>),
        by: Option<&Derived>,
        body: &[u8],
    ) -> Result<String, NotKept> {
        let answer = KeysAnswer::parse(body)?;
        if asked.is_some_and(|role| !answer.is_of(role)) {
            return Err(NotKept::OtherRole);
        }
        let expires = answer.expires().min(grant.until());
        if expires <= self.clock.now() {
            return Err(NotKept::Expired);
        }
        let mut chain = by.map(|by| by.chain.clone()).unwrap_or_default();
        chain.extend(asked.cloned());
        if chain.len() > LONGEST_CHAIN {
            return Err(NotKept::Full);
        }
        let (ours, digest) = self.invent()?;
        self.put(
            digest,
            Derived {
                keys: Arc::new(Keys::new(answer.credentials())),
                chain,
                session: grant.session().clone(),
                user: grant.user().clone(),
                expires,
            },
        )?;
        Ok(answer.with(&ours, expires))
    }

    fn put(&self, digest: [u8; 32], derived: Derived) -> Result<(), NotKept> {
        let now = self.clock.now();
        let mut known = self.known();
        known.retain(|_, old| now < old.expires);
        let of_session: Vec<_> =
            known.iter().filter(|(_, old)| old.session == derived.session).collect();
        if of_session.len() >= MOST_OF_SESSION {
            let first = of_session.into_iter().min_by_key(|(_, old)| old.expires);
            if let Some(digest) = first.map(|(digest, _)| *digest) {
                known.remove(&digest);
            }
        }
        if known.len() >= MOST {
            return Err(NotKept::Full);
        }
        known.insert(digest, Arc::new(derived));
        Ok(())
    }

    /// Keys as AWS's look, and the digest of their token, which names this agent.
    fn invent(&self) -> Result<(Credentials, [u8; 32]), NotKept> {
        let random = SystemRandom::new();
        let mut bytes = [0; 16 + 40 + 32];
        random.fill(&mut bytes).map_err(|_| NotKept::Chance)?;
        let (id, rest) = bytes.split_at(16);
        let (secret, name) = rest.split_at(40);
        let token = format!("{TOKEN}.{}.{}", self.host_id, spelled(name, HEX));
        let digest = digest_of(&token);
        let ours = Credentials {
            access_key_id: format!("ASIA{}", spelled(id, BASE32)),
            secret_access_key: Secret::new(spelled(secret, BASE64)),
            session_token: Some(Secret::new(token)),
        };
        Ok((ours, digest))
    }

    /// Drops the keys of sessions that have ended, as long as the agent runs.
    pub(crate) async fn sweep(self: Arc<Self>, policy: Arc<LivePolicy>, stop: CancellationToken) {
        let mut version = policy.follow();
        let mut ticks = interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = version.changed() => if changed.is_err() { return },
                _ = ticks.tick() => {}
            }
            self.forget_ended(&policy);
        }
    }

    /// Drops the keys that have ended, and those of sessions that have.
    pub(crate) fn forget_ended(&self, policy: &LivePolicy) {
        let (snapshot, now) = (policy.now(), self.clock.now());
        let is_live = |session: &AppSessionId| snapshot.policy.session(session.as_str()).is_some();
        self.known().retain(|_, derived| now < derived.expires && is_live(&derived.session));
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.known().len()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Derived>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest_of(token: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, token.as_bytes());
    // A SHA-256 has 32 bytes. Were it not so, no token would be found.
    digest.as_ref().try_into().unwrap_or([0; 32])
}

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// One character for each random byte; every alphabet's length divides 256, so that all are as likely.
fn spelled(random: &[u8], alphabet: &[u8]) -> String {
    let pick = |byte: &u8| alphabet.get(usize::from(*byte) % alphabet.len()).copied();
    random.iter().filter_map(pick).map(char::from).collect()
}
