//! The one private extension that carries an identity: a DER `UTF8String` holding a small JSON envelope.
//!
//! Forward compatibility is decided by the issuer, as `crit` does in JOSE (RFC 7515, 4.1.11): unknown members of the
//! envelope are ignored, unless their name stands in `critical`, which an older reader refuses.

use rcgen::CustomExtension;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use x509_parser::asn1_rs::Utf8String;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::AuthorityKind;

/// Under the arc of UUIDs (ITU-T X.667). The second arc stays below 2^28 because common parsers refuse larger ones.
pub(crate) const IDENTITY_OID: &[u64] = &[2, 25, 183_094_276, 1];
const IDENTITY_OID_TEXT: &str = "2.25.183094276.1";

/// Well under the 64 KiB that TLS libraries allow for a whole chain.
pub(crate) const MAX_IDENTITY: usize = 32 * 1024;

const VERSION: u32 = 1;
const UTF8_STRING: u8 = 0x0c;

/// Why the extension does not hold an identity.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// A certificate without our extension.
    #[error("the certificate carries no identity")]
    Missing,
    /// The extension stands twice, so that two readers could see two identities.
    #[error("the certificate carries more than one identity")]
    Repeated,
    /// Not the expected DER.
    #[error(
        "the identity in the certificate is not a UTF-8 string of at most {MAX_IDENTITY} bytes"
    )]
    NotText,
    /// Not the expected JSON.
    #[error("the identity in the certificate does not parse")]
    NotJson(#[source] serde_json::Error),
    /// Written by a newer version that demands more than this one knows.
    #[error(
        "the identity in the certificate needs a newer version of this program: it uses {what}"
    )]
    TooNew {
        /// The version or the critical member.
        what: String,
    },
}

/// An identity as found, not yet read as one kind or the other.
pub(crate) struct Found {
    pub(crate) kind: AuthorityKind,
    body: Box<RawValue>,
}

impl Found {
    /// Reads the body as the claims of its kind.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ExtensionError> {
        serde_json::from_str(self.body.get()).map_err(ExtensionError::NotJson)
    }
}

/// Writes claims into an extension; `None` if they are too large or do not serialize.
pub(crate) fn write<T: Serialize>(kind: AuthorityKind, claims: &T) -> Option<CustomExtension> {
    let written = Written { v: VERSION, kind, identity: claims };
    let json = serde_json::to_vec(&written).ok()?;
    if json.len() > MAX_IDENTITY {
        return None;
    }
    Some(CustomExtension::from_oid_content(IDENTITY_OID, utf8_string(&json)))
}

/// Finds the one identity in a certificate.
pub(crate) fn read(cert: &X509Certificate<'_>) -> Result<Found, ExtensionError> {
    let mut ours = cert
        .extensions()
        .iter()
        .filter(|extension| extension.oid.to_id_string() == IDENTITY_OID_TEXT);
    let extension = ours.next().ok_or(ExtensionError::Missing)?;
    if ours.next().is_some() {
        return Err(ExtensionError::Repeated);
    }
    if extension.value.len() > MAX_IDENTITY + 8 {
        return Err(ExtensionError::NotText);
    }
    let ([], json) = Utf8String::from_der(extension.value).map_err(|_| ExtensionError::NotText)?
    else {
        return Err(ExtensionError::NotText);
    };
    let envelope: Envelope =
        serde_json::from_str(&json.string()).map_err(ExtensionError::NotJson)?;
    if envelope.v != VERSION {
        let what = format!("version {}", envelope.v);
        return Err(ExtensionError::TooNew { what });
    }
    if let Some(member) = envelope.critical.first() {
        let what = format!("`{}`", member.chars().take(64).collect::<String>());
        return Err(ExtensionError::TooNew { what });
    }
    Ok(Found { kind: envelope.kind, body: envelope.identity })
}

#[derive(Serialize)]
struct Written<'a, T> {
    v: u32,
    kind: AuthorityKind,
    identity: &'a T,
}

#[derive(Deserialize)]
struct Envelope {
    v: u32,
    kind: AuthorityKind,
    identity: Box<RawValue>,
    #[serde(default)]
    critical: Vec<String>,
}

pub(crate) fn utf8_string(text: &[u8]) -> Vec<u8> {
    let mut der = vec![UTF8_STRING];
    let length = text.len().to_be_bytes();
    let significant: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    match (significant.as_slice(), u8::try_from(significant.len())) {
        ([], _) => der.push(0),
        ([short], _) if *short < 0x80 => der.push(*short),
        (long, count) => {
            der.push(0x80 | count.unwrap_or_default());
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(text);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_minimal_der() {
        for size in [0_usize, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let text = vec![b'x'; size];
            let der = utf8_string(&text);
            let (rest, back) = Utf8String::from_der(&der).unwrap();
            assert!(rest.is_empty(), "{size}");
            assert_eq!(back.string().len(), size);
        }
    }

    #[test]
    fn identifier_is_the_same_in_both_spellings() {
        let text: Vec<String> = IDENTITY_OID.iter().map(u64::to_string).collect();
        assert_eq!(text.join("."), IDENTITY_OID_TEXT);
    }
}
