//! Signed tokens that tell an app who its user is, and the keys to check them with.

use access::AppSessionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::secret::SecretText;

/// An agent asks for a token for a session of an app that it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppTokenRequest {
    /// The session.
    pub session: AppSessionId,
}

/// The token, a JWT (RFC 7519) signed with RS256.
///
/// Claims: `iss` the cluster, `sub` and `username` the user, `aud` the app's URI, `iat`, `nbf`,
/// `exp` (at most the end of the session), `jti`, and, as `rewrite.jwt_claims` of the app says,
/// `roles` and `traits`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppToken {
    /// The token.
    pub token: SecretText,
    /// When it ends; ask again some time before.
    pub expires: Timestamp,
}

/// Public keys, as `/.well-known/jwks.json` shows them (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys, the one in use first.
    pub keys: Vec<Jwk>,
}

/// One public RSA key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `RSA`.
    pub kty: String,
    /// `RS256`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
    /// Which key it is, as the tokens name it.
    pub kid: String,
    /// Modulus, base64url.
    pub n: String,
    /// Exponent, base64url.
    pub e: String,
}
