//! The road of a request, against a fake AWS.

mod canary;
mod fake_aws;
mod harness;
mod refused;
mod road;
mod signed_bodies;
mod streams;
mod tls_aws;
