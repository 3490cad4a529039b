//! Puts a body of signed chunks together, as its data comes in.

use std::sync::Arc;

use aws_lc_rs::digest::{self, Context};
use bytes::Bytes;
use http::HeaderMap;

use super::{Announced, ChunkError, SIGNATURE, chunk_lines, trailer_lines};
use crate::sigv4::algorithm::Algorithm;
use crate::sigv4::chain::{Chain, Seed};
use crate::sigv4::keys::Keys;

/// How much data a chunk holds, the last one excepted. S3 wants at least 8 KiB.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// Checksums behind a body whose values always have the same length, with that length.
const CHECKSUMS: [(&str, usize); 7] = [
    ("x-amz-checksum-crc32", 8),
    ("x-amz-checksum-crc32c", 8),
    ("x-amz-checksum-crc64nvme", 12),
    ("x-amz-checksum-md5", 24),
    ("x-amz-checksum-sha1", 28),
    ("x-amz-checksum-sha256", 44),
    ("x-amz-checksum-sha512", 88),
];

/// Signs chunk by chunk.
pub struct Encoder {
    chain: Chain,
    announced: Announced,
    encoded: u64,
}

impl Encoder {
    /// For the body of a request that was signed with these keys.
    #[must_use]
    pub fn new(keys: Arc<Keys>, seed: Seed, announced: Announced) -> Self {
        Self { chain: Chain::new(keys, seed), announced, encoded: 0 }
    }

    /// How long the whole body will be in chunks of [`CHUNK_SIZE`]; `None` if a header behind it may have any length.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        let algorithm = self.chain.scope().algorithm();
        let (length, size) = (self.announced.length, CHUNK_SIZE as u64);
        let chunk = |data: u64| head(algorithm, data) + if data > 0 { data + 2 } else { 0 };
        let last = length % size;
        let mut sum = (length / size).checked_mul(chunk(size))?.checked_add(chunk(0) + 2)?;
        if last > 0 {
            sum = sum.checked_add(chunk(last))?;
        }
        let Some(names) = &self.announced.trailers else { return Some(sum) };
        for name in names {
            let (_, value) = CHECKSUMS.iter().find(|(known, _)| name == known)?;
            sum += (name.as_str().len() + 1 + value + 2) as u64;
        }
        Some(sum + (SIGNATURE.len() + 1 + algorithm.padded_length() + 2) as u64)
    }

    /// The line in front of the next chunk, which has this data; it is followed by the data and CRLF.
    ///
    /// # Errors
    /// [`ChunkError::Length`] if it is more than was announced.
    pub fn chunk(&mut self, data: &[Bytes]) -> Result<Bytes, ChunkError> {
        let mut hash = Context::new(&digest::SHA256);
        data.iter().for_each(|piece| hash.update(piece));
        let length: u64 = data.iter().map(|piece| piece.len() as u64).sum();
        self.encoded += length;
        if self.encoded > self.announced.length {
            return Err(ChunkError::Length { announced: self.announced.length });
        }
        let hash = hex::encode(hash.finish().as_ref());
        let signature = self.sign("PAYLOAD", &chunk_lines(&hash))?;
        Ok(format!("{length:x};chunk-signature={signature}\r\n").into())
    }

    /// What stands behind the data: the empty chunk, headers, and their signature.
    ///
    /// # Errors
    /// [`ChunkError::Length`] if data is missing, [`ChunkError::Trailers`] if the headers are not those announced.
    pub fn end(mut self, trailers: &HeaderMap) -> Result<Bytes, ChunkError> {
        if self.encoded != self.announced.length {
            return Err(ChunkError::Length { announced: self.announced.length });
        }
        let mut out = self.chunk(&[])?.to_vec();
        let names = self.announced.trailers.take();
        let expected = names.as_deref().unwrap_or_default();
        let is_named = |name| expected.contains(name);
        if trailers.len() != expected.len() || !trailers.keys().all(is_named) {
            return Err(ChunkError::Trailers);
        }
        for (name, value) in trailers {
            let known = CHECKSUMS.iter().find(|(known, _)| name == known);
            if known.is_some_and(|(_, length)| value.len() != *length) {
                return Err(ChunkError::Trailers);
            }
            let line = [name.as_str().as_bytes(), b":", value.as_bytes(), b"\r\n"];
            out.extend_from_slice(&line.concat());
        }
        if names.is_some() {
            let signature = self.sign("TRAILER", &trailer_lines(trailers))?;
            out.extend_from_slice(format!("{SIGNATURE}:{signature}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        Ok(out.into())
    }

    fn sign(&mut self, part: &str, lines: &str) -> Result<String, ChunkError> {
        let length = self.chain.scope().algorithm().padded_length();
        let signature = self.chain.sign(part, lines).map_err(|_| ChunkError::Key)?;
        Ok(format!("{signature:*<length$}"))
    }
}

/// How long the line in front of a chunk is.
fn head(algorithm: Algorithm, data: u64) -> u64 {
    let digits = format!("{data:x}").len();
    (digits + ";chunk-signature=".len() + algorithm.padded_length() + 2) as u64
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Encoder({} of {} bytes)", self.encoded, self.announced.length)
    }
}
