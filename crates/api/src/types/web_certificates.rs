//! The shelf of web certificates that proxies order by ACME (RFC 8555) and share.
//!
//! Names are checked against the cluster at every door: the proxy's public host, or an enrolled
//! app's subdomain of it. Proxies alone may read or write here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::secret::SecretText;

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebCertificate {
    /// The host name that it is for.
    pub name: String,
    /// The chain, leaf first, PEM.
    pub certificate: String,
    /// The leaf's private key, PEM.
    pub key: SecretText,
    /// When the leaf ends. The Auth Service reads it from the leaf; what a proxy says is passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
}

/// What is on the shelf, without keys; names that are no longer enrolled are marked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebCertificateListed {
    /// The host name.
    pub name: String,
    /// When the certificate ends.
    pub not_after: Timestamp,
    /// Whether a certificate may still be ordered for the name. One that may not is not renewed.
    pub is_enrolled: bool,
}

/// A proxy wants to be the one that orders a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// For how long: 1 to 3,600. It is kept until then unless a certificate is put sooner, so that
    /// a failed order is not repeated at once.
    pub seconds: u32,
}

/// Whether it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Whether the caller may order.
    pub is_granted: bool,
    /// Until when, for whoever holds it.
    pub until: Timestamp,
}

/// The account at the certificate authority, shared by all proxies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeAccount {
    /// URL of the authority's directory.
    pub directory: String,
    /// The account with its key, as the ACME client writes it.
    pub credentials: SecretText,
}

/// Which authority's account is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcmeAccountQuery {
    /// URL of the authority's directory.
    pub directory: String,
}

/// The answer to a TLS-ALPN-01 challenge (RFC 8737) that is under way, so that whichever proxy
/// the authority reaches can give it. Kept for ten minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeAnswer {
    /// The host name.
    pub name: String,
    /// The self-signed certificate with the `acmeIdentifier` extension, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: SecretText,
}
