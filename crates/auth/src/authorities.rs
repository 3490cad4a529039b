//! The user authority and the host authority: made at the first start, loaded ever after.

use std::time::SystemTime;

use access::ClusterName;
use api::types::status::AuthorityStatus;
use pki::{Authority, AuthorityKind, Trust};

use crate::events::timestamp;
use crate::refusal::Refusal;
use crate::store::{Store, StoredAuthority};

/// Both authorities, with their keys, and what others need to trust them.
#[derive(Debug)]
pub(crate) struct Authorities {
    /// Makes people's certificates.
    pub(crate) user: Authority,
    /// Makes services' certificates.
    pub(crate) host: Authority,
    trust: Trust,
    rotated: [Option<SystemTime>; 2],
}

/// Which cluster the store belongs to.
const CLUSTER: &str = "cluster_name";

impl Authorities {
    /// Loads the authorities of `cluster`, or makes them at the first start.
    pub(crate) async fn open(
        store: &Store,
        cluster: &ClusterName,
        now: SystemTime,
    ) -> Result<Self, Refusal> {
        let founded = store.read(|reader| reader.fact(CLUSTER)).await?;
        match founded {
            None => found(store, cluster, now).await?,
            Some(name) if name == cluster.as_str() => {}
            Some(name) => {
                let other = format!("the store belongs to cluster {name}, not to {cluster}");
                let hint = "cluster_name cannot be changed; set it back, or use another data_dir";
                return Err(Refusal::conflict(other).hint(hint));
            }
        }
        let (user, user_rotated) = load(store, cluster, AuthorityKind::User).await?;
        let (host, host_rotated) = load(store, cluster, AuthorityKind::Host).await?;
        let (users, hosts) = (vec![user.cert().clone()], vec![host.cert().clone()]);
        let trust = Trust::new(cluster.clone(), users, hosts)
            .map_err(|error| Refusal::broken("the authorities", error))?;
        Ok(Self { user, host, trust, rotated: [host_rotated, user_rotated] })
    }

    /// Whom members of the cluster trust.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// `sha256:…` of each host authority, for a first contact.
    pub(crate) fn pins(&self) -> Vec<String> {
        vec![self.host.pin().to_string()]
    }

    /// For `tctl status`.
    pub(crate) fn status(&self) -> Vec<AuthorityStatus> {
        let kinds = [AuthorityKind::Host, AuthorityKind::User];
        let status = |(kind, rotated): (AuthorityKind, Option<SystemTime>)| AuthorityStatus {
            kind: kind.to_string(),
            rotated: rotated.map(timestamp),
        };
        kinds.into_iter().zip(self.rotated).map(status).collect()
    }
}

async fn found(store: &Store, cluster: &ClusterName, now: SystemTime) -> Result<(), Refusal> {
    let make = |kind| {
        let authority = Authority::generate(kind, cluster, now)
            .map_err(|error| Refusal::broken("making an authority", error))?;
        let (cert, key) = authority.to_pem();
        Ok::<_, Refusal>(StoredAuthority { cert: cert.as_str().to_owned(), key, rotated: None })
    };
    let (user, host) = (make(AuthorityKind::User)?, make(AuthorityKind::Host)?);
    let name = cluster.to_string();
    store
        .write(move |tx| {
            tx.found_authority(AuthorityKind::User, &user)?;
            tx.found_authority(AuthorityKind::Host, &host)?;
            tx.found_fact(CLUSTER, &name)
        })
        .await
}

async fn load(
    store: &Store,
    cluster: &ClusterName,
    kind: AuthorityKind,
) -> Result<(Authority, Option<SystemTime>), Refusal> {
    let stored = store.read(move |reader| reader.authority(kind)).await?;
    let stored = stored.ok_or_else(|| Refusal::broken("an authority", "it is not in the store"))?;
    let authority = Authority::from_pem(kind, cluster, &stored.cert, stored.key.expose())
        .map_err(|error| Refusal::broken("an authority cannot be loaded", error))?;
    Ok((authority, stored.rotated))
}
