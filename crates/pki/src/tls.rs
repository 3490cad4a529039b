//! TLS settings between our own processes: TLS 1.3 only, and no resumption.
//!
//! Connections live long, so that a resumed handshake would save little; without it every connection shows its newest
//! certificate and has it verified against the newest trust.

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ServerConfig};
use thiserror::Error;

use crate::verify::{LiveClients, ServerVerifier, Servers};
use crate::{Clock, LiveCredential, LiveTrust, Pin};

/// Whose certificates a listener accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// People's only.
    Users,
    /// Services' only.
    Hosts,
    /// Both.
    UsersAndHosts,
}

/// What a listener asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// No certificate is asked for.
    Anonymous,
    /// A certificate may be shown; a bad one is refused all the same.
    Optional(Accept),
    /// A certificate must be shown.
    Required(Accept),
}

/// What a listener for our own processes needs.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// What it shows.
    pub credential: Arc<LiveCredential>,
    /// What it trusts.
    pub trust: Arc<LiveTrust>,
    /// What it asks for.
    pub peers: Peers,
    /// The protocols it speaks, best first. Empty: any.
    pub alpn: Vec<Vec<u8>>,
    /// Its clock.
    pub clock: Clock,
}

/// What a client of our own processes needs.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// What it shows, if anything.
    pub credential: Option<Arc<LiveCredential>>,
    /// What it trusts.
    pub servers: TrustedServers,
    /// The protocols it speaks, best first.
    pub alpn: Vec<Vec<u8>>,
    /// Its clock.
    pub clock: Clock,
}

/// Which servers a client of our own processes trusts. The server's name is always checked too.
#[derive(Debug, Clone)]
pub enum TrustedServers {
    /// Those with a certificate of the cluster's host authorities.
    Cluster(Arc<LiveTrust>),
    /// Those with a certificate of an authority that they present along with it and whose key bears one of these pins:
    /// for a first contact with the Auth Service.
    Pinned(Vec<Pin>),
}

/// Why TLS settings could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A first contact without any pin would trust nobody.
    #[error("no pin of the certificate authority is given")]
    NoPins,
    /// No certificate to show.
    #[error("no certificate is given")]
    NoCertificates,
    /// A certificate or key that cannot be used.
    #[error("certificate and key number {number} cannot be used")]
    BadPair {
        /// Its place in the list, from 1.
        number: usize,
        /// Why.
        source: PairError,
    },
    /// Neither the system nor the settings give roots.
    #[error(
        "no trusted certificate authorities found on this system; set SSL_CERT_FILE to a file of them"
    )]
    NoRoots,
    /// An extra root that cannot be used.
    #[error("a trusted certificate authority cannot be used")]
    BadRoot(#[source] rustls::Error),
    /// The TLS library refused the settings.
    #[error("the TLS settings do not fit together")]
    Settings(#[source] rustls::Error),
}

/// Why a certificate and a key cannot be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PairError {
    /// The certificate does not parse.
    #[error("the certificate cannot be read")]
    Cert(#[from] crate::CertError),
    /// No private key, or an encrypted one.
    #[error("no unencrypted private key in PEM")]
    NoKey,
    /// The two do not belong together, or the key is of an unknown kind.
    #[error("the private key cannot be used with the certificate")]
    Mismatch(#[source] rustls::Error),
}

/// Settings of a listener for our own processes.
pub fn server(settings: ServerTls) -> Result<Arc<ServerConfig>, TlsError> {
    let clients = match LiveClients::new(settings.trust, settings.peers) {
        Some(clients) => Arc::new(clients),
        None => WebPkiClientVerifier::no_client_auth(),
    };
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(settings.clock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(settings.credential);
    config.alpn_protocols = settings.alpn;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Settings of a client of our own processes.
pub fn client(settings: ClientTls) -> Result<Arc<ClientConfig>, TlsError> {
    let servers = match settings.servers {
        TrustedServers::Cluster(trust) => Servers::Live(trust),
        TrustedServers::Pinned(pins) if pins.is_empty() => return Err(TlsError::NoPins),
        TrustedServers::Pinned(pins) => Servers::Pinned(pins),
    };
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(settings.clock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Settings)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier::new(servers)));
    let mut config = match settings.credential {
        Some(credential) => {
            builder.with_client_cert_resolver(credential as Arc<dyn ResolvesClientCert>)
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = settings.alpn;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The one cryptographic library, named at each use: the process-wide default is never read.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
