//! A cluster of real processes for tests: the three binaries, the AWS stand-in,
//! the real clients. Used by the end-to-end tests and the benchmark only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on must say so and stop"
)]

pub mod browser;
pub mod canary;
pub mod clients;
pub mod cluster;
pub mod lived_in;
pub mod pebble;
pub mod places;
pub mod process;
pub mod sandbox;
pub mod tsh;
pub mod visitor;
