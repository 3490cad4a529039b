//! Web sessions beginning and ending, and codes that browsers give to `tsh`. The original records
//! none of them.

use serde::{Deserialize, Serialize};

use super::Kind;

/// A browser is signed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebSessionStart {
    /// Whose.
    pub user: String,
    /// The session's id.
    pub web_session: String,
    /// When it ends at the latest, RFC 3339.
    pub expires: String,
    /// The browser's address.
    #[serde(rename = "addr.remote", default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// The browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// A browser is signed out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebSessionEnd {
    /// Whose.
    pub user: String,
    /// The session's id.
    pub web_session: String,
    /// Who ended it, where that was another user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// Why: `logout`, `expired`, `idle`, `locked`, `password changed`, …
    pub reason: String,
}

/// A browser let `tsh` log in, or proved a second factor for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrowserCodeCreate {
    /// Whose.
    pub user: String,
    /// What for: `login` or `mfa`.
    pub purpose: String,
    /// Whether a second factor was shown for it.
    pub with_mfa: bool,
}

impl Kind for WebSessionStart {
    fn code(&self) -> &'static str {
        "CWWS01I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("user {} signed in with a browser", self.user)
    }
}

impl Kind for WebSessionEnd {
    fn code(&self) -> &'static str {
        "CWWS02I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        match &self.ended_by {
            Some(by) => format!("{by} ended a web session of user {}: {}", self.user, self.reason),
            None => format!("a web session of user {} ended: {}", self.user, self.reason),
        }
    }
}

impl Kind for BrowserCodeCreate {
    fn code(&self) -> &'static str {
        "CWBC01I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        match self.purpose.as_str() {
            "mfa" => format!("user {} proved a second factor for tsh with a browser", self.user),
            _ => format!("user {} let tsh log in with a browser", self.user),
        }
    }
}
