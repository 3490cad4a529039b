//! Certificates as text, and what one says before anybody has verified it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::pem;

/// The most certificates that one text may hold, and the most bytes: both far above what a chain or a bundle needs.
const MAX_CERTIFICATES: usize = 32;
const MAX_TEXT: usize = 1024 * 1024;
const MAX_BUNDLE: usize = 4 * 1024 * 1024;

/// One certificate or a chain of them, leaf first, as PEM that is known to parse.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertPem {
    text: String,
    leaf: CertificateDer<'static>,
    rest: Vec<CertificateDer<'static>>,
}

/// SHA-256 of a public key in SPKI form, written `sha256:` and 64 hex digits: what `tctl status` prints and `ca_pin` takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin([u8; 32]);

/// What a certificate says about itself. Reading it proves nothing: see [`crate::identity_of`] for that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertFacts {
    /// Common name of the subject, or empty.
    pub subject: String,
    /// Organizations of the subject: the roles, in certificates of ours.
    pub organizations: Vec<String>,
    /// Common name of the issuer, or empty.
    pub issuer: String,
    /// Serial number in lower-case hex.
    pub serial: String,
    /// First second of validity.
    pub not_before: SystemTime,
    /// Last second of validity.
    pub not_after: SystemTime,
    /// Host names of the subject alternative names.
    pub dns_names: Vec<String>,
    /// Addresses of the subject alternative names.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whether it may sign other certificates.
    pub is_authority: bool,
    /// Hash of the public key.
    pub pin: Pin,
}

/// Why a text is not a certificate or a pin.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertError {
    /// No `BEGIN CERTIFICATE` section, or one that does not decode.
    #[error("not a certificate in PEM")]
    NotPem,
    /// A section that is no X.509 certificate.
    #[error("not an X.509 certificate")]
    NotX509,
    /// More text than any chain needs.
    #[error("more than {MAX_CERTIFICATES} certificates or 1 MiB of text")]
    TooLarge,
    /// Not `sha256:` and 64 hex digits.
    #[error("`{text}` is not a pin; expected `sha256:` and 64 hex digits, as `tctl status` prints")]
    NotAPin {
        /// What was given.
        text: String,
    },
}

impl CertPem {
    /// Reads one or more certificates; other PEM sections and text between them are dropped.
    pub fn parse(text: &str) -> Result<Self, CertError> {
        if text.len() > MAX_TEXT {
            return Err(CertError::TooLarge);
        }
        let mut found = Vec::new();
        for section in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let der = section.map_err(|_| CertError::NotPem)?;
            parse_x509(&der)?;
            found.push(der);
            if found.len() > MAX_CERTIFICATES {
                return Err(CertError::TooLarge);
            }
        }
        let mut found = found.into_iter();
        let leaf = found.next().ok_or(CertError::NotPem)?;
        Ok(Self::assemble(leaf, found.collect()))
    }

    /// Reads a bundle of authorities, such as a system's own: each certificate by itself, and what is no X.509
    /// certificate of today left out. Up to 4 MiB of text.
    pub fn parse_bundle(text: &str) -> Result<Vec<Self>, CertError> {
        if text.len() > MAX_BUNDLE {
            return Err(CertError::TooLarge);
        }
        let sections = CertificateDer::pem_slice_iter(text.as_bytes());
        let found: Vec<Self> =
            sections.filter_map(|section| Self::from_der(&section.ok()?).ok()).collect();
        if found.is_empty() { Err(CertError::NotPem) } else { Ok(found) }
    }

    /// Wraps one certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        parse_x509(der)?;
        Ok(Self::assemble(CertificateDer::from(der.to_vec()), Vec::new()))
    }

    /// The PEM text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first certificate.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.leaf
    }

    /// Every certificate, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        std::iter::once(self.leaf.clone()).chain(self.rest.iter().cloned()).collect()
    }

    /// This chain with another one after it, such as a leaf with its authority for peers that know only a pin.
    #[must_use]
    pub fn followed_by(&self, next: &Self) -> Self {
        let rest = self.rest.iter().cloned().chain(next.chain()).collect();
        Self::assemble(self.leaf.clone(), rest)
    }

    /// What the first certificate says about itself.
    pub fn facts(&self) -> Result<CertFacts, CertError> {
        facts_of(&self.leaf)
    }

    fn assemble(leaf: CertificateDer<'static>, rest: Vec<CertificateDer<'static>>) -> Self {
        let text = std::iter::once(&leaf)
            .chain(&rest)
            .map(|der| pem::encode("CERTIFICATE", der).as_str().to_owned())
            .collect();
        Self { text, leaf, rest }
    }
}

impl fmt::Debug for CertPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.facts() {
            Ok(facts) => write!(f, "CertPem({} {})", facts.subject, facts.serial),
            Err(_) => f.write_str("CertPem(?)"),
        }
    }
}

impl fmt::Display for CertPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for CertPem {
    type Error = CertError;

    fn try_from(text: String) -> Result<Self, CertError> {
        Self::parse(&text)
    }
}

impl From<CertPem> for String {
    fn from(cert: CertPem) -> Self {
        cert.text
    }
}

