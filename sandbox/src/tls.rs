//! TLS for the listener: a given certificate, or an authority made at the start that issues a
//! certificate for every name a client asks for.
//!
//! A client that is redirected below HTTP asks for AWS's own names, so these have to work.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Names beyond this are not remembered, only served.
const REMEMBERED: usize = 1000;

/// Issues a certificate for each name.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    address: IpAddr,
    made: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.address)
    }
}

/// Settings with an authority of our own; its certificate is written to `ca_out`.
pub fn self_made(address: IpAddr, ca_out: Option<&Path>) -> anyhow::Result<Arc<ServerConfig>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "AWS stand-in authority");
    let certificate = params.self_signed(&key)?;
    if let Some(path) = ca_out {
        let write = std::fs::write(path, certificate.pem());
        write.with_context(|| format!("could not write {}", path.display()))?;
    }
    let authority = Authority { issuer: Issuer::new(params, key), address, made: Mutex::default() };
    Ok(config(Arc::new(authority)))
}

/// Settings with a certificate from files.
pub fn from_files(certificate: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("{} holds no certificate", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("{} holds no key", key.display()))?;
    let key =
        aws_lc_rs::sign::any_supported_type(&key).context("the key is of no supported type")?;
    Ok(config(Arc::new(One(Arc::new(CertifiedKey::new(chain, key))))))
}

#[derive(Debug)]
struct One(Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn config(resolver: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    // These two versions are what the provider has: it cannot refuse them.
    let versions =
        builder.with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12]);
    let Ok(versions) = versions else { std::process::abort() };
    let mut config = versions.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or("localhost").to_ascii_lowercase();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&name) {
            return Some(Arc::clone(known));
        }
        let leaf = Arc::new(self.leaf(&name).ok()?);
        if made.len() < REMEMBERED {
            made.insert(name, Arc::clone(&leaf));
        }
        Some(leaf)
    }
}

impl Authority {
    fn leaf(&self, name: &str) -> anyhow::Result<CertifiedKey> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned(), "localhost".to_owned()])?;
        for address in [
            self.address,
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ] {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        params.distinguished_name.push(DnType::CommonName, "AWS stand-in");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let signer = aws_lc_rs::sign::any_supported_type(&private)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
    }
}
