//! Passwords: which are accepted, how they are hashed, and checking one in the same time
//! whether there is a hash to check it against or not.

use std::sync::Arc;
use std::time::Duration;

use api::types::login::Password;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::config::PasswordCost;
use crate::refusal::Refusal;

/// Fewest characters of a new password.
pub(crate) const SHORTEST: usize = 12;
/// Most bytes of any password.
pub(crate) const LONGEST: usize = 128;
/// How long a check waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Hashes and checks passwords, a few at a time, off the async threads.
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// The hash of a password that nobody knows, for users who have none.
    nobody: Arc<str>,
    permits: Arc<Semaphore>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the password.
    Right,
    /// It is not, or there is none.
    Wrong,
}

impl Passwords {
    /// Makes the hash that unknown users are checked against: takes as long as one check.
    pub(crate) fn new(cost: PasswordCost) -> Result<Self, Refusal> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)
            .map_err(|error| Refusal::broken("the password cost", error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, &random::<32>()?)?.into();
        let permits = Arc::new(Semaphore::new(cost.at_once.max(1)));
        Ok(Self { argon2, nobody, permits })
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: &Password) -> Result<String, Refusal> {
        acceptable(password)?;
        let (argon2, password) = (self.argon2.clone(), password.clone());
        self.in_turn(move || hash(&argon2, password.expose().as_bytes())).await?
    }

    /// Checks a password; without a hash it takes the same time and is wrong.
    pub(crate) async fn check(
        &self,
        password: &Password,
        hash: Option<String>,
    ) -> Result<Verdict, Refusal> {
        let is_real = hash.is_some() && password.expose().len() <= LONGEST;
        let hash = hash.unwrap_or_else(|| self.nobody.to_string());
        let (argon2, password) = (self.argon2.clone(), password.clone());
        let fits = self
            .in_turn(move || {
                // A longer one is wrong; it is cut so that it costs no more than others.
                let bytes = password.expose().as_bytes();
                let bytes = bytes.get(..LONGEST).unwrap_or(bytes);
                let hash = PasswordHash::new(&hash);
                hash.is_ok_and(|hash| argon2.verify_password(bytes, &hash).is_ok())
            })
            .await?;
        Ok(if fits && is_real { Verdict::Right } else { Verdict::Wrong })
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let busy = || Refusal::busy("too many logins at once; try again in a moment");
        let permit = timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        work.await.map_err(|error| Refusal::broken("hashing a password panicked", error))
    }
}

/// Says what is wrong with a new password.
fn acceptable(password: &Password) -> Result<(), Refusal> {
    let text = password.expose();
    if text.len() > LONGEST {
        return Err(Refusal::invalid(format!("the password is longer than {LONGEST} bytes")));
    }
    if text.chars().count() < SHORTEST {
        let short = format!("the password is too short: at least {SHORTEST} characters are needed");
        return Err(Refusal::invalid(short).hint("four or five unrelated words make a good one"));
    }
    Ok(())
}

fn hash(argon2: &Argon2<'_>, password: &[u8]) -> Result<String, Refusal> {
    let hash = argon2.hash_password_with_salt(password, &random::<16>()?);
    let hash = hash.map_err(|error| Refusal::broken("hashing a password", error.to_string()))?;
    Ok(hash.to_string())
}

/// Random bytes from the operating system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes)
        .map_err(|error| Refusal::broken("no random numbers", error.to_string()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let passwords = Passwords::new(PasswordCost::least()).unwrap();
        let hash = passwords.hash(&password("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        for (text, hash, verdict) in [
            ("correct horse battery", Some(hash.clone()), Verdict::Right),
            ("correct horse batterx", Some(hash.clone()), Verdict::Wrong),
            ("", Some(hash.clone()), Verdict::Wrong),
            ("correct horse battery", None, Verdict::Wrong),
            ("correct horse battery", Some("rubbish".to_owned()), Verdict::Wrong),
        ] {
            assert_eq!(passwords.check(&password(text), hash).await.unwrap(), verdict, "{text}");
        }
    }

    #[tokio::test]
    async fn too_short_and_too_long_passwords_are_refused() {
        let passwords = Passwords::new(PasswordCost::least()).unwrap();
        for text in ["", "short", "elevenchars", &"x".repeat(129)] {
            assert!(passwords.hash(&password(text)).await.is_err(), "{text}");
        }
        let longest = "x".repeat(128);
        let hash = passwords.hash(&password(&longest)).await.unwrap();
        let longer = passwords.check(&password(&format!("{longest}y")), Some(hash)).await.unwrap();
        assert_eq!(longer, Verdict::Wrong, "a longer one is not cut into the right one");
    }

    #[test]
    fn the_default_cost_is_no_less_than_owasp_asks() {
        let cost = PasswordCost::default();
        assert!(cost.memory_kib >= 19 * 1_024 && cost.passes >= 2 && cost.lanes >= 1);
    }
}
