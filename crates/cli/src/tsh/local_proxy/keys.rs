//! Throwaway keys: what the AWS tools sign with, worth nothing outside this process.

use std::sync::Arc;

use aws::Secret;
use aws::sigv4::{Credentials, Keys};
use aws_lc_rs::hmac;
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
    /// Keys that stay the same while an app session lasts: derived from the
    /// session's private key, which gives nothing away about that key.
    #[must_use]
    pub fn of_session(private_key: &str, session: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, private_key.as_bytes());
        let part = |label: &str| {
            let tag = hmac::sign(&key, format!("causeway throwaway {label} {session}").as_bytes());
            let mut bytes = [0; 16];
            bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
            uuid::Builder::from_random_bytes(bytes).into_uuid()
        };
        Self::of_uuids(part("access key"), part("secret key"))
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
        Arc::new(Keys::new(Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            session_token: None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_last_as_long_as_their_session() {
        let first = ThrowawayKeys::of_session("key", "session-1");
        let again = ThrowawayKeys::of_session("key", "session-1");
        let next = ThrowawayKeys::of_session("key", "session-2");
        assert_eq!(first.access_key_id(), again.access_key_id());
        assert_eq!(first.secret_access_key(), again.secret_access_key());
        assert_ne!(first.access_key_id(), next.access_key_id());
        assert_ne!(first.access_key_id(), first.secret_access_key());
        assert_eq!(first.access_key_id().len(), 36);
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
        let keys = ThrowawayKeys::of_session("key", "session");
        assert!(!format!("{keys:?}").contains(keys.secret_access_key()));
    }
}
