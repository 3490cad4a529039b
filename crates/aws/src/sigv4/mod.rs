//! Signature Version 4, both directions: check a client's request, sign ours.
//!
//! One canonicaliser serves both. Not here: SigV4A, and the chunk signatures of
//! `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` (refused with a reason).
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

mod authorization;
mod canonical;
mod keys;
mod payload;
pub(crate) mod presigned;
mod scope;
mod sign;
#[cfg(test)]
mod tests;
mod verify;

pub use authorization::Authorization;
pub use keys::{Credentials, Keys};
pub use payload::{BadPayload, PayloadHash, declared_payload};
pub use scope::{BadScope, Scope};
pub use sign::{BadDestination, Destination, SignError, Signed, sign};
pub use verify::{VerifyError, verify};
