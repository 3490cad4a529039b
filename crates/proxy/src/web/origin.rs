//! Whether a form was sent from one of our own pages.
//!
//! The link's token, which no other site knows, already guards the form. This
//! is the second wall. Our pages send `Referrer-Policy: no-referrer`, with which
//! browsers send `Origin: null` even to ourselves
//! (<https://fetch.spec.whatwg.org/#append-a-request-origin-header>); there
//! `Sec-Fetch-Site`, which no page can set, tells.

use http::Request;
use http::header::{HOST, HeaderMap, ORIGIN};

use crate::config::PublicAddr;

/// True only if the browser says that the request comes from this very origin.
pub(crate) fn is_own<B>(request: &Request<B>, public_addr: &PublicAddr) -> bool {
    let headers = request.headers();
    let host = request
        .uri()
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| one(headers, HOST.as_str()));
    let names_us = |origin: &str| {
        let public = public_addr.to_string();
        [host, Some(public.as_str())].into_iter().flatten().any(|host| {
            origin.eq_ignore_ascii_case(&format!("https://{}", without_default_port(host)))
        })
    };
    let origin = one(headers, ORIGIN.as_str());
    let site = one(headers, "sec-fetch-site");
    match (origin, site) {
        (Some("null") | None, Some("same-origin")) => true,
        (Some(origin), None | Some("same-origin")) => names_us(origin),
        _ => false,
    }
}

/// The value of a header that stands there exactly once; of several none is believed.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return Some("");
    }
    Some(first.to_str().unwrap_or_default())
}

fn without_default_port(host: &str) -> &str {
    host.strip_suffix(":443").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_origins() {
        let public = PublicAddr::parse("proxy.example.com:443").unwrap();
        let cases: &[(Option<&str>, Option<&str>, bool)] = &[
            (Some("https://proxy.example.com"), None, true),
            (Some("https://proxy.example.com"), Some("same-origin"), true),
            (Some("https://10.0.0.1:3080"), Some("same-origin"), true),
            (Some("null"), Some("same-origin"), true),
            (None, Some("same-origin"), true),
            (None, None, false),
            (Some("null"), None, false),
            (Some("null"), Some("cross-site"), false),
            (None, Some("none"), false),
            (None, Some("same-site"), false),
            (Some("https://proxy.example.com"), Some("cross-site"), false),
            (Some("http://proxy.example.com"), None, false),
            (Some("https://proxy.example.com:3080"), None, false),
            (Some("https://proxy.example.com.evil.example"), None, false),
            (Some("https://evil.example"), Some("same-origin"), false),
            (Some(""), None, false),
        ];
        for (origin, site, expected) in cases {
            let mut request =
                Request::builder().uri("/web/invite/x").header("host", "10.0.0.1:3080");
            if let Some(origin) = origin {
                request = request.header("origin", *origin);
            }
            if let Some(site) = site {
                request = request.header("sec-fetch-site", *site);
            }
            let request = request.body(()).unwrap();
            assert_eq!(is_own(&request, &public), *expected, "{origin:?} {site:?}");
        }
    }

    #[test]
    fn of_two_origins_none_is_believed() {
        let public = PublicAddr::parse("proxy.example.com:443").unwrap();
        let request = Request::builder()
            .header("origin", "https://proxy.example.com")
            .header("origin", "https://evil.example")
            .body(())
            .unwrap();
        assert!(!is_own(&request, &public));
    }
}
