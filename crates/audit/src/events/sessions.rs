//! App sessions beginning and ending.

use serde::{Deserialize, Serialize};

use super::Kind;

/// An app session began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppSessionStart {
    /// Whose.
    pub user: String,
    /// The session.
    pub sid: String,
    /// The app.
    pub app_name: String,
    /// The app's URI.
    pub app_uri: String,
    /// The app's public address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app_public_addr: String,
    /// The one AWS role of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role_arn: Option<String>,
    /// When it ends at the latest, RFC 3339. Ours.
    pub expires: String,
    /// The client's address.
    #[serde(rename = "addr.remote", default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// An app session ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppSessionEnd {
    /// Whose.
    pub user: String,
    /// The session.
    pub sid: String,
    /// The app.
    pub app_name: String,
    /// The one AWS role of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role_arn: Option<String>,
    /// Why: `logout`, `expired`, `replaced`, `user deleted`, … Ours.
    pub reason: String,
}

impl Kind for AppSessionStart {
    fn code(&self) -> &'static str {
        "T2007I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        let role = self.aws_role_arn.as_deref().map(|arn| format!(" as {arn}")).unwrap_or_default();
        format!("user {} logged into app {}{role}", self.user, self.app_name)
    }
}

impl Kind for AppSessionEnd {
    fn code(&self) -> &'static str {
        "T2011I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("session of user {} with app {} ended: {}", self.user, self.app_name, self.reason)
    }
}
