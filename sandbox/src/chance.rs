//! Random names and secrets in the shapes that AWS gives them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const DIGITS_AND_CAPITALS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut buffer = [0; N];
    if aws_lc_rs::rand::fill(&mut buffer).is_err() {
        // The system has no randomness: nothing that follows could be trusted.
        std::process::abort();
    }
    buffer
}

fn letters<const N: usize>(alphabet: &[u8; 32]) -> String {
    let pick = |byte: &u8| alphabet.get(usize::from(byte % 32)).copied().map_or('A', char::from);
    bytes::<N>().iter().map(pick).collect()
}

/// An access key id: `AKIA…` for a lasting one, `ASIA…` for a session's.
pub fn access_key_id(prefix: &str) -> String {
    format!("{prefix}{}", letters::<16>(BASE32))
}

/// The id of a role or a user: `AROA…`, `AIDA…`.
pub fn unique_id(prefix: &str) -> String {
    format!("{prefix}{}", letters::<17>(BASE32))
}

/// A secret access key: 40 characters.
pub fn secret() -> String {
    STANDARD.encode(bytes::<30>())
}

/// A session token: long, and beginning as AWS's do.
pub fn session_token() -> String {
    format!("IQoJb3JpZ2luX2Vj{}", STANDARD.encode(bytes::<282>()))
}

/// The request id of DynamoDB: 52 capitals and digits.
pub fn dynamodb_request_id() -> String {
    letters::<52>(DIGITS_AND_CAPITALS)
}

/// The request id of S3: 16 capitals and digits.
pub fn s3_request_id() -> String {
    letters::<16>(DIGITS_AND_CAPITALS)
}

/// The second, longer id of S3.
pub fn s3_host_id() -> String {
    STANDARD.encode(bytes::<48>())
}

/// A UUID of version 4, the request id of the query protocol.
pub fn uuid() -> String {
    let mut raw = bytes::<16>();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut raw;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let text = hex::encode(raw);
    let cut = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    [cut(0..8), cut(8..12), cut(12..16), cut(16..20), cut(20..32)].join("-")
}

/// A name for a file or an upload.
pub fn name() -> String {
    hex::encode(bytes::<16>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_shapes_of_aws() {
        assert_eq!(access_key_id("ASIA").len(), 20);
        assert_eq!(secret().len(), 40);
        assert_eq!(dynamodb_request_id().len(), 52);
        assert!(session_token().len() > 300);
        let uuid = uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert_ne!(secret(), secret());
    }
}
