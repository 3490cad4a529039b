//! App sessions: one user, one app, at most one AWS role, until an end.

use access::{AppName, AppSession};
use serde::{Deserialize, Serialize};

use super::mfa::MfaProof;

/// Asks for an app session and the certificate that goes with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSessionRequest {
    /// The app.
    pub app: AppName,
    /// For an AWS app: the role's ARN, or its name where that is unambiguous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role: Option<String>,
    /// Public half (SPKI, PEM) of the key that the certificate is for.
    pub public_key: String,
    /// A second factor, where the session needs one: without it the refusal has the code
    /// [`crate::error::MFA_REQUIRED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<MfaProof>,
}

/// The session and its certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSessionReply {
    /// The session.
    pub session: AppSession,
    /// The app certificate, PEM.
    pub certificate: String,
}

/// Which sessions to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSessionQuery {
    /// Those of all users, where a rule allows it, instead of the caller's own.
    #[serde(default)]
    pub all: bool,
}
