//! Signature Version 4 as a server sees it: read what a request claims, work the signature out
//! again from what really arrived, and compare.
//!
//! This is written from AWS's description and on purpose shares no code with the product that is
//! tested against it. It knows the header form, the presigned query form and the signed chunks
//! of S3 uploads, by SigV4 and SigV4A. It does not know the older versions; those are refused by name.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

pub mod canonical;
pub mod check;
pub mod chunks;
pub mod claim;
pub mod crypto;
pub mod fault;

pub use canonical::{Facts, PathRule};
pub use check::{Expected, Payload, Verified, check};
pub use claim::{Claim, Form, Scheme};
pub use fault::Fault;
