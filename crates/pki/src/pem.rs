//! PEM text (RFC 7468): the encoder, which the decoding library lacks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const COLUMNS: usize = 64;

/// Writes one PEM section. The buffer is allocated once and wiped when dropped, so that a key leaves no copy behind.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let breaks = body.len() / COLUMNS + 2;
    let mut text =
        Zeroizing::new(String::with_capacity(body.len() + breaks + 2 * label.len() + 40));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    proptest! {
        #[test]
        fn what_is_encoded_decodes(der in proptest::collection::vec(any::<u8>(), 0..600)) {
            let text = encode("CERTIFICATE", &der);
            prop_assert!(text.lines().all(|line| line.len() <= COLUMNS));
            let back = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            prop_assert_eq!(back.as_ref(), der.as_slice());
        }
    }
}
