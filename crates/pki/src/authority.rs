//! The two certificate authorities of a cluster, and what they put into a certificate.
//!
//! The user authority makes people's certificates, the host authority makes services'. They have different keys and
//! different names, and neither may delegate (path length 0), so that the issuer alone tells the kind of an identity.

use std::fmt;
use std::time::{Duration, SystemTime};

use access::identity::{Claims, HostClaims};
use access::names::ClusterName;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cert::{common_name, organizations, parse_x509};
use crate::moment::{self, DAY};
use crate::{CertError, CertPem, KeyError, KeyPair, Pin, PublicKey, SecretPem, extension};

/// Which kind of identity an authority makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorityKind {
    /// People and programs: client certificates only.
    User,
    /// Services of the cluster: client and server certificates.
    Host,
}

/// A certificate authority with its private key. Only the Auth Service holds one.
#[derive(Clone)]
pub struct Authority {
    kind: AuthorityKind,
    cluster: ClusterName,
    cert: CertPem,
    key: KeyPair,
    not_after: SystemTime,
}

/// Why an authority could not be made, loaded or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The key is no key, or not one that we certify.
    #[error("the key cannot be used")]
    Key(#[from] KeyError),
    /// The authority's certificate does not parse.
    #[error("the authority's certificate cannot be read")]
    Cert(#[from] CertError),
    /// A certificate and a key, a kind or a cluster that do not belong together.
    #[error("this is not the {kind} authority of cluster {cluster}: {why}")]
    NotThisAuthority {
        /// The kind that was asked for.
        kind: AuthorityKind,
        /// The cluster that was asked for.
        cluster: ClusterName,
        /// What does not fit.
        why: &'static str,
    },
    /// The user authority was asked for a host certificate, or the reverse.
    #[error("the {kind} authority does not make such certificates")]
    WrongKind {
        /// The kind of this authority.
        kind: AuthorityKind,
    },
    /// Claims for a cluster that is not this authority's.
    #[error("claims for cluster {claimed} cannot be certified by cluster {cluster}")]
    OtherCluster {
        /// The cluster in the claims.
        claimed: ClusterName,
        /// This authority's cluster.
        cluster: ClusterName,
    },
    /// An end that is past, or beyond the authority's own, or not a date that a certificate can hold.
    #[error(
        "the certificate cannot end when asked: the end is past, or later than its authority's"
    )]
    BadLifetime,
    /// Claims that do not fit into a certificate.
    #[error(
        "the identity is larger than {} bytes; give the user fewer roles or traits",
        extension::MAX_IDENTITY
    )]
    TooLarge,
    /// A server name that is not a host name, wildcard or address.
    #[error("`{name}` is not a name that a certificate can carry")]
    BadName {
        /// The name.
        name: String,
    },
    /// A certificate and a key that are no local authority.
    #[error("the certificate is no authority, or the key is not its own")]
    NotALocalCa,
    /// The finished certificate and its key do not fit.
    #[error("the certificate and its key do not fit")]
    Credential(#[source] crate::CredentialError),
    /// The library failed.
    #[error("could not build the certificate")]
    Build(#[source] rcgen::Error),
}

impl Authority {
    /// Makes a new authority that lives for ten years.
    pub fn generate(
        kind: AuthorityKind,
        cluster: &ClusterName,
        now: SystemTime,
    ) -> Result<Self, IssueError> {
        let key = KeyPair::generate()?;
        let not_after = now + AUTHORITY_LIFETIME;
        let mut params = moment::params(now, not_after)?;
        params.distinguished_name = authority_name(kind, cluster);
        let cert = self_signed_authority(params, &key)?;
        Self::from_pem(kind, cluster, cert.as_str(), key.secret_pem().expose())
    }

    /// Loads an authority from its two PEM texts, and checks that they belong together.
    pub fn from_pem(
        kind: AuthorityKind,
        cluster: &ClusterName,
        cert: &str,
        key: &str,
    ) -> Result<Self, IssueError> {
        let cert = CertPem::parse(cert)?;
        let key = KeyPair::from_pem(key)?;
        let facts = cert.facts()?;
        let refuse = |why| IssueError::NotThisAuthority { kind, cluster: cluster.clone(), why };
        if facts.pin != Pin::of_spki(key.public().as_der()) {
            return Err(refuse("the key does not belong to the certificate"));
        }
        if !facts.is_authority {
            return Err(refuse("the certificate may not sign others"));
        }
        let parsed = parse_x509(cert.leaf())?;
        let is_named = common_name(parsed.subject()) == common_name_of(kind, cluster)
            && organizations(parsed.subject()) == [cluster.as_str()];
        if !is_named {
            return Err(refuse("the certificate bears another name"));
        }
        Ok(Self { kind, cluster: cluster.clone(), not_after: facts.not_after, cert, key })
    }

    /// The certificate and the private key, for the store.
    pub fn to_pem(&self) -> (CertPem, SecretPem) {
        (self.cert.clone(), self.key.secret_pem())
    }

    /// The authority's own certificate.
    pub fn cert(&self) -> &CertPem {
        &self.cert
    }

    /// Which identities it makes.
    pub fn kind(&self) -> AuthorityKind {
        self.kind
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// The end of its validity.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// The hash of its public key, as `tctl status` prints it.
    pub fn pin(&self) -> Pin {
        Pin::of_spki(self.key.public().as_der())
    }

    /// Certifies a person's key until `claims.expires`.
    pub fn issue_user(
        &self,
        claims: &Claims,
        key: &PublicKey,
        now: SystemTime,
    ) -> Result<CertPem, IssueError> {
        self.check(AuthorityKind::User, &claims.cluster)?;
        let mut params = moment::params(now, self.end(claims.expires, now)?)?;
        params.distinguished_name =
            subject(claims.user.as_str(), claims.roles.iter().map(|role| role.as_str().to_owned()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let identity = extension::write(self.kind, claims).ok_or(IssueError::TooLarge)?;
        self.sign_leaf(params, identity, key)
    }

    /// Certifies a service's key for `dns_names` (host names, wildcards or addresses) until `not_after`.
    pub fn issue_host(
        &self,
        claims: &HostClaims,
        key: &PublicKey,
        dns_names: &[String],
        validity: Validity,
    ) -> Result<CertPem, IssueError> {
        self.check(AuthorityKind::Host, &claims.cluster)?;
        let end = self.end(validity.not_after, validity.now)?;
        let mut params = moment::params(validity.now, end)?;
        params.distinguished_name =
            subject(claims.host_id.as_str(), claims.system_roles.iter().map(ToString::to_string));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = server_names(dns_names)?;
        let identity = extension::write(self.kind, claims).ok_or(IssueError::TooLarge)?;
        self.sign_leaf(params, identity, key)
    }

    fn check(&self, kind: AuthorityKind, claimed: &ClusterName) -> Result<(), IssueError> {
        if self.kind != kind {
            return Err(IssueError::WrongKind { kind: self.kind });
        }
        if self.cluster != *claimed {
            return Err(IssueError::OtherCluster {
                claimed: claimed.clone(),
                cluster: self.cluster.clone(),
            });
        }
        Ok(())
    }

    fn end(&self, asked: SystemTime, now: SystemTime) -> Result<SystemTime, IssueError> {
        if asked <= now || asked > self.not_after {
            return Err(IssueError::BadLifetime);
        }
        Ok(asked)
    }

    fn sign_leaf(
        &self,
        mut params: CertificateParams,
        identity: CustomExtension,
        key: &PublicKey,
    ) -> Result<CertPem, IssueError> {
        params.custom_extensions = vec![identity];
        sign_leaf(params, key, &self.cert, &self.key)
    }
}

/// When a certificate is made and when it ends.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// The present moment.
    pub now: SystemTime,
    /// The last moment of validity.
    pub not_after: SystemTime,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({} of {}, {})", self.kind, self.cluster, self.pin())
    }
}

impl fmt::Display for AuthorityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Host => "host",
        })
    }
}

