//! Names that our processes show each other on the wire: ALPN protocols,
//! server names, headers. One place, so that both ends agree.

use access::{AppName, AppSessionId};

/// ALPN of the Auth Service's API; the proxy passes such connections on unread.
pub const ALPN_AUTH: &[u8] = b"causeway-auth";
/// ALPN of an agent's tunnel, ended at the proxy.
pub const ALPN_TUNNEL: &[u8] = b"causeway-tunnel";
/// ALPN of a connection that an agent holds ready for one stream beside its tunnel.
pub const ALPN_LANE: &[u8] = b"causeway-lane";
/// ALPN of app traffic, end to end between `tsh` and the agent: HTTP/2, to AWS or to a web app.
pub const ALPN_APP: &[u8] = b"causeway-app";
/// ALPN of web apps' traffic as HTTP/1.1, for what only that can carry (upgrades such as WebSocket).
pub const ALPN_APP_HTTP1: &[u8] = b"causeway-app-http1";
/// ALPN of TCP apps: bytes, one connection each.
pub const ALPN_APP_TCP: &[u8] = b"causeway-app-tcp";
/// ALPN of the agent's door to the AWS console, HTTP/1.1. A protocol of its own, so that no request of
/// an AWS tool can be taken for one to this door, or the reverse.
pub const ALPN_APP_CONSOLE: &[u8] = b"causeway-app-console";
/// Every protocol that ends at an agent; the server name carries the app session.
pub const APP_PROTOCOLS: [&[u8]; 4] = [ALPN_APP, ALPN_APP_HTTP1, ALPN_APP_TCP, ALPN_APP_CONSOLE];

/// Server name in the certificate of the Auth Service.
pub const AUTH_SERVER_NAME: &str = "auth.causeway.internal";
/// Server name in the certificate of a Proxy Service.
pub const PROXY_SERVER_NAME: &str = "proxy.causeway.internal";
/// Suffix of the server names that app connections carry.
pub const APP_SERVER_SUFFIX: &str = ".app.causeway.internal";
/// Wildcard in the certificate of an agent.
pub const APP_SERVER_WILDCARD: &str = "*.app.causeway.internal";

/// What all headers between `tsh` and the agent start with. None of them is ever sent to AWS.
pub const HEADER_PREFIX: &str = "x-causeway-";
/// Header by which `tsh` tells the agent the SHA-256 (lower-case hex) of a
/// body that it has read, so that it is hashed once; or `UNSIGNED-PAYLOAD`,
/// where that is what the client signed without a header that says so.
pub const HEADER_PAYLOAD_SHA256: &str = "x-causeway-payload-sha256";
/// Header by which `tsh` tells the agent that the body came in signed chunks,
/// whose signatures it checks, and travels as plain data: [`BODY_DECODED`].
pub const HEADER_BODY: &str = "x-causeway-body";
/// The value of [`HEADER_BODY`].
pub const BODY_DECODED: &str = "decoded";
/// Header by which `tsh` gives a request a name whose body it holds back until it is asked for ([`HEADER_ASKED`]).
pub const HEADER_EXPECTS: &str = "x-causeway-expects";
/// Header of a request of `tsh`'s own that is answered when the body of the request of that name is wanted.
pub const HEADER_ASKED: &str = "x-causeway-asked";
/// Where that request goes, which is to the agent itself.
pub const ASKED_URL: &str = "https://body.causeway.internal/";
/// Header by which `tsh` tells the agent that the client speaks HTTP/2, so
/// that AWS is spoken to likewise where it can: [`HTTP_2`].
pub const HEADER_HTTP: &str = "x-causeway-http";
/// The value of [`HEADER_HTTP`].
pub const HTTP_2: &str = "2";
/// Header by which `tsh` tells the agent the token of temporary keys that the request is signed with;
/// in an answer: that it holds such keys, [`KEYS_OF_OURS`].
pub const HEADER_DERIVED: &str = "x-causeway-derived";
/// The value of [`HEADER_DERIVED`] in an answer.
pub const KEYS_OF_OURS: &str = "keys";
/// Header of a tunnel stream: `ip:port` of the client at the proxy, for the
/// audit log only. Nothing may be decided by it.
pub const HEADER_CLIENT_ADDR: &str = "x-causeway-client-addr";
/// Header by which a proxy tells the Auth Service, with its watch, the `host:port` that
/// users type: invite links and hints carry it.
pub const HEADER_PUBLIC_ADDR: &str = "x-causeway-public-addr";
/// Path of the one request that is made with [`ALPN_APP_CONSOLE`]: `POST`, answered with
/// [`crate::types::console::ConsoleSignIn`].
pub const CONSOLE_PATH: &str = "/v1/console";
/// Header with our own id of a refused call, for the audit log.
pub const HEADER_REQUEST_ID: &str = "x-causeway-request-id";

/// The server name of a connection for one app session.
#[must_use]
pub fn app_server_name(session: &AppSessionId) -> String {
    format!("{session}{APP_SERVER_SUFFIX}")
}

/// The target of a tunnel stream to an app: `<app>:443`.
#[must_use]
pub fn app_target(app: &AppName) -> String {
    format!("{app}:443")
}

/// Reads the app session back out of a server name; `None` if it is not one.
#[must_use]
pub fn app_session_of(server_name: &str) -> Option<AppSessionId> {
    let id = server_name.strip_suffix(APP_SERVER_SUFFIX)?;
    AppSessionId::parse(id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_name_round_trips() {
        let id = AppSessionId::parse("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(app_session_of(&app_server_name(&id)), Some(id));
    }

    #[test]
    fn other_server_names_are_no_session() {
        for name in ["", ".app.causeway.internal", "x.app.causeway.internal", "grafana.example.com"]
        {
            assert_eq!(app_session_of(name), None, "{name}");
        }
    }
}
