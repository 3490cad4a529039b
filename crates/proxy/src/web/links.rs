//! Addresses within these pages: made here, and checked here when they come back from a browser.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a part of an address.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~').remove(b'.');
/// Longest address that is led back to.
const BACK_LIMIT: usize = 2048;
/// Where a user begins.
pub(crate) const HOME: &str = "/web/apps";

/// One part of a path, or a value of a query.
pub(crate) fn part(text: &str) -> String {
    // A part of dots alone would be taken for a way up.
    if !text.is_empty() && text.bytes().all(|byte| byte == b'.') {
        return text.replace('.', "%2E");
    }
    utf8_percent_encode(text, PART).to_string()
}

/// A query of the given pairs; empty values are left out. With its `?`, unless nothing is left.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> =
        pairs.map(|(name, value)| format!("{}={}", part(name), part(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// The sign-in, with the page to lead back to.
pub(crate) fn sign_in(back: Option<&str>) -> String {
    let back = back.and_then(own).filter(|back| *back != HOME && *back != "/web");
    format!("/web/login{}", query(&[("next", back.unwrap_or_default())]))
}

/// A page of ours to go to after something; nothing else than a path below `/web/` is believed.
pub(crate) fn own(text: &str) -> Option<&str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let is_ours = path.starts_with("/web/")
        && !path.contains("//")
        && !path.split('/').any(|part| part == "." || part == ".." || is_hidden_dots(part));
    let leads_out = path.starts_with("/web/login") || path.starts_with("/web/logout");
    (text.len() <= BACK_LIMIT && is_plain && is_ours && !leads_out).then_some(text)
}

fn is_hidden_dots(part: &str) -> bool {
    let part = part.to_ascii_lowercase().replace("%2e", ".");
    part == "." || part == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_pages_are_led_back_to() {
        for good in
            ["/web/apps", "/web/audit?user=a%40b&from=x", "/web/launch/a.example.com?path=%2Fx"]
        {
            assert_eq!(own(good), Some(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/web/",
            "/web//evil.example",
            "/\\evil.example",
            "/web/\\evil.example",
            "/web/../../evil",
            "/web/%2e%2E/x",
            "/web/x\r\nset-cookie: a",
            "/web/x y",
            "/webapi/ping",
            "/web/login?next=/web/login",
            "/web/logout",
            "javascript:alert(1)",
            "/web/é",
        ] {
            assert_eq!(own(bad), None, "{bad}");
        }
        assert_eq!(own(&format!("/web/{}", "x".repeat(5000))), None);
    }

    #[test]
    fn the_sign_in_leads_back() {
        assert_eq!(sign_in(None), "/web/login");
        assert_eq!(sign_in(Some("/web/apps")), "/web/login");
        assert_eq!(sign_in(Some("//evil.example")), "/web/login");
        assert_eq!(sign_in(Some("/web/audit?user=a")), "/web/login?next=%2Fweb%2Faudit%3Fuser%3Da");
    }

    #[test]
    fn parts_and_queries_are_encoded() {
        assert_eq!(part("a/b c?d&é"), "a%2Fb%20c%3Fd%26%C3%A9");
        assert_eq!(part(".."), "%2E%2E");
        assert_eq!(query(&[("a", ""), ("b", "1&2")]), "?b=1%262");
        assert_eq!(query(&[("a", "")]), "");
    }
}