/// Signs an authority's certificate with its own key.
pub(crate) fn self_signed_authority(
    mut params: CertificateParams,
    key: &KeyPair,
) -> Result<CertPem, IssueError> {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    let cert = params.self_signed(key).map_err(IssueError::Build)?;
    Ok(CertPem::from_der(cert.der())?)
}

/// Signs an end-entity certificate for `key`.
pub(crate) fn sign_leaf(
    mut params: CertificateParams,
    key: &PublicKey,
    issuer: &CertPem,
    issuer_key: &KeyPair,
) -> Result<CertPem, IssueError> {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let issuer = Issuer::from_ca_cert_der(issuer.leaf(), issuer_key).map_err(IssueError::Build)?;
    let cert = params.signed_by(&key.certifiable()?, &issuer).map_err(IssueError::Build)?;
    Ok(CertPem::from_der(cert.der())?)
}

/// Host names, wildcards and addresses as subject alternative names.
pub(crate) fn server_names(names: &[String]) -> Result<Vec<SanType>, IssueError> {
    names.iter().map(|name| server_name(name)).collect()
}

fn server_name(name: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = name.parse() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = || IssueError::BadName { name: name.to_owned() };
    let host = name.strip_prefix("*.").unwrap_or(name);
    rustls_pki_types::DnsName::try_from(host).map_err(|_| bad())?;
    name.try_into().map(SanType::DnsName).map_err(|_| bad())
}

const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3652 * DAY);

fn common_name_of(kind: AuthorityKind, cluster: &ClusterName) -> String {
    format!("{cluster} {kind} CA")
}

fn authority_name(kind: AuthorityKind, cluster: &ClusterName) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, cluster.as_str());
    name.push(DnType::CommonName, common_name_of(kind, cluster));
    name
}

/// The subject is for people who look at a certificate: nothing reads roles out of it.
fn subject(common_name: &str, roles: impl Iterator<Item = String>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    let roles: Vec<String> = roles.collect();
    if !roles.is_empty() {
        name.push(DnType::OrganizationName, roles.join(", "));
    }
    name.push(DnType::CommonName, common_name);
    name
}
