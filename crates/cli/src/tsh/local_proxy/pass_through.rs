//! Hosts that are not AWS's: bytes pass through, by the user's own proxy where one is set.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::Target;

/// How long a connection to another host may take to stand.
const DIAL_DEADLINE: Duration = Duration::from_secs(15);
/// Largest answer of the user's proxy to our CONNECT.
const ANSWER_LIMIT: usize = 16 * 1024;

/// The user's own proxy settings, from tsh's environment.
#[derive(Debug, Clone, Default)]
pub struct Upstream {
    proxy: Option<UpstreamProxy>,
    no_proxy: NoProxy,
}

/// `HTTPS_PROXY`.
#[derive(Clone)]
struct UpstreamProxy {
    address: String,
    authorization: Option<String>,
}

/// `NO_PROXY`: hosts that are dialled directly.
#[derive(Debug, Clone, Default)]
pub struct NoProxy {
    entries: Vec<String>,
}

/// Why another host could not be reached.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// `HTTPS_PROXY` is not one that we can use.
    #[error("HTTPS_PROXY is not an http:// address with host and port")]
    BadProxy,
    /// No connection.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The user's proxy refused.
    #[error("the proxy at {address} refused: {answer}")]
    Refused {
        /// Which proxy.
        address: String,
        /// Its status line.
        answer: String,
    },
}

impl std::fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UpstreamProxy({})", self.address)
    }
}

impl Upstream {
    /// Reads the values of `HTTPS_PROXY` and `NO_PROXY`.
    ///
    /// # Errors
    /// When the proxy's address cannot be used.
    pub fn parse(https_proxy: Option<&str>, no_proxy: Option<&str>) -> Result<Self, UpstreamError> {
        let proxy = https_proxy.map(str::trim).filter(|text| !text.is_empty());
        Ok(Self {
            proxy: proxy.map(UpstreamProxy::parse).transpose()?,
            no_proxy: NoProxy::parse(no_proxy.unwrap_or_default()),
        })
    }

    /// Never goes back to ourselves: a proxy setting that names `own` is dropped.
    #[must_use]
    pub fn without(mut self, own: SocketAddr) -> Self {
        let is_own = |proxy: &UpstreamProxy| {
            let (host, port) = proxy.address.rsplit_once(':').unwrap_or((&proxy.address, ""));
            let is_loopback = host == "localhost"
                || host
                    .trim_matches(['[', ']'])
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback());
            is_loopback && port == own.port().to_string()
        };
        self.proxy = self.proxy.filter(|proxy| !is_own(proxy));
        self
    }

    /// Lets `tsh` reach the Teleport proxy by the user's proxy too, if there is one.
    pub fn serve_all(self) {
        if self.proxy.is_none() {
            return;
        }
        let upstream = std::sync::Arc::new(self);
        api::outward::set(Box::new(move |host, port| {
            let upstream = std::sync::Arc::clone(&upstream);
            Box::pin(async move {
                let connected = upstream.connect(&Target { host, port }).await;
                connected.map_err(io::Error::other)
            })
        }));
    }

    /// Connects to a host, by the user's proxy or directly.
    pub(crate) async fn connect(&self, target: &Target) -> Result<TcpStream, UpstreamError> {
        let proxy =
            self.proxy.as_ref().filter(|_| !self.no_proxy.covers(&target.host, target.port));
        let (address, dialled) = match proxy {
            Some(proxy) => (&proxy.address, timeout(DIAL_DEADLINE, by_proxy(proxy, target)).await),
            None => (&target.address(), timeout(DIAL_DEADLINE, dial(&target.address())).await),
        };
        dialled.unwrap_or_else(|_| {
            let source = io::Error::from(io::ErrorKind::TimedOut);
            Err(UpstreamError::Unreachable { address: address.clone(), source })
        })
    }
}

impl UpstreamProxy {
    fn parse(text: &str) -> Result<Self, UpstreamError> {
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(UpstreamError::BadProxy),
            None => text,
        };
        let rest = rest.split('/').next().unwrap_or(rest);
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if host.is_empty() || host.starts_with(':') {
            return Err(UpstreamError::BadProxy);
        }
        let address = if has_port { host.to_owned() } else { format!("{host}:80") };
        let authorization = user.map(|user| {
            let plain: Vec<u8> = percent_encoding::percent_decode_str(user).collect();
            format!("Basic {}", STANDARD.encode(plain))
        });
        Ok(Self { address, authorization })
    }
}

