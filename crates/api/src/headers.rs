//! Headers that no message carries past the process it came to.

use http::header::{self, COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::wire::HEADER_PREFIX;

/// Headers between two hops (RFC 9110, 7.6.1), and those that are treated as such by custom.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Every cookie of ours begins so. Browsers compare this prefix without regard to case.
const OUR_COOKIES: &[u8] = b"__host-causeway_";

/// Removes the headers that are for one hop alone, those that `Connection` names among them.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Removes what our processes tell each other: from outside nobody speaks in their place.
pub fn remove_ours(headers: &mut HeaderMap) {
    let is_ours = |name: &&HeaderName| name.as_str().starts_with(HEADER_PREFIX);
    while let Some(name) = headers.keys().find(is_ours).cloned() {
        headers.remove(name);
    }
}

/// Takes our cookies out of a browser's request, and puts the others into one header.
pub fn remove_our_cookies(headers: &mut HeaderMap) {
    let mut kept: Vec<u8> = Vec::new();
    for header in headers.get_all(COOKIE) {
        let pairs = header.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        for pair in pairs.filter(|pair| !pair.is_empty() && !is_our_cookie(pair)) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(pair);
        }
    }
    headers.remove(COOKIE);
    // What came as header values is one still.
    if let Some(kept) = HeaderValue::from_bytes(&kept).ok().filter(|value| !value.is_empty()) {
        headers.insert(COOKIE, kept);
    }
}

/// Whether a cookie has a name of ours, or would be sent back as if it had: a cookie without a name is sent as its
/// value alone (<https://www.rfc-editor.org/rfc/rfc6265#section-5.4>).
#[must_use]
pub fn is_our_cookie(pair: &[u8]) -> bool {
    let start = pair.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'='));
    let text = start.and_then(|start| pair.get(start..)).unwrap_or_default();
    text.get(..OUR_COOKIES.len()).is_some_and(|start| start.eq_ignore_ascii_case(OUR_COOKIES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(values: &[&str]) -> HeaderMap {
        values.iter().map(|text| (COOKIE, HeaderValue::from_str(text).unwrap())).collect()
    }

    #[test]
    fn our_cookies_are_not_passed_on() {
        for (sent, passed) in [
            (&["a=1; __Host-causeway_app=secret; b=2"][..], &["a=1; b=2"][..]),
            (&["__Host-causeway_app=secret"], &[]),
            (&["__HOST-Causeway_app=secret;a=1"], &["a=1"]),
            (&["a=1", "__Host-causeway_app=x", "b=2; c"], &["a=1; b=2; c"]),
            (&["=__Host-causeway_app=x; a=1"], &["a=1"]),
            (&["x__Host-causeway_app=1"], &["x__Host-causeway_app=1"]),
            (&["a=\"__Host-causeway_app=1\""], &["a=\"__Host-causeway_app=1\""]),
            (&["", " ; ; "], &[]),
        ] {
            let mut headers = cookies(sent);
            remove_our_cookies(&mut headers);
            let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
            assert_eq!(left, passed, "{sent:?}");
        }
    }

    #[test]
    fn what_is_for_one_hop_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("x-end-to-end", "1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-end-to-end"]);
    }

    #[test]
    fn what_we_tell_each_other_stays_between_us() {
        let mut headers = HeaderMap::new();
        for name in ["x-causeway-body", "x-causeway-new", "x-causewa", "host"] {
            headers.append(name, HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        remove_ours(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-causewa"]);
    }
}
