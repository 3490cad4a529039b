//! TLS towards browsers, SDKs and the web: TLS 1.2 and 1.3, certificates from files, roots of the system.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rcgen::{DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::server_names;
use crate::moment::{self, DAY};
use crate::tls::PairError;
use crate::verify::{LiveClients, ServerVerifier, Servers};
use crate::{
    CertPem, Clock, Credential, IssueError, KeyPair, LiveTrust, Pin, SecretPem, TlsError, provider,
};

/// A certificate chain with its key, of whatever kind web certificates have, as read from two files.
#[derive(Debug, Clone)]
pub struct WebPair {
    /// The chain, leaf first.
    pub cert: CertPem,
    /// The leaf's private key.
    pub key: SecretPem,
}

/// The certificates of the public web address. The one that names the requested host is shown, or else the first.
pub struct LiveWeb(ArcSwap<Vec<Named>>);

/// Which web servers a client trusts.
#[derive(Debug, Clone)]
pub enum WebTrust {
    /// Those that the system's roots vouch for (`SSL_CERT_FILE` is honoured), or these extra ones.
    System {
        /// More roots, such as a company's own.
        extra: Vec<CertPem>,
    },
    /// Anybody at all. Only for `--insecure`, which the user typed.
    DangerouslyAnybody,
}

impl LiveWeb {
    /// Starts with these certificates; at least one.
    pub fn new(pairs: &[WebPair]) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self(ArcSwap::from_pointee(named(pairs)?))))
    }

    /// Shows these from now on, such as renewed ones. On an error the old ones stay.
    pub fn replace(&self, pairs: &[WebPair]) -> Result<(), TlsError> {
        self.0.store(Arc::new(named(pairs)?));
        Ok(())
    }

    /// The first that names the host, exactly or by a wildcard for its last label.
    #[must_use]
    pub fn naming(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let all = self.0.load();
        all.iter().find(|named| named.names_host(host)).map(|named| Arc::clone(&named.certified))
    }

    /// The first.
    #[must_use]
    pub fn first(&self) -> Option<Arc<CertifiedKey>> {
        self.0.load().first().map(|named| Arc::clone(&named.certified))
    }
}

impl fmt::Debug for LiveWeb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.load();
        f.debug_list().entries(all.iter().map(|named| &named.dns_names)).finish()
    }
}

impl ResolvesServerCert for LiveWeb {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        hello.server_name().and_then(|host| self.naming(host)).or_else(|| self.first())
    }
}

impl WebPair {
    /// The pair as TLS shows it, once certificate and key are found to belong together.
    ///
    /// # Errors
    /// When they do not, or one of them cannot be read.
    pub fn certified(&self) -> Result<Arc<CertifiedKey>, PairError> {
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|_| PairError::NoKey)?;
        let key = provider().key_provider.load_private_key(key).map_err(PairError::Mismatch)?;
        // The TLS library's own comparison refuses the critical extension of `crate::acme`.
        let certified = Pin::of_certificate(self.cert.leaf())?;
        if key.public_key().is_some_and(|public| Pin::of_spki(&public) != certified) {
            let differ = rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch);
            return Err(PairError::Mismatch(differ));
        }
        Ok(Arc::new(CertifiedKey::new(self.cert.chain(), key)))
    }
}

impl From<&Credential> for WebPair {
    fn from(credential: &Credential) -> Self {
        Self { cert: credential.cert().clone(), key: credential.key().secret_pem() }
    }
}

/// Settings of a listener for strangers: TLS 1.2 and 1.3, no client certificates, stateless session tickets.
pub fn web_server(
    certificates: Arc<dyn ResolvesServerCert>,
    alpn: Vec<Vec<u8>>,
    clock: Clock,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = alpn;
    config.ticketer = Ticketer::new().map_err(TlsError::Settings)?;
    Ok(Arc::new(config))
}

/// The same, but asking for a user's certificate of this cluster, which need not be shown. A bad one ends the handshake.
pub fn web_server_asking(
    certificates: Arc<dyn ResolvesServerCert>,
    trust: Arc<LiveTrust>,
    alpn: Vec<Vec<u8>>,
    clock: Clock,
) -> Result<Arc<ServerConfig>, TlsError> {
    let clients = LiveClients::hinting(trust);
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(Arc::new(clients))
        .with_cert_resolver(certificates);
    config.alpn_protocols = alpn;
    // A resumed handshake would not have the certificate verified anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Settings of a client of the web. Reads the system's roots from disk.
pub fn web_client(
    trust: &WebTrust,
    alpn: Vec<Vec<u8>>,
    clock: Clock,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(clock))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?;
    let mut config = match trust {
        WebTrust::System { extra } => {
            builder.with_root_certificates(web_roots(extra)?).with_no_client_auth()
        }
        WebTrust::DangerouslyAnybody => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ServerVerifier::new(Servers::Anybody)))
            .with_no_client_auth(),
    };
    config.alpn_protocols = alpn;
    Ok(Arc::new(config))
}

/// A certificate for `hosts` (names or addresses) and, for every name, its subdomains, signed by itself, for ten years.
///
/// It is a plain end-entity certificate: nobody who trusts it trusts anything else by it.
pub fn self_signed(hosts: &[String], now: SystemTime) -> Result<Credential, IssueError> {
    let mut names: Vec<String> = Vec::new();
    for host in hosts {
        names.push(host.clone());
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        if !is_address && host != "localhost" {
            names.push(format!("*.{host}"));
        }
    }
    let key = KeyPair::generate()?;
    let mut params = moment::params(now, now + SELF_SIGNED_LIFETIME)?;
    params.subject_alt_names = server_names(&names)?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(first) = hosts.first() {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let cert = params.self_signed(&key).map_err(IssueError::Build)?;
    let cert = CertPem::from_der(cert.der())?;
    Credential::new(cert, key).map_err(IssueError::Credential)
}

const SELF_SIGNED_LIFETIME: Duration = Duration::from_secs(3652 * DAY);

struct Named {
    dns_names: Vec<String>,
    certified: Arc<CertifiedKey>,
}

impl Named {
    fn names_host(&self, host: &str) -> bool {
        self.dns_names.iter().any(|name| covers(name, host))
    }
}

fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => {
            host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
        }
        None => name.eq_ignore_ascii_case(host),
    }
}

fn named(pairs: &[WebPair]) -> Result<Vec<Named>, TlsError> {
    if pairs.is_empty() {
        return Err(TlsError::NoCertificates);
    }
    pairs
        .iter()
        .enumerate()
        .map(|(place, pair)| {
            name(pair).map_err(|source| TlsError::BadPair { number: place + 1, source })
        })
        .collect()
}

fn name(pair: &WebPair) -> Result<Named, PairError> {
    Ok(Named { dns_names: pair.cert.facts()?.dns_names, certified: pair.certified()? })
}

/// The certificates of this machine's trusted authorities, DER; those that cannot be read are left out.
#[must_use]
pub fn system_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

fn web_roots(extra: &[CertPem]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold a few certificates that this library refuses: the others count.
    roots.add_parsable_certificates(system_roots());
    let extra: Vec<CertificateDer<'static>> = extra.iter().flat_map(CertPem::chain).collect();
    for root in extra {
        roots.add(root).map_err(TlsError::BadRoot)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    Ok(roots)
}
