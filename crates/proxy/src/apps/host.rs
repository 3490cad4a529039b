//! For whom a request is, by its host alone.

use std::sync::Arc;

use access::App;
use http::Request;
use http::header::HOST;

use super::Apps;

/// For whom a request is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Asked {
    /// The proxy's own pages.
    Pages,
    /// An app, at this host.
    App(Arc<App>, String),
    /// A subdomain of ours at which no app answers.
    Nobody,
    /// It names no host, several, or none that can be one.
    Unclear,
}

impl Apps {
    /// Reads it.
    pub(crate) fn asked<B>(&self, request: &Request<B>) -> Asked {
        let Some(host) = host_of(request) else { return Asked::Unclear };
        if let Some(app) = self.at(&host) {
            return Asked::App(app, host);
        }
        let own = self.public_addr.host();
        let is_below = host.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'));
        if is_below { Asked::Nobody } else { Asked::Pages }
    }
}

/// The host without its port, in small letters; `None` where that is not one plain name.
pub(super) fn host_of<B>(request: &Request<B>) -> Option<String> {
    let mut headers = request.headers().get_all(HOST).iter();
    let (header, more) = (headers.next(), headers.next());
    let header = header.map(|value| value.to_str()).transpose().ok()?;
    let of_uri = request.uri().authority().map(http::uri::Authority::as_str);
    let asked = of_uri.or(header)?;
    let is_one = more.is_none() && header.is_none_or(|header| header.eq_ignore_ascii_case(asked));
    if !is_one || asked.contains('@') {
        return None;
    }
    let authority: http::uri::Authority = asked.parse().ok()?;
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_for_one_host() {
        let host = |uri: &str, headers: &[&str]| {
            let mut request = Request::builder().uri(uri);
            for header in headers {
                request = request.header(HOST, *header);
            }
            host_of(&request.body(()).unwrap())
        };
        let grafana = || Some("grafana.example.com".to_owned());
        assert_eq!(host("/", &["Grafana.example.com:3080"]), grafana());
        assert_eq!(host("/", &["grafana.example.com."]), grafana());
        assert_eq!(host("https://grafana.example.com/", &[]), grafana());
        assert_eq!(host("https://grafana.example.com/", &["grafana.example.com"]), grafana());
        for (uri, headers) in [
            ("/", &[][..]),
            ("/", &["a.example.com", "a.example.com"]),
            ("https://a.example.com/", &["b.example.com"]),
            ("/", &["user@a.example.com"]),
            ("/", &["."]),
            ("/", &["a b"]),
        ] {
            assert_eq!(host(uri, headers), None, "{uri} {headers:?}");
        }
    }
}
