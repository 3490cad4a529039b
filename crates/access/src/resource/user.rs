//! `kind: user`: roles, traits and the state of the account. Secrets are no part of it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::kind::{UserKind, UserVersion};
use super::lists;
use super::metadata::Metadata;
use crate::names::{RoleName, Traits, UserName};

/// A user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// `kind: user`.
    pub kind: UserKind,
    /// Unused, kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_kind: Option<String>,
    /// `version: v2`.
    pub version: UserVersion,
    /// Name, labels and so on.
    pub metadata: Metadata<UserName>,
    /// What it says.
    #[serde(default)]
    pub spec: UserSpec,
}

impl User {
    /// A user with roles and traits.
    #[must_use]
    pub fn new(name: UserName, roles: Vec<RoleName>, traits: Traits) -> Self {
        Self {
            kind: UserKind,
            sub_kind: None,
            version: UserVersion,
            metadata: Metadata::named(name),
            spec: UserSpec { roles, traits, ..UserSpec::default() },
        }
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &UserName {
        &self.metadata.name
    }

    /// Whether the account itself has ended.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.metadata.is_expired(now) || self.spec.expires.is_some_and(|end| end <= now)
    }

    /// Whether the account is locked at `now`.
    #[must_use]
    pub fn is_locked(&self, now: SystemTime) -> bool {
        let status = self.spec.status.as_ref();
        status.is_some_and(|status| {
            status.is_locked && status.lock_expires.is_none_or(|end| end > now)
        })
    }
}

/// What a user resource says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserSpec {
    /// The roles.
    #[serde(deserialize_with = "role_names")]
    pub roles: Vec<RoleName>,
    /// The traits.
    #[serde(deserialize_with = "lists::texts_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub traits: Traits,
    /// When the account ends.
    #[serde(with = "crate::moment::rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub expires: Option<SystemTime>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<CreatedBy>,
    /// Whether it is locked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<UserStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    github_identities: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc_identities: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saml_identities: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_device_ids: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_auth: Option<Value>,
}

fn role_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RoleName>, D::Error> {
    let names = lists::texts(deserializer)?;
    let mut roles = Vec::with_capacity(names.len());
    for name in names {
        let role = RoleName::parse(&name).map_err(serde::de::Error::custom)?;
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    Ok(roles)
}

/// Who made a user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CreatedBy {
    /// The connector of a single sign-on user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<Value>,
    /// When.
    #[serde(with = "crate::moment::rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub time: Option<SystemTime>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserRef>,
}

/// Names a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserRef {
    /// The name; it may be that of a part of the system.
    pub name: String,
}

/// The state of an account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserStatus {
    /// Whether it is locked.
    #[serde(deserialize_with = "flag")]
    pub is_locked: bool,
    /// Why.
    #[serde(deserialize_with = "lists::maybe_text", skip_serializing_if = "Option::is_none")]
    pub locked_message: Option<String>,
    /// Since when.
    #[serde(with = "crate::moment::rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub locked_time: Option<SystemTime>,
    /// Until when; for good if absent.
    #[serde(with = "crate::moment::rfc3339_option", skip_serializing_if = "Option::is_none")]
    pub lock_expires: Option<SystemTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_attempt_lock_expires: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_state: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_weakest_device: Option<Value>,
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    lists::maybe_flag(deserializer).map(Option::unwrap_or_default)
}
