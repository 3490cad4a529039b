//! Connections to the proxy's public address: straight, or by the user's own proxy.
//!
//! Where `HTTPS_PROXY` leads is the program's to know: `tsh` sets a way at its start, the services have none.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::OnceLock;

use tokio::net::TcpStream;

/// A connection in the making.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;
/// Makes a connection to `host` and `port`.
pub type Way = Box<dyn Fn(String, u16) -> Connecting + Send + Sync>;

static WAY: OnceLock<Way> = OnceLock::new();

/// From now on connections are made in this way, those to this machine excepted. The first one that is set counts.
pub fn set(way: Way) {
    // A second one is another part of the same program, with the same environment.
    let _ = WAY.set(way);
}

/// Connects to `host:port`.
///
/// # Errors
/// When there is no way, or nobody answers.
pub async fn connect(address: &str) -> io::Result<TcpStream> {
    match (WAY.get(), split(address)) {
        (Some(way), Some((host, port))) if !is_near(host) => way(host.to_owned(), port).await,
        _ => TcpStream::connect(address).await,
    }
}

/// The host without brackets, and the port.
fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Some((bare, port.parse().ok()?))
}

/// This machine is never reached by a proxy, as with Go's programs and browsers.
fn is_near(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split_and_this_machine_is_known() {
        for (address, expected, near) in [
            ("proxy.example.com:443", Some(("proxy.example.com", 443)), false),
            ("[::1]:3080", Some(("::1", 3080)), true),
            ("127.0.0.1:1", Some(("127.0.0.1", 1)), true),
            ("LOCALHOST:1", Some(("LOCALHOST", 1)), true),
            ("10.0.0.1:1", Some(("10.0.0.1", 1)), false),
            ("proxy.example.com", None, false),
            ("proxy.example.com:x", None, false),
        ] {
            assert_eq!(split(address), expected, "{address}");
            assert_eq!(split(address).is_some_and(|(host, _)| is_near(host)), near, "{address}");
        }
    }

    #[tokio::test]
    async fn the_way_that_is_set_is_taken_but_not_to_this_machine() {
        async fn refuse(host: String, port: u16) -> io::Result<TcpStream> {
            Err(io::Error::other(format!("asked for {host} {port}")))
        }
        set(Box::new(|host, port| Box::pin(refuse(host, port))));
        let error = connect("proxy.example.com:443").await.unwrap_err();
        assert_eq!(error.to_string(), "asked for proxy.example.com 443");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(connect(&address).await.is_ok());
    }
}
