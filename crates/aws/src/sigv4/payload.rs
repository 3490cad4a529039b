//! What a signature says about the body.

use http::HeaderMap;
use thiserror::Error;

/// The last line of a canonical request.
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
        let _ = body;
        unimplemented!()
    }
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
    /// Neither a SHA-256 in hex nor one of AWS's words, or the header is there twice.
    #[error(
        "x-amz-content-sha256 is neither a SHA-256 in lower-case hex nor a value that AWS defines"
    )]
    Malformed,
}

/// Reads `x-amz-content-sha256`; `None` if the header is not there.
///
/// # Errors
/// [`BadPayload`].
pub fn declared_payload(headers: &HeaderMap) -> Result<Option<PayloadHash>, BadPayload> {
    let _ = headers;
    unimplemented!()
}
