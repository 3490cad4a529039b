//! Where a connection goes, by its ClientHello alone.
//!
//! The private protocols, and the one by which a CA asks, must be offered alone: a client that offers one of
//! them beside another is not one of ours, and is refused rather than guessed at.

use access::AppSessionId;
use api::wire;
use thiserror::Error;

use crate::hello::Hello;

/// The six roads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Road {
    /// To the Auth Service, unread.
    Auth,
    /// An agent's tunnel, ended here.
    Tunnel,
    /// A connection that an agent holds ready for one stream; its TLS is ended here.
    Lane,
    /// To an agent, unread, if the session lives.
    App(AppSessionId),
    /// The web pages and the web API, ended here.
    Web,
    /// A CA's question about a name (RFC 8737), answered here.
    Challenge(String),
}

/// Why a connection goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NoRoad {
    /// None of the offered protocols is spoken here.
    #[error("none of the offered protocols is spoken here")]
    Protocol,
    /// A private protocol beside others.
    #[error("a private protocol is offered beside others")]
    Mixed,
    /// App traffic whose server name carries no session, or a CA's question about no name.
    #[error("the server name carries no app session, or is missing")]
    ServerName,
}

/// Decides.
pub(crate) fn decide(hello: &Hello) -> Result<Road, NoRoad> {
    let offers = |name: &[u8]| hello.alpn.iter().any(|offer| offer == name);
    let private = [wire::ALPN_AUTH, wire::ALPN_TUNNEL, wire::ALPN_LANE]
        .into_iter()
        .chain(wire::APP_PROTOCOLS);
    if private.into_iter().any(offers) {
        return match hello.alpn.as_slice() {
            [one] if one == wire::ALPN_AUTH => Ok(Road::Auth),
            [one] if one == wire::ALPN_TUNNEL => Ok(Road::Tunnel),
            [one] if one == wire::ALPN_LANE => Ok(Road::Lane),
            [_] => hello
                .server_name
                .as_deref()
                .and_then(wire::app_session_of)
                .map(Road::App)
                .ok_or(NoRoad::ServerName),
            _ => Err(NoRoad::Mixed),
        };
    }
    if offers(pki::acme::ALPN_ACME) {
        return match (hello.alpn.as_slice(), &hello.server_name) {
            ([_], Some(name)) => Ok(Road::Challenge(name.clone())),
            ([_], None) => Err(NoRoad::ServerName),
            _ => Err(NoRoad::Mixed),
        };
    }
    if hello.alpn.is_empty() || offers(b"h2") || offers(b"http/1.1") {
        return Ok(Road::Web);
    }
    Err(NoRoad::Protocol)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SESSION: &str = "0123456789abcdef0123456789abcdef";

    fn hello(alpn: &[&str], server_name: &str) -> Hello {
        Hello {
            server_name: (!server_name.is_empty()).then(|| server_name.to_owned()),
            alpn: alpn.iter().map(|offer| offer.as_bytes().to_vec()).collect(),
        }
    }

    #[test]
    fn table_of_roads() {
        let app = format!("{SESSION}.app.causeway.internal");
        let (longer, foreign) = (format!("a.{app}"), format!("{app}.evil.example"));
        let session = || Ok(Road::App(AppSessionId::parse(SESSION).unwrap()));
        let cases: Vec<(&[&str], &str, Result<Road, NoRoad>)> = vec![
            (&["causeway-auth"], "", Ok(Road::Auth)),
            (&["causeway-auth"], "auth.causeway.internal", Ok(Road::Auth)),
            (&["causeway-auth"], &app, Ok(Road::Auth)),
            (&["causeway-tunnel"], "proxy.causeway.internal", Ok(Road::Tunnel)),
            (&["causeway-tunnel"], "", Ok(Road::Tunnel)),
            (&["causeway-lane"], "proxy.causeway.internal", Ok(Road::Lane)),
            (&["causeway-lane"], &app, Ok(Road::Lane)),
            (&["causeway-app"], &app, session()),
            (&["causeway-app-http1"], &app, session()),
            (&["causeway-app-tcp"], &app, session()),
            (&["causeway-app-console"], &app, session()),
            (&["causeway-app-tcp"], "", Err(NoRoad::ServerName)),
            (&["causeway-app-console", "causeway-app"], &app, Err(NoRoad::Mixed)),
            (&["causeway-app-http1", "http/1.1"], &app, Err(NoRoad::Mixed)),
            (&["causeway-app-other"], &app, Err(NoRoad::Protocol)),
            (&["causeway-app"], "", Err(NoRoad::ServerName)),
            (&["causeway-app"], "proxy.example.com", Err(NoRoad::ServerName)),
            (&["causeway-app"], "app.causeway.internal", Err(NoRoad::ServerName)),
            (&["causeway-app"], "x.app.causeway.internal", Err(NoRoad::ServerName)),
            (&["causeway-app"], &longer, Err(NoRoad::ServerName)),
            (&["causeway-app"], &foreign, Err(NoRoad::ServerName)),
            (&["h2", "http/1.1"], "proxy.example.com", Ok(Road::Web)),
            (&["h2"], &app, Ok(Road::Web)),
            (&["http/1.1"], "", Ok(Road::Web)),
            (&["http/1.0", "http/1.1"], "", Ok(Road::Web)),
            (&[], "proxy.example.com", Ok(Road::Web)),
            (&[], "", Ok(Road::Web)),
            (&["h2", "causeway-auth"], "", Err(NoRoad::Mixed)),
            (&["causeway-app", "h2"], &app, Err(NoRoad::Mixed)),
            (&["causeway-app", "causeway-app"], &app, Err(NoRoad::Mixed)),
            (&["causeway-auth", "causeway-tunnel"], "", Err(NoRoad::Mixed)),
            (&["causeway-lane", "causeway-tunnel"], "", Err(NoRoad::Mixed)),
            (&["causeway-lane", "h2"], "", Err(NoRoad::Mixed)),
            (&["causeway-lanes"], "", Err(NoRoad::Protocol)),
            (&["acme-tls/1"], "x.example.com", Ok(Road::Challenge("x.example.com".to_owned()))),
            (&["acme-tls/1"], "", Err(NoRoad::ServerName)),
            (&["acme-tls/1", "h2"], "x.example.com", Err(NoRoad::Mixed)),
            (&["acme-tls/1", "causeway-auth"], "", Err(NoRoad::Mixed)),
            (&["http/1.0"], "", Err(NoRoad::Protocol)),
            (&["h3"], "proxy.example.com", Err(NoRoad::Protocol)),
            (&["causeway-Auth"], "", Err(NoRoad::Protocol)),
            (&["causeway-auth2"], "", Err(NoRoad::Protocol)),
        ];
        for (alpn, name, expected) in cases {
            assert_eq!(decide(&hello(alpn, name)), expected, "{alpn:?} {name}");
        }
    }

    proptest! {
        #[test]
        fn only_a_private_protocol_alone_leaves_the_web(
            alpn in proptest::collection::vec("(h2|http/1.1|acme-tls/1|causeway-(auth|tunnel|lane|app(-http1|-tcp|-console)?)|[a-z]{1,8})", 0..4),
            name in "([a-z0-9.]{0,20}|[0-9a-f]{32}\\.app\\.causeway\\.internal)",
        ) {
            let offers: Vec<&str> = alpn.iter().map(String::as_str).collect();
            match decide(&hello(&offers, &name)) {
                Ok(Road::Auth) => prop_assert_eq!(offers, ["causeway-auth"]),
                Ok(Road::Tunnel) => prop_assert_eq!(offers, ["causeway-tunnel"]),
                Ok(Road::Lane) => prop_assert_eq!(offers, ["causeway-lane"]),
                Ok(Road::App(id)) => {
                    prop_assert_eq!(offers.len(), 1);
                    prop_assert!(wire::APP_PROTOCOLS.contains(&offers[0].as_bytes()));
                    prop_assert_eq!(wire::app_server_name(&id), name);
                }
                Ok(Road::Challenge(asked)) => {
                    prop_assert_eq!(offers, ["acme-tls/1"]);
                    prop_assert_eq!(asked, name);
                }
                Ok(Road::Web) => {
                    let is_private = |offer: &&str| {
                        ["causeway-auth", "causeway-tunnel", "causeway-lane", "acme-tls/1"].contains(offer)
                            || offer.starts_with("causeway-app")
                    };
                    prop_assert!(!offers.iter().any(is_private));
                }
                Err(_) => {}
            }
        }
    }
}
