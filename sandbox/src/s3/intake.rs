//! Bodies: taken off the wire piece by piece into a file, with everything about them checked that
//! the request promised.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::answer::Refusal;
use crate::sigv4::chunks::{ChunkFault, Decoder, Framing};
use crate::sigv4::crypto::sha256_hex;
use crate::sigv4::{Fault, Verified};
use crate::words;

use super::Request;
use super::checksum::{Kind, Running};
use super::shelf::Blob;

/// The XML documents that requests carry stay below this.
const SMALL: usize = 4 * 1024 * 1024;
const LARGEST_OBJECT: u64 = 5 * 1024 * 1024 * 1024;

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A body that has arrived whole and is what it promised to be.
#[derive(Debug)]
pub struct Received {
    /// Where it is.
    pub blob: Arc<Blob>,
    /// Its MD5.
    pub md5: [u8; 16],
    /// The checksum that was promised and kept: header and value.
    pub checksum: Option<(String, String)>,
}

/// A body that fits into memory: a document, or nothing.
pub(super) async fn small(request: &Request<'_>, body: Incoming) -> Result<bytes::Bytes, Refusal> {
    let body = Limited::new(body, SMALL).collect().await.map_err(|_| too_large())?.to_bytes();
    let payload = &request.verified.payload;
    if Framing::of(payload).is_some() {
        return Err(Refusal::new(
            501,
            "NotImplemented",
            "aws-chunked is for PutObject and UploadPart alone here",
        ));
    }
    promised_hash(payload)?;
    check_hash(request.verified, &sha256_hex(&body))?;
    let mut sums = Sums::of(request)?;
    sums.update(&body);
    sums.finish(&[])?;
    Ok(body)
}

/// A body of any length, into a file.
pub(super) async fn large(request: &Request<'_>, mut body: Incoming) -> Result<Received, Refusal> {
    let payload = &request.verified.payload;
    let framing = Framing::of(payload);
    let hashed = framing.is_none() && promised_hash(payload)?;
    let length = promised_length(request, framing)?;
    let mut intake = Intake {
        file: Landing::new(request)?,
        decoder: framing.map(|framing| Decoder::new(framing, request.verified)),
        sha256: hashed.then(|| digest::Context::new(&digest::SHA256)),
        sums: Sums::of(request)?,
        length: 0,
        plain: Vec::new(),
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| incomplete())?;
        if let Ok(data) = frame.into_data() {
            intake.take(&data)?;
        }
    }
    intake.finish(request, length)
}

struct Intake {
    file: Landing,
    decoder: Option<Decoder>,
    sha256: Option<digest::Context>,
    sums: Sums,
    length: u64,
    plain: Vec<u8>,
}

impl Intake {
    fn take(&mut self, data: &[u8]) -> Result<(), Refusal> {
        let Some(decoder) = &mut self.decoder else { return self.keep(data) };
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        decoder.feed(data, &mut plain).map_err(|fault| chunk_refusal(&fault))?;
        let kept = self.keep(&plain);
        self.plain = plain;
        kept
    }

    fn keep(&mut self, data: &[u8]) -> Result<(), Refusal> {
        self.length += data.len() as u64;
        if self.length > LARGEST_OBJECT {
            return Err(too_large());
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(data);
        }
        self.sums.update(data);
        self.file.write(data)
    }

    fn finish(mut self, request: &Request<'_>, promised: Option<u64>) -> Result<Received, Refusal> {
        let trailers = match self.decoder.take() {
            Some(decoder) => decoder.finish().map_err(|fault| chunk_refusal(&fault))?,
            None => Vec::new(),
        };
        if promised.is_some_and(|promised| promised != self.length) {
            return Err(incomplete());
        }
        if let Some(sha256) = self.sha256 {
            check_hash(request.verified, &hex::encode(sha256.finish()))?;
        }
        let (md5, checksum) = self.sums.finish(&trailers)?;
        Ok(Received { blob: self.file.keep(self.length), md5, checksum })
    }
}

/// A file in the making; it goes away again unless it is kept.
struct Landing {
    file: File,
    path: PathBuf,
    kept: bool,
}

