//! Certificates: authorities, what goes into one, what is read back out, TLS settings.
//!
//! What it deliberately does not do: store anything, decide who gets a certificate, or open a connection.

pub mod acme;
mod authority;
mod cert;
mod credential;
mod extension;
mod identity;
mod key;
mod local_ca;
mod moment;
mod pem;
pub mod tls;
mod trust;
mod verify;
pub mod web;

pub use authority::{Authority, AuthorityKind, IssueError, Validity};
pub use cert::{CertError, CertFacts, CertPem, Pin, facts_of};
pub use credential::{Credential, CredentialError, LiveCredential};
pub use extension::ExtensionError;
pub use identity::{IdentityError, identity_of, unverified_claims, unverified_host_claims};
pub use key::{KeyError, KeyPair, PublicKey, SecretPem};
pub use local_ca::{LocalCa, LocalLeaves};
pub use moment::Clock;
pub use tls::{Accept, ClientTls, Peers, ServerTls, TlsError, TrustedServers, provider};
pub use trust::{LiveTrust, Trust, TrustError};
pub use web::{LiveWeb, WebPair, WebTrust};
