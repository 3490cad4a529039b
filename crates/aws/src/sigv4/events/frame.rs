//! The outer messages of a signed event stream as bytes: lengths, two headers, a payload, two checksums.
//!
//! Source: <https://smithy.io/2.0/aws/amazon-eventstream.html>.

use bytes::{Buf as _, Bytes, BytesMut};

use super::EventError;

/// Lengths of the whole and of its headers, and their checksum.
const PRELUDE: usize = 12;
/// The checksum of the whole.
const CHECKSUM: usize = 4;
/// The format's own bound: 16 MiB of payload. Ours is the same for the whole.
const LONGEST: usize = 16 << 20;
/// `:date` and `:chunk-signature` take 68 bytes.
const LONGEST_HEADERS: usize = 128;

const DATE: &[u8] = b":date";
const SIGNATURE: &[u8] = b":chunk-signature";
const BYTES: u8 = 6;
const TIMESTAMP: u8 = 8;

/// One outer message.
#[derive(Debug)]
pub(super) struct Frame {
    /// All of it.
    pub(super) raw: Bytes,
    /// `:date`, milliseconds since 1970.
    pub(super) date: u64,
    /// `:chunk-signature`.
    pub(super) signature: [u8; 32],
    /// What it carries: a message, or nothing.
    pub(super) payload: Bytes,
}

/// Finds the messages in a stream of bytes.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// Adds bytes. At most one unfinished message is held, and no longer one than is allowed.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), EventError> {
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    /// The next complete message.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, EventError> {
        let Some(prelude) = self.buffer.get(..PRELUDE) else { return Ok(None) };
        let (length, headers) = lengths(prelude)?;
        if self.buffer.len() < length {
            return Ok(None);
        }
        let raw = self.buffer.split_to(length).freeze();
        read(raw, headers).map(Some)
    }

    pub(super) fn finish(self) -> Result<(), EventError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(EventError::Cut) }
    }
}

/// The lengths of the whole and of its headers, checked.
fn lengths(mut prelude: &[u8]) -> Result<(usize, usize), EventError> {
    let sum = crc32(prelude.get(..8).unwrap_or_default());
    let (length, headers) = (prelude.get_u32() as usize, prelude.get_u32() as usize);
    if prelude.get_u32() != sum {
        return Err(EventError::Malformed("the checksum of a message's lengths is wrong"));
    }
    if length > LONGEST {
        return Err(EventError::Malformed("a message is longer than 16 MiB"));
    }
    if headers > LONGEST_HEADERS || PRELUDE + headers + CHECKSUM > length {
        return Err(EventError::Malformed("the lengths of a message do not fit together"));
    }
    Ok((length, headers))
}

fn read(raw: Bytes, headers: usize) -> Result<Frame, EventError> {
    let end = raw.len().saturating_sub(CHECKSUM);
    let (content, mut sum) = raw.split_at_checked(end).unwrap_or_default();
    if sum.try_get_u32() != Ok(crc32(content)) {
        return Err(EventError::Malformed("the checksum of a message is wrong"));
    }
    let headers_end = PRELUDE + headers;
    let (date, signature) = read_headers(raw.slice(PRELUDE..headers_end))?;
    Ok(Frame { date, signature, payload: raw.slice(headers_end..end), raw })
}

/// `:date` and `:chunk-signature`, each once and nothing else, in any order.
fn read_headers(mut headers: Bytes) -> Result<(u64, [u8; 32]), EventError> {
    let (mut date, mut signature) = (None, None);
    while headers.has_remaining() {
        let name = take_name(&mut headers).ok_or(EventError::Malformed("a header is cut"))?;
        let kind = headers.try_get_u8();
        match (&*name, kind) {
            (DATE, Ok(TIMESTAMP)) if date.is_none() => date = headers.try_get_u64().ok(),
            (SIGNATURE, Ok(BYTES)) if signature.is_none() => {
                signature = take_signature(&mut headers)
            }
            _ => {
                return Err(EventError::Malformed(
                    "an outer message has other headers than :date and :chunk-signature",
                ));
            }
        }
    }
    // Later moments than the year 9999 have no spelling.
    let date = date.filter(|date| *date < 253_402_300_800_000);
    date.zip(signature).ok_or(EventError::Malformed("a message lacks :date or :chunk-signature"))
}

fn take_name(headers: &mut Bytes) -> Option<Bytes> {
    let length = usize::from(headers.try_get_u8().ok()?);
    (headers.len() >= length).then(|| headers.split_to(length))
}

fn take_signature(headers: &mut Bytes) -> Option<[u8; 32]> {
    let length = headers.try_get_u16().ok()?;
    let mut signature = [0; 32];
    (length == 32).then(|| headers.try_copy_to_slice(&mut signature).ok())??;
    Some(signature)
}

/// The `:date` header as it is signed and sent.
pub(super) fn date_header(date: u64) -> Vec<u8> {
    let mut out = header(DATE, TIMESTAMP);
    out.extend_from_slice(&date.to_be_bytes());
    out
}

fn header(name: &[u8], kind: u8) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or_default();
    [&[length], name, &[kind]].concat()
}

/// A message with these two headers; none if it would be too long.
pub(super) fn write(date: u64, signature: &[u8; 32], payload: &[u8]) -> Option<Bytes> {
    let mut headers = date_header(date);
    headers.extend(header(SIGNATURE, BYTES));
    headers.extend_from_slice(&32_u16.to_be_bytes());
    headers.extend_from_slice(signature);
    let length = PRELUDE + headers.len() + payload.len() + CHECKSUM;
    if length > LONGEST {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(&u32::try_from(length).ok()?.to_be_bytes());
    out.extend_from_slice(&u32::try_from(headers.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32(&out).to_be_bytes());
    Some(out.into())
}

/// CRC-32 of IEEE 802.3, which the format prescribes.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        let [low, ..] = sum.to_le_bytes();
        let row = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or_default();
        row ^ (sum >> 8)
    };
    !bytes.iter().fold(!0, step)
}

static TABLE: std::sync::LazyLock<[u32; 256]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|index| {
        let turn = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
        (0..8).fold(u32::try_from(index).unwrap_or_default(), turn)
    })
});