impl Landing {
    fn new(request: &Request<'_>) -> Result<Self, Refusal> {
        let path = request.shelf.new_path();
        let file = File::create_new(&path).map_err(|error| disk(&error))?;
        Ok(Self { file, path, kept: false })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Refusal> {
        self.file.write_all(data).map_err(|error| disk(&error))
    }

    fn keep(mut self, length: u64) -> Arc<Blob> {
        self.kept = true;
        Blob::new(self.path.clone(), length)
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The MD5 that makes the ETag, and the checksums that were promised.
struct Sums {
    md5: md5::Context,
    promised_md5: Option<Vec<u8>>,
    running: Option<Running>,
    promised: Option<String>,
}

impl Sums {
    fn of(request: &Request<'_>) -> Result<Self, Refusal> {
        let facts = request.facts;
        let promised_md5 = match facts.header("content-md5") {
            None => None,
            Some(text) => {
                let raw = STANDARD.decode(text).ok().filter(|raw| raw.len() == 16);
                let invalid = || {
                    Refusal::new(
                        400,
                        "InvalidDigest",
                        "The Content-MD5 you specified is not valid.",
                    )
                };
                Some(raw.ok_or_else(invalid)?)
            }
        };
        let in_header = Kind::ALL.into_iter().find(|kind| facts.header(kind.header()).is_some());
        let announced =
            facts.header("x-amz-trailer").map(str::to_ascii_lowercase).unwrap_or_default();
        let in_trailer = Kind::ALL
            .into_iter()
            .find(|kind| announced.split(',').any(|name| name.trim() == kind.header()));
        Ok(Self {
            md5: md5::Context::new(),
            promised_md5,
            running: in_header.or(in_trailer).map(Running::new),
            promised: in_header.and_then(|kind| facts.header(kind.header())).map(str::to_owned),
        })
    }

    fn update(&mut self, data: &[u8]) {
        self.md5.consume(data);
        if let Some(running) = &mut self.running {
            running.update(data);
        }
    }

    #[expect(clippy::type_complexity, reason = "two plain values that are taken apart at once")]
    fn finish(
        self,
        trailers: &[(String, String)],
    ) -> Result<([u8; 16], Option<(String, String)>), Refusal> {
        let md5 = self.md5.compute().0;
        if self.promised_md5.is_some_and(|promised| promised != md5) {
            let text = "The Content-MD5 you specified did not match what we received.";
            return Err(Refusal::new(400, "BadDigest", text));
        }
        let Some(running) = self.running else { return Ok((md5, None)) };
        let kind = running.kind;
        let computed = running.finish();
        let in_trailer =
            trailers.iter().find(|(name, _)| name == kind.header()).map(|(_, value)| value.clone());
        let promised = self.promised.or(in_trailer).ok_or_else(|| {
            Refusal::new(
                400,
                "InvalidRequest",
                format!("The trailer {} was announced and did not come", kind.header()),
            )
        })?;
        if promised != computed {
            let text =
                format!("The {} you specified did not match the calculated checksum.", kind.name());
            return Err(Refusal::new(400, "BadDigest", text));
        }
        Ok((md5, Some((kind.header().to_owned(), computed))))
    }
}

/// Whether the payload's hash was promised; refuses what is neither a hash nor one of the words.
fn promised_hash(payload: &str) -> Result<bool, Refusal> {
    if payload == UNSIGNED {
        return Ok(false);
    }
    if payload.len() == 64 && payload.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Ok(true);
    }
    let text = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
        STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.";
    Err(Refusal::new(400, "InvalidArgument", text).with("ArgumentName", "x-amz-content-sha256"))
}

fn check_hash(verified: &Verified, computed: &str) -> Result<(), Refusal> {
    let claimed = &verified.payload;
    if claimed == UNSIGNED || claimed == computed {
        return Ok(());
    }
    let fault = Fault::Payload { claimed: claimed.clone(), computed: computed.to_owned() };
    Err(words::refusal(&fault, crate::answer::Protocol::Rest))
}

fn promised_length(
    request: &Request<'_>,
    framing: Option<Framing>,
) -> Result<Option<u64>, Refusal> {
    let number = |name: &str| request.facts.header(name).and_then(|text| text.parse::<u64>().ok());
    let name = if framing.is_some() { "x-amz-decoded-content-length" } else { "content-length" };
    match number(name) {
        Some(length) if length > LARGEST_OBJECT => Err(too_large()),
        Some(length) => Ok(Some(length)),
        None => Err(Refusal::new(
            411,
            "MissingContentLength",
            "You must provide the Content-Length HTTP header.",
        )),
    }
}

fn chunk_refusal(fault: &ChunkFault) -> Refusal {
    match fault {
        ChunkFault::Signature(_) => Refusal::new(
            403,
            "SignatureDoesNotMatch",
            format!(
                "The request signature we calculated does not match the signature you provided: {fault}."
            ),
        ),
        ChunkFault::TooSmall => Refusal::new(
            403,
            "InvalidChunkSizeError",
            "Only the last chunk is allowed to have a size less than 8192 bytes",
        ),
        ChunkFault::Framing(_) => Refusal::new(400, "InvalidRequest", fault.to_string()),
        ChunkFault::Short => incomplete(),
    }
}

fn incomplete() -> Refusal {
    Refusal::new(
        400,
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header.",
    )
}

fn too_large() -> Refusal {
    Refusal::new(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
}

fn disk(error: &std::io::Error) -> Refusal {
    Refusal::new(500, "InternalError", format!("could not keep the body: {error}"))
}
