//! Checks a client's signature.

use std::time::SystemTime;

use http::request::Parts;
use thiserror::Error;

use super::authorization::Authorization;
use super::keys::Keys;
use super::payload::{BadPayload, PayloadHash};
use crate::reply::Fault;

/// Why a signature is refused. Never holds the expected signature.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// No authorization in the request.
    #[error(
        "the request is not signed: it has no SigV4 Authorization header and no presigned query"
    )]
    Missing,
    /// A part is missing, malformed or ambiguous.
    #[error("the request's authorization is malformed: {0}")]
    Incomplete(&'static str),
    /// Not the access key that was given out.
    #[error(
        "access key `{0}` is not the one that this proxy gave out; use the AWS_ACCESS_KEY_ID that it printed"
    )]
    UnknownKey(String),
    /// The signature was made for another request, or with another secret.
    #[error(
        "the signature does not match; the secret key is wrong, or the request was changed after signing"
    )]
    Mismatch,
    /// Signed too long ago.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - {minutes} min.)")]
    Expired {
        /// The request's time, `yyyymmddThhmmssZ`.
        signed: String,
        /// The earliest that is accepted.
        earliest: String,
        /// Our time.
        now: String,
        /// How old it may be, in minutes.
        minutes: u64,
    },
    /// Signed in the future.
    #[error(
        "Signature not yet current: {signed} is still later than {latest} ({now} + {minutes} min.)"
    )]
    NotYetCurrent {
        /// The request's time, `yyyymmddThhmmssZ`.
        signed: String,
        /// The latest that is accepted.
        latest: String,
        /// Our time.
        now: String,
        /// How far ahead it may be, in minutes.
        minutes: u64,
    },
    /// A header that has to be signed is not.
    #[error("header `{0}` is in the request but not among the signed headers")]
    UnsignedHeader(String),
    /// The body is not the one that was signed.
    #[error("x-amz-content-sha256 is not the SHA-256 of the body")]
    PayloadMismatch,
    /// Only S3 takes unsigned bodies.
    #[error("the body is not covered by the signature, which only S3 accepts")]
    UnsignedPayload,
    /// `x-amz-content-sha256` is refused.
    #[error(transparent)]
    Payload(#[from] BadPayload),
}

impl VerifyError {
    /// What it is in an error reply.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Missing => Fault::MissingToken,
            Self::Incomplete(_) => Fault::IncompleteSignature,
            Self::UnknownKey(_) => Fault::UnknownKey,
            Self::Mismatch | Self::UnsignedHeader(_) => Fault::SignatureMismatch,
            Self::Expired { .. } | Self::NotYetCurrent { .. } => Fault::Skewed,
            Self::PayloadMismatch => Fault::PayloadMismatch,
            Self::UnsignedPayload | Self::Payload(_) => Fault::Invalid,
        }
    }
}

/// Checks the signature of a request against one pair of keys, in constant time.
///
/// `payload` is the hash of the body where it was read, or [`super::declared_payload`] where it streams.
///
/// # Errors
/// [`VerifyError`] says which check failed.
pub fn verify(
    parts: &Parts,
    payload: &PayloadHash,
    keys: &Keys,
    now: SystemTime,
) -> Result<Authorization, VerifyError> {
    let _ = (parts, payload, keys, now);
    unimplemented!()
}
