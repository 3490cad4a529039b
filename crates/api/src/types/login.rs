//! Logging a local user in.

use access::{ClusterName, UserName};
use pki::Trust;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::mfa::MfaProof;
use super::secret::SecretText;

/// A password, at most 128 bytes long where it is checked.
pub type Password = SecretText;

/// What `tsh login` sends. The key pair was made on the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// As typed; checked by the Auth Service in the same time whether it exists or not.
    pub user: String,
    /// As typed.
    pub password: Password,
    /// One-time code, when the cluster asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
    /// Public half (SPKI, PEM).
    pub public_key: String,
    /// Wanted life of the certificate in seconds; capped by the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Client's address as the proxy saw it; a client cannot set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
    /// The client program, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The first half of a login in two steps: name and password.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginChallengeRequest {
    /// As typed.
    pub user: String,
    /// As typed.
    pub password: Password,
    /// Client's address as the proxy saw it; a client cannot set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
    /// The client program, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// The password was right; this is what is still to be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoginChallenge {
    /// Names the challenge in [`ChallengeLogin`]. Good once, for five minutes and a few tries.
    pub id: String,
    /// Whether a second factor must be shown.
    pub needs_factor: bool,
    /// Whether the user has an authenticator app.
    pub otp: bool,
    /// For a user with passkeys: `{"publicKey": PublicKeyCredentialRequestOptionsJSON}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<Value>,
}

/// The second half: the factor, and the key to certify.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeLogin {
    /// [`LoginChallenge::id`].
    pub challenge: String,
    /// The second factor, where one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<MfaProof>,
    /// Public half (SPKI, PEM).
    pub public_key: String,
    /// Wanted life of the certificate in seconds; capped by the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Client's address as the proxy saw it; a client cannot set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
    /// The client program, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// A login by a code that the user's browser was given.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserLogin {
    /// The code.
    pub browser_code: String,
    /// The secret whose SHA-256 the browser handed on.
    pub verifier: String,
    /// Public half (SPKI, PEM).
    pub public_key: String,
    /// Wanted life of the certificate in seconds; capped by the roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Client's address as the proxy saw it; a client cannot set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
    /// The client program, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

impl std::fmt::Debug for BrowserLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BrowserLogin([secret])")
    }
}

/// What `POST /v1/login` takes, told apart by its fields.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum LoginForm {
    /// Name, password and perhaps a code, in one step.
    Password(LoginRequest),
    /// The second of two steps.
    Challenge(ChallengeLogin),
    /// A browser's code.
    Browser(BrowserLogin),
}

impl<'de> Deserialize<'de> for LoginForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = if value.get("challenge").is_some() {
            serde_json::from_value(value).map(Self::Challenge)
        } else if value.get("browser_code").is_some() {
            serde_json::from_value(value).map(Self::Browser)
        } else {
            serde_json::from_value(value).map(Self::Password)
        };
        // The reader's words could quote a password.
        read.map_err(|_| serde::de::Error::custom("a field is missing, unknown or of another type"))
    }
}

/// What a user gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginReply {
    /// As the cluster writes it.
    pub user: UserName,
    /// The user certificate, PEM.
    pub certificate: String,
    /// Whom to trust.
    pub trust: Trust,
    /// The cluster.
    pub cluster: ClusterName,
    /// What is odd about the user's roles, e.g. a role ARN that does not parse.
    #[serde(default)]
    pub warnings: Vec<String>,
}
