//! S3's `aws-chunked` bodies whose chunks are signed: taken apart and checked, put together and signed.
//!
//! A chunk is `<size in hex>;chunk-signature=<signature>`, CRLF, data, CRLF; one of size 0 ends the data. Then may follow
//! headers, among them `x-amz-trailer-signature`. Unsigned `aws-chunked` bodies need neither: they pass as they are.
//!
//! Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html> and
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use http::HeaderName;
use http::request::Parts;
use thiserror::Error;

use super::chain::sha256_hex;
use super::payload::Trailer;

pub use decode::Decoder;
pub use encode::{CHUNK_SIZE, Encoder};

/// Most headers behind a body.
const MOST_TRAILERS: usize = 16;

/// What the head of a request says about its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// `X-Amz-Decoded-Content-Length`.
    pub(crate) length: u64,
    /// `X-Amz-Trailer`: the names of the headers behind the body.
    pub(crate) trailers: Option<Vec<HeaderName>>,
}

impl Announced {
    /// Reads it.
    ///
    /// # Errors
    /// [`ChunkError::NoLength`], [`ChunkError::Trailers`].
    pub fn of_request(parts: &Parts, trailer: Trailer) -> Result<Self, ChunkError> {
        let mut lengths = parts.headers.get_all("x-amz-decoded-content-length").iter();
        let (length, second) = (lengths.next(), lengths.next());
        let length = length.filter(|_| second.is_none()).and_then(|value| value.to_str().ok());
        let is_plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.filter(is_plain).and_then(|text| text.parse().ok());
        let length = length.ok_or(ChunkError::NoLength)?;
        let trailers = match trailer {
            Trailer::Absent => None,
            Trailer::Present => Some(names(parts)?),
        };
        Ok(Self { length, trailers })
    }

    /// How many bytes the data has.
    pub fn length(&self) -> u64 {
        self.length
    }
}

fn names(parts: &Parts) -> Result<Vec<HeaderName>, ChunkError> {
    let mut names: Vec<HeaderName> = Vec::new();
    for value in parts.headers.get_all("x-amz-trailer") {
        let text = value.to_str().map_err(|_| ChunkError::Trailers)?;
        for name in text.split(',') {
            let name: HeaderName = name.trim().parse().map_err(|_| ChunkError::Trailers)?;
            // No header of the request may be changed by one behind it.
            if names.contains(&name) || parts.headers.contains_key(&name) || name == SIGNATURE {
                return Err(ChunkError::Trailers);
            }
            names.push(name);
        }
    }
    if names.is_empty() || names.len() > MOST_TRAILERS {
        return Err(ChunkError::Trailers);
    }
    Ok(names)
}

/// The header that signs the others behind a body.
const SIGNATURE: &str = "x-amz-trailer-signature";

/// Why a body of signed chunks is refused, or cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// `X-Amz-Decoded-Content-Length` is missing, there twice, or no number.
    #[error("a body in signed chunks needs one X-Amz-Decoded-Content-Length, a number")]
    NoLength,
    /// `X-Amz-Trailer` does not name the headers behind the body.
    #[error("X-Amz-Trailer does not name the headers that follow the body")]
    Trailers,
    /// Not chunks.
    #[error("the body is no sequence of signed chunks: {0}")]
    Framing(&'static str),
    /// The data is longer or shorter than announced.
    #[error("the body has not the {announced} bytes that X-Amz-Decoded-Content-Length announces")]
    Length {
        /// As announced.
        announced: u64,
    },
    /// The body ended before its last chunk.
    #[error("the body ended before its last chunk")]
    Cut,
    /// A signature is wrong.
    #[error(
        "the signature of a part of the body does not match: the part was changed, or is not in its place"
    )]
    Mismatch,
    /// The credentials give no key.
    #[error("no key for SigV4A can be derived from the credentials")]
    Key,
}

impl ChunkError {
    /// What it is in an error reply.
    pub fn fault(&self) -> crate::reply::Fault {
        use crate::reply::Fault;
        match self {
            Self::Mismatch => Fault::SignatureMismatch,
            Self::Key => Fault::Internal,
            _ => Fault::Invalid,
        }
    }
}

/// What is signed of a chunk: the hash of nothing, and that of its data.
fn chunk_lines(data_hash: &str) -> String {
    format!("{}\n{data_hash}", sha256_hex(b""))
}

/// What is signed of the headers behind a body: the hash of `name:value` lines, sorted.
fn trailer_lines(trailers: &http::HeaderMap) -> String {
    let mut lines: Vec<Vec<u8>> = trailers
        .iter()
        .map(|(name, value)| {
            [name.as_str().as_bytes(), b":", value.as_bytes().trim_ascii(), b"\n"].concat()
        })
        .collect();
    lines.sort_unstable();
    sha256_hex(&lines.concat())
}
