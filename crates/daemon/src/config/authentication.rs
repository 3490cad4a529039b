//! `auth_service.authentication` and `auth_service.web_idle_timeout`: how users log in, and how
//! long browsers stay signed in.

use std::net::IpAddr;
use std::time::Duration;

use access::resource::RequireMfa;
use api::types::ping::SecondFactor;
use api::yaml::YamlProblem;
use serde_saphyr::Spanned;

use super::{Reader, split_port};
use crate::settings::Authentication;
use crate::written;

/// Shortest useful time until a browser is signed out.
const SHORTEST_IDLE: Duration = Duration::from_secs(60);

impl Reader<'_> {
    /// `public_addr` is that of the proxy of the same file, if there is one.
    pub(super) fn authentication(
        &self,
        auth: &written::Auth,
        public_addr: Option<&str>,
    ) -> Result<Authentication, YamlProblem> {
        let written = &auth.authentication;
        if let Some(kind) = written.kind.as_ref().filter(|kind| kind.value != "local") {
            let reason =
                format!("auth_service.authentication.type is `{}`; expected local", kind.value);
            return Err(self.at(kind, reason));
        }
        let second_factor = written
            .second_factor
            .as_ref()
            .map_or_else(SecondFactor::default, |factor| factor.value);
        self.check_passkeys(written, second_factor, public_addr)?;
        Ok(Authentication {
            second_factor,
            webauthn_rp_id: self.rp_id(written, public_addr)?,
            require_session_mfa: self.session_mfa(written, second_factor)?,
            local_auth: written.local_auth.unwrap_or(true),
            default_session_ttl: match &written.default_session_ttl {
                None => Duration::from_secs(12 * 3_600),
                Some(text) => {
                    self.duration(text, "auth_service.authentication.default_session_ttl")?
                }
            },
            lockout_failures: self.lockout_failures(written)?,
            lockout_period: match &written.lockout.period {
                None => None,
                Some(text) => {
                    Some(self.duration(text, "auth_service.authentication.lockout.period")?)
                }
            },
            web_idle_timeout: self.web_idle_timeout(auth)?,
        })
    }

    /// Passkeys are for host names; a cluster that takes nothing else would let nobody in.
    fn check_passkeys(
        &self,
        written: &written::Authentication,
        factor: SecondFactor,
        public_addr: Option<&str>,
    ) -> Result<(), YamlProblem> {
        let (SecondFactor::Webauthn, Some(setting)) = (factor, &written.second_factor) else {
            return Ok(());
        };
        match public_addr.map(host_of).filter(|host| is_address(host)) {
            None => Ok(()),
            Some(host) => Err(self.at(
                setting,
                format!(
                    "auth_service.authentication.second_factor is webauthn, but users reach this \
                     cluster at the address {host}, and browsers allow passkeys for host names \
                     only; set proxy_service.public_addr to a host name, or second_factor to otp"
                ),
            )),
        }
    }

    fn rp_id(
        &self,
        written: &written::Authentication,
        public_addr: Option<&str>,
    ) -> Result<Option<String>, YamlProblem> {
        let Some(rp_id) = written.webauthn.rp_id.as_ref() else { return Ok(None) };
        let key = "auth_service.authentication.webauthn.rp_id";
        let name = rp_id.value.trim().to_ascii_lowercase();
        let is_name = !name.is_empty()
            && !name.starts_with(['.', '-'])
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
            && !is_address(&name);
        if !is_name {
            let reason = format!("{key} is `{}`; expected a host name without port", rp_id.value);
            return Err(self.at(rp_id, reason));
        }
        if let Some(host) = public_addr.map(host_of)
            && host != name
            && !host.ends_with(&format!(".{name}"))
        {
            let reason = format!(
                "{key} is `{name}`, but users reach this cluster at `{host}`; expected `{host}` \
                 or a parent domain of it"
            );
            return Err(self.at(rp_id, reason));
        }
        Ok(Some(name))
    }

    fn session_mfa(
        &self,
        written: &written::Authentication,
        factor: SecondFactor,
    ) -> Result<RequireMfa, YamlProblem> {
        let Some(setting) = &written.require_session_mfa else { return Ok(RequireMfa::No) };
        let key = "auth_service.authentication.require_session_mfa";
        match setting.value {
            RequireMfa::No => Ok(RequireMfa::No),
            RequireMfa::Yes if factor == SecondFactor::Off => Err(self.at(
                setting,
                format!("{key} is on, but second_factor is off: nobody could open an app"),
            )),
            RequireMfa::Yes => Ok(RequireMfa::Yes),
            RequireMfa::HardwareKey | RequireMfa::HardwareKeyTouch => Err(self.at(
                setting,
                format!("{key}: keys in hardware cannot be told apart here; expected yes or no"),
            )),
        }
    }

    fn lockout_failures(
        &self,
        written: &written::Authentication,
    ) -> Result<Option<u32>, YamlProblem> {
        match &written.lockout.failures {
            Some(failures) if failures.value == 0 => Err(self.at(
                failures,
                "auth_service.authentication.lockout.failures is 0; expected at least 1",
            )),
            failures => Ok(failures.as_ref().map(|failures| failures.value)),
        }
    }

    fn web_idle_timeout(&self, auth: &written::Auth) -> Result<Option<Duration>, YamlProblem> {
        let Some(text) = &auth.web_idle_timeout else { return Ok(None) };
        let timeout = self.duration(text, "auth_service.web_idle_timeout")?;
        if timeout < SHORTEST_IDLE {
            return Err(self.short(text));
        }
        Ok(Some(timeout))
    }

    fn short(&self, text: &Spanned<String>) -> YamlProblem {
        let reason = format!(
            "auth_service.web_idle_timeout is `{}`; expected at least 1m, e.g. 30m",
            text.value
        );
        self.at(text, reason)
    }
}

