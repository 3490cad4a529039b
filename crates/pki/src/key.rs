//! Keys: the P-256 pair that every process and user holds, and the public keys that we accept to certify.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use rustls::sign::{Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use thiserror::Error;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedKey;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::pem;

/// A key pair on the curve P-256. Its private half leaves only through [`KeyPair::secret_pem`].
#[derive(Clone)]
pub struct KeyPair(Arc<Inner>);

/// Text that holds a private key. It is wiped when dropped and never printed.
#[derive(Clone)]
pub struct SecretPem(Zeroizing<String>);

/// A public key that we are willing to certify: P-256, P-384, Ed25519, or RSA of 2048 to 8192 bits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    spki: Vec<u8>,
}

/// Why a key was refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// No random numbers, or the library failed.
    #[error("could not generate a key pair")]
    Generate,
    /// Not the text of an unencrypted PKCS#8 P-256 key.
    #[error("not a P-256 private key in PKCS#8 PEM")]
    NotAPrivateKey,
    /// Not the text of a public key.
    #[error("not a public key in SPKI form")]
    NotAPublicKey,
    /// A public key of a kind or size that is not accepted.
    #[error(
        "public key of kind {kind} is not accepted; use P-256, P-384, Ed25519 or RSA of 2048 to 8192 bits"
    )]
    NotAccepted {
        /// The kind that was found, such as `RSA 1024`.
        kind: String,
    },
}

impl KeyPair {
    /// Makes a new pair from the operating system's randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
                .map_err(|_| KeyError::Generate)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// Reads an unencrypted PKCS#8 key from PEM.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes())
            .map_err(|_| KeyError::NotAPrivateKey)?;
        let der = Zeroizing::new(der.secret_pkcs8_der().to_vec());
        Self::from_pkcs8(&der)
    }

    /// The private key as PKCS#8 PEM, for a file of mode 0600.
    pub fn secret_pem(&self) -> SecretPem {
        SecretPem(pem::encode("PRIVATE KEY", &self.0.pkcs8))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey { spki: self.0.spki.clone() }
    }

    /// The public half as SPKI PEM: what a client sends to be certified.
    pub fn public_pem(&self) -> String {
        self.public().to_pem()
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let signer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map_err(|_| KeyError::NotAPrivateKey)?;
        let point = signer.public_key().as_ref().to_vec();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&Point(&point));
        Ok(Self(Arc::new(Inner { pkcs8: Zeroizing::new(pkcs8.to_vec()), signer, point, spki })))
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0
            .signer
            .sign(&SystemRandom::new(), message)
            .ok()
            .map(|signature| signature.as_ref().to_vec())
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair([secret])")
    }
}

impl SecretPem {
    /// Takes a private key's text into custody.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Each use is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl PublicKey {
    /// Reads a public key from SPKI PEM (`BEGIN PUBLIC KEY`) and checks its kind, size and that it is a point on its curve.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
            .map_err(|_| KeyError::NotAPublicKey)?;
        Self::from_der(&der)
    }

    /// Reads a public key from SPKI DER, with the checks of [`PublicKey::from_pem`].
    pub fn from_der(spki: &[u8]) -> Result<Self, KeyError> {
        let (rest, info) =
            SubjectPublicKeyInfo::from_der(spki).map_err(|_| KeyError::NotAPublicKey)?;
        if !rest.is_empty() {
            return Err(KeyError::NotAPublicKey);
        }
        let checker = checker_of(&info)?;
        ParsedPublicKey::new(checker, info.subject_public_key.data.as_ref())
            .map_err(|_| KeyError::NotAPublicKey)?;
        rcgen::SubjectPublicKeyInfo::from_der(spki).map_err(|_| not_accepted(&info))?;
        Ok(Self { spki: spki.to_vec() })
    }

    /// The key as SPKI DER.
    pub fn as_der(&self) -> &[u8] {
        &self.spki
    }

    /// The key as SPKI PEM.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki).as_str().to_owned()
    }

    pub(crate) fn certifiable(&self) -> Result<rcgen::SubjectPublicKeyInfo, KeyError> {
        rcgen::SubjectPublicKeyInfo::from_der(&self.spki).map_err(|_| KeyError::NotAPublicKey)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", crate::Pin::of_spki(&self.spki))
    }
}

struct Inner {
    pkcs8: Zeroizing<Vec<u8>>,
    signer: EcdsaKeyPair,
    point: Vec<u8>,
    spki: Vec<u8>,
}

struct Point<'a>(&'a [u8]);

impl rcgen::PublicKeyData for Point<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::PublicKeyData for KeyPair {
    fn der_bytes(&self) -> &[u8] {
        &self.0.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        KeyPair::sign(self, message).ok_or(rcgen::Error::RemoteKeyError)
    }
}

