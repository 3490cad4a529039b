//! The Proxy Service: the one public port, the agents' tunnels, the web pages.
//!
//! A new connection is told apart by the first message of its TLS handshake and
//! by nothing else: it goes on to the Auth Service, becomes an agent's tunnel,
//! is passed on to the agent that serves an app, or is answered by the web pages.
//! The proxy holds no key to what it passes on: `tsh` speaks with the Auth
//! Service and with agents end to end, so that a broken proxy can drop that
//! traffic but neither read nor forge it.
//!
//! [`start`] gives a running service, [`Handle::stop`] ends it.

mod agents;
mod apps;
mod certificates;
mod config;
mod connections;
mod hello;
mod lanes;
mod places;
mod rewind;
mod road;
mod router;
mod service;
mod sessions;
mod snapshot;
mod splice;
mod web;

pub use config::{
    AcmeSettings, AcmeTiming, BadPublicAddr, DEFAULT_PORT, Limits, ProxyConfig, PublicAddr,
    TunnelSettings, WebCertificate, WebKeyPair,
};
pub use service::{Handle, Health, StartError, start};
