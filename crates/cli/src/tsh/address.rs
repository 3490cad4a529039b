//! `--proxy`: the address of the Proxy Service, and the port when none is given.

use std::time::Duration;

use tokio::time::timeout;

use crate::failure::Failure;

/// Ports that are tried, in this order.
const PORTS: [u16; 2] = [3080, 443];
/// For each of the two: 5 seconds together.
const EACH: Duration = Duration::from_millis(2500);

/// A proxy as typed: a host, perhaps with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// Without brackets.
    pub host: String,
    /// As typed.
    pub port: Option<u16>,
}

impl ProxyAddress {
    /// Reads `host`, `host:port`, `https://host:port/`.
    ///
    /// # Errors
    /// When there is no host or the port is no port.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::misuse(format!("`{text}` is not the address of a proxy"))
                .with_hint("write --proxy=host or --proxy=host:port")
        };
        let rest = text.trim();
        let rest = rest.strip_prefix("https://").unwrap_or(rest).trim_end_matches('/');
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, tail) = bracketed.split_once(']').ok_or_else(bad)?;
                (host, tail.strip_prefix(':').or((!tail.is_empty()).then_some("")))
            }
            None if rest.matches(':').count() > 1 => (rest, None),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port =
            port.map(|port| port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(bad));
        let is_host = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
        if !is_host {
            return Err(bad());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port: port.transpose()? })
    }

    /// `host:port`.
    #[must_use]
    pub fn with_port(&self, port: u16) -> String {
        if self.host.contains(':') {
            format!("[{}]:{port}", self.host)
        } else {
            format!("{}:{port}", self.host)
        }
    }

    /// The port as typed, or the first of the usual ones that answers.
    ///
    /// # Errors
    /// When none answers.
    pub async fn discover(&self) -> Result<u16, Failure> {
        if let Some(port) = self.port {
            return Ok(port);
        }
        for port in PORTS {
            let dialled = timeout(EACH, api::outward::connect(&self.with_port(port))).await;
            if matches!(dialled, Ok(Ok(_))) {
                return Ok(port);
            }
        }
        Err(Failure::new(format!(
            "Teleport proxy not available at proxy address {} or {}",
            self.with_port(3080),
            self.with_port(443)
        ))
        .with_hint("give the port too, e.g. --proxy=host:3080"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form_that_people_type() {
        for (text, host, port) in [
            ("teleport.example.com", "teleport.example.com", None),
            ("teleport.example.com:443", "teleport.example.com", Some(443)),
            ("https://Teleport.example.com:3080/", "teleport.example.com", Some(3080)),
            ("127.0.0.1:3080", "127.0.0.1", Some(3080)),
            ("[::1]:3080", "::1", Some(3080)),
            ("[::1]", "::1", None),
            ("::1", "::1", None),
        ] {
            let expected = ProxyAddress { host: host.to_owned(), port };
            assert_eq!(ProxyAddress::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["", ":443", "host:", "host:0", "host:99999", "ho st", "[::1", "[::1]x", "a/b"]
        {
            assert_eq!(ProxyAddress::parse(text).unwrap_err().code(), 2, "{text}");
        }
    }

    #[tokio::test]
    async fn a_proxy_without_an_open_port_is_reported_with_both() {
        let address = ProxyAddress { host: "127.0.0.255".to_owned(), port: None };
        // On a machine where something does listen there, the port is found instead.
        if let Err(failure) = address.discover().await {
            assert_eq!(
                failure.to_string(),
                "Teleport proxy not available at proxy address 127.0.0.255:3080 or 127.0.0.255:443"
            );
        }
    }
}
