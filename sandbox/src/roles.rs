//! The roles that may be assumed, and what their sessions may do.
//!
//! With no role configured every well-formed role can be assumed; with one or more, only those.
//! A role's `allow` is a list of action patterns, far simpler than an IAM policy: it is there so
//! that a test can tell "AWS refused" from "the product refused".

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::chance;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// `arn:aws:iam::111122223333:role/reader`.
    pub arn: String,
    /// The external id that the caller must name.
    #[serde(default)]
    pub external_id: Option<String>,
    /// The longest session in seconds.
    #[serde(default = "one_hour")]
    pub max: i64,
    /// Action patterns such as `dynamodb:Get*`; empty means everything.
    #[serde(default)]
    pub allow: Vec<String>,
    /// `AROA…`.
    #[serde(default = "role_id")]
    pub id: String,
}

/// AWS's own default for a role.
fn one_hour() -> i64 {
    3600
}

fn role_id() -> String {
    chance::unique_id("AROA")
}

/// Why a role could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadRole {
    /// Not `arn:PARTITION:iam::ACCOUNT:role/NAME`.
    #[error("`{0}` is not the ARN of a role; expected arn:aws:iam::111122223333:role/NAME")]
    Arn(String),
    /// Neither `external_id=`, `max=` nor `allow=`.
    #[error(
        "`{0}` is not a setting of a role; expected external_id=TEXT, max=SECONDS or allow=PATTERN+PATTERN"
    )]
    Setting(String),
}

impl FromStr for Role {
    type Err = BadRole;

    /// Reads `ARN[,external_id=X][,max=SECONDS][,allow=dynamodb:Get*+dynamodb:Query]`.
    fn from_str(text: &str) -> Result<Self, BadRole> {
        let mut parts = text.split(',');
        let arn = parts.next().unwrap_or_default();
        let mut role = Self::open(arn)?;
        role.max = one_hour();
        for setting in parts {
            let bad = || BadRole::Setting(setting.to_owned());
            match setting.split_once('=').ok_or_else(bad)? {
                ("external_id", value) => role.external_id = Some(value.to_owned()),
                ("max", value) => role.max = value.parse().map_err(|_| bad())?,
                ("allow", value) => role.allow = value.split('+').map(str::to_owned).collect(),
                _ => return Err(bad()),
            }
        }
        Ok(role)
    }
}

impl Role {
    /// A role without conditions.
    pub fn open(arn: &str) -> Result<Self, BadRole> {
        parts_of(arn).ok_or_else(|| BadRole::Arn(arn.to_owned()))?;
        Ok(Self {
            arn: arn.to_owned(),
            external_id: None,
            max: 43_200,
            allow: Vec::new(),
            id: role_id(),
        })
    }

    /// Whether its sessions may do `service:Operation`.
    pub fn allows(&self, action: &str) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|pattern| glob(pattern, action))
    }
}

/// Partition, account and path with name of a role's ARN.
pub fn parts_of(arn: &str) -> Option<(&str, &str, &str)> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = fields.as_slice() else { return None };
    let name = resource.strip_prefix("role/")?;
    let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let known = matches!(*partition, "aws" | "aws-cn" | "aws-us-gov");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    let named = !name.is_empty() && !name.ends_with('/') && name.bytes().all(plain);
    (digits && known && named).then_some((*partition, *account, name))
}

/// Matches `*` and nothing else, as far as actions need it.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let pieces: Vec<&str> = rest.split('*').collect();
    let Some((last, middle)) = pieces.split_last() else { return true };
    for piece in middle {
        match left.find(piece) {
            Some(at) => left = left.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(last)
}

/// The roles that are configured.
#[derive(Debug, Default)]
pub struct Roles {
    by_arn: Mutex<BTreeMap<String, Role>>,
    opened: Mutex<BTreeMap<String, Role>>,
}

impl Roles {
    /// Adds a role, or replaces the one of the same ARN.
    pub fn add(&self, role: Role) {
        lock(&self.by_arn).insert(role.arn.clone(), role);
    }

    /// Takes a role away; says whether there was one.
    pub fn remove(&self, arn: &str) -> bool {
        lock(&self.by_arn).remove(arn).is_some()
    }

    /// The configured roles.
    pub fn all(&self) -> Vec<Role> {
        lock(&self.by_arn).values().cloned().collect()
    }

    /// The role of an ARN. When none at all is configured, any role exists.
    pub fn find(&self, arn: &str) -> Option<Role> {
        let configured = lock(&self.by_arn);
        if !configured.is_empty() {
            return configured.get(arn).cloned();
        }
        let mut opened = lock(&self.opened);
        if let Some(role) = opened.get(arn) {
            return Some(role.clone());
        }
        let role = Role::open(arn).ok()?;
        opened.insert(arn.to_owned(), role.clone());
        Some(role)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_with_their_settings() {
        let role: Role = "arn:aws:iam::111122223333:role/team/reader,external_id=X-1,max=7200,allow=dynamodb:Get*+s3:*".parse().unwrap();
        assert_eq!(role.external_id.as_deref(), Some("X-1"));
        assert_eq!(role.max, 7200);
        assert!(role.allows("dynamodb:GetItem"));
        assert!(role.allows("s3:PutObject"));
        assert!(!role.allows("dynamodb:PutItem"));
    }

    #[test]
    fn what_is_no_role_is_refused() {
        for text in [
            "arn:aws:iam:111122223333:role/x",
            "arn:aws:iam::1111:role/x",
            "arn:aws:iam::111122223333:user/x",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/a b",
            "arn:aws:iam::111122223333:role/x,colour=red",
            "",
        ] {
            assert!(text.parse::<Role>().is_err(), "{text}");
        }
    }

    #[test]
    fn any_role_exists_until_one_is_configured() {
        let roles = Roles::default();
        assert!(roles.find("arn:aws:iam::111122223333:role/any").is_some());
        roles.add("arn:aws:iam::111122223333:role/reader".parse().unwrap());
        assert!(roles.find("arn:aws:iam::111122223333:role/any").is_none());
        assert!(roles.find("arn:aws:iam::111122223333:role/reader").is_some());
    }

    #[test]
    fn globs() {
        for (pattern, text, wanted) in [
            ("*", "a:b", true),
            ("dynamodb:*", "dynamodb:Query", true),
            ("dynamodb:*Item", "dynamodb:PutItem", true),
            ("dynamodb:*Item", "dynamodb:PutItems", false),
            ("dynamodb:B*W*Item", "dynamodb:BatchWriteItem", true),
            ("dynamodb:Query", "dynamodb:Scan", false),
        ] {
            assert_eq!(glob(pattern, text), wanted, "{pattern} {text}");
        }
    }
}
