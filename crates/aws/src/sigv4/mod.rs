//! Signature Version 4, both directions: check a client's request, sign ours.
//!
//! One canonicaliser serves both, and both algorithms: SigV4 (HMAC) and SigV4A (ECDSA). Streamed bodies have a chain of
//! signatures of their own that starts with the request's: [`chunked`] for S3's chunks, [`events`] for event streams.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

mod algorithm;
mod authorization;
mod canonical;
mod chain;
pub mod chunked;
pub mod events;
mod keys;
mod payload;
pub(crate) mod presigned;
mod scope;
mod sign;
mod sigv4a;
#[cfg(test)]
mod tests;
mod verify;

pub use algorithm::Algorithm;
pub use authorization::Authorization;
pub use chain::Seed;
pub use keys::{Credentials, Keys};
pub use payload::{BadPayload, PayloadHash, Trailer, declared_payload};
pub use scope::{BadScope, Scope};
pub use sign::{BadDestination, Destination, SignError, Signed, Unsigned, sign, without_signature};
pub use verify::{Verified, VerifyError, carries_token, verify};
