//! Cookies between browsers and web apps: ours never reach an app, and no app can set them.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// Every cookie of ours begins so. Browsers compare this prefix without regard to case.
const OURS: &[u8] = b"__host-causeway_";

/// Takes our cookies out of a request, and puts the others into one header.
pub(crate) fn take_ours_out(headers: &mut HeaderMap) {
    let mut kept: Vec<u8> = Vec::new();
    for header in headers.get_all(COOKIE) {
        let pairs = header.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        for pair in pairs.filter(|pair| !pair.is_empty() && !is_ours(pair)) {
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

/// Lets an app set its own cookies for its own host alone.
pub(crate) fn keep_to_own_host(headers: &mut HeaderMap) {
    let all: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in all.iter().filter(|cookie| !is_ours(cookie.as_bytes())) {
        if let Ok(cookie) = HeaderValue::from_bytes(&without_domain(cookie.as_bytes())) {
            headers.append(SET_COOKIE, cookie);
        }
    }
}

/// Whether a cookie has a name of ours, or would be sent back as if it had: a cookie without a name is sent as its
/// value alone (<https://www.rfc-editor.org/rfc/rfc6265#section-5.4>).
fn is_ours(pair: &[u8]) -> bool {
    let start = pair.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'='));
    let text = start.and_then(|start| pair.get(start..)).unwrap_or_default();
    text.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS))
}

fn without_domain(cookie: &[u8]) -> Vec<u8> {
    let is_domain = |part: &[u8]| {
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"domain")
    };
    let mut parts = cookie.split(|byte| *byte == b';');
    let mut kept = parts.next().unwrap_or_default().to_vec();
    for part in parts.filter(|part| !is_domain(part)) {
        kept.push(b';');
        kept.extend_from_slice(part);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (name.clone(), HeaderValue::from_str(text).unwrap());
        values.iter().map(value).collect()
    }

    fn values(headers: &HeaderMap, name: http::HeaderName) -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn our_cookies_never_reach_an_app() {
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
            let mut headers = headers(COOKIE, sent);
            take_ours_out(&mut headers);
            assert_eq!(values(&headers, COOKIE), passed, "{sent:?}");
        }
    }

    #[test]
    fn an_app_sets_cookies_of_its_own_for_its_own_host() {
        for (sent, passed) in [
            ("a=1; Path=/; HttpOnly", Some("a=1; Path=/; HttpOnly")),
            ("a=1; Domain=example.com; Secure", Some("a=1; Secure")),
            ("a=1;domain = .example.com", Some("a=1")),
            ("__Host-causeway_app=evil; Path=/; Secure", None),
            (" __host-CAUSEWAY_session=evil", None),
            ("=__Host-causeway_app=evil", None),
            ("domain=1; Path=/", Some("domain=1; Path=/")),
        ] {
            let mut headers = headers(SET_COOKIE, &[sent]);
            keep_to_own_host(&mut headers);
            let passed: Vec<String> = passed.into_iter().map(str::to_owned).collect();
            assert_eq!(values(&headers, SET_COOKIE), passed, "{sent}");
        }
    }
}
