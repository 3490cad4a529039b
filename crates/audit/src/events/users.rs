//! Users: logging in, being created, passwords and second factors.

use serde::{Deserialize, Serialize};

use super::Kind;

/// A login.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserLogin {
    /// Who logged in, as he named himself.
    pub user: String,
    /// How: `local` or the kind of connector.
    pub method: String,
    /// Whether it worked.
    pub success: bool,
    /// Why it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The client's address.
    #[serde(rename = "addr.remote", default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// The client program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The second factor that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_device: Option<MfaDevice>,
}

/// A second factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MfaDevice {
    /// The name its owner gave it.
    pub mfa_device_name: String,
    /// Its id.
    pub mfa_device_uuid: String,
    /// `TOTP` or `WEBAUTHN`.
    pub mfa_device_type: String,
}

/// A user who may not log in for a while, after too many failures. The original records none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserLockout {
    /// Who.
    pub user: String,
    /// How many failures in a row led to it.
    pub attempts: u32,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// The address of the last failure.
    #[serde(rename = "addr.remote", default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// What creating and changing a user both record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserFields {
    /// Who did it.
    pub user: String,
    /// The user it was done to.
    pub name: String,
    /// The roles this user now has.
    pub roles: Vec<String>,
    /// Where the user comes from: `local`.
    pub connector: String,
    /// When the user ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// A user was created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserCreate(pub UserFields);

/// A user was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserUpdate(pub UserFields);

/// A user was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserDelete {
    /// Who did it.
    pub user: String,
    /// Whom it was done to.
    pub name: String,
}

/// A password was set or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserPasswordChange {
    /// Whose.
    pub user: String,
    /// The client's address.
    #[serde(rename = "addr.remote", default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
}

/// A second factor was added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MfaAdd {
    /// Whose.
    pub user: String,
    /// Which.
    #[serde(flatten)]
    pub device: MfaDevice,
}

/// A second factor was removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MfaDelete {
    /// Whose.
    pub user: String,
    /// Which.
    #[serde(flatten)]
    pub device: MfaDevice,
}

/// A link with which a user sets a password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResetTokenCreate {
    /// Who made the link.
    pub user: String,
    /// For whom.
    pub name: String,
    /// How long it works, as `1h0m0s`.
    pub ttl: String,
    /// What for. Ours.
    pub purpose: ResetTokenPurpose,
}

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResetTokenPurpose {
    /// A new user's first password.
    Invite,
    /// A new password for a user who had one.
    Password,
}

impl Kind for UserLogin {
    fn code(&self) -> &'static str {
        match (self.method.as_str(), self.success) {
            ("local", true) => "T1000I",
            ("local", false) => "T1000W",
            (_, true) => "T1001I",
            (_, false) => "T1001W",
        }
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        match (self.success, &self.error) {
            (true, _) => format!("user {} logged in ({})", self.user, self.method),
            (false, Some(error)) => format!("login of user {} failed: {error}", self.user),
            (false, None) => format!("login of user {} failed", self.user),
        }
    }
}

impl Kind for UserLockout {
    fn code(&self) -> &'static str {
        "CW1000W"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!(
            "user {} locked out until {} after {} failed logins",
            self.user, self.expires, self.attempts
        )
    }
}

impl Kind for UserCreate {
    fn code(&self) -> &'static str {
        "T1002I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.0.user)
    }

    fn summary(&self) -> String {
        format!(
            "{} created user {} with roles {}",
            self.0.user,
            self.0.name,
            self.0.roles.join(", ")
        )
    }
}

impl Kind for UserUpdate {
    fn code(&self) -> &'static str {
        "T1003I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.0.user)
    }

    fn summary(&self) -> String {
        format!(
            "{} changed user {}, who now has roles {}",
            self.0.user,
            self.0.name,
            self.0.roles.join(", ")
        )
    }
}

impl Kind for UserDelete {
    fn code(&self) -> &'static str {
        "T1004I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("{} deleted user {}", self.user, self.name)
    }
}

impl Kind for UserPasswordChange {
    fn code(&self) -> &'static str {
        "T1005I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("user {} set a new password", self.user)
    }
}

impl Kind for MfaAdd {
    fn code(&self) -> &'static str {
        "T1006I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("user {} added the second factor {}", self.user, self.device.mfa_device_name)
    }
}

impl Kind for MfaDelete {
    fn code(&self) -> &'static str {
        "T1007I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("user {} removed the second factor {}", self.user, self.device.mfa_device_name)
    }
}

impl Kind for ResetTokenCreate {
    fn code(&self) -> &'static str {
        "T6000I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        let what = match self.purpose {
            ResetTokenPurpose::Invite => "an invite link",
            ResetTokenPurpose::Password => "a password reset link",
        };
        format!("{} made {what} for user {}, valid for {}", self.user, self.name, self.ttl)
    }
}
