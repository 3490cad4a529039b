//! The cookies of an app's host: read and set here, and never passed on to the app.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The session with the app.
pub(super) const APP: &str = "__Host-causeway_app";
/// A launch that is under way.
pub(super) const STATE: &str = "__Host-causeway_app_state";
/// Every cookie of ours begins so, in whatever case.
const OURS: &str = "__host-causeway_";

/// Takes our cookies out of a request.
pub(super) fn take_ours_out(headers: &mut HeaderMap) {
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
    if let Some(kept) = HeaderValue::from_bytes(&kept).ok().filter(|value| !value.is_empty()) {
        headers.insert(COOKIE, kept);
    }
}

fn is_ours(pair: &[u8]) -> bool {
    let start = pair.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'='));
    let text = start.and_then(|start| pair.get(start..)).unwrap_or_default();
    text.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cookies_are_not_passed_on() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; __Host-causeway_app=secret"));
        headers.append(COOKIE, HeaderValue::from_static("b=2; __HOST-CAUSEWAY_app_state=x"));
        take_ours_out(&mut headers);
        let all: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(all, ["a=1; b=2"]);
    }
}
