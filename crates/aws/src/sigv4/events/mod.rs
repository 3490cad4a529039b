//! Event streams whose messages are signed one by one, as Transcribe and Bedrock take them in both directions.
//!
//! Each message that a client wants to send is the payload of an outer message with the headers `:date` and
//! `:chunk-signature`; one with an empty payload ends the stream.
//!
//! Source: <https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html>.

mod frame;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use thiserror::Error;

use self::frame::{Frame, Frames};
use super::chain::{Chain, Seed, sha256_hex};
use super::keys::Keys;
use crate::calendar::Stamp;
use crate::reply::Fault;

/// How far a message's date may be off, as that of a request.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Why an event stream is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EventError {
    /// Not messages.
    #[error("the event stream is malformed: {0}")]
    Malformed(&'static str),
    /// The stream ended inside a message.
    #[error("the event stream ended inside a message")]
    Cut,
    /// The signature is wrong.
    #[error("the signature of a message of the event stream does not match")]
    Mismatch,
    /// The message was signed too long ago, or in the future.
    #[error("a message of the event stream was signed at another time than now")]
    Skewed,
    /// Our own time is out of range, or there is no key.
    #[error("a message of the event stream cannot be signed")]
    Unsignable,
}

impl EventError {
    /// What it is in an error reply.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Malformed(_) | Self::Cut => Fault::Invalid,
            Self::Mismatch => Fault::SignatureMismatch,
            Self::Skewed => Fault::Skewed,
            Self::Unsignable => Fault::Internal,
        }
    }
}

/// Checks each message of a stream. Holds one message at a time.
pub struct Verifier {
    chain: Chain,
    frames: Frames,
}

impl Verifier {
    /// For the body of a request whose signature was checked with these keys.
    #[must_use]
    pub fn new(keys: Arc<Keys>, seed: Seed) -> Self {
        Self { chain: Chain::new(keys, seed), frames: Frames::default() }
    }

    /// Takes the next piece of the stream, and adds the messages that are now complete and right to `out`, as they came.
    ///
    /// # Errors
    /// [`EventError`]. Nothing may be pushed after one.
    pub fn push(
        &mut self,
        piece: &[u8],
        now: SystemTime,
        out: &mut Vec<Bytes>,
    ) -> Result<(), EventError> {
        self.frames.push(piece)?;
        while let Some(frame) = self.frames.next()? {
            self.check(&frame, now)?;
            out.push(frame.raw);
        }
        Ok(())
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`EventError::Cut`] if it ended inside a message.
    pub fn finish(self) -> Result<(), EventError> {
        self.frames.finish()
    }

    fn check(&mut self, frame: &Frame, now: SystemTime) -> Result<(), EventError> {
        let date = UNIX_EPOCH + Duration::from_millis(frame.date);
        if date > now + SKEW || date + SKEW < now {
            return Err(EventError::Skewed);
        }
        self.chain.at(Stamp::of(date).ok_or(EventError::Skewed)?);
        let lines = lines(frame.date, &frame.payload);
        let signature = hex::encode(frame.signature);
        let fits = self.chain.verifies("PAYLOAD", &lines, &signature);
        fits.then_some(()).ok_or(EventError::Mismatch)
    }
}

/// Signs each message of a stream anew. Holds one message at a time.
pub struct Signer {
    chain: Chain,
    frames: Frames,
}

impl Signer {
    /// For the body of a request that was signed with these keys.
    #[must_use]
    pub fn new(keys: Arc<Keys>, seed: Seed) -> Self {
        Self { chain: Chain::new(keys, seed), frames: Frames::default() }
    }

    /// Takes the next piece of a stream of messages that somebody else signed, and adds to `out` those that are now
    /// complete, signed by us.
    ///
    /// # Errors
    /// [`EventError`]. Nothing may be pushed after one.
    pub fn push(
        &mut self,
        piece: &[u8],
        now: SystemTime,
        out: &mut Vec<Bytes>,
    ) -> Result<(), EventError> {
        self.frames.push(piece)?;
        while let Some(frame) = self.frames.next()? {
            out.push(self.sign(&frame.payload, now)?);
        }
        Ok(())
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// [`EventError::Cut`] if it ended inside a message.
    pub fn finish(self) -> Result<(), EventError> {
        self.frames.finish()
    }

    fn sign(&mut self, payload: &[u8], now: SystemTime) -> Result<Bytes, EventError> {
        let stamp = Stamp::of(now).ok_or(EventError::Unsignable)?;
        self.chain.at(stamp);
        // Whole seconds, as the stamp has no others.
        let since = stamp.time().duration_since(UNIX_EPOCH).unwrap_or_default();
        let date = since.as_secs().saturating_mul(1000);
        let signature = self.chain.sign("PAYLOAD", &lines(date, payload));
        let signature = signature.map_err(|_| EventError::Unsignable)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(signature, &mut bytes).map_err(|_| EventError::Unsignable)?;
        frame::write(date, &bytes, payload).ok_or(EventError::Malformed("a message is too long"))
    }
}

/// What is signed of a message: the hash of its `:date` header, and that of its payload.
fn lines(date: u64, payload: &[u8]) -> String {
    format!("{}\n{}", sha256_hex(&frame::date_header(date)), sha256_hex(payload))
}

impl fmt::Debug for Verifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Verifier({})", self.chain.scope())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Signer({})", self.chain.scope())
    }
}
