//! How users log in being changed. The original records it in later versions only.

use serde::{Deserialize, Serialize};

use super::Kind;

/// The cluster's settings of logging in were changed or taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthPreferenceUpdate {
    /// Who did it.
    pub user: String,
    /// The second factor from now on.
    pub second_factor: String,
    /// Whether each app session needs a second factor of its own.
    pub require_session_mfa: bool,
    /// Whether users log in with passwords.
    pub allow_local_auth: bool,
}

impl Kind for AuthPreferenceUpdate {
    fn code(&self) -> &'static str {
        "CWAP01I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        let session = if self.require_session_mfa { ", for each app session too" } else { "" };
        format!("{} set the second factor to {}{session}", self.user, self.second_factor)
    }
}
