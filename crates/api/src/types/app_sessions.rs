//! App sessions: one user, one app, at most one AWS role, until an end.

use access::{AppName, AppSessionId, UserName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
}

/// The session and its certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSessionReply {
    /// The session.
    pub session: AppSession,
    /// The app certificate, PEM.
    pub certificate: String,
}

/// A live app session, as services keep it in their snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppSession {
    /// Unguessable: 128 random bits.
    pub id: AppSessionId,
    /// Whose it is.
    pub user: UserName,
    /// Which app it opens.
    pub app: AppName,
    /// The app's public address (`aws.example.com`).
    pub public_addr: String,
    /// The one AWS role of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role: Option<String>,
    /// When it ends.
    pub expires: Timestamp,
}