fn host_of(address: &str) -> &str {
    split_port(address).0
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Overrides;

    fn read(public_addr: &str, authentication: &str) -> Result<Authentication, YamlProblem> {
        let text = format!(
            "version: v3\nauth_service:\n  cluster_name: example.com\n{authentication}\
             proxy_service:\n  public_addr: '{public_addr}'\n"
        );
        let settings = super::super::read(&text, "teleport.yaml", &Overrides::default())?;
        Ok(settings.auth.unwrap().authentication)
    }

    #[test]
    fn what_is_not_said_is_safe() {
        let read = read("teleport.example.com:443", "").unwrap();
        assert_eq!(read.second_factor, SecondFactor::Otp);
        assert_eq!(read.require_session_mfa, RequireMfa::No);
        assert_eq!((read.webauthn_rp_id, read.web_idle_timeout), (None, None));
        assert!(read.local_auth);
    }

    #[test]
    fn every_key_is_read() {
        let text = "  web_idle_timeout: 10m\n  authentication:\n    second_factor: on\n    \
            webauthn:\n      rp_id: Example.com\n    require_session_mfa: yes\n    lockout:\n      \
            failures: 3\n      period: 1h\n";
        let read = read("teleport.example.com:443", text).unwrap();
        assert_eq!(read.second_factor, SecondFactor::On);
        assert_eq!(read.webauthn_rp_id.as_deref(), Some("example.com"));
        assert_eq!(read.require_session_mfa, RequireMfa::Yes);
        assert_eq!(read.web_idle_timeout, Some(Duration::from_secs(600)));
        assert_eq!(read.lockout_failures, Some(3));
        assert_eq!(read.lockout_period, Some(Duration::from_secs(3_600)));
    }

    #[test]
    fn the_original_writes_switches_in_several_ways() {
        for (written, factor) in [
            ("on", SecondFactor::On),
            ("off", SecondFactor::Off),
            ("\"off\"", SecondFactor::Off),
            ("otp", SecondFactor::Otp),
            ("webauthn", SecondFactor::Webauthn),
            ("optional", SecondFactor::Optional),
        ] {
            let text = format!("  authentication:\n    second_factor: {written}\n");
            let read = read("teleport.example.com:443", &text).unwrap();
            assert_eq!(read.second_factor, factor, "{written}");
        }
    }

    #[test]
    fn what_cannot_work_is_said_with_its_line() {
        let name = "teleport.example.com:443";
        for (addr, text, line, said) in [
            ("192.0.2.1:443", "    second_factor: webauthn\n", 5, "host name"),
            ("[2001:db8::1]:443", "    second_factor: webauthn\n", 5, "host name"),
            (name, "    webauthn: {rp_id: 'https://example.com'}\n", 5, "host name without port"),
            (name, "    webauthn: {rp_id: 192.0.2.1}\n", 5, "host name without port"),
            (name, "    webauthn: {rp_id: example.org}\n", 5, "parent domain"),
            (name, "    webauthn: {rp_id: ample.com}\n", 5, "parent domain"),
            (name, "    second_factor: off\n    require_session_mfa: yes\n", 6, "nobody"),
            (name, "    require_session_mfa: hardware_key\n", 5, "yes or no"),
            (name, "    lockout: {failures: 0}\n", 5, "at least 1"),
            (name, "    second_factor: sms\n", 5, ""),
        ] {
            let text = format!("  authentication:\n{text}");
            let problem = read(addr, &text).unwrap_err();
            assert_eq!(problem.line, line, "{problem}");
            assert!(problem.reason.contains(said), "{problem}");
        }
        let problem = read(name, "  web_idle_timeout: 1s\n").unwrap_err();
        assert!(problem.reason.contains("at least 1m"), "{problem}");
    }
}