impl SigningKey for KeyPair {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.spki.as_slice()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        KeyPair::sign(self, message)
            .ok_or_else(|| rustls::Error::General("signing failed".to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// The algorithm that will parse the key bits, chosen from the identifier: this is where kind and size are decided.
/// Lengths are checked because the parser also takes compressed points and whole SPKI structures.
fn checker_of(
    info: &SubjectPublicKeyInfo<'_>,
) -> Result<&'static dyn signature::VerificationAlgorithm, KeyError> {
    let bits = info.subject_public_key.data.as_ref();
    let curve = info
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.as_oid().ok())
        .map(|oid| oid.to_id_string());
    let is_ed25519 = info.algorithm.algorithm == x509_parser::oid_registry::OID_SIG_ED25519;
    match info.parsed().map_err(|_| KeyError::NotAPublicKey)? {
        ParsedKey::EC(_) if curve.as_deref() == Some(P256) && is_uncompressed(bits, 65) => {
            Ok(&signature::ECDSA_P256_SHA256_ASN1)
        }
        ParsedKey::EC(_) if curve.as_deref() == Some(P384) && is_uncompressed(bits, 97) => {
            Ok(&signature::ECDSA_P384_SHA384_ASN1)
        }
        ParsedKey::RSA(key) if (2048..=8192).contains(&key.key_size()) => {
            Ok(&signature::RSA_PKCS1_2048_8192_SHA256)
        }
        ParsedKey::Unknown(_) if is_ed25519 && bits.len() == 32 => Ok(&signature::ED25519),
        _ => Err(not_accepted(info)),
    }
}

const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";

fn is_uncompressed(point: &[u8], length: usize) -> bool {
    point.len() == length && point.first() == Some(&4)
}

fn not_accepted(info: &SubjectPublicKeyInfo<'_>) -> KeyError {
    let kind = match info.parsed() {
        Ok(ParsedKey::RSA(key)) => format!("RSA {}", key.key_size()),
        _ => info.algorithm.algorithm.to_id_string(),
    };
    KeyError::NotAccepted { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public_of(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        rcgen::PublicKeyData::subject_public_key_info(&pair)
    }

    #[test]
    fn keys_of_the_accepted_kinds_are_read_and_can_be_certified() {
        let kinds = [
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &rcgen::PKCS_ED25519,
            &rcgen::PKCS_RSA_SHA256,
        ];
        for kind in kinds {
            let spki = public_of(kind);
            let key =
                PublicKey::from_der(&spki).unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            let certified =
                rcgen::PublicKeyData::subject_public_key_info(&key.certifiable().unwrap());
            assert_eq!(certified, spki, "{kind:?}");
            assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
        }
    }

    #[test]
    fn weak_odd_and_broken_keys_are_refused() {
        let mut off_curve = public_of(&rcgen::PKCS_ECDSA_P256_SHA256);
        *off_curve.last_mut().unwrap() ^= 1;
        let mut trailing = public_of(&rcgen::PKCS_ECDSA_P256_SHA256);
        trailing.push(0);
        let cases = [
            (public_of(&rcgen::PKCS_ECDSA_P521_SHA512), "1.2.840.10045.2.1 is not accepted"),
            (off_curve, "not a public key"),
            (trailing, "not a public key"),
            (vec![], "not a public key"),
        ];
        for (spki, expected) in cases {
            let why = PublicKey::from_der(&spki).unwrap_err().to_string();
            assert!(why.contains(expected), "{why}");
        }
        for (pem, expected) in [
            (RSA_1024, "RSA 1024 is not accepted"),
            (SECP256K1, "is not accepted"),
            (COMPRESSED, "is not accepted"),
            ("", "not a public key"),
            (KeyPair::generate().unwrap().secret_pem().expose(), "not a public key"),
        ] {
            let why = PublicKey::from_pem(pem).unwrap_err().to_string();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn a_pair_survives_its_file() {
        let pair = KeyPair::generate().unwrap();
        let back = KeyPair::from_pem(pair.secret_pem().expose()).unwrap();
        assert_eq!(back.public(), pair.public());
        assert_eq!(PublicKey::from_pem(&pair.public_pem()).unwrap(), pair.public());
        assert!(KeyPair::from_pem(&pair.public_pem()).is_err());
    }

    const RSA_1024: &str = "-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDyd5lZ/eYqnpahuAm69BMLcpnU\n\
mgW1kHud5h/U2ANY1GMAaZEUWrByxxG55fDrrO9Jl70V8WBHMXrZ4yvHc53XGBTA\n\
pkCQ0NEaExFVJHctOXJLIiDyPLyYcLI6/csIP7AoMICAN3bFtKiHWOh+dgskTLFT\n\
ZFt5hWaugTP4fopZOQIDAQAB\n\
-----END PUBLIC KEY-----";
    const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----\n\
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEfj+sx1Wj2otSzxsyncJIXzHzV7E+og2H\n\
2bAR29ytSCfpn0FJn+kkWYhCwWvz69Pj1yzy9dJMrX8x8t/hTKIXzQ==\n\
-----END PUBLIC KEY-----";
    const COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----\n\
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACfj0G0c/Zj3hfD6tr1aRFaR64E195\n\
w/z8n6nWdLgiKh0=\n\
-----END PUBLIC KEY-----";
}
