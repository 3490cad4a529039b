//! What a signature says about the body.

use aws_lc_rs::digest;
use http::request::Parts;
use thiserror::Error;

use super::scope::Scope;
use crate::query;

pub(crate) const CONTENT_SHA256: &str = "x-amz-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// The last line of a canonical request.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadHash {
    /// SHA-256 of the whole body.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`: S3 only, the body is covered by TLS alone.
    Unsigned,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: S3 only, aws-chunked body with a checksum behind it.
    StreamingUnsignedTrailer,
}

impl PayloadHash {
    /// Hashes a body.
    pub fn of(body: &[u8]) -> Self {
        Self::Sha256(sha256(body))
    }

    /// Parses a value of `x-amz-content-sha256`.
    ///
    /// # Errors
    /// [`BadPayload`].
    pub fn parse(text: &str) -> Result<Self, BadPayload> {
        match text {
            UNSIGNED => return Ok(Self::Unsigned),
            STREAMING_UNSIGNED_TRAILER => return Ok(Self::StreamingUnsignedTrailer),
            _ => {}
        }
        if matches!(text.strip_prefix("STREAMING-AWS4-"), Some(rest) if is_word(rest)) {
            return Err(BadPayload::SignedChunks(text.to_owned()));
        }
        let lower = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        let mut hash = [0; 32];
        if !lower || hex::decode_to_slice(text, &mut hash).is_err() {
            return Err(BadPayload::Malformed);
        }
        Ok(Self::Sha256(hash))
    }

    /// Whether the body is covered by the signature.
    pub fn covers_body(&self) -> bool {
        matches!(self, Self::Sha256(_))
    }

    /// Writes the text that is signed.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sha256(hash) => out.extend_from_slice(&hex64(hash)),
            Self::Unsigned => out.extend_from_slice(UNSIGNED.as_bytes()),
            Self::StreamingUnsignedTrailer => {
                out.extend_from_slice(STREAMING_UNSIGNED_TRAILER.as_bytes())
            }
        }
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-')
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap_or([0; 32])
}

/// Lower-case hex of 32 bytes.
pub(crate) fn hex64(bytes: &[u8; 32]) -> [u8; 64] {
    let mut out = [b'0'; 64];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [nibble(byte >> 4), nibble(byte & 15)];
    }
    out
}

fn nibble(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// Why a declared payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadPayload {
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` and its kin: each chunk is signed with the client's key, and only the
    /// client's key, so that it cannot be signed again in passing.
    #[error(
        "chunk signatures (`{0}`) cannot be signed again; have the client send UNSIGNED-PAYLOAD or the body's SHA-256"
    )]
    SignedChunks(String),
    /// Neither a SHA-256 in hex nor one of AWS's words, or there twice.
    #[error(
        "x-amz-content-sha256 is neither a SHA-256 in lower-case hex nor a value that AWS defines"
    )]
    Malformed,
}

/// What the client declares about the body: `x-amz-content-sha256`, as a header or in a presigned query.
///
/// `None` if it declares nothing: then the body has to be read and hashed. A presigned S3 request that declares nothing
/// is `UNSIGNED-PAYLOAD` by definition
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>).
///
/// # Errors
/// [`BadPayload`].
pub fn declared_payload(parts: &Parts) -> Result<Option<PayloadHash>, BadPayload> {
    let mut values = parts.headers.get_all(CONTENT_SHA256).iter();
    if let Some(value) = values.next() {
        let text = value.to_str().map_err(|_| BadPayload::Malformed)?;
        if values.next().is_some() {
            return Err(BadPayload::Malformed);
        }
        return PayloadHash::parse(text).map(Some);
    }
    match parts.uri.query() {
        Some(query) => presigned(query),
        None => Ok(None),
    }
}

fn presigned(text: &str) -> Result<Option<PayloadHash>, BadPayload> {
    let mut declared = query::pairs(text).filter(|pair| pair.is_named(CONTENT_SHA256));
    if let Some(pair) = declared.next() {
        let text = std::str::from_utf8(&pair.value).map_err(|_| BadPayload::Malformed)?;
        if declared.next().is_some() {
            return Err(BadPayload::Malformed);
        }
        return PayloadHash::parse(text).map(Some);
    }
    let credential = query::pairs(text).find(|pair| pair.is_named("X-Amz-Credential"));
    let scope = credential.and_then(|pair| {
        let text = std::str::from_utf8(&pair.value).ok()?;
        Scope::parse(text.split_once('/')?.1).ok()
    });
    Ok(scope.filter(|scope| scope.service() == "s3").map(|_| PayloadHash::Unsigned))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{BadPayload, PayloadHash, declared_payload};

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn declared(values: &[&str], uri: &str) -> Result<Option<PayloadHash>, BadPayload> {
        let mut request = Request::get(uri);
        for value in values {
            request = request.header("x-amz-content-sha256", *value);
        }
        declared_payload(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn header_is_read_strictly() {
        let chunks = |text: &str| Err(BadPayload::SignedChunks(text.to_owned()));
        for (values, expected) in [
            (vec![], Ok(None)),
            (vec![EMPTY], Ok(Some(PayloadHash::of(b"")))),
            (vec!["UNSIGNED-PAYLOAD"], Ok(Some(PayloadHash::Unsigned))),
            (
                vec!["STREAMING-UNSIGNED-PAYLOAD-TRAILER"],
                Ok(Some(PayloadHash::StreamingUnsignedTrailer)),
            ),
            (
                vec!["STREAMING-AWS4-HMAC-SHA256-PAYLOAD"],
                chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            ),
            (
                vec!["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"],
                chunks("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"),
            ),
            (vec!["unsigned-payload"], Err(BadPayload::Malformed)),
            (vec![&EMPTY[1..]], Err(BadPayload::Malformed)),
            (vec![""], Err(BadPayload::Malformed)),
            (vec![EMPTY, EMPTY], Err(BadPayload::Malformed)),
        ] {
            assert_eq!(declared(&values, "/"), expected, "{values:?}");
        }
        assert_eq!(declared(&[&EMPTY.to_uppercase()], "/"), Err(BadPayload::Malformed));
    }

    #[test]
    fn presigned_s3_request_without_a_declaration_is_unsigned() {
        let credential = "/k?X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2F";
        assert_eq!(
            declared(&[], &format!("{credential}s3%2Faws4_request")),
            Ok(Some(PayloadHash::Unsigned))
        );
        assert_eq!(declared(&[], &format!("{credential}sts%2Faws4_request")), Ok(None));
        let twice = "/?X-Amz-Content-Sha256=UNSIGNED-PAYLOAD&x-amz-content-sha256=UNSIGNED-PAYLOAD";
        assert_eq!(declared(&[], twice), Err(BadPayload::Malformed));
    }
}
