//! How our own processes talk: JSON over HTTP/2 with mutual TLS.
//!
//! Here are the request and reply types, the routes, the names on the wire,
//! the typed client, the one YAML reader for resources and settings, joining a
//! cluster, and the `~/.tsh` profile. No rule is decided here and nothing is
//! stored but the profile and a host's own identity.

pub mod client;
pub mod duration;
pub mod error;
pub mod files;
pub mod gather;
pub mod headers;
pub mod http;
pub mod join;
pub mod outward;
pub mod profile;
pub mod resource;
pub mod routes;
pub mod types;
pub mod watch;
pub mod web;
pub mod wire;
pub mod yaml;

pub use client::Client;
pub use error::ApiError;
pub use resource::Resource;
