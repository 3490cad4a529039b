//! From a peer's certificate to an [`Identity`]: the only place where one is made.

use std::time::SystemTime;

use access::identity::{Claims, HostClaims, Identity, VerifiedClaims};
use access::names::ClusterName;
use rustls::{CertificateError, Error as TlsFailure};
use rustls_pki_types::CertificateDer;
use thiserror::Error;
use x509_parser::certificate::X509Certificate;

use crate::cert::{common_name, facts_of, parse_x509};
use crate::extension::{self, ExtensionError};
use crate::verify::clearer;
use crate::{AuthorityKind, CertError, CertPem, Trust, moment};

/// Why a certificate gives no identity.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The peer showed none.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// It does not parse.
    #[error("the peer's certificate cannot be read")]
    Malformed(#[from] CertError),
    /// Its last second is over.
    #[error("the certificate of `{subject}` has expired; log in or join again")]
    Expired {
        /// Whose it is, by its own word.
        subject: String,
    },
    /// Its first second has not come.
    #[error("the certificate of `{subject}` is not valid yet; check the clocks")]
    NotYetValid {
        /// Whose it is, by its own word.
        subject: String,
    },
    /// It was not signed by an authority of the cluster, or not for this purpose.
    #[error("the certificate of `{subject}` was not issued by an authority of cluster {cluster}")]
    Untrusted {
        /// Whose it is, by its own word.
        subject: String,
        /// The cluster that refuses it.
        cluster: ClusterName,
        /// What verification said.
        #[source]
        source: TlsFailure,
    },
    /// The extension is absent, double or garbled.
    #[error("the certificate of `{subject}` gives no identity")]
    NoIdentity {
        /// Whose it is, by its own word.
        subject: String,
        /// What is wrong with it.
        #[source]
        source: ExtensionError,
    },
    /// A user authority vouched for a host, or the reverse.
    #[error("the {authority} authority may not vouch for a {claimed} identity")]
    WrongKind {
        /// The authority that signed.
        authority: AuthorityKind,
        /// What the certificate claims.
        claimed: AuthorityKind,
    },
    /// The identity belongs to another cluster.
    #[error("the identity belongs to cluster {claimed}, not to {cluster}")]
    OtherCluster {
        /// The cluster in the identity.
        claimed: ClusterName,
        /// The cluster that refuses it.
        cluster: ClusterName,
    },
    /// Subject and identity name two different holders.
    #[error("the certificate is for `{subject}`, but the identity in it for `{claimed}`")]
    WrongName {
        /// The subject's common name.
        subject: String,
        /// The name in the identity.
        claimed: String,
    },
}

/// Reads who a peer is from the certificates it showed, leaf first.
///
/// The leaf must be signed directly by an authority of `trust`; the kind of that authority decides the kind of the identity.
/// The handshake has proved that the peer holds the leaf's key: call this only with `peer_certificates()` of a finished one.
/// Everything else is verified here again, because trust and time may have moved since the handshake.
pub fn identity_of(
    peer: &[CertificateDer<'_>],
    trust: &Trust,
    now: SystemTime,
) -> Result<Identity, IdentityError> {
    let leaf = peer.first().ok_or(IdentityError::NoCertificate)?;
    let authority = authority_of(leaf, trust, now)?;
    let cert = parse_x509(leaf)?;
    let not_after = facts_of(leaf)?.not_after;
    let verified = match authority {
        AuthorityKind::User => {
            let claims: Claims = claims_of(&cert, authority)?;
            check_holder(&cert, trust, &claims.cluster, claims.user.as_str())?;
            VerifiedClaims::User { claims, not_after }
        }
        AuthorityKind::Host => {
            let claims: HostClaims = claims_of(&cert, authority)?;
            check_holder(&cert, trust, &claims.cluster, claims.host_id.as_str())?;
            VerifiedClaims::Host { claims, not_after }
        }
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one caller: the certificate was verified above"
    )]
    Ok(Identity::assert_from_verified_certificate(verified))
}

/// The claims in one's own user certificate, to show to its owner. They prove nothing.
pub fn unverified_claims(cert: &CertPem) -> Result<Claims, IdentityError> {
    let parsed = parse_x509(cert.leaf())?;
    claims_of(&parsed, AuthorityKind::User)
}

/// The claims in one's own host certificate, to find out what one is. They prove nothing.
pub fn unverified_host_claims(cert: &CertPem) -> Result<HostClaims, IdentityError> {
    let parsed = parse_x509(cert.leaf())?;
    claims_of(&parsed, AuthorityKind::Host)
}

/// Which kind of authority signed the leaf. Intermediates are never looked at: our authorities delegate to nobody.
fn authority_of(
    leaf: &CertificateDer<'_>,
    trust: &Trust,
    now: SystemTime,
) -> Result<AuthorityKind, IdentityError> {
    let moment = moment::unix(now);
    let anchors = trust.anchors();
    let mut refusal = TlsFailure::InvalidCertificate(CertificateError::UnknownIssuer);
    let kinds = [
        (AuthorityKind::User, anchors.users.as_ref()),
        (AuthorityKind::Host, Some(&anchors.hosts)),
    ];
    for (kind, verifier) in kinds {
        let Some(verifier) = verifier else { continue };
        match verifier.verify_client_cert(leaf, &[], moment) {
            Ok(_) => return Ok(kind),
            Err(error) => refusal = clearer(refusal, error),
        }
    }
    Err(refused(leaf, trust, refusal))
}

fn refused(leaf: &CertificateDer<'_>, trust: &Trust, source: TlsFailure) -> IdentityError {
    let subject = match facts_of(leaf) {
        Ok(facts) => facts.subject,
        Err(error) => return IdentityError::Malformed(error),
    };
    match &source {
        TlsFailure::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => IdentityError::Expired { subject },
        TlsFailure::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => IdentityError::NotYetValid { subject },
        _ => IdentityError::Untrusted { subject, cluster: trust.cluster().clone(), source },
    }
}

fn claims_of<T: serde::de::DeserializeOwned>(
    cert: &X509Certificate<'_>,
    authority: AuthorityKind,
) -> Result<T, IdentityError> {
    let no_identity =
        |source| IdentityError::NoIdentity { subject: common_name(cert.subject()), source };
    let found = extension::read(cert).map_err(no_identity)?;
    if found.kind != authority {
        return Err(IdentityError::WrongKind { authority, claimed: found.kind });
    }
    found.parse().map_err(no_identity)
}

fn check_holder(
    cert: &X509Certificate<'_>,
    trust: &Trust,
    cluster: &ClusterName,
    name: &str,
) -> Result<(), IdentityError> {
    if cluster != trust.cluster() {
        return Err(IdentityError::OtherCluster {
            claimed: cluster.clone(),
            cluster: trust.cluster().clone(),
        });
    }
    let subject = common_name(cert.subject());
    if subject != name {
        return Err(IdentityError::WrongName { subject, claimed: name.to_owned() });
    }
    Ok(())
}
