//! `aws-chunked`, the framing in which S3 uploads stream: sizes, data, and in the signed forms a
//! signature for each chunk that leans on the one before.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html>

use aws_lc_rs::digest;
use thiserror::Error;

use super::check::Verified;
use super::crypto::{EMPTY_SHA256, SigningKey, sha256_hex};

/// Lines of the framing are short.
const LINE_LIMIT: usize = 4096;
/// All chunks but the last hold at least so much.
const LEAST_CHUNK: u64 = 8192;
const TRAILER_LIMIT: usize = 32;

/// What is wrong with a chunked body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChunkFault {
    /// A chunk's or the trailer's signature does not fit.
    #[error("the signature of {0} does not fit")]
    Signature(String),
    /// The framing is broken.
    #[error("the chunked body is malformed: {0}")]
    Framing(&'static str),
    /// A chunk before the last is too small.
    #[error("a chunk before the last one has less than {LEAST_CHUNK} bytes")]
    TooSmall,
    /// The body ended too early.
    #[error("the chunked body broke off")]
    Short,
}

/// The three forms of the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Neither chunks nor trailers are signed.
    UnsignedWithTrailer,
    /// Each chunk is signed.
    Signed,
    /// Each chunk and the trailer are signed.
    SignedWithTrailer,
}

impl Framing {
    /// The framing that a value of `x-amz-content-sha256` announces.
    pub fn of(payload: &str) -> Option<Self> {
        match payload {
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Self::UnsignedWithTrailer),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" => {
                Some(Self::Signed)
            }
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
            | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER" => Some(Self::SignedWithTrailer),
            _ => None,
        }
    }

    fn is_signed(self) -> bool {
        self != Self::UnsignedWithTrailer
    }

    fn has_trailer(self) -> bool {
        self != Self::Signed
    }
}

/// What signs the chunks: everything that stays the same, and the last signature.
#[derive(Debug)]
struct Chain {
    key: SigningKey,
    scheme: &'static str,
    date: String,
    scope: String,
    last: String,
}

impl Chain {
    /// Whether a signature is the next one.
    fn goes_on(&mut self, kind: &str, hashes: &str, signature: &str) -> bool {
        let Self { scheme, date, scope, last, .. } = self;
        let text = format!("{scheme}-{kind}\n{date}\n{scope}\n{last}\n{hashes}");
        let fits = self.key.made(&text, signature);
        signature.trim_end_matches('*').clone_into(&mut self.last);
        fits
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The line with a chunk's size.
    Size,
    /// So many bytes of data are left.
    Data(u64),
    /// The line end after the data.
    DataEnd,
    /// The lines after the last chunk.
    Trailer,
    /// Nothing may follow.
    Done,
}

/// Takes the framing off, piece by piece, and checks it.
pub struct Decoder {
    framing: Framing,
    chain: Chain,
    state: State,
    line: Vec<u8>,
    hash: digest::Context,
    promised: String,
    count: u64,
    last_size: u64,
    trailers: Vec<(String, String)>,
    trailer_signature: Option<String>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({:?}, {:?})", self.framing, self.state)
    }
}

impl Decoder {
    /// A decoder for the body of a request whose head has been verified.
    pub fn new(framing: Framing, verified: &Verified) -> Self {
        let chain = Chain {
            key: verified.signing_key.clone(),
            scheme: verified.claim.scheme.name(),
            date: verified.claim.date.clone(),
            scope: verified.claim.scope(),
            last: verified.claim.signature.clone(),
        };
        Self {
            framing,
            chain,
            state: State::Size,
            line: Vec::new(),
            hash: digest::Context::new(&digest::SHA256),
            promised: String::new(),
            count: 0,
            last_size: LEAST_CHUNK,
            trailers: Vec::new(),
            trailer_signature: None,
        }
    }

