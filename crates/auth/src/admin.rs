//! The identity of `tctl` on the Auth Service's own host: files that only the owner of
//! `data_dir` can read. Whoever can read them may do everything, as can whoever reads the store
//! beside them.
//!
//! `data_dir/admin/` (0700) holds `key.pem`, `cert.pem`, `trust.json` and `address` (0600 each).
//! The certificate lives a day and is renewed while the service runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::SystemRole;
use api::error::Chain;
use api::files::{self, Mode};
use pki::{KeyPair, Validity};
use tracing::warn;

use crate::cluster::Cluster;
use crate::join::{self, Applicant};
use crate::refusal::Refusal;

/// Folder in `data_dir`.
pub const ADMIN_FOLDER: &str = "admin";
/// Private key, PKCS#8 PEM.
pub const ADMIN_KEY: &str = "key.pem";
/// Certificate with the system role `Admin`, PEM.
pub const ADMIN_CERTIFICATE: &str = "cert.pem";
/// Whom to trust ([`pki::Trust`]), JSON.
pub const ADMIN_TRUST: &str = "trust.json";
/// `host:port` of the Auth Service on this host.
pub const ADMIN_ADDRESS: &str = "address";

const LIFE: Duration = Duration::from_secs(24 * 3_600);
const RENEWED_EVERY: Duration = Duration::from_secs(4 * 3_600);

/// Writes the identity with a certificate of one day.
pub(crate) fn write(cluster: &Cluster, address: &str, now: SystemTime) -> Result<(), Refusal> {
    let folder = cluster.config.data_dir.join(ADMIN_FOLDER);
    files::private_folder(&folder).map_err(broken)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(broken)?;
    let key = key(&folder)?;
    let applicant = Applicant {
        host_id: cluster.host_id.clone(),
        node_name: cluster.config.node_name.clone(),
        roles: vec![SystemRole::Admin],
        dns_names: Vec::new(),
    };
    let not_after = now.checked_add(LIFE).unwrap_or(now).min(cluster.authorities.host.not_after());
    let certificate = join::issue(cluster, &applicant, &key.public(), Validity { now, not_after })?;
    let trust = serde_json::to_vec_pretty(cluster.authorities.trust())?;
    keep(&folder, ADMIN_CERTIFICATE, certificate.as_bytes())?;
    keep(&folder, ADMIN_TRUST, &trust)?;
    keep(&folder, ADMIN_ADDRESS, address.as_bytes())
}

/// Renews the identity until the service stops.
pub(crate) async fn renew(cluster: Arc<Cluster>, address: String) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(RENEWED_EVERY) => {}
            () = cluster.stopping.cancelled() => return,
        }
        let (with, at) = (Arc::clone(&cluster), address.clone());
        let written = tokio::task::spawn_blocking(move || write(&with, &at, with.now())).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(error = %Chain(&error), "could not renew tctl's identity"),
            Err(error) => warn!(%error, "could not renew tctl's identity"),
        }
    }
}

/// The key of an earlier start, so that a reader never sees a certificate beside another's key.
fn key(folder: &Path) -> Result<KeyPair, Refusal> {
    let old = files::read_optional(&folder.join(ADMIN_KEY)).map_err(broken)?;
    if let Some(key) = old.and_then(|text| KeyPair::from_pem(&text).ok()) {
        return Ok(key);
    }
    let key = KeyPair::generate().map_err(broken)?;
    keep(folder, ADMIN_KEY, key.secret_pem().expose().as_bytes())?;
    Ok(key)
}

fn keep(folder: &Path, name: &str, content: &[u8]) -> Result<(), Refusal> {
    files::write(&folder.join(name), content, Mode::Private).map_err(broken)
}

fn broken(error: impl Into<api::error::Cause>) -> Refusal {
    Refusal::broken("writing tctl's identity", error)
}
