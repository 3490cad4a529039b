//! Invites and password resets: a link that lets its holder set a password.

use access::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::login::Password;

/// Why the link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InviteKind {
    /// A new user.
    Invite,
    /// A user whose password and second factor were reset.
    Reset,
}

/// What the page of the link shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invite {
    /// Whose.
    pub user: UserName,
    /// Why.
    pub kind: InviteKind,
    /// Until when the link works.
    pub expires: Timestamp,
    /// The second factor to enrol; `None` when the cluster asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<OtpEnrolment>,
    /// Whether the second factor may be left out (`second_factor: optional`).
    pub otp_optional: bool,
}

/// A second factor about to be enrolled. Shown to the link's holder only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtpEnrolment {
    /// `otpauth://` address for the QR code.
    pub url: String,
    /// The secret in Base32, to type by hand.
    pub secret: String,
}

impl std::fmt::Debug for OtpEnrolment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OtpEnrolment([secret])")
    }
}

/// What the holder of the link sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteAcceptance {
    /// The new password.
    pub password: Password,
    /// The current code of the second factor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<String>,
}

/// Answer to an acceptance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InviteAccepted {
    /// Who can log in now.
    pub user: UserName,
}

/// A link that an admin hands to a user.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct InviteLink {
    /// Whose.
    pub user: UserName,
    /// Why.
    pub kind: InviteKind,
    /// `https://<proxy>/web/invite/<token>`.
    pub url: String,
    /// Until when it works.
    pub expires: Timestamp,
}

impl std::fmt::Debug for InviteLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InviteLink {{ user: {}, url: [secret] }}", self.user)
    }
}
