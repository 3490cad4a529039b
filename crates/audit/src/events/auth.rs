//! Failures to prove who one is, outside of a login.

use serde::{Deserialize, Serialize};

use super::Kind;

/// Somebody showed a bad certificate, another user's session, or asked for what he may not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthFailure {
    /// Who, as far as it is proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Always false; the original has the field.
    pub success: bool,
    /// Which rule refused.
    pub error: String,
    /// The client's address.
    #[serde(rename = "addr.remote", default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

impl AuthFailure {
    /// A failure of `user`, or of somebody unknown, refused because of `error`.
    pub fn new(user: Option<&str>, error: String, remote: Option<String>) -> Self {
        Self { user: user.map(str::to_owned), success: false, error, remote }
    }
}

impl Kind for AuthFailure {
    fn code(&self) -> &'static str {
        "T3007W"
    }

    fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    fn summary(&self) -> String {
        match &self.user {
            Some(user) => format!("{user} was refused: {}", self.error),
            None => format!("an unknown client was refused: {}", self.error),
        }
    }
}
