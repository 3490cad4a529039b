//! Throwaway keys: what the AWS tools sign with, worth nothing outside this process.

use std::sync::Arc;

use aws::Secret;
use aws::sigv4::{Credentials, Keys};
use thiserror::Error;
use uuid::Uuid;

/// The pair that the local proxy gives out and accepts.
#[derive(Debug, Clone)]
pub struct ThrowawayKeys {
    access_key_id: String,
    secret_access_key: Secret<String>,
}

/// Keys from the environment that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadKeys {
    /// Only one of the two is set.
    #[error("set both TELEPORT_AWS_ACCESS_KEY_ID and TELEPORT_AWS_SECRET_ACCESS_KEY, or neither")]
    Half,
    /// AWS tools refuse other lengths.
    #[error("TELEPORT_AWS_ACCESS_KEY_ID must be 16 to 128 letters, digits, dashes or underscores")]
    BadAccessKey,
    /// Nothing to sign with.
    #[error("TELEPORT_AWS_SECRET_ACCESS_KEY must not be shorter than 16 characters")]
    BadSecret,
}

impl ThrowawayKeys {
    /// A new pair.
    #[must_use]
    pub fn random() -> Self {
        Self::of_uuids(Uuid::new_v4(), Uuid::new_v4())
    }

    /// A pair that was made before.
    #[must_use]
    pub fn of_credentials(credentials: &Credentials) -> Self {
        Self {
            access_key_id: credentials.access_key_id.clone(),
            secret_access_key: credentials.secret_access_key.clone(),
        }
    }

    /// The pair as credentials.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            session_token: None,
        }
    }

    /// Keys that the user has fixed in the environment.
    ///
    /// # Errors
    /// When only one is set or one cannot be used.
    pub fn fixed(
        access_key_id: Option<String>,
        secret_access_key: Option<String>,
    ) -> Result<Option<Self>, BadKeys> {
        let (access_key_id, secret) = match (access_key_id, secret_access_key) {
            (None, None) => return Ok(None),
            (Some(id), Some(secret)) => (id, secret),
            _ => return Err(BadKeys::Half),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !(16..=128).contains(&access_key_id.len()) || !access_key_id.chars().all(allowed) {
            return Err(BadKeys::BadAccessKey);
        }
        if secret.len() < 16 {
            return Err(BadKeys::BadSecret);
        }
        Ok(Some(Self { access_key_id, secret_access_key: Secret::new(secret) }))
    }

    fn of_uuids(access: Uuid, secret: Uuid) -> Self {
        Self {
            access_key_id: access.to_string(),
            secret_access_key: Secret::new(secret.to_string()),
        }
    }

    /// `AWS_ACCESS_KEY_ID`.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// `AWS_SECRET_ACCESS_KEY`: for the child's environment and for `tsh proxy aws` to print.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        self.secret_access_key.expose()
    }

    /// What signatures are checked with.
    #[must_use]
    pub fn verifier(&self) -> Arc<Keys> {
        Arc::new(Keys::new(self.credentials()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_is_new() {
        let (first, second) = (ThrowawayKeys::random(), ThrowawayKeys::random());
        assert_ne!(first.access_key_id(), second.access_key_id());
        assert_ne!(first.secret_access_key(), second.secret_access_key());
        assert_ne!(first.access_key_id(), first.secret_access_key());
        assert_eq!(first.access_key_id().len(), 36);
        let again = ThrowawayKeys::of_credentials(&first.credentials());
        assert_eq!(again.secret_access_key(), first.secret_access_key());
    }

    #[test]
    fn keys_from_the_environment_are_checked() {
        let ok = |id: &str, secret: &str| {
            ThrowawayKeys::fixed(Some(id.to_owned()), Some(secret.to_owned()))
        };
        assert!(ThrowawayKeys::fixed(None, None).unwrap().is_none());
        assert_eq!(ThrowawayKeys::fixed(Some("a".repeat(16)), None).unwrap_err(), BadKeys::Half);
        assert_eq!(ok("short", &"s".repeat(20)).unwrap_err(), BadKeys::BadAccessKey);
        assert_eq!(ok(&"a b".repeat(10), &"s".repeat(20)).unwrap_err(), BadKeys::BadAccessKey);
        assert_eq!(ok(&"a".repeat(20), "short").unwrap_err(), BadKeys::BadSecret);
        assert!(ok(&"a".repeat(20), &"s".repeat(20)).unwrap().is_some());
    }

    #[test]
    fn the_secret_is_not_printed() {
        let keys = ThrowawayKeys::random();
        assert!(!format!("{keys:?}").contains(keys.secret_access_key()));
    }
}
