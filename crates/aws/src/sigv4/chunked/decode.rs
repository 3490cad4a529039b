//! Takes a body of signed chunks apart, as it comes in.

use std::sync::Arc;

use aws_lc_rs::digest::{self, Context};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Announced, ChunkError, MOST_TRAILERS, SIGNATURE, chunk_lines, trailer_lines};
use crate::sigv4::chain::{Chain, Seed};
use crate::sigv4::keys::Keys;

/// The longest line of a chunk's head is 16 digits, `;chunk-signature=` and 144 digits.
const LONGEST_HEAD: usize = 200;
/// A header behind the body holds a checksum or a signature.
const LONGEST_TRAILER: usize = 1024;

/// Checks every chunk's signature while its data passes. Holds one line at a time, never data.
///
/// The data of a chunk comes out before its signature is checked: whoever takes it must see to it that nothing is
/// complete before [`Decoder::finish`] has said so.
pub struct Decoder {
    chain: Chain,
    announced: Announced,
    state: State,
    line: Vec<u8>,
    signature: String,
    hash: Context,
    decoded: u64,
    trailers: HeaderMap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the line before a chunk's data.
    Head,
    /// In the data, so much of which is still to come.
    Data(u64),
    /// In the CRLF behind the data.
    Behind,
    /// In the headers behind the body.
    Trailers,
    /// Behind everything.
    Done,
}

impl Decoder {
    /// For the body of a request whose signature was checked with these keys.
    #[must_use]
    pub fn new(keys: Arc<Keys>, seed: Seed, announced: Announced) -> Self {
        Self {
            chain: Chain::new(keys, seed),
            announced,
            state: State::Head,
            line: Vec::new(),
            signature: String::new(),
            hash: Context::new(&digest::SHA256),
            decoded: 0,
            trailers: HeaderMap::new(),
        }
    }

    /// Takes the next piece of the body and adds the data in it to `out`.
    ///
    /// # Errors
    /// [`ChunkError`]. Nothing may be pushed after one.
    pub fn push(&mut self, mut piece: Bytes, out: &mut Vec<Bytes>) -> Result<(), ChunkError> {
        while !piece.is_empty() {
            match self.state {
                State::Done => return Err(ChunkError::Framing("something follows its end")),
                State::Data(left) => {
                    let taken =
                        usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
                    let data = piece.split_to(taken);
                    self.take_data(&data, left)?;
                    out.push(data);
                }
                State::Head | State::Behind | State::Trailers => self.take_line(&mut piece)?,
            }
        }
        Ok(())
    }

    /// The body has ended: gives the headers behind it.
    ///
    /// # Errors
    /// [`ChunkError::Cut`] if this is no end, [`ChunkError::Length`] if data is missing.
    pub fn finish(self) -> Result<HeaderMap, ChunkError> {
        if self.state != State::Done {
            return Err(ChunkError::Cut);
        }
        Ok(self.trailers)
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.line.capacity().max(self.line.len())
    }

    fn take_data(&mut self, data: &[u8], left: u64) -> Result<(), ChunkError> {
        self.hash.update(data);
        let length = data.len() as u64;
        self.decoded += length;
        let rest = left.saturating_sub(length);
        self.state = State::Data(rest);
        if rest == 0 {
            self.check_chunk()?;
            self.state = State::Behind;
        }
        Ok(())
    }

    /// Moves bytes to the line; at its end reads it.
    fn take_line(&mut self, piece: &mut Bytes) -> Result<(), ChunkError> {
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(piece.len(), |end| end + 1);
        let longest = if self.state == State::Trailers { LONGEST_TRAILER } else { LONGEST_HEAD };
        if self.line.len() + taken > longest {
            return Err(ChunkError::Framing("a line is too long"));
        }
        self.line.extend_from_slice(&piece.split_to(taken));
        if end.is_none() {
            return Ok(());
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let stripped = line.strip_suffix(b"\r");
        let text = std::str::from_utf8(stripped.unwrap_or(line))
            .map_err(|_| ChunkError::Framing("a line is not text"))?;
        match self.state {
            State::Trailers => self.trailer(text),
            _ if stripped.is_none() => Err(ChunkError::Framing("a line does not end in CRLF")),
            State::Behind if text.is_empty() => {
                self.state = State::Head;
                Ok(())
            }
            State::Behind => Err(ChunkError::Framing("a chunk is longer than it says")),
            _ => self.head(text),
        }
    }

    fn head(&mut self, line: &str) -> Result<(), ChunkError> {
        let (size, signature) = line
            .split_once(";chunk-signature=")
            .ok_or(ChunkError::Framing("a chunk has no signature"))?;
        let is_hex = (1..=16).contains(&size.len()) && size.bytes().all(|b| b.is_ascii_hexdigit());
        let size = u64::from_str_radix(size, 16)
            .ok()
            .filter(|_| is_hex)
            .ok_or(ChunkError::Framing("a chunk's size is no number"))?;
        signature.trim_end_matches('*').clone_into(&mut self.signature);
        let announced = self.announced.length;
        if self.decoded.checked_add(size).is_none_or(|length| length > announced) {
            return Err(ChunkError::Length { announced });
        }
        if size > 0 {
            self.state = State::Data(size);
            return Ok(());
        }
        self.check_chunk()?;
        if self.decoded != announced {
            return Err(ChunkError::Length { announced });
        }
        self.state = State::Trailers;
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), ChunkError> {
        let hash = std::mem::replace(&mut self.hash, Context::new(&digest::SHA256)).finish();
        let lines = chunk_lines(&hex::encode(hash.as_ref()));
        let fits = self.chain.verifies("PAYLOAD", &lines, &self.signature);
        self.signature.clear();
        fits.then_some(()).ok_or(ChunkError::Mismatch)
    }

    fn trailer(&mut self, line: &str) -> Result<(), ChunkError> {
        if line.is_empty() {
            return self.trailers_end();
        }
        let Some(names) = &self.announced.trailers else {
            return Err(ChunkError::Framing("headers follow it that were not announced"));
        };
        let (name, value) =
            line.split_once(':').ok_or(ChunkError::Framing("a header behind it has no value"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == SIGNATURE {
            if !self.signature.is_empty() {
                return Err(ChunkError::Framing("the headers behind it are signed twice"));
            }
            value.trim_end_matches('*').clone_into(&mut self.signature);
            return Ok(());
        }
        let (name, value) = match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => (name, value),
            _ => return Err(ChunkError::Framing("a header behind it is malformed")),
        };
        let is_known = names.contains(&name) && !self.trailers.contains_key(&name);
        if !is_known || self.trailers.len() >= MOST_TRAILERS || !self.signature.is_empty() {
            return Err(ChunkError::Framing("headers follow it that were not announced"));
        }
        self.trailers.insert(name, value);
        Ok(())
    }

    /// An empty line: the end, or (as some clients have it) what stands before the signature.
    fn trailers_end(&mut self) -> Result<(), ChunkError> {
        if self.announced.trailers.is_some() {
            if self.signature.is_empty() && !self.trailers.is_empty() {
                return Ok(());
            }
            let lines = trailer_lines(&self.trailers);
            if !self.chain.verifies("TRAILER", &lines, &self.signature) {
                return Err(ChunkError::Mismatch);
            }
        }
        self.state = State::Done;
        Ok(())
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Decoder({} of {} bytes)", self.decoded, self.announced.length)
    }
}
