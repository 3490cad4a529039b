//! What ordering a web certificate takes (RFC 8555): the signing request, and the certificate that
//! answers the CA's question over TLS (RFC 8737, `tls-alpn-01`). Nothing is sent here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::authority::server_names;
use crate::moment::{self, DAY};
use crate::{CertPem, Clock, IssueError, KeyPair, SecretPem, TlsError, WebPair, provider};

/// The protocol by which a CA asks (RFC 8737, section 6.2). It must be offered alone.
pub const ALPN_ACME: &[u8] = b"acme-tls/1";

/// A new key and a request to certify it for one name.
pub struct SigningRequest {
    /// The request, DER (PKCS #10).
    pub der: Vec<u8>,
    /// The key that the certificate will be for.
    pub key: SecretPem,
}

impl fmt::Debug for SigningRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningRequest({} bytes)", self.der.len())
    }
}

/// Asks for a certificate for `name`, with a new key.
///
/// # Errors
/// When the name is no host name.
pub fn signing_request(name: &str) -> Result<SigningRequest, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.subject_alt_names = server_names(&[name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(IssueError::Build)?;
    Ok(SigningRequest { der: request.der().to_vec(), key: key.secret_pem() })
}

/// What answers a CA's question about `name`: a certificate for that name alone, signed by itself,
/// with the digest of the key authorization in its critical extension.
///
/// # Errors
/// When the name is no host name.
pub fn answer(name: &str, digest: &[u8; 32], now: SystemTime) -> Result<WebPair, IssueError> {
    let key = KeyPair::generate()?;
    let mut params = moment::params(now, now + Duration::from_secs(DAY))?;
    params.subject_alt_names = server_names(&[name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let cert = params.self_signed(&key).map_err(IssueError::Build)?;
    Ok(WebPair { cert: CertPem::from_der(cert.der())?, key: key.secret_pem() })
}

/// TLS settings that give the answer, and are good for nothing else: [`ALPN_ACME`] is the only
/// protocol spoken.
///
/// # Errors
/// When certificate and key do not belong together.
pub fn answering_server(answer: &WebPair, clock: &Clock) -> Result<Arc<ServerConfig>, TlsError> {
    let certified = answer.certified().map_err(|source| TlsError::BadPair { number: 1, source })?;
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Answer(certified)));
    config.alpn_protocols = vec![ALPN_ACME.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Answer(Arc<CertifiedKey>);

impl ResolvesServerCert for Answer {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;

    const NAME: &str = "grafana.proxy.example.com";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_request_names_one_host_and_no_subject() {
        let request = signing_request(NAME).unwrap();
        let (_, read) =
            x509_parser::certification_request::X509CertificationRequest::from_der(&request.der)
                .unwrap();
        read.verify_signature().unwrap();
        assert_eq!(read.certification_request_info.subject.to_string(), "");
        let extensions: Vec<String> = read
            .requested_extensions()
            .unwrap()
            .map(|extension| format!("{extension:?}"))
            .collect();
        assert!(extensions.iter().any(|text| text.contains(NAME)), "{extensions:?}");
        assert!(!format!("{request:?}").contains("PRIVATE"));
        signing_request("no name").unwrap_err();
    }

    #[test]
    fn an_answer_is_what_rfc_8737_asks_for() {
        let answer = answer(NAME, &[7; 32], now()).unwrap();
        let (_, cert) = X509Certificate::from_der(answer.cert.leaf()).unwrap();
        let names = cert.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1, "that name alone");
        let identifier = cert
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31")
            .unwrap();
        assert!(identifier.critical);
        assert_eq!(identifier.value, [&[4, 32][..], &[7; 32]].concat(), "an OCTET STRING");
        let config = answering_server(&answer, &Clock::new(now)).unwrap();
        assert_eq!(config.alpn_protocols, [ALPN_ACME.to_vec()], "no other protocol");
    }

    #[test]
    fn an_answer_with_the_key_of_another_is_refused() {
        let mut mixed = answer(NAME, &[7; 32], now()).unwrap();
        mixed.key = answer(NAME, &[7; 32], now()).unwrap().key;
        answering_server(&mixed, &Clock::new(now)).unwrap_err();
    }
}
