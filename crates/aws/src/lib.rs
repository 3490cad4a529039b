//! AWS's own vocabulary: ARNs, partitions, endpoints, SigV4, and what a DynamoDB call touches.
//!
//! Pure: no IO, no async, no clock. Time is an argument everywhere, and so is the secret.
//! Nothing here decides who may do what (`access` does) or dials anything (the agent does).
//!
//! # How a request travels through this crate
//!
//! 1. Beside the user, the local proxy asks [`endpoint::is_aws_host`] whether a CONNECT is for AWS,
//!    and checks the client's signature against its throwaway keys with [`sigv4::verify`].
//!    A failure becomes the service's own error with [`reply::ErrorReply`].
//! 2. In the agent, [`CallHead::parse`] reads the head, which says whether the body has to be read (DynamoDB, STS) or
//!    may stream (S3), and [`CallHead::with_body`] gives the facts that are decided and audited on. **One** parsed
//!    [`Endpoint`] yields host, service, region and partition together; host, credential scope and
//!    `X-Amz-Target` must agree or there is no call.
//! 3. [`session_name::session_name`] turns the user's name into a role session name for AssumeRole.
//! 4. [`sigv4::Destination`] says where the request goes: the endpoint, or the address that a setting such as
//!    `AWS_ENDPOINT_URL_DYNAMODB` names. [`sigv4::sign`] makes a [`sigv4::Signed`], which nothing can
//!    alter, with the keys of a [`sigv4::Keys`].
//!
//! The payload is hashed once: [`sigv4::PayloadHash`] is made from the body or read from the client's own
//! header, and the same value goes into verifying and signing.

pub mod arn;
mod calendar;
pub mod call;
pub mod dynamodb;
pub mod endpoint;
mod host;
mod packed;
mod partiql;
pub mod partition;
mod query;
pub mod region;
pub mod reply;
pub mod s3;
pub mod secret;
pub mod service;
pub mod session_name;
pub mod sigv4;
mod spoken;
pub mod sts;
mod table;

pub use arn::{AccountId, Arn, BadArn, RoleArn};
pub use call::{BadCall, Call, CallHead};
pub use endpoint::Endpoint;
pub use partition::Partition;
pub use region::Region;
pub use secret::Secret;
pub use service::Service;
