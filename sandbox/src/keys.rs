//! Access keys: those that last, and those of sessions that STS gave out.
//!
//! Everything ever issued is remembered for the life of the process, expired or not: an expired
//! session must be told from an unknown key, and the canary test asks for all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::chance;

/// Somebody who may sign.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// `AKIA…` or `ASIA…`.
    pub access_key_id: String,
    /// What the signature is made with.
    pub secret_access_key: String,
    /// The account that calls count for.
    pub account: String,
    /// Who this is, as `GetCallerIdentity` answers it.
    pub arn: String,
    /// The `UserId` of `GetCallerIdentity`.
    pub user_id: String,
    /// Only for keys that STS gave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Principal({}, {})", self.access_key_id, self.arn)
    }
}

/// What makes a principal temporary.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The token that must come with each request.
    pub token: String,
    /// After this the key is no good.
    pub expires: Timestamp,
    /// The role it stands for; none for `GetSessionToken` and `GetFederationToken`.
    pub role_arn: Option<String>,
    /// `RoleSessionName`, or the federated user's name.
    pub name: String,
}

impl Principal {
    /// Whether the credentials come from `AssumeRole`.
    pub fn is_role_session(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.role_arn.is_some())
    }
}

/// All keys there are.
#[derive(Debug, Default)]
pub struct Keys {
    by_id: Mutex<BTreeMap<String, Arc<Principal>>>,
}

impl Keys {
    /// The principal of an access key.
    pub fn find(&self, access_key_id: &str) -> Option<Arc<Principal>> {
        self.lock().get(access_key_id).cloned()
    }

    /// Adds a principal.
    pub fn add(&self, principal: Principal) -> Arc<Principal> {
        let principal = Arc::new(principal);
        self.lock().insert(principal.access_key_id.clone(), Arc::clone(&principal));
        principal
    }

    /// Everybody, in the order of their access keys.
    pub fn all(&self) -> Vec<Arc<Principal>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Principal>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lasting key of an IAM user, made up.
pub fn generate(account: &str, user: &str) -> Principal {
    Principal {
        access_key_id: chance::access_key_id("AKIA"),
        secret_access_key: chance::secret(),
        account: account.to_owned(),
        arn: format!("arn:aws:iam::{account}:user/{user}"),
        user_id: chance::unique_id("AIDA"),
        session: None,
    }
}

/// One lasting key as it is written in a JSON key file.
#[derive(Deserialize)]
struct Written {
    access_key_id: String,
    secret_access_key: String,
    account: Option<String>,
    arn: Option<String>,
}

/// Reads lasting keys from a file: either `NAME=value` lines with `AWS_ACCESS_KEY_ID` and
/// `AWS_SECRET_ACCESS_KEY`, or a JSON list of
/// `{"access_key_id", "secret_access_key", "account", "arn"}`.
pub fn read_file(path: &Path, account: &str) -> anyhow::Result<Vec<Principal>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))?;
    let written = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no list of keys", path.display()))?
    } else {
        read_env(&text)
    };
    if written.is_empty() {
        bail!(
            "{} holds no key: expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            path.display()
        );
    }
    Ok(written.into_iter().map(|key| lasting(key, account)).collect())
}

fn lasting(key: Written, default_account: &str) -> Principal {
    let account = key.account.unwrap_or_else(|| default_account.to_owned());
    let arn = key.arn.unwrap_or_else(|| format!("arn:aws:iam::{account}:user/agent"));
    Principal {
        access_key_id: key.access_key_id,
        secret_access_key: key.secret_access_key,
        account,
        arn,
        user_id: chance::unique_id("AIDA"),
        session: None,
    }
}

fn read_env(text: &str) -> Vec<Written> {
    let mut keys = Vec::new();
    let mut id = None;
    for line in text.lines() {
        let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        match name.trim().to_ascii_uppercase().as_str() {
            "AWS_ACCESS_KEY_ID" => id = Some(value),
            "AWS_SECRET_ACCESS_KEY" => {
                let found = id.take().map(|access_key_id| Written {
                    access_key_id,
                    secret_access_key: value,
                    account: None,
                    arn: None,
                });
                keys.extend(found);
            }
            _ => {}
        }
    }
    keys
}

/// Writes one key so that a shell and `--keys` can read it; only the owner may.
pub fn write_env(path: &Path, key: &Principal, region: &str) -> anyhow::Result<()> {
    let text = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_DEFAULT_REGION={region}\n",
        key.access_key_id, key.secret_access_key
    );
    crate::files::write_private(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_key_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.env");
        let key = generate("111122223333", "agent");
        write_env(&path, &key, "us-east-1").unwrap();
        let read = read_file(&path, "111122223333").unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].access_key_id, key.access_key_id);
        assert_eq!(read[0].secret_access_key, key.secret_access_key);
        assert_eq!(read[0].arn, key.arn);
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn json_list_of_keys_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let text =
            r#"[{"access_key_id":"AKIA1","secret_access_key":"s","account":"444455556666"}]"#;
        std::fs::write(&path, text).unwrap();
        assert_eq!(read_file(&path, "111122223333").unwrap()[0].account, "444455556666");
    }

    #[test]
    fn file_without_a_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.env");
        std::fs::write(&path, "AWS_REGION=us-east-1\n").unwrap();
        assert!(read_file(&path, "111122223333").is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = generate("111122223333", "agent");
        assert!(!format!("{key:?}").contains(&key.secret_access_key));
    }
}
