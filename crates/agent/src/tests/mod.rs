//! The roads of requests, against a fake AWS and fake apps.

mod canary;
mod console;
mod derived;
mod fake_aws;
mod harness;
mod refused;
mod road;
mod signed_bodies;
mod streams;
mod tcp_app;
mod tls_aws;
mod told;
mod web_app;
