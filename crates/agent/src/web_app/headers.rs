//! The headers of requests on their way to a web app, and of its answers on their way back.
//!
//! What a client must not be able to forge is taken out, whoever sent it, and set anew from what is known here.

use std::net::SocketAddr;

use access::Identity;
use access::resource::is_reserved_header;
use api::headers::{remove_hop_by_hop, remove_our_cookies, remove_ours};
use http::header::{self, Entry};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::cookies;
use super::site::Site;

/// The token that says who the user is.
pub(crate) const JWT: HeaderName = HeaderName::from_static("teleport-jwt-assertion");

/// Whether a header is ours to set.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    is_reserved_header(name.as_str())
}

/// What is told to the app about the request.
pub(crate) struct Told<'a> {
    /// Who asks.
    pub(crate) identity: &'a Identity,
    /// From where, as the proxy saw it.
    pub(crate) address: Option<SocketAddr>,
    /// The host that the browser asked for, with its port.
    pub(crate) host: &'a str,
    /// `rewrite.headers`, filled.
    pub(crate) added: Vec<(HeaderName, Vec<HeaderValue>)>,
    /// The token.
    pub(crate) token: Option<HeaderValue>,
}

/// Whether the connection is to become another one with this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// Not.
    No,
    /// A WebSocket.
    WebSocket,
}

impl Upgrade {
    /// What the request asks for. Nothing but a WebSocket is passed on: another protocol would carry requests that
    /// nobody decides on.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let names = |name: HeaderName, wanted: &str| {
            let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
            let mut words = values.flat_map(|value| value.split(',')).map(str::trim);
            words.any(|word| word.eq_ignore_ascii_case(wanted))
        };
        let is_asked = names(header::CONNECTION, "upgrade") && names(header::UPGRADE, "websocket");
        if is_asked { Self::WebSocket } else { Self::No }
    }
}

/// Makes a client's headers into those that the app gets.
pub(crate) fn to_app(headers: &mut HeaderMap, site: &Site, upgrade: Upgrade, told: Told<'_>) {
    remove_hop_by_hop(headers);
    // The body is passed on as it comes: its length is what comes.
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    let forged: Vec<HeaderName> =
        headers.keys().filter(|name| is_reserved(name)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    remove_our_cookies(headers);
    if let Ok(host) = HeaderValue::from_str(site.authority().as_str()) {
        headers.insert(header::HOST, host);
    }
    // Who sets the host that the app sees has the origin in mind that browsers say.
    if !told.added.iter().any(|(name, _)| *name == header::HOST) {
        move_origin(headers, site, told.host);
    }
    say(headers, &told);
    for (name, values) in told.added {
        replace(headers, &name, values);
    }
    if let Some(token) = told.token {
        headers.insert(JWT, token);
    }
    if upgrade == Upgrade::WebSocket {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Lets what the app's own pages send stand as its own: an app that compares `Origin` or `Referer` with
/// its host, as guards against other sites' forms and WebSockets do, sees its own address in all three.
/// Another site's origin stays what it is.
fn move_origin(headers: &mut HeaderMap, site: &Site, host: &str) {
    let public = format!("https://{}", host.strip_suffix(":443").unwrap_or(host));
    for name in [header::ORIGIN, header::REFERER] {
        let moved = headers.get(&name).and_then(|value| {
            let rest = value.to_str().ok()?.strip_prefix(public.as_str())?;
            let is_within = rest.is_empty() || rest.starts_with('/');
            let moved = format!("{}{rest}", site.origin());
            is_within.then(|| HeaderValue::from_str(&moved).ok())?
        });
        if let Some(moved) = moved {
            headers.insert(name, moved);
        }
    }
}

fn say(headers: &mut HeaderMap, told: &Told<'_>) {
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(address) = told.address {
        let ip = address.ip().to_canonical().to_string();
        set("x-forwarded-for", &ip);
        set("x-real-ip", &ip);
    }
    let port = told.host.rsplit_once(':').map(|(_, port)| port);
    let port = port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    set("x-forwarded-host", told.host);
    set("x-forwarded-port", port.unwrap_or("443"));
    set("x-forwarded-proto", "https");
    set("x-forwarded-ssl", "on");
    set("x-forwarded-server", told.identity.cluster().as_str());
}

/// Puts the values in place of whatever the client sent by that name, or one that a server could take for it.
fn replace(headers: &mut HeaderMap, name: &HeaderName, values: Vec<HeaderValue>) {
    let plain = name.as_str().replace('_', "-");
    let same: Vec<HeaderName> =
        headers.keys().filter(|key| key.as_str().replace('_', "-") == plain).cloned().collect();
    for key in same {
        headers.remove(key);
    }
    for value in values {
        headers.append(name.clone(), value);
    }
}

/// Makes an app's headers into those that the client gets.
pub(crate) fn to_client(headers: &mut HeaderMap, site: &Site) {
    // It would lead browsers past the proxy.
    headers.remove(header::ALT_SVC);
    // By these the proxy knows words of ours from those of an app.
    remove_ours(headers);
    cookies::keep_to_own_host(headers);
    if let Entry::Occupied(mut location) = headers.entry(header::LOCATION) {
        let moved = location.get().to_str().ok().and_then(|text| site.redirect(text));
        if let Some(moved) = moved.and_then(|text| HeaderValue::from_str(&text).ok()) {
            location.insert(moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_own_pages_have_its_own_origin_and_other_sites_keep_theirs() {
        let app = access::App::new("wiki".parse().unwrap(), "http://10.0.0.7:8080/start");
        let site = Site::of(&app).unwrap();
        for (host, said, expected) in [
            ("wiki.example.com", "https://wiki.example.com", "http://10.0.0.7:8080"),
            ("wiki.example.com:443", "https://wiki.example.com", "http://10.0.0.7:8080"),
            (
                "wiki.example.com:3080",
                "https://wiki.example.com:3080/a?b",
                "http://10.0.0.7:8080/a?b",
            ),
            ("wiki.example.com", "https://wiki.example.com.evil.example", ""),
            ("wiki.example.com", "https://wiki.example.com:3080", ""),
            ("wiki.example.com", "http://wiki.example.com", ""),
            ("wiki.example.com", "https://evil.example/https://wiki.example.com", ""),
            ("wiki.example.com", "null", ""),
        ] {
            let mut headers = HeaderMap::new();
            for name in [header::ORIGIN, header::REFERER] {
                headers.insert(name, said.parse().unwrap());
            }
            move_origin(&mut headers, &site, host);
            let expected = if expected.is_empty() { said } else { expected };
            assert_eq!(headers[header::ORIGIN], expected, "{host} {said}");
            assert_eq!(headers[header::REFERER], expected, "{host} {said}");
        }
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        for (connection, upgrade, expected) in [
            ("Upgrade", "websocket", Upgrade::WebSocket),
            ("keep-alive, Upgrade", "WebSocket", Upgrade::WebSocket),
            ("keep-alive", "websocket", Upgrade::No),
            ("Upgrade", "h2c", Upgrade::No),
            ("Upgrade, HTTP2-Settings", "h2c", Upgrade::No),
            ("Upgrade", "TLS/1.0", Upgrade::No),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONNECTION, connection.parse().unwrap());
            headers.insert(header::UPGRADE, upgrade.parse().unwrap());
            assert_eq!(Upgrade::of(&headers), expected, "{connection} {upgrade}");
        }
    }
}
