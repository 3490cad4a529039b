//! What the Proxy Service is told at its start. Every value is checked already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use access::ClusterName;
use pki::{LiveCredential, LiveTrust};
use thiserror::Error;

/// The port of the proxy's one listener, unless told otherwise.
pub const DEFAULT_PORT: u16 = 3080;

/// Settings of one Proxy Service.
#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// Where to listen: `web_listen_addr`, default `0.0.0.0:3080`.
    pub listen_addr: SocketAddr,
    /// What users type, and what pages and `ping` show.
    pub public_addr: PublicAddr,
    /// `host:port` of the Auth Service's own listener.
    pub auth_addr: String,
    /// The proxy's host certificate and key.
    pub credential: Arc<LiveCredential>,
    /// Whom the proxy trusts. Kept fresh from the Auth Service.
    pub trust: Arc<LiveTrust>,
    /// The cluster.
    pub cluster: ClusterName,
    /// What browsers and `tsh` see at the web port.
    pub web_certificate: WebCertificate,
    /// Bounds of everything that a stranger can take.
    pub limits: Limits,
    /// The agents' tunnels.
    pub tunnel: TunnelSettings,
}

/// Where the certificates of the web pages come from: the first source that has one for the name
/// that a client asks for.
#[derive(Debug, Clone)]
pub struct WebCertificate {
    /// `https_keypairs`: the first whose names fit the client's is shown, else the first.
    pub files: Vec<WebKeyPair>,
    /// `https_keypairs_reload_interval`: how often the files are looked at; `None`: only at the start.
    pub reload: Option<Duration>,
    /// `acme`: ordered for the public host and for the hosts of enrolled apps.
    pub acme: Option<AcmeSettings>,
    /// Without files, a self-signed pair is made at the first start and kept here, key 0600. For
    /// trials, and until the first order is done: browsers warn of it.
    pub data_dir: PathBuf,
}

impl WebCertificate {
    /// A self-signed one alone.
    #[must_use]
    pub fn self_signed(data_dir: PathBuf) -> Self {
        Self { files: Vec::new(), reload: None, acme: None, data_dir }
    }
}

/// Certificates by ACME. Switching it on agrees to the CA's terms of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeSettings {
    /// URL of the CA's directory, https.
    pub directory: String,
    /// Whom the CA writes to when something is wrong.
    pub email: Option<String>,
    /// How long things take and wait.
    pub timing: AcmeTiming,
}

/// How long the parts of ordering take and wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeTiming {
    /// How long a client waits in its handshake for the first certificate of a name.
    pub wait: Duration,
    /// How long an order may take in all.
    pub order: Duration,
    /// How long a name is leased to the one proxy that orders; also the least time between two
    /// orders of one name that fail, across proxies and restarts.
    pub lease: Duration,
    /// Longest time between two looks at what is due.
    pub look: Duration,
}

impl Default for AcmeTiming {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(20),
            order: Duration::from_secs(180),
            lease: Duration::from_secs(10 * 60),
            look: Duration::from_secs(60),
        }
    }
}

/// One pair of `https_keypairs`, PEM.
#[derive(Debug, Clone)]
pub struct WebKeyPair {
    /// `key_file`.
    pub key_file: PathBuf,
    /// `cert_file`: the chain, leaf first.
    pub cert_file: PathBuf,
}

/// `host:port` under which users reach the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddr {
    host: String,
    port: u16,
}

/// A text that is no public address.
#[derive(Debug, Error)]
#[error("`{text}` is no public address; expected host:port, e.g. teleport.example.com:443")]
pub struct BadPublicAddr {
    text: String,
}

impl PublicAddr {
    /// Parses `host`, `host:port` or `[v6]:port`; the port is 3080 where it is left out.
    ///
    /// # Errors
    /// When the host is empty or has other letters than a host name or address has.
    pub fn parse(text: &str) -> Result<Self, BadPublicAddr> {
        let bad = || BadPublicAddr { text: text.to_owned() };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && !port.ends_with(']') => {
                (host, port.parse::<u16>().map_err(|_| bad())?)
            }
            Some((_, "")) => return Err(bad()),
            _ => (text, DEFAULT_PORT),
        };
        if port == 0 || !is_host(host) {
            return Err(bad());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// The host name or address; an IPv6 address in its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl std::fmt::Display for PublicAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn is_host(host: &str) -> bool {
    if let Some(v6) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return v6.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let letters = |label: &str| {
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        label.len() <= 63
            && edge(label.bytes().next())
            && edge(label.bytes().last())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= 253 && host.split('.').all(letters)
}

/// Bounds of what strangers, clients and agents can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections to the web pages and the web API.
    pub web_connections: usize,
    /// The same, from one address. Many people may share one, so that this only keeps one of them
    /// from taking all.
    pub web_connections_per_address: usize,
    /// Connections whose first message has not been read yet.
    pub hellos: usize,
    /// The same, from one address.
    pub hellos_per_address: usize,
    /// How long the first message, and then the handshake, may take.
    pub handshake: Duration,
    /// Longest silence of a passed-on connection.
    pub idle: Duration,
    /// How long a tunnel stream, or a connection to the Auth Service, may take to open.
    pub open: Duration,
    /// How long an app session that is not in the snapshot yet is waited for.
    pub session_wait: Duration,
    /// Tunnels of one agent.
    pub tunnels_per_agent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 15_000,
            web_connections: 4_000,
            web_connections_per_address: 1_000,
            hellos: 1_000,
            hellos_per_address: 200,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60 * 60),
            open: Duration::from_secs(5),
            session_wait: Duration::from_secs(1),
            tunnels_per_agent: 8,
        }
    }
}

/// How the agents' tunnels are driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelSettings {
    /// Bytes that may be under way on one stream. Bigger: more throughput on a
    /// long way; smaller: less delay for small requests beside a bulk stream.
    pub stream_window: u32,
    /// Bytes that may be under way on one tunnel.
    pub connection_window: u32,
    /// How often the other end is asked for a sign of life.
    pub ping_interval: Duration,
}

impl Default for TunnelSettings {
    fn default() -> Self {
        Self {
            stream_window: 1024 * 1024,
            connection_window: 16 * 1024 * 1024,
            ping_interval: Duration::from_secs(15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_parsed() {
        for (text, host, port) in [
            ("teleport.example.com:443", "teleport.example.com", 443),
            ("Teleport.Example.com", "teleport.example.com", 3080),
            ("127.0.0.1:3080", "127.0.0.1", 3080),
            ("[::1]:3080", "[::1]", 3080),
            ("[::1]", "[::1]", 3080),
        ] {
            let addr = PublicAddr::parse(text).unwrap();
            assert_eq!((addr.host(), addr.port()), (host, port), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_public_address() {
        for text in
            ["", ":443", "a:", "a:0", "a:70000", "https://a:443", "a b:1", "a/b:1", "-a:1", "::1"]
        {
            assert!(PublicAddr::parse(text).is_err(), "{text}");
        }
    }
}
