//! A strict stand-in for AWS, for tests and demos: DynamoDB and its streams, STS, a small S3 and
//! the console's federation endpoint.
//!
//! Its one aim is to be harder to please than AWS: it works every signature out again, with code
//! of its own, and refuses whatever AWS would refuse, in AWS's words. It records who asked for
//! what, and it fails on request. It is not safe to be reached by strangers: its control
//! interface gives all secrets to whoever asks.

pub mod answer;
pub mod chance;
pub mod client;
pub mod control;
pub mod door;
pub mod dynamodb;
pub mod endpoint;
pub mod faults;
pub mod federation;
pub mod files;
pub mod journal;
pub mod keys;
pub mod roles;
pub mod s3;
pub mod serve;
pub mod sigv4;
pub mod sts;
pub mod tls;
pub mod words;
pub mod world;
