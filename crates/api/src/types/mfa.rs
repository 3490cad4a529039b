//! Second factors: the devices of a user, enrolling and removing them, proving one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::invites::OtpEnrolment;
use super::login::Password;
use super::web_sessions::WebSessionId;

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MfaKind {
    /// An authenticator app with one-time codes.
    Totp,
    /// A passkey or security key.
    Webauthn,
}

impl MfaKind {
    /// As `tsh mfa ls` and the audit log write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "TOTP",
            Self::Webauthn => "WEBAUTHN",
        }
    }
}

/// A device as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MfaDevice {
    /// Its id.
    pub id: String,
    /// The name its owner gave it; unique among the owner's.
    pub name: String,
    /// What it is.
    pub kind: MfaKind,
    /// When it was enrolled.
    pub added: Timestamp,
    /// When it was last used; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

/// The proof of a second factor.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MfaProof {
    /// The current code of an authenticator app.
    Otp {
        /// As typed.
        code: String,
    },
    /// A passkey's answer to a challenge.
    Webauthn {
        /// [`MfaChallenge::id`], or that of the login challenge.
        challenge: String,
        /// What `PublicKeyCredential.toJSON()` gave.
        credential: Value,
    },
    /// A code that the user's browser was given after it proved a factor (`purpose: mfa`).
    Browser {
        /// The code.
        code: String,
        /// The secret whose SHA-256 the browser handed on.
        verifier: String,
    },
}

impl std::fmt::Debug for MfaProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Otp { .. } => "Otp([secret])",
            Self::Webauthn { .. } => "Webauthn([secret])",
            Self::Browser { .. } => "Browser([secret])",
        })
    }
}

/// What may be shown as a second factor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MfaChallenge {
    /// Names the challenge in [`MfaProof::Webauthn`]. Good once, for five minutes.
    pub id: String,
    /// Whether the user has an authenticator app.
    pub otp: bool,
    /// For a user with passkeys: `{"publicKey": PublicKeyCredentialRequestOptionsJSON}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<Value>,
}

/// Asks to enrol a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRequest {
    /// What it is.
    pub kind: MfaKind,
    /// What to call it.
    pub name: String,
    /// Needed of whoever has a device already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<MfaProof>,
}

/// A device about to be enrolled: one of `totp` and `webauthn` is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Names the enrolment in [`DeviceRequest`]. Good once, for five minutes.
    pub id: String,
    /// What an authenticator app needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totp: Option<OtpEnrolment>,
    /// `{"publicKey": PublicKeyCredentialCreationOptionsJSON}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<Value>,
}

/// Finishes an enrolment: with the code that the app shows, or with what the passkey made.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    /// [`Enrolment::id`].
    pub enrolment: String,
    /// The current code of an authenticator app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What `PublicKeyCredential.toJSON()` gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Value>,
}

impl std::fmt::Debug for DeviceRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceRequest([secret] for {})", self.enrolment)
    }
}

/// Removes a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRemoval {
    /// A proof of any device of the user, the one to be removed included.
    pub proof: MfaProof,
}

/// Changes the caller's own password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password until now.
    pub old: Password,
    /// The new one.
    pub new: Password,
    /// Needed of whoever has a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<MfaProof>,
    /// The caller's web session that goes on; all others of the caller end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_session: Option<WebSessionId>,
}
