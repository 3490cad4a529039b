//! Cookies between browsers and web apps: ours never reach an app, and no app can set them.

use api::headers::is_our_cookie;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

/// Lets an app set its own cookies for its own host alone.
pub(crate) fn keep_to_own_host(headers: &mut HeaderMap) {
    let all: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    headers.remove(SET_COOKIE);
    for cookie in all.iter().filter(|cookie| !is_our_cookie(cookie.as_bytes())) {
        if let Ok(cookie) = HeaderValue::from_bytes(&without_domain(cookie.as_bytes())) {
            headers.append(SET_COOKIE, cookie);
        }
    }
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
