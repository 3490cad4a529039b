//! Codes by which a signed-in browser lets `tsh` log in, or proves a second factor for it.

use serde::{Deserialize, Serialize};

use super::mfa::MfaProof;

/// What a code is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrowserPurpose {
    /// `tsh` gets a user certificate for it, at `/webapi/login/code`.
    Login,
    /// `tsh` shows it as [`MfaProof::Browser`]. Needs a proof.
    Mfa,
}

/// Asked for with the user's web certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserCodeRequest {
    /// SHA-256 of the verifier that `tsh` keeps, base64url without padding.
    pub challenge: String,
    /// What for.
    pub purpose: BrowserPurpose,
    /// A second factor. A login without one ends with the browser's own session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<MfaProof>,
}

/// The code: good once, for 60 seconds, with the verifier only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserCode {
    /// The code.
    pub code: String,
}

impl std::fmt::Debug for BrowserCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BrowserCode([secret])")
    }
}
