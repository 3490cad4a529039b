//! The roads of requests, against a fake AWS and fake apps.

mod canary;
mod console;
mod fake_aws;
mod harness;
mod refused;
mod road;
mod streams;
mod tcp_app;
mod told;
mod web_app;
