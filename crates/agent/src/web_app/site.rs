//! A web app as its resource describes it: where it is, and how requests and answers are rewritten.

use access::language::template::Template;
use access::names::Traits;
use access::{App, AppName};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Uri};

use super::AppError;
use super::headers::is_reserved;

/// A web app.
#[derive(Debug)]
pub(crate) struct Site {
    app: AppName,
    scheme: Scheme,
    authority: Authority,
    /// The path of the URI, where it names more than the root.
    start: Option<PathAndQuery>,
    is_unverified: bool,
    redirects: Vec<String>,
    headers: Vec<(HeaderName, Template)>,
}

impl Site {
    /// Reads the app's URI and `rewrite`.
    pub(crate) fn of(app: &App) -> Result<Self, AppError> {
        let bad = || AppError::BadUri { app: app.name().clone() };
        let uri: Uri = app.uri().parse().map_err(|_| bad())?;
        let parts = uri.into_parts();
        let scheme =
            parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let authority = parts.authority.filter(|authority| !authority.as_str().contains('@'));
        let rewrite = app.spec.rewrite.clone().unwrap_or_default();
        Ok(Self {
            app: app.name().clone(),
            scheme: scheme.ok_or_else(bad)?,
            authority: authority.ok_or_else(bad)?,
            start: parts.path_and_query.filter(|path| path.as_str() != "/"),
            is_unverified: app.spec.insecure_skip_verify,
            redirects: rewrite.redirect.iter().map(|host| host.to_ascii_lowercase()).collect(),
            headers: rewrite.headers.iter().filter_map(|line| header(line)).collect(),
        })
    }

    /// The app's name.
    pub(crate) fn app(&self) -> &AppName {
        &self.app
    }

    /// `host:port` as the URI writes it: the `Host` that the app sees.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Scheme and `host:port`: the origin that the app itself knows.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Whether the app's certificate is left unchecked.
    pub(crate) fn is_unverified(&self) -> bool {
        self.is_unverified
    }

    /// The app's address for a request: its own host with the request's path and query, byte for byte.
    pub(crate) fn address(&self, path: &PathAndQuery) -> Result<Uri, AppError> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path.clone())
            .build()
            .map_err(|_| AppError::BadUri { app: self.app.clone() })
    }

    /// Where a request for the root is sent first: the URI's own path, if it has one.
    pub(crate) fn start_of(&self, path: &PathAndQuery) -> Option<HeaderValue> {
        if path.as_str() != "/" {
            return None;
        }
        HeaderValue::from_str(self.start.as_ref()?.as_str()).ok()
    }

    /// `rewrite.headers`, its templates filled. What a trait's value cannot be in a header is left out.
    pub(crate) fn headers(&self, traits: &Traits) -> Vec<(HeaderName, Vec<HeaderValue>)> {
        let value = |text: String| HeaderValue::from_str(text.trim()).ok();
        let filled = |template: &Template| template.expand(traits).into_iter().filter_map(value);
        self.headers
            .iter()
            .map(|(name, template)| (name.clone(), filled(template).collect()))
            .collect()
    }

    /// Whether a template wants the token.
    pub(crate) fn wants_token(&self) -> bool {
        self.headers.iter().any(|(_, template)| template.literal().is_none())
    }

    /// A redirect of the app as a browser can follow it: one to the app's own host, or to a host of
    /// `rewrite.redirect`, goes to the same path at the public address.
    pub(crate) fn redirect(&self, location: &str) -> Option<String> {
        let uri: Uri = location.parse().ok()?;
        let (scheme, authority) = (uri.scheme()?, uri.authority()?);
        let is_own = *scheme == self.scheme && same_place(scheme, authority, &self.authority);
        let is_listed = self.redirects.iter().any(|host| {
            authority.host().eq_ignore_ascii_case(host)
                || authority.as_str().eq_ignore_ascii_case(host)
        });
        if !is_own && !is_listed {
            return None;
        }
        // What follows the authority, fragment included. Two slashes would name another host.
        let (_, rest) = location.split_once("://")?;
        let path = rest.get(authority.as_str().len()..)?;
        Some(format!("/{}", path.trim_start_matches(['/', '\\'])))
    }
}

fn same_place(scheme: &Scheme, left: &Authority, right: &Authority) -> bool {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    left.host().eq_ignore_ascii_case(right.host()) && port(left) == port(right)
}

/// One line of `rewrite.headers`. The reserved ones are ours to set.
fn header(line: &str) -> Option<(HeaderName, Template)> {
    let (name, value) = line.split_once(':')?;
    let name: HeaderName = name.trim().parse().ok()?;
    if is_reserved(&name) {
        return None;
    }
    Some((name, Template::parse(value.trim()).ok()?))
}

