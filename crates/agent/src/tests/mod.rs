//! The roads of requests, against a fake AWS and fake apps.

mod canary;
mod console;
mod derived;
mod expect;
mod fake_aws;
mod harness;
mod lanes;
mod packed;
mod refused;
mod road;
mod signed_bodies;
mod streams;
mod tcp_app;
pub(crate) mod tls_aws;
mod told;
mod unsigned;
mod web_app;

pub(crate) use harness::now;