impl Pin {
    /// Reads `sha256:` and 64 hex digits, in either case.
    pub fn parse(text: &str) -> Result<Self, CertError> {
        let bad = || CertError::NotAPin { text: text.chars().take(100).collect() };
        let digits = text.trim().strip_prefix("sha256:").ok_or_else(bad)?;
        let mut hash = [0; 32];
        hex::decode_to_slice(digits, &mut hash).map_err(|_| bad())?;
        Ok(Self(hash))
    }

    /// The pin of a public key given as SPKI DER.
    pub(crate) fn of_spki(spki: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, spki);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }

    /// The pin of the public key in a certificate.
    pub fn of_certificate(der: &[u8]) -> Result<Self, CertError> {
        Ok(Self::of_spki(parse_x509(der)?.public_key().raw))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Pin {
    type Error = CertError;

    fn try_from(text: String) -> Result<Self, CertError> {
        Self::parse(&text)
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

/// What a certificate in DER says about itself.
pub fn facts_of(der: &[u8]) -> Result<CertFacts, CertError> {
    let cert = parse_x509(der)?;
    let (dns_names, addresses) = names_of(&cert)?;
    Ok(CertFacts {
        subject: common_name(cert.subject()),
        organizations: organizations(cert.subject()),
        issuer: common_name(cert.issuer()),
        serial: hex::encode(cert.raw_serial()),
        not_before: system_time(cert.validity().not_before.timestamp())?,
        not_after: system_time(cert.validity().not_after.timestamp())?,
        dns_names,
        addresses,
        is_authority: cert.is_ca(),
        pin: Pin::of_spki(cert.public_key().raw),
    })
}

/// Parses DER that must hold exactly one certificate.
pub(crate) fn parse_x509(der: &[u8]) -> Result<X509Certificate<'_>, CertError> {
    match X509Certificate::from_der(der) {
        Ok(([], cert)) => Ok(cert),
        _ => Err(CertError::NotX509),
    }
}

pub(crate) fn common_name(name: &X509Name<'_>) -> String {
    name.iter_common_name().next().and_then(|cn| cn.as_str().ok()).unwrap_or_default().to_owned()
}

pub(crate) fn organizations(name: &X509Name<'_>) -> Vec<String> {
    name.iter_organization()
        .filter_map(|organization| organization.as_str().ok())
        .map(str::to_owned)
        .collect()
}

fn names_of(cert: &X509Certificate<'_>) -> Result<(Vec<String>, Vec<std::net::IpAddr>), CertError> {
    let mut dns_names = Vec::new();
    let mut addresses = Vec::new();
    let names = cert.subject_alternative_name().map_err(|_| CertError::NotX509)?;
    for name in names.iter().flat_map(|found| &found.value.general_names) {
        match name {
            GeneralName::DNSName(dns) => dns_names.push((*dns).to_owned()),
            GeneralName::IPAddress(octets) => addresses.extend(address_of(octets)),
            _ => {}
        }
    }
    Ok((dns_names, addresses))
}

fn address_of(octets: &[u8]) -> Option<std::net::IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(Into::into);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(Into::into)).ok()
}

fn system_time(seconds: i64) -> Result<SystemTime, CertError> {
    let seconds = u64::try_from(seconds).map_err(|_| CertError::NotX509)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(CertError::NotX509)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> CertPem {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_334_400);
        crate::LocalCa::generate("aws", now, Duration::from_secs(60)).unwrap().cert().clone()
    }

    #[test]
    fn a_bundle_is_read_around_what_is_no_certificate() {
        let (one, two) = (authority(), authority());
        let noise = pem::encode("CERTIFICATE", b"from another time");
        let text = format!("# roots\n{one}\n{}between\n{two}", noise.as_str());
        assert_eq!(CertPem::parse_bundle(&text).unwrap(), [one, two]);
        assert_eq!(CertPem::parse(&text).unwrap_err(), CertError::NotX509);
        assert_eq!(CertPem::parse_bundle(&noise).unwrap_err(), CertError::NotPem);
        let vast = " ".repeat(MAX_BUNDLE + 1);
        assert_eq!(CertPem::parse_bundle(&vast).unwrap_err(), CertError::TooLarge);
    }

    #[test]
    fn a_chain_keeps_its_order_and_its_bound() {
        let (one, two) = (authority(), authority());
        let chain = CertPem::parse(one.followed_by(&two).as_str()).unwrap();
        assert_eq!(chain.chain(), [one.leaf().clone(), two.leaf().clone()]);
        let many = one.as_str().repeat(MAX_CERTIFICATES + 1);
        assert_eq!(CertPem::parse(&many).unwrap_err(), CertError::TooLarge);
    }

    #[test]
    fn a_pin_survives_its_text_and_nothing_else_is_one() {
        let pin = Pin::of_certificate(authority().leaf()).unwrap();
        assert_eq!(Pin::parse(&pin.to_string()).unwrap(), pin);
        assert_eq!(Pin::parse(&format!(" sha256:{}\n", hex::encode_upper(pin.0))).unwrap(), pin);
        let digits = hex::encode(pin.0);
        for text in [
            digits.clone(),
            format!("sha1:{digits}"),
            format!("sha256:{digits}0"),
            "sha256:".to_owned(),
        ] {
            assert!(Pin::parse(&text).is_err(), "{text}");
        }
    }
}
