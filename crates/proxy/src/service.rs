//! Starts and stops the Proxy Service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pki::Clock;
use thiserror::Error;

use crate::config::ProxyConfig;

/// Why the Proxy Service did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port is taken or may not be used.
    #[error("cannot listen on {addr}")]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A file of `https_keypairs` or of the self-signed pair.
    #[error("cannot use {path}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The TLS settings do not fit together.
    #[error("cannot set up TLS")]
    Tls(#[from] pki::TlsError),
    /// The self-signed web certificate could not be made.
    #[error("cannot make a web certificate")]
    WebCertificate(#[from] pki::IssueError),
    /// The client of the Auth Service could not be made.
    #[error("cannot set up the client of the Auth Service")]
    Client(#[from] api::ApiError),
}

/// How a running Proxy Service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// A full list has been had from the Auth Service: sessions can be judged.
    pub has_snapshot: bool,
    /// The Auth Service's changes are being followed right now.
    pub follows_auth: bool,
    /// Agents with at least one live tunnel.
    pub agents: usize,
    /// Live tunnels.
    pub tunnels: usize,
    /// Open connections of all kinds.
    pub connections: usize,
}

/// A running Proxy Service. Dropping it does not end the service; [`Handle::stop`] does.
#[derive(Debug)]
pub struct Handle {
    addr: SocketAddr,
}

/// Starts the Proxy Service: binds the port, then serves in the background.
///
/// # Errors
/// When the port or the web certificate cannot be had. An absent Auth Service is no error: it is waited for.
pub async fn start(config: ProxyConfig, clock: Clock) -> Result<Handle, StartError> {
    unimplemented!()
}

impl Handle {
    /// Where it listens: tells the port when port 0 was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        unimplemented!()
    }

    /// Ends the service: no new connections, tunnels are drained, pages finish;
    /// what is left after `deadline` is cut.
    pub async fn stop(self, deadline: Duration) {
        unimplemented!()
    }
}
