//! Invites and password resets: a link that lets its holder set a password.

use access::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// The authenticator app to enrol; `None` when the cluster takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otp: Option<OtpEnrolment>,
    /// The passkey to enrol; `None` when the cluster takes none. Where both are there, either does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<PasskeyOffer>,
    /// Whether the second factor may be left out (`second_factor: optional`).
    pub otp_optional: bool,
}

/// A passkey about to be enrolled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PasskeyOffer {
    /// Names the offer in [`NewPasskey`]. Good once, for five minutes; showing the link again
    /// makes another.
    pub enrolment: String,
    /// `{"publicKey": PublicKeyCredentialCreationOptionsJSON}`.
    pub options: Value,
}

/// A passkey that was made.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPasskey {
    /// [`PasskeyOffer::enrolment`].
    pub enrolment: String,
    /// What to call it; `passkey` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What `PublicKeyCredential.toJSON()` gave.
    pub credential: Value,
}

impl std::fmt::Debug for NewPasskey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewPasskey {{ name: {:?}, .. }}", self.name)
    }
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
    /// Or a passkey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<NewPasskey>,
    /// The browser's address as the proxy saw it; a client cannot set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<String>,
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
