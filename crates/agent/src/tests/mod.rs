//! The road of a request, against a fake AWS.

mod canary;
mod fake_aws;
mod harness;
mod refused;
mod road;
mod signed_bodies;
mod streams;
pub(crate) mod tls_aws;

pub(crate) use harness::now;
