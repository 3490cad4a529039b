//! `proxy_service`: where the certificates of the web port come from.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use api::yaml::YamlProblem;

use super::{Reader, split_port};
use crate::settings::AcmeSettings;
use crate::written;

/// The CA unless `acme.uri` says otherwise.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// How often files of `https_keypairs` are looked at unless told otherwise.
const RELOAD: Duration = Duration::from_secs(10);

impl Reader<'_> {
    /// Pairs of certificate and key files.
    pub(super) fn https_keypairs(pairs: Vec<written::KeyPair>) -> Vec<(PathBuf, PathBuf)> {
        let paths = |pair: written::KeyPair| {
            (PathBuf::from(pair.cert_file.value), PathBuf::from(pair.key_file.value))
        };
        pairs.into_iter().map(paths).collect()
    }

    /// `https_keypairs_reload_interval`; zero switches it off.
    pub(super) fn reload(&self, proxy: &written::Proxy) -> Result<Option<Duration>, YamlProblem> {
        let key = "proxy_service.https_keypairs_reload_interval";
        let interval = match &proxy.https_keypairs_reload_interval {
            None => RELOAD,
            Some(text) => self.duration(text, key)?,
        };
        Ok((!interval.is_zero()).then_some(interval))
    }

    /// `acme`, if it is on. Its names must be ones that a public CA certifies.
    pub(super) fn acme(
        &self,
        acme: &written::Acme,
        public_addr: Option<&str>,
    ) -> Result<Option<AcmeSettings>, YamlProblem> {
        let Some(enabled) = acme.enabled.as_ref().filter(|enabled| enabled.value) else {
            return Ok(None);
        };
        let host = public_addr.map(|address| split_port(address).0).unwrap_or_default();
        let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if is_address || !host.contains('.') {
            let reason = "proxy_service.acme needs proxy_service.public_addr with a host name that \
                          the internet knows, e.g. teleport.example.com:443";
            return Err(self.at(enabled, reason));
        }
        let directory = match &acme.uri {
            None => LETS_ENCRYPT.to_owned(),
            Some(uri) if is_https(&uri.value) => uri.value.clone(),
            Some(uri) => {
                let reason = format!(
                    "proxy_service.acme.uri is `{}`; expected the https URL of a CA's directory",
                    uri.value
                );
                return Err(self.at(uri, reason));
            }
        };
        let email = match &acme.email {
            Some(email) if !is_email(&email.value) => {
                let reason = format!(
                    "proxy_service.acme.email is `{}`; expected an address like admin@example.com",
                    email.value
                );
                return Err(self.at(email, reason));
            }
            email => email.as_ref().map(|email| email.value.clone()),
        };
        Ok(Some(AcmeSettings { directory, email }))
    }
}

fn is_https(uri: &str) -> bool {
    let parsed = uri.parse::<http::Uri>();
    parsed.is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some())
}

fn is_email(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"@,<>?&".contains(&b))
    };
    text.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Overrides, ProxySettings};

    fn read(proxy: &str) -> Result<ProxySettings, String> {
        let text = format!("version: v3\nproxy_service:\n  enabled: on\n{proxy}");
        let read = super::super::read(&text, "teleport.yaml", &Overrides::default());
        read.map(|settings| settings.proxy.unwrap()).map_err(|problem| problem.to_string())
    }

    const PUBLIC: &str = "  public_addr: teleport.example.com:443\n";

    #[test]
    fn acme_is_off_unless_it_is_switched_on() {
        assert_eq!(read(PUBLIC).unwrap().acme, None);
        assert_eq!(read(&format!("{PUBLIC}  acme:\n    enabled: no\n")).unwrap().acme, None);
        assert_eq!(read(&format!("{PUBLIC}  acme:\n    email: a@b.c\n")).unwrap().acme, None);
        let on = read(&format!("{PUBLIC}  acme:\n    enabled: yes\n    email: a@b.c\n")).unwrap();
        let expected =
            AcmeSettings { directory: LETS_ENCRYPT.to_owned(), email: Some("a@b.c".to_owned()) };
        assert_eq!(on.acme, Some(expected));
        let uri =
            format!("{PUBLIC}  acme:\n    enabled: yes\n    uri: https://localhost:14000/dir\n");
        assert_eq!(read(&uri).unwrap().acme.unwrap().directory, "https://localhost:14000/dir");
    }

    #[test]
    fn mistakes_name_their_line_and_key() {
        let on = "  acme:\n    enabled: yes\n";
        let cases = [
            (on.to_owned(), ":5:", "public_addr"),
            (format!("  public_addr: 192.0.2.1:443\n{on}"), ":6:", "public_addr"),
            (format!("  public_addr: '[2001:db8::1]:443'\n{on}"), ":6:", "public_addr"),
            (format!("  public_addr: localhost:443\n{on}"), ":6:", "public_addr"),
            (format!("{PUBLIC}{on}    uri: http://ca.example/dir\n"), ":7:", "acme.uri"),
            (format!("{PUBLIC}{on}    uri: ca\n"), ":7:", "acme.uri"),
            (format!("{PUBLIC}{on}    email: nobody\n"), ":7:", "acme.email"),
            (format!("{PUBLIC}{on}    email: 'a@b,c@d'\n"), ":7:", "acme.email"),
            (format!("{PUBLIC}{on}    mail: x\n"), ":7:", "mail"),
            ("  https_keypairs_reload_interval: soon\n".to_owned(), ":4:", "reload_interval"),
        ];
        for (text, line, key) in cases {
            let problem = read(&text).unwrap_err();
            assert!(problem.contains(line) && problem.contains(key), "{text}: {problem}");
        }
    }

    #[test]
    fn files_are_looked_at_every_ten_seconds_unless_told_otherwise() {
        let every = |text: &str| read(text).unwrap().https_keypairs_reload;
        assert_eq!(every(PUBLIC), Some(RELOAD));
        let minute = "  https_keypairs_reload_interval: 1m\n";
        assert_eq!(every(minute), Some(Duration::from_secs(60)));
        assert_eq!(every("  https_keypairs_reload_interval: 0s\n"), None);
    }
}
