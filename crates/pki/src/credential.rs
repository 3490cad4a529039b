//! A certificate with its key, and a holder from which running TLS settings take the newest one.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::{CertError, CertPem, KeyError, KeyPair, Pin};

/// A certificate chain and the private key of its first certificate.
#[derive(Clone)]
pub struct Credential {
    cert: CertPem,
    key: KeyPair,
    certified: Arc<CertifiedKey>,
}

/// The newest [`Credential`] of a process. Replacing it changes the next handshake, as client and as server.
pub struct LiveCredential(ArcSwap<Credential>);

/// Why a certificate and a key are no credential.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// The certificate does not parse.
    #[error("the certificate cannot be read")]
    Cert(#[from] CertError),
    /// The key does not parse.
    #[error("the private key cannot be read")]
    Key(#[from] KeyError),
    /// They belong to different keys.
    #[error("the private key does not belong to the certificate of `{subject}`")]
    Mismatch {
        /// The certificate's common name.
        subject: String,
    },
}

impl Credential {
    /// Joins a chain (leaf first) with the leaf's key.
    pub fn new(cert: CertPem, key: KeyPair) -> Result<Self, CredentialError> {
        let facts = cert.facts()?;
        if facts.pin != Pin::of_spki(key.public().as_der()) {
            return Err(CredentialError::Mismatch { subject: facts.subject });
        }
        let certified = Arc::new(CertifiedKey::new(cert.chain(), Arc::new(key.clone())));
        Ok(Self { cert, key, certified })
    }

    /// Reads both from PEM.
    pub fn from_pem(cert: &str, key: &str) -> Result<Self, CredentialError> {
        Self::new(CertPem::parse(cert)?, KeyPair::from_pem(key)?)
    }

    /// The chain.
    pub fn cert(&self) -> &CertPem {
        &self.cert
    }

    /// The key.
    pub fn key(&self) -> &KeyPair {
        &self.key
    }

    pub(crate) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?})", self.cert)
    }
}

impl LiveCredential {
    /// Starts with `credential`.
    pub fn new(credential: Credential) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(credential)))
    }

    /// Shows another certificate from now on.
    pub fn replace(&self, credential: Credential) {
        self.0.store(Arc::new(credential));
    }

    /// The one that is shown now.
    pub fn current(&self) -> Arc<Credential> {
        self.0.load_full()
    }
}

impl fmt::Debug for LiveCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveCredential({:?})", self.current())
    }
}

impl ResolvesServerCert for LiveCredential {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified())
    }
}

impl ResolvesClientCert for LiveCredential {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().certified())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
