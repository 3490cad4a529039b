//! Credentials, and the signing keys derived from them.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::payload::hex64;
use super::scope::Scope;
use super::sigv4a::EcdsaKeys;
use crate::secret::Secret;

/// How many derived keys are kept: a client uses one or two services in one or two regions on one day.
const KEPT: usize = 32;

/// A pair of AWS keys, with the session token that temporary ones carry. `Debug` shows the access key id alone.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Public: it travels in every request.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: Secret<String>,
    /// Sent as `X-Amz-Security-Token`.
    pub session_token: Option<Secret<String>>,
}

/// Credentials with a small cache of the keys derived from them, by date, region and service.
///
/// Share it (`Arc`) between requests: deriving a key costs as much as signing a small request.
pub struct Keys {
    credentials: Credentials,
    token: Option<Result<HeaderValue, BadToken>>,
    derived: RwLock<Vec<Arc<Derived>>>,
    asymmetric: OnceLock<Option<EcdsaKeys>>,
}

/// The key for SigV4A cannot be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoKey;

/// The session token holds a character that no header takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadToken;

struct Derived {
    date: String,
    region: String,
    service: String,
    key: hmac::Key,
}

impl Keys {
    /// Keys for these credentials. Nothing is derived yet.
    pub fn new(credentials: Credentials) -> Self {
        let token = credentials.session_token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|_| BadToken)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Self { credentials, token, derived: RwLock::default(), asymmetric: OnceLock::new() }
    }

    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        &self.credentials.access_key_id
    }

    /// The header that carries the session token, if these are temporary credentials.
    pub(crate) fn token(&self) -> Result<Option<HeaderValue>, BadToken> {
        self.token.clone().transpose()
    }

    /// The signature of a string to sign, in lower-case hex.
    pub(crate) fn sign(&self, scope: &Scope, string_to_sign: &str) -> Result<String, NoKey> {
        match scope.algorithm() {
            Algorithm::Hmac => {
                let signature = self.signature(of(scope), string_to_sign);
                Ok(String::from_utf8_lossy(&signature).into_owned())
            }
            Algorithm::Ecdsa => {
                self.asymmetric().and_then(|keys| keys.sign(string_to_sign.as_bytes())).ok_or(NoKey)
            }
        }
    }

    /// Whether a signature was made with these keys; in constant time.
    pub(crate) fn verifies(&self, scope: &Scope, string_to_sign: &str, signature: &str) -> bool {
        match scope.algorithm() {
            Algorithm::Hmac => {
                let expected = self.signature(of(scope), string_to_sign);
                verify_slices_are_equal(signature.as_bytes(), &expected).is_ok()
            }
            Algorithm::Ecdsa => self
                .asymmetric()
                .is_some_and(|keys| keys.verifies(string_to_sign.as_bytes(), signature)),
        }
    }

    fn asymmetric(&self) -> Option<&EcdsaKeys> {
        let Credentials { access_key_id, secret_access_key, .. } = &self.credentials;
        let derive = || EcdsaKeys::derive(access_key_id, secret_access_key.expose());
        self.asymmetric.get_or_init(derive).as_ref()
    }

    /// The HMAC signature of a string to sign: 64 characters of lower-case hex.
    pub(crate) fn signature(&self, scope: [&str; 3], string_to_sign: &str) -> [u8; 64] {
        let derived = self.derived(scope);
        let tag = hmac::sign(&derived.key, string_to_sign.as_bytes());
        // An HMAC-SHA256 has 32 bytes. Were it not so, no signature would match.
        hex64(&tag.as_ref().try_into().unwrap_or([0; 32]))
    }

    fn derived(&self, scope: [&str; 3]) -> Arc<Derived> {
        let known = self.derived.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(derived) = known.iter().find(|derived| derived.is_for(scope)) {
            return Arc::clone(derived);
        }
        drop(known);
        let fresh = Arc::new(Derived::new(&self.credentials.secret_access_key, scope));
        let mut known = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push(Arc::clone(&fresh));
        fresh
    }
}

fn of(scope: &Scope) -> [&str; 3] {
    [scope.date(), scope.region(), scope.service()]
}

impl Derived {
    fn new(secret: &Secret<String>, [date, region, service]: [&str; 3]) -> Self {
        let start = Zeroizing::new(format!("AWS4{}", secret.expose()));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, start.as_bytes());
        for word in [date, region, service, "aws4_request"] {
            let tag = hmac::sign(&key, word.as_bytes());
            key = hmac::Key::new(hmac::HMAC_SHA256, tag.as_ref());
        }
        Self { date: date.to_owned(), region: region.to_owned(), service: service.to_owned(), key }
    }

    fn is_for(&self, [date, region, service]: [&str; 3]) -> bool {
        self.date == date && self.region == region && self.service == service
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Keys").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Credentials, KEPT, Keys};

    fn keys() -> Keys {
        Keys::new(Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: Some("the-token".into()),
        })
    }

    #[test]
    fn cached_and_fresh_keys_sign_alike_and_the_cache_is_bounded() {
        let keys = keys();
        let scope = ["20150830", "us-east-1", "iam"];
        let first = keys.signature(scope, "text");
        for number in 0..KEPT * 2 {
            let region = format!("region-{number}");
            assert_ne!(keys.signature(["20150830", &region, "iam"], "text"), first);
        }
        assert_eq!(keys.derived.read().unwrap().len(), KEPT);
        assert_eq!(keys.signature(scope, "text"), first);
        assert_eq!(keys.signature(scope, "text"), first);
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = keys();
        keys.signature(["20150830", "us-east-1", "iam"], "text");
        let shown = format!("{keys:?}");
        assert!(shown.contains("AKIDEXAMPLE"));
        assert!(!shown.contains("wJalr") && !shown.contains("the-token"), "{shown}");
    }
}
