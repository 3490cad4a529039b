//! Credentials, and the signing keys derived from them.

use crate::secret::Secret;

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
}

impl Keys {
    /// Keys for these credentials. Nothing is derived yet.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials }
    }

    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        &self.credentials.access_key_id
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Keys").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}
