//! Which authorities a process trusts: a value that is stored and sent as JSON, and a live holder of the newest one.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use access::identity::Identity;
use access::names::ClusterName;
use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::identity::{IdentityError, identity_of};
use crate::{AuthorityKind, CertError, CertPem, Pin, provider};

/// The authorities of one cluster. During a rotation there are two of a kind.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Trust {
    cluster: ClusterName,
    user: Vec<CertPem>,
    host: Vec<CertPem>,
    anchors: Arc<Anchors>,
}

/// The newest [`Trust`], shared by every connection of a process. A change bites on the next handshake.
pub struct LiveTrust(ArcSwap<Trust>);

/// Why certificates cannot be trusted as authorities.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Nothing to verify services with.
    #[error("no host authority of cluster {cluster} is given")]
    NoHostAuthority {
        /// The cluster.
        cluster: ClusterName,
    },
    /// A certificate that may not sign others.
    #[error("`{subject}` is not a certificate authority")]
    NotAnAuthority {
        /// Its common name.
        subject: String,
    },
    /// One key as user and as host authority: the kind of an identity could not be told.
    #[error("the same key {pin} is given as user and as host authority")]
    SharedKey {
        /// The key.
        pin: Pin,
    },
    /// A text that is no certificate.
    #[error("an authority's certificate cannot be read")]
    Cert(#[from] CertError),
    /// A certificate that the TLS library does not accept.
    #[error("an authority's certificate cannot be used")]
    Unusable(#[source] rustls::Error),
}

impl Trust {
    /// Trusts the given authorities. Services need at least one host authority; people's may be absent.
    pub fn new(
        cluster: ClusterName,
        user: Vec<CertPem>,
        host: Vec<CertPem>,
    ) -> Result<Self, TrustError> {
        if host.is_empty() {
            return Err(TrustError::NoHostAuthority { cluster });
        }
        let user_keys = authority_keys(&user)?;
        if let Some(pin) = authority_keys(&host)?.intersection(&user_keys).next() {
            return Err(TrustError::SharedKey { pin: *pin });
        }
        let anchors = Arc::new(Anchors::new(&user, &host)?);
        Ok(Self { cluster, user, host, anchors })
    }

    /// The cluster whose identities are accepted.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The certificates of one kind of authority.
    pub fn authorities(&self, kind: AuthorityKind) -> &[CertPem] {
        match kind {
            AuthorityKind::User => &self.user,
            AuthorityKind::Host => &self.host,
        }
    }

    /// The pins of the host authorities, as `tctl status` prints them.
    pub fn host_pins(&self) -> Result<Vec<Pin>, CertError> {
        self.host.iter().map(|cert| Pin::of_certificate(cert.leaf())).collect()
    }

    pub(crate) fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust")
            .field("cluster", &self.cluster)
            .field("user", &self.user)
            .field("host", &self.host)
            .finish()
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.cluster == other.cluster && self.user == other.user && self.host == other.host
    }
}

impl Eq for Trust {}

impl LiveTrust {
    /// Starts with `trust`.
    pub fn new(trust: Trust) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(trust)))
    }

    /// Trusts something else from now on. Open connections go on: whoever wants them checked again does so per request.
    pub fn replace(&self, trust: Trust) {
        self.0.store(Arc::new(trust));
    }

    /// What is trusted now.
    pub fn current(&self) -> Arc<Trust> {
        self.0.load_full()
    }

    /// [`identity_of`] against what is trusted now.
    pub fn identity_of(
        &self,
        peer: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<Identity, IdentityError> {
        identity_of(peer, &self.current(), now)
    }
}

impl fmt::Debug for LiveTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveTrust({:?})", self.current())
    }
}

/// Verifiers made once per [`Trust`].
pub(crate) struct Anchors {
    pub(crate) users: Option<Arc<dyn ClientCertVerifier>>,
    pub(crate) hosts: Arc<dyn ClientCertVerifier>,
    pub(crate) services: Arc<WebPkiServerVerifier>,
}

impl Anchors {
    fn new(user: &[CertPem], host: &[CertPem]) -> Result<Self, TrustError> {
        let hosts = roots(host)?;
        let users = if user.is_empty() { None } else { Some(client_verifier(roots(user)?)?) };
        Ok(Self {
            users,
            services: WebPkiServerVerifier::builder_with_provider(hosts.clone(), provider())
                .build()
                .map_err(unusable)?,
            hosts: client_verifier(hosts)?,
        })
    }
}

fn client_verifier(roots: Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, TrustError> {
    WebPkiClientVerifier::builder_with_provider(roots, provider()).build().map_err(unusable)
}

fn unusable(error: rustls::server::VerifierBuilderError) -> TrustError {
    TrustError::Unusable(rustls::Error::General(error.to_string()))
}

fn roots(certs: &[CertPem]) -> Result<Arc<RootCertStore>, TrustError> {
    let mut store = RootCertStore::empty();
    for der in certs.iter().flat_map(CertPem::chain) {
        store.add(der).map_err(TrustError::Unusable)?;
    }
    Ok(Arc::new(store))
}

fn authority_keys(certs: &[CertPem]) -> Result<BTreeSet<Pin>, TrustError> {
    let mut keys = BTreeSet::new();
    for der in certs.iter().flat_map(CertPem::chain) {
        let facts = crate::cert::facts_of(&der)?;
        if !facts.is_authority {
            return Err(TrustError::NotAnAuthority { subject: facts.subject });
        }
        keys.insert(facts.pin);
    }
    Ok(keys)
}

#[derive(Serialize, Deserialize)]
struct Written {
    cluster: ClusterName,
    user: Vec<CertPem>,
    host: Vec<CertPem>,
}

impl TryFrom<Written> for Trust {
    type Error = TrustError;

    fn try_from(written: Written) -> Result<Self, TrustError> {
        Self::new(written.cluster, written.user, written.host)
    }
}

impl From<Trust> for Written {
    fn from(trust: Trust) -> Self {
        Self { cluster: trust.cluster, user: trust.user, host: trust.host }
    }
}
