//! Verifiers that rustls calls during a handshake: against the newest trust, against a pinned key, or against nothing.
//!
//! They decide only whether the connection may stand. Who the peer is, is read afterwards by [`crate::identity_of`].

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::tls::{Accept, Peers};
use crate::trust::Anchors;
use crate::{LiveTrust, Pin, provider};

/// Verifies clients against whatever the process trusts at that moment.
#[derive(Debug)]
pub(crate) struct LiveClients {
    trust: Arc<LiveTrust>,
    accept: Accept,
    is_mandatory: bool,
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl LiveClients {
    /// Users, if they like. The names of their authorities are told, so that browsers do not ask people who hold other
    /// certificates which one to show.
    pub(crate) fn hinting(trust: Arc<LiveTrust>) -> Self {
        let anchors = trust.current();
        let users = anchors.anchors().users.as_ref();
        let hints = users.map(|users| users.root_hint_subjects().to_vec()).unwrap_or_default();
        Self { trust, accept: Accept::Users, is_mandatory: false, hints, provider: provider() }
    }

    /// `None` where no certificate is asked for.
    pub(crate) fn new(trust: Arc<LiveTrust>, peers: Peers) -> Option<Self> {
        let (accept, is_mandatory) = match peers {
            Peers::Anonymous => return None,
            Peers::Optional(accept) => (accept, false),
            Peers::Required(accept) => (accept, true),
        };
        Some(Self { trust, accept, is_mandatory, hints: Vec::new(), provider: provider() })
    }
}

impl ClientCertVerifier for LiveClients {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    /// Between our own processes none: a client of ours has one certificate.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let trust = self.trust.current();
        let anchors = trust.anchors();
        let (first, second) = match self.accept {
            Accept::Users => (anchors.users.as_ref(), None),
            Accept::Hosts => (Some(&anchors.hosts), None),
            Accept::UsersAndHosts => (anchors.users.as_ref(), Some(&anchors.hosts)),
        };
        let mut refusal = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for verifier in [first, second].into_iter().flatten() {
            match verifier.verify_client_cert(leaf, &[], now) {
                Ok(verified) => return Ok(verified),
                Err(error) => refusal = clearer(refusal, error),
            }
        }
        Err(refusal)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        supported(&self.provider)
    }
}

/// How a client decides whether to trust a server.
pub(crate) enum Servers {
    /// The cluster's host authorities, as they are at that moment, and the server's name.
    Live(Arc<LiveTrust>),
    /// A presented authority whose key bears one of these pins, and the server's name.
    Pinned(Vec<Pin>),
    /// Anybody.
    Anybody,
}

/// Verifies servers in one of the ways of [`Servers`].
pub(crate) struct ServerVerifier {
    servers: Servers,
    provider: Arc<CryptoProvider>,
}

impl ServerVerifier {
    pub(crate) fn new(servers: Servers) -> Self {
        Self { servers, provider: provider() }
    }

    fn verify_pinned(
        &self,
        pins: &[Pin],
        presented: &Presented<'_>,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        for cert in presented.intermediates {
            let is_pinned = Pin::of_certificate(cert).is_ok_and(|pin| pins.contains(&pin));
            if is_pinned {
                roots.add(cert.clone().into_owned())?;
            }
        }
        if roots.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(presented.leaf, &[], presented.name, &[], presented.now)
    }
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.servers {
            Servers::Live(_) => "ServerVerifier(host authorities)",
            Servers::Pinned(_) => "ServerVerifier(pinned)",
            Servers::Anybody => "ServerVerifier(DANGER: anybody)",
        })
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.servers {
            Servers::Live(trust) => {
                let trust = trust.current();
                let Anchors { services, .. } = trust.anchors();
                services.verify_server_cert(leaf, &[], name, &[], now)
            }
            Servers::Pinned(pins) => {
                let presented = Presented { leaf, intermediates, name, now };
                self.verify_pinned(pins, &presented)
            }
            Servers::Anybody => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        supported(&self.provider)
    }
}

struct Presented<'a> {
    leaf: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    now: UnixTime,
}

/// Of two refusals, the one that says more than "not ours".
pub(crate) fn clearer(old: Error, new: Error) -> Error {
    let says_nothing = matches!(new, Error::InvalidCertificate(CertificateError::UnknownIssuer));
    if says_nothing { old } else { new }
}

fn supported(provider: &CryptoProvider) -> Vec<SignatureScheme> {
    provider.signature_verification_algorithms.supported_schemes()
}