#[cfg(test)]
mod tests {
    use access::resource::Rewrite;

    use super::*;

    fn site(uri: &str, rewrite: Rewrite) -> Result<Site, AppError> {
        let mut app = App::new(AppName::parse("grafana").unwrap(), uri);
        app.spec.rewrite = Some(rewrite);
        Site::of(&app)
    }

    fn plain(uri: &str) -> Site {
        site(uri, Rewrite::default()).unwrap()
    }

    #[test]
    fn paths_are_passed_on_byte_for_byte() {
        let site = plain("http://grafana.internal:3000/ignored");
        for path in
            ["/", "//", "/a//b", "/../x", "/a/../b", "/%2F%2f", "/a%00", "/?q=a+b%20c", "/a;b=c?x#"]
        {
            let given: PathAndQuery = path.parse().unwrap();
            let address = site.address(&given).unwrap();
            assert_eq!(address.path_and_query().unwrap(), &given, "{path}");
            assert_eq!(address.authority().unwrap(), "grafana.internal:3000");
        }
    }

    #[test]
    fn other_addresses_are_no_site() {
        for uri in ["tcp://x:1", "https://user@x", "ftp://x", "http://", "cloud://AWS", "x"] {
            assert!(site(uri, Rewrite::default()).is_err(), "{uri}");
        }
    }

    #[test]
    fn only_the_root_is_sent_to_the_uris_own_path() {
        let site = plain("http://x/app/?tab=1");
        let start = |path: &str| site.start_of(&path.parse().unwrap());
        assert_eq!(start("/").unwrap(), "/app/?tab=1");
        assert_eq!(start("/?x"), None);
        assert_eq!(start("/app/"), None);
        assert_eq!(plain("http://x").start_of(&"/".parse().unwrap()), None);
    }

    #[test]
    fn redirects_to_the_app_itself_stay_at_the_public_address() {
        let rewrite = Rewrite { redirect: vec!["Old.internal".to_owned()], ..Rewrite::default() };
        let site = site("https://grafana.internal:8443/x", rewrite).unwrap();
        for (location, expected) in [
            ("https://grafana.internal:8443/login?next=%2F", Some("/login?next=%2F")),
            ("https://GRAFANA.internal:8443", Some("/")),
            ("https://grafana.internal:8443?a=1", Some("/?a=1")),
            ("https://grafana.internal:8443/a#part", Some("/a#part")),
            ("https://grafana.internal:8443//evil.example/x", Some("/evil.example/x")),
            ("https://grafana.internal:8443/\\evil.example", Some("/evil.example")),
            ("http://old.internal/x", Some("/x")),
            ("https://old.internal:444/x", Some("/x")),
            ("http://grafana.internal:8443/x", None),
            ("https://grafana.internal/x", None),
            ("https://elsewhere.example/x", None),
            ("https://grafana.internal:8443.evil.example/x", None),
            ("/relative", None),
            ("relative", None),
        ] {
            assert_eq!(site.redirect(location).as_deref(), expected, "{location}");
        }
        let default_port = plain("https://x");
        assert_eq!(default_port.redirect("https://x:443/a").as_deref(), Some("/a"));
    }

    #[test]
    fn headers_are_filled_from_traits_and_reserved_ones_are_left_alone() {
        let lines = [
            "X-Team: {{external.team}}",
            "X-Fixed: always",
            "X-Forwarded-For: 10.0.0.1",
            "Teleport-Jwt-Assertion: forged",
            "X-None: {{external.none}}",
            "Authorization: Bearer {{internal.jwt}}",
            "Host: other.internal",
        ];
        let rewrite = Rewrite {
            headers: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..Rewrite::default()
        };
        let site = site("http://x", rewrite).unwrap();
        let traits: Traits = [
            (
                "team".to_owned(),
                vec!["blue".to_owned(), "red".to_owned(), "x\r\nEvil: 1".to_owned()],
            ),
            ("jwt".to_owned(), vec!["e30.e30.x".to_owned()]),
        ]
        .into();
        let shown: Vec<String> = site
            .headers(&traits)
            .iter()
            .map(|(name, values)| format!("{name}: {values:?}"))
            .collect();
        assert_eq!(
            shown,
            [
                "x-team: [\"blue\", \"red\"]",
                "x-fixed: [\"always\"]",
                "x-none: []",
                "authorization: [\"Bearer e30.e30.x\"]",
                "host: [\"other.internal\"]",
            ]
        );
    }
}
