//! What the two ends write into HTTP/2: the one header of ours, and the arithmetic of header sizes.

use http::HeaderMap;
use http::header::HeaderName;

/// Carries the words of a refusal.
pub(crate) const REASON: HeaderName = HeaderName::from_static("reason");

/// The most bytes of a refusal's words.
pub(crate) const MAX_REASON: usize = 512;

/// Bytes that HTTP/2 counts for a field beyond its name and value (RFC 9113, 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// How large a CONNECT request for `target` is, as the peer will count it.
pub(crate) fn request_size(target: &str, headers: &HeaderMap) -> usize {
    let method = ":methodCONNECT".len() + FIELD_OVERHEAD;
    let authority = ":authority".len() + target.len() + FIELD_OVERHEAD;
    let others: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD)
        .sum();
    method + authority + others
}
