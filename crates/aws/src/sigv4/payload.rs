//! What a signature says about the body.

use aws_lc_rs::digest;
use http::request::Parts;
use thiserror::Error;

use super::algorithm::Algorithm;
use crate::query;

pub(crate) const CONTENT_SHA256: &str = "x-amz-content-sha256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const EVENTS: &str = "STREAMING-AWS4-HMAC-SHA256-EVENTS";
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// Whether headers follow a streamed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trailer {
    /// Nothing follows.
    Absent,
    /// Headers, named in `X-Amz-Trailer`, follow.
    Present,
}

/// The last line of a canonical request.
///
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadHash {
    /// SHA-256 of the whole body.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`: the body is covered by TLS alone. S3 takes it, and a few operations elsewhere.
    Unsigned,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: S3 only, aws-chunked body with a checksum behind it.
    StreamingUnsignedTrailer,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` and its kin: aws-chunked body, each chunk signed.
    SignedChunks(Algorithm, Trailer),
    /// `STREAMING-AWS4-HMAC-SHA256-EVENTS`: an event stream, each message signed.
    Events,
}

const SIGNED_CHUNKS: [(&str, PayloadHash); 4] = [
    (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        PayloadHash::SignedChunks(Algorithm::Hmac, Trailer::Absent),
    ),
    (
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        PayloadHash::SignedChunks(Algorithm::Hmac, Trailer::Present),
    ),
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        PayloadHash::SignedChunks(Algorithm::Ecdsa, Trailer::Absent),
    ),
    (
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
        PayloadHash::SignedChunks(Algorithm::Ecdsa, Trailer::Present),
    ),
];

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
            EVENTS => return Ok(Self::Events),
            _ => {}
        }
        if let Some((_, found)) = SIGNED_CHUNKS.iter().find(|(name, _)| *name == text) {
            return Ok(*found);
        }
        if matches!(text.strip_prefix("STREAMING-"), Some(rest) if is_word(rest)) {
            return Err(BadPayload::Unknown(text.to_owned()));
        }
        let lower = text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        let mut hash = [0; 32];
        if !lower || hex::decode_to_slice(text, &mut hash).is_err() {
            return Err(BadPayload::Malformed);
        }
        Ok(Self::Sha256(hash))
    }

    /// Whether the body, or each part of it, is covered by a signature.
    pub fn covers_body(&self) -> bool {
        match self {
            Self::Sha256(_) | Self::SignedChunks(..) | Self::Events => true,
            Self::Unsigned | Self::StreamingUnsignedTrailer => false,
        }
    }

    /// What stands in `x-amz-content-sha256`.
    pub fn text(&self) -> String {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Writes the text that is signed.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let word = match self {
            Self::Sha256(hash) => return out.extend_from_slice(&hex64(hash)),
            Self::Unsigned => UNSIGNED,
            Self::StreamingUnsignedTrailer => STREAMING_UNSIGNED_TRAILER,
            Self::Events => EVENTS,
            Self::SignedChunks(..) => {
                let found = SIGNED_CHUNKS.iter().find(|(_, kind)| kind == self);
                found.map_or("", |(name, _)| name)
            }
        };
        out.extend_from_slice(word.as_bytes());
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
    /// Another kind of stream.
    #[error("`{0}` is not a kind of streamed body that is known here")]
    Unknown(String),
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
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>), and an event stream that declares
/// nothing is signed message by message
/// (<https://docs.aws.amazon.com/transcribe/latest/dg/streaming-http2.html>).
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
    if is_event_stream(parts) {
        return Ok(Some(PayloadHash::Events));
    }
    match parts.uri.query() {
        Some(query) => presigned(query),
        None => Ok(None),
    }
}

fn is_event_stream(parts: &Parts) -> bool {
    let mut types = parts.headers.get_all(http::header::CONTENT_TYPE).iter();
    types.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(EVENT_STREAM.as_bytes()))
        && types.next().is_none()
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
    let is_s3 = credential.is_some_and(|pair| {
        let mut parts = pair.value.rsplit(|byte| *byte == b'/').skip(1);
        parts.next().is_some_and(|service| is_s3(&String::from_utf8_lossy(service)))
    });
    Ok(is_s3.then_some(PayloadHash::Unsigned))
}

/// Whether a signing name is one of S3's: paths are signed as they are, and bodies may be unsigned.
pub(crate) fn is_s3(signing_name: &str) -> bool {
    ["s3", "s3express", "s3-outposts", "s3-object-lambda"].contains(&signing_name)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::{Algorithm, BadPayload, PayloadHash, Trailer, declared_payload};

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
        let unknown = |text: &str| Err(BadPayload::Unknown(text.to_owned()));
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
                Ok(Some(PayloadHash::SignedChunks(Algorithm::Hmac, Trailer::Absent))),
            ),
            (
                vec!["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER"],
                Ok(Some(PayloadHash::SignedChunks(Algorithm::Ecdsa, Trailer::Present))),
            ),
            (vec!["STREAMING-AWS4-HMAC-SHA256-EVENTS"], Ok(Some(PayloadHash::Events))),
            (vec!["STREAMING-AWS5-PAYLOAD"], unknown("STREAMING-AWS5-PAYLOAD")),
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
    fn what_is_written_is_read_back() {
        for text in ["UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", EMPTY]
            .into_iter()
            .chain(super::SIGNED_CHUNKS.iter().map(|(name, _)| *name))
            .chain(["STREAMING-AWS4-HMAC-SHA256-EVENTS"])
        {
            assert_eq!(PayloadHash::parse(text).unwrap().text(), text);
        }
    }

    #[test]
    fn an_event_stream_is_signed_message_by_message() {
        let request =
            Request::post("/").header("content-type", "application/vnd.amazon.eventstream");
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(declared_payload(&parts), Ok(Some(PayloadHash::Events)));
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
