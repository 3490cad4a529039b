//! Joining a cluster and keeping what was got: a host's identity in `data_dir`.
//!
//! The token is needed once. Afterwards the host has a certificate of its own,
//! in `<data_dir>/host/<role>.json` (0600, written whole or not at all).

use std::path::{Path, PathBuf};

use access::{ClusterName, HostId, SystemRole};
use pki::{Credential, KeyPair, Trust};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::client::Client;
use crate::error::ApiError;
use crate::files::{self, FileError, Mode};
use crate::types::join::{JoinReply, JoinRequest};
use crate::web::WebClient;

/// What a host is in its cluster, with the key that proves it.
#[derive(Debug, Clone)]
pub struct HostIdentity {
    /// The host.
    pub host_id: HostId,
    /// What it joined as.
    pub role: SystemRole,
    /// The cluster.
    pub cluster: ClusterName,
    /// Certificate and key.
    pub credential: Credential,
    /// Whom it trusts.
    pub trust: Trust,
}

/// Why a host has no identity.
#[derive(Debug, Error)]
pub enum JoinError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The saved identity is unusable.
    #[error("{} is damaged; remove it and join again with a token", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: crate::error::Cause,
    },
    /// No key could be made.
    #[error("could not make a key pair")]
    Key(#[source] pki::KeyError),
    /// The cluster could not be reached or refused.
    #[error("could not join the cluster")]
    Refused(#[from] ApiError),
    /// The cluster's answer is unusable.
    #[error("the cluster answered with an unusable certificate")]
    BadReply(#[source] crate::error::Cause),
}

impl JoinError {
    /// Whether trying again later may help without anything being changed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_passing())
    }
}

/// By which way a host reaches the cluster for the first time.
#[derive(Clone)]
pub enum Door {
    /// Through a proxy; trusted by its web certificate.
    Proxy(WebClient),
    /// Directly; trusted by the CA pin.
    Auth(Client),
}

/// What a host says of itself when it joins.
#[derive(Debug, Clone)]
pub struct Applicant {
    /// What it wants to be.
    pub role: SystemRole,
    /// `nodename`.
    pub node_name: String,
    /// Further names for its certificate.
    pub dns_names: Vec<String>,
}

/// A host's own folder, `data_dir`.
#[derive(Debug, Clone)]
pub struct HostFolder {
    data_dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    host_id: HostId,
    role: SystemRole,
    key: String,
    certificate: String,
    trust: Trust,
}

impl HostFolder {
    /// The folder `data_dir`. No IO yet.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into() }
    }

    /// The host's id: made at the first start, the same ever after.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn host_id(&self) -> Result<HostId, JoinError> {
        let path = self.data_dir.join("host_uuid");
        if let Some(text) = files::read_optional(&path)? {
            return HostId::parse(text.trim())
                .map_err(|e| JoinError::Damaged { path, source: e.into() });
        }
        let id = Uuid::new_v4().to_string();
        files::private_folder(&self.data_dir)?;
        files::write(&path, format!("{id}\n").as_bytes(), Mode::Private)?;
        HostId::parse(&id).map_err(|e| JoinError::Damaged { path, source: e.into() })
    }

    /// The identity that an earlier start got, if any.
    ///
    /// # Errors
    /// When it is there and unusable.
    pub fn load(&self, role: SystemRole) -> Result<Option<HostIdentity>, JoinError> {
        let path = self.path(role);
        let Some(text) = files::read_optional(&path)? else { return Ok(None) };
        let damaged =
            |source: crate::error::Cause| JoinError::Damaged { path: path.clone(), source };
        let saved: Saved = serde_json::from_str(&text).map_err(|e| damaged(e.into()))?;
        let credential =
            Credential::from_pem(&saved.certificate, &saved.key).map_err(|e| damaged(e.into()))?;
        Ok(Some(HostIdentity {
            host_id: saved.host_id,
            role: saved.role,
            cluster: saved.trust.cluster().clone(),
            credential,
            trust: saved.trust,
        }))
    }

    /// Keeps an identity for the next start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, identity: &HostIdentity) -> Result<(), JoinError> {
        let path = self.path(identity.role);
        let saved = Saved {
            host_id: identity.host_id.clone(),
            role: identity.role,
            key: identity.credential.key().secret_pem().expose().to_owned(),
            certificate: identity.credential.cert().as_str().to_owned(),
            trust: identity.trust.clone(),
        };
        let text = serde_json::to_vec_pretty(&saved)
            .map_err(|e| JoinError::Damaged { path: path.clone(), source: e.into() })?;
        if let Some(folder) = path.parent() {
            files::private_folder(folder)?;
        }
        Ok(files::write(&path, &text, Mode::Private)?)
    }

    fn path(&self, role: SystemRole) -> PathBuf {
        let name = role.as_str().to_ascii_lowercase();
        self.data_dir.join("host").join(format!("{name}.json"))
    }
}

/// Joins the cluster with a token and keeps the identity.
///
/// # Errors
/// When the cluster cannot be reached or refuses, or nothing can be kept.
pub async fn join(
    folder: &HostFolder,
    door: &Door,
    applicant: &Applicant,
    token: &str,
) -> Result<HostIdentity, JoinError> {
    let key = KeyPair::generate().map_err(JoinError::Key)?;
    let request = JoinRequest {
        token: token.to_owned(),
        host_id: folder.host_id()?,
        node_name: applicant.node_name.clone(),
        roles: vec![applicant.role],
        public_key: key.public_pem(),
        dns_names: applicant.dns_names.clone(),
    };
    let reply = match door {
        Door::Proxy(web) => web.join(&request).await?,
        Door::Auth(client) => client.join(&request).await?,
    };
    let identity = identity(request.host_id, applicant.role, &key, reply)?;
    folder.save(&identity)?;
    Ok(identity)
}

fn identity(
    host_id: HostId,
    role: SystemRole,
    key: &KeyPair,
    reply: JoinReply,
) -> Result<HostIdentity, JoinError> {
    let credential = Credential::from_pem(&reply.certificate, key.secret_pem().expose())
        .map_err(|e| JoinError::BadReply(e.into()))?;
    Ok(HostIdentity { host_id, role, cluster: reply.cluster, credential, trust: reply.trust })
}

/// Reads `token_name`: the token itself, or the path of a file that holds it.
///
/// # Errors
/// When it is a path and the file cannot be read or is empty.
pub fn read_token(name: &str) -> Result<String, TokenFileError> {
    if !name.starts_with('/') {
        return Ok(name.to_owned());
    }
    let path = Path::new(name);
    let text = files::read(path).map_err(|source| TokenFileError::Unreadable { source })?;
    match text.trim() {
        "" => Err(TokenFileError::Empty { path: path.to_owned() }),
        token => Ok(token.to_owned()),
    }
}

/// Why a token file gives no token.
#[derive(Debug, Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("the join token cannot be read")]
    Unreadable {
        /// Why.
        source: FileError,
    },
    /// It is empty.
    #[error("the join token file {} is empty", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
}