    /// Takes a piece of the body and adds the data in it to `out`.
    pub fn feed(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), ChunkFault> {
        while let Some(&first) = piece.first() {
            if let State::Data(left) = self.state {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                let (data, rest) = piece.split_at(take);
                out.extend_from_slice(data);
                self.data(data, left)?;
                piece = rest;
                continue;
            }
            piece = piece.get(1..).unwrap_or_default();
            if self.state == State::Done {
                return Err(ChunkFault::Framing("something follows the end"));
            }
            self.line.push(first);
            if first == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.line_end(&line)?;
            } else if self.line.len() > LINE_LIMIT {
                return Err(ChunkFault::Framing("a line is too long"));
            }
        }
        Ok(())
    }

    /// Ends the body; gives the trailers.
    pub fn finish(self) -> Result<Vec<(String, String)>, ChunkFault> {
        if self.state == State::Done { Ok(self.trailers) } else { Err(ChunkFault::Short) }
    }

    fn data(&mut self, data: &[u8], left: u64) -> Result<(), ChunkFault> {
        if self.framing.is_signed() {
            self.hash.update(data);
        }
        let rest = left - data.len() as u64;
        self.state = State::Data(rest);
        if rest == 0 {
            self.chunk_end()?;
            self.state = State::DataEnd;
        }
        Ok(())
    }

    fn chunk_end(&mut self) -> Result<(), ChunkFault> {
        self.count += 1;
        if !self.framing.is_signed() {
            return Ok(());
        }
        let hash =
            std::mem::replace(&mut self.hash, digest::Context::new(&digest::SHA256)).finish();
        let hashes = format!("{EMPTY_SHA256}\n{}", hex::encode(hash));
        if self.chain.goes_on("PAYLOAD", &hashes, &self.promised) {
            return Ok(());
        }
        Err(ChunkFault::Signature(format!("chunk {}", self.count)))
    }

    fn line_end(&mut self, line: &[u8]) -> Result<(), ChunkFault> {
        let text =
            std::str::from_utf8(line).map_err(|_| ChunkFault::Framing("a line is not text"))?;
        let text = text.trim_end_matches(['\r', '\n']);
        match self.state {
            State::Size => self.size_line(text),
            State::DataEnd if text.is_empty() => {
                self.state = State::Size;
                Ok(())
            }
            State::DataEnd => Err(ChunkFault::Framing("a chunk is longer than its size")),
            State::Trailer => self.trailer_line(text),
            State::Data(_) | State::Done => Err(ChunkFault::Framing("a line where none belongs")),
        }
    }

    fn size_line(&mut self, text: &str) -> Result<(), ChunkFault> {
        let (size, extension) = text.split_once(';').unwrap_or((text, ""));
        let size = u64::from_str_radix(size.trim(), 16)
            .map_err(|_| ChunkFault::Framing("a chunk's size is no number"))?;
        match extension.trim().strip_prefix("chunk-signature=") {
            Some(signature) if self.framing.is_signed() => signature.clone_into(&mut self.promised),
            None if self.framing.is_signed() => {
                return Err(ChunkFault::Framing("a chunk has no signature"));
            }
            Some(_) => {
                return Err(ChunkFault::Framing("a chunk has a signature that was not announced"));
            }
            None => {}
        }
        if size == 0 {
            self.chunk_end()?;
            self.state = State::Trailer;
            return Ok(());
        }
        if self.last_size < LEAST_CHUNK {
            return Err(ChunkFault::TooSmall);
        }
        self.last_size = size;
        self.state = State::Data(size);
        Ok(())
    }

    fn trailer_line(&mut self, text: &str) -> Result<(), ChunkFault> {
        if text.is_empty() {
            // AWS's own description puts an empty line before the signature of the trailer.
            let waits = self.framing == Framing::SignedWithTrailer
                && !self.trailers.is_empty()
                && self.trailer_signature.is_none();
            if !waits {
                self.trailer_end()?;
                self.state = State::Done;
            }
            return Ok(());
        }
        let (name, value) =
            text.split_once(':').ok_or(ChunkFault::Framing("a trailer has no value"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if !self.framing.has_trailer() || self.trailers.len() == TRAILER_LIMIT {
            return Err(ChunkFault::Framing("a trailer where none was announced"));
        }
        if name == "x-amz-trailer-signature" {
            self.trailer_signature = Some(value);
        } else {
            self.trailers.push((name, value));
        }
        Ok(())
    }

    fn trailer_end(&mut self) -> Result<(), ChunkFault> {
        if self.framing != Framing::SignedWithTrailer {
            return Ok(());
        }
        let mut sorted = self.trailers.clone();
        sorted.sort();
        let text: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let given = self.trailer_signature.clone().unwrap_or_default();
        if self.chain.goes_on("TRAILER", &sha256_hex(text.as_bytes()), &given) {
            return Ok(());
        }
        Err(ChunkFault::Signature("the trailer".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::keys;
    use crate::sigv4::crypto::signing_key;
    use crate::sigv4::{Claim, Form, Scheme};

    /// The example of AWS's manual: 65 KiB of `a` in two chunks.
    fn example(seed: &str) -> Verified {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        Verified {
            principal: Arc::new(keys::generate("111122223333", "x")),
            claim: Claim {
                scheme: Scheme::Symmetric,
                form: Form::Header,
                access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                day: "20130524".to_owned(),
                region: "us-east-1".to_owned(),
                service: "s3".to_owned(),
                signed_headers: Vec::new(),
                signature: seed.to_owned(),
                date: "20130524T000000Z".to_owned(),
                at: "2013-05-24T00:00:00Z".parse().unwrap(),
                token: None,
            },
            signing_key: SigningKey::Symmetric(signing_key(secret, "20130524", "us-east-1", "s3")),
            payload: String::new(),
        }
    }

    type Decoded = (Vec<u8>, Vec<(String, String)>);

    const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

    fn manual_body() -> Vec<u8> {
        let mut body = b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n".to_vec();
        body.extend(vec![b'a'; 65536]);
        body.extend(b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n");
        body.extend(vec![b'a'; 1024]);
        body.extend(b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n");
        body
    }

    fn decode(framing: Framing, body: &[u8], step: usize) -> Result<Decoded, ChunkFault> {
        let mut decoder = Decoder::new(framing, &example(SEED));
        let mut out = Vec::new();
        for piece in body.chunks(step) {
            decoder.feed(piece, &mut out)?;
        }
        Ok((out, decoder.finish()?))
    }

    #[test]
    fn example_of_the_manual_is_accepted_in_pieces_of_any_size() {
        for step in [1, 7, 4096, 1 << 20] {
            let (data, trailers) = decode(Framing::Signed, &manual_body(), step).unwrap();
            assert_eq!(data.len(), 66560);
            assert!(trailers.is_empty());
        }
    }

    #[test]
    fn altered_chunks_are_refused() {
        let mut body = manual_body();
        body[1000] = b'b';
        assert_eq!(
            decode(Framing::Signed, &body, 4096),
            Err(ChunkFault::Signature("chunk 1".to_owned()))
        );
        let body = manual_body();
        assert_eq!(decode(Framing::Signed, &body[..body.len() - 2], 4096), Err(ChunkFault::Short));
        let mut body = manual_body();
        body.extend(b"x");
        assert!(decode(Framing::Signed, &body, 4096).is_err());
    }

    #[test]
    fn unsigned_form_gives_its_trailers() {
        let body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n";
        let (data, trailers) = decode(Framing::UnsignedWithTrailer, body, 5).unwrap();
        assert_eq!(data, b"abc");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "NSRBwg==".to_owned())]);
    }

    #[test]
    fn hostile_framings_are_refused() {
        for body in [
            &b"zz\r\n"[..],
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"1\r\na\r\n1\r\na\r\n0\r\n\r\n",
            b"ffffffffffffffffff\r\n",
            b"-1\r\n",
            b"0\r\nno value\r\n\r\n",
            b"3;chunk-signature=00\r\nabc\r\n0\r\n\r\n",
            b"",
        ] {
            assert!(
                decode(Framing::UnsignedWithTrailer, body, 3).is_err(),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
    }
}