impl NoProxy {
    /// Reads a comma-separated list.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entries = text.split([',', ' ']).map(|entry| entry.trim().to_ascii_lowercase());
        Self { entries: entries.filter(|entry| !entry.is_empty()).collect() }
    }

    /// Whether a host is to be dialled directly.
    #[must_use]
    pub fn covers(&self, host: &str, port: u16) -> bool {
        self.entries.iter().any(|entry| entry_covers(entry, host, port))
    }

    /// The list for a child process: what the user has, without what would lead AWS hosts past
    /// the local proxy, and with this machine's own names.
    #[must_use]
    pub fn for_child(&self) -> String {
        let aws = ["dynamodb.us-east-1.amazonaws.com", "sts.amazonaws.com", "s3.amazonaws.com"]
            .into_iter()
            .chain(["dynamodb.cn-north-1.amazonaws.com.cn", "dynamodb.us-east-1.api.aws"]);
        let aws: Vec<&str> = aws.collect();
        let is_past_us = |entry: &str| {
            let name = entry.trim_start_matches("*.").trim_start_matches('.');
            let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
            aws.iter().any(|host| entry_covers(entry, host, 443))
                || aws::endpoint::is_aws_host(name)
        };
        let own = ["localhost", "127.0.0.1", "::1"];
        let kept = self.entries.iter().map(String::as_str).filter(|entry| !is_past_us(entry));
        let mut all: Vec<&str> = kept.collect();
        all.extend(own.iter().filter(|name| !self.entries.iter().any(|entry| entry == **name)));
        all.join(",")
    }
}

fn entry_covers(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return network_covers(entry, address);
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, wanted)) if !name.contains(':') => (name, wanted.parse().ok()),
        _ => (entry, None),
    };
    if wanted.is_some_and(|wanted: u16| wanted != port) {
        return false;
    }
    let suffix = name.trim_start_matches('*').trim_start_matches('.');
    !suffix.is_empty()
        && (host == suffix || host.strip_suffix(suffix).is_some_and(|before| before.ends_with('.')))
}

/// An address, or a network such as `10.0.0.0/8`.
fn network_covers(entry: &str, address: IpAddr) -> bool {
    let Some((network, length)) = entry.split_once('/') else {
        return entry.trim_matches(['[', ']']).parse() == Ok(address);
    };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(length);
            (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(length);
            (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

async fn dial(address: &str) -> Result<TcpStream, UpstreamError> {
    let stream = TcpStream::connect(address).await;
    let stream = stream
        .map_err(|source| UpstreamError::Unreachable { address: address.to_owned(), source })?;
    // Latency only; without it the connection works as well.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn by_proxy(proxy: &UpstreamProxy, target: &Target) -> Result<TcpStream, UpstreamError> {
    let mut stream = dial(&proxy.address).await?;
    let unreachable =
        |source| UpstreamError::Unreachable { address: proxy.address.clone(), source };
    let host = target.address();
    let mut ask = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(authorization) = &proxy.authorization {
        ask.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    ask.push_str("\r\n");
    stream.write_all(ask.as_bytes()).await.map_err(unreachable)?;
    let answer = read_answer(&mut stream).await.map_err(unreachable)?;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(stream);
    }
    let answer = answer.chars().filter(|c| !c.is_control()).take(200).collect();
    Err(UpstreamError::Refused { address: proxy.address.clone(), answer })
}

/// Reads the answer's head byte by byte, so that none of what follows is taken; gives its first line.
async fn read_answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= ANSWER_LIMIT {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_covers_names_suffixes_addresses_and_networks() {
        let list = NoProxy::parse("example.com, .internal,*.corp,10.0.0.0/8,192.168.1.5,db:5432");
        for (host, port, covered) in [
            ("example.com", 443, true),
            ("a.example.com", 443, true),
            ("notexample.com", 443, false),
            ("x.internal", 443, true),
            ("x.corp", 443, true),
            ("10.1.2.3", 443, true),
            ("11.1.2.3", 443, false),
            ("192.168.1.5", 443, true),
            ("192.168.1.6", 443, false),
            ("db", 5432, true),
            ("db", 443, false),
        ] {
            assert_eq!(list.covers(host, port), covered, "{host}:{port}");
        }
        assert!(NoProxy::parse("*").covers("anything", 1));
        assert!(!NoProxy::parse("").covers("anything", 1));
    }

    #[test]
    fn a_child_reaches_aws_by_the_proxy_and_this_machine_without() {
        let list = NoProxy::parse(
            "localhost,corp.example,amazonaws.com,.api.aws,*,dynamodb.eu-west-1.amazonaws.com:443",
        );
        assert_eq!(list.for_child(), "localhost,corp.example,127.0.0.1,::1");
    }

    #[test]
    fn proxy_addresses_are_read() {
        for (text, address, authorization) in [
            ("http://proxy:3128", "proxy:3128", None),
            ("proxy:3128/", "proxy:3128", None),
            ("http://proxy", "proxy:80", None),
            ("http://u:p%40ss@proxy:1", "proxy:1", Some("Basic dTpwQHNz")),
        ] {
            let proxy = UpstreamProxy::parse(text).unwrap();
            assert_eq!(proxy.address, address, "{text}");
            assert_eq!(proxy.authorization.as_deref(), authorization, "{text}");
        }
        for text in ["https://proxy:1", "socks5://proxy:1", "http://", "http://:80"] {
            assert!(UpstreamProxy::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn we_are_never_our_own_upstream() {
        let own = "127.0.0.1:23456".parse().unwrap();
        for (setting, kept) in [
            ("http://127.0.0.1:23456", false),
            ("http://localhost:23456", false),
            ("http://127.0.0.1:3128", true),
            ("http://proxy:23456", true),
        ] {
            let upstream = Upstream::parse(Some(setting), None).unwrap().without(own);
            assert_eq!(upstream.proxy.is_some(), kept, "{setting}");
        }
    }
}
