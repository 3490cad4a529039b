//! What every `tsh` command starts from: the flags, the saved logins, the clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use access::Claims;
use api::profile::{Home, Profile, ProfileError};
use api::{Client, wire};
use clap::Args;
use pki::tls::{self, ClientTls, TrustedServers};
use pki::{Clock, Credential, LiveCredential, LiveTrust, Trust};
use rustls::ClientConfig;

use super::address::ProxyAddress;
use super::browser::Browser;
use crate::edge;
use crate::failure::{Failure, OrFail as _};

/// Flags of every `tsh` command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Address of the Proxy Service, host[:port]
    #[arg(long, env = "TELEPORT_PROXY", hide_env_values = true, global = true)]
    pub proxy: Option<String>,
    /// Name of the user
    #[arg(long, env = "TELEPORT_USER", hide_env_values = true, global = true)]
    pub user: Option<String>,
    /// Minutes that the login is to last
    #[arg(long, global = true)]
    pub ttl: Option<u64>,
    /// How to log in: `local` with a password, `browser` on a page of the proxy
    #[arg(long, env = "TELEPORT_AUTH", hide_env_values = true, global = true)]
    pub auth: Option<String>,
    /// Do not check the proxy's web certificate
    #[arg(long, global = true)]
    pub insecure: bool,
    /// Do not compare versions with the cluster
    #[arg(long, global = true)]
    pub skip_version_check: bool,
    /// Log to stderr
    #[arg(short, long, env = "TELEPORT_DEBUG", hide_env_values = true, global = true,
          value_parser = clap::builder::FalseyValueParser::new())]
    pub debug: bool,
}

/// What every command starts from.
#[derive(Debug, Clone)]
pub struct Context {
    /// The flags.
    pub global: Global,
    /// The saved logins.
    pub home: Home,
    /// What is done with pages that need a browser; `TELEPORT_BROWSER=none` prints their addresses.
    pub browser: Browser,
    /// The clock.
    pub now: fn() -> SystemTime,
}

/// A saved login with what it proves and whom it trusts.
#[derive(Debug, Clone)]
pub struct Login {
    /// Where, who, which cluster.
    pub profile: Profile,
    /// Key and user certificate.
    pub credential: Credential,
    /// What the certificate says.
    pub claims: Claims,
}

impl Context {
    /// The context of this process: `TELEPORT_HOME`, or `.tsh` in the home folder.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn of_process(mut global: Global) -> Result<Self, Failure> {
        // An empty value, as of a variable that is set to nothing, is none.
        for value in [&mut global.proxy, &mut global.user, &mut global.auth] {
            *value = value.take().filter(|text| !text.is_empty());
        }
        let folder = match (edge::variable("TELEPORT_HOME"), edge::variable("HOME")) {
            (Some(folder), _) => PathBuf::from(folder),
            (None, Some(home)) => PathBuf::from(home).join(".tsh"),
            (None, None) => {
                return Err(Failure::new("neither TELEPORT_HOME nor HOME is set"));
            }
        };
        let browser = match edge::variable("TELEPORT_BROWSER").as_deref() {
            Some("none") => Browser::None,
            _ => Browser::Default,
        };
        Ok(Self { global, home: Home::new(folder), browser, now: edge::now })
    }

    /// The same, with what a command's own `--browser` says.
    #[must_use]
    pub fn with_browser(&self, browser: Option<Browser>) -> Self {
        Self { browser: browser.unwrap_or(self.browser), ..self.clone() }
    }

    /// The saved login that the flags mean, or the one in use.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn profile(&self) -> Result<Option<Profile>, Failure> {
        let found = match &self.global.proxy {
            Some(proxy) => self.home.profile(&ProxyAddress::parse(proxy)?.host),
            None => self.home.current(),
        };
        let found = found.map_err(profile_failure)?;
        let fits = |profile: &Profile| {
            self.global.user.as_deref().is_none_or(|user| profile.user == *user)
        };
        Ok(found.filter(fits))
    }

    /// The login with its certificate, whether it still lasts or not.
    ///
    /// # Errors
    /// When there is none or it is damaged.
    pub fn login(&self) -> Result<Login, Failure> {
        let profile = self.profile()?.ok_or_else(not_logged_in)?;
        self.login_of(profile)
    }

    /// The login of a profile.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn login_of(&self, profile: Profile) -> Result<Login, Failure> {
        let credential = self.home.credential(&profile).map_err(profile_failure)?;
        let claims = pki::unverified_claims(credential.cert())
            .or_fail("the saved certificate cannot be read")
            .map_err(|failure| failure.with_hint("run `tsh login`"))?;
        Ok(Login { profile, credential, claims })
    }

    /// The login, which must still last.
    ///
    /// # Errors
    /// When there is none or it has expired.
    pub fn valid_login(&self) -> Result<Login, Failure> {
        let login = self.login()?;
        if login.claims.expires <= (self.now)() {
            return Err(expired());
        }
        Ok(login)
    }

    /// The same login as it is saved now: the user may have logged in anew, or chosen another meanwhile.
    ///
    /// # Errors
    /// When there is none any more or it is damaged.
    pub fn again(&self, login: &Login) -> Result<Login, Failure> {
        let found = self.home.profile(login.profile.proxy_host()).map_err(profile_failure)?;
        let same = found.filter(|profile| {
            profile.user == login.profile.user && profile.cluster == login.profile.cluster
        });
        self.login_of(same.ok_or_else(not_logged_in)?)
    }

    /// Whom a login trusts.
    ///
    /// # Errors
    /// When the saved authorities are damaged.
    pub fn trust(&self, profile: &Profile) -> Result<Trust, Failure> {
        self.home.trust(profile).map_err(profile_failure)
    }

    /// A client of the Auth Service, by way of the login's proxy.
    ///
    /// # Errors
    /// When the login's files cannot be used.
    pub fn client(&self, login: &Login) -> Result<Client, Failure> {
        let tls =
            self.tls(login, &LiveCredential::new(login.credential.clone()), wire::ALPN_AUTH)?;
        Ok(Client::new(login.profile.web_proxy_addr.clone(), tls)?)
    }

    /// TLS settings that show a certificate of the login and trust its cluster.
    ///
    /// # Errors
    /// When the saved authorities are damaged.
    pub fn tls(
        &self,
        login: &Login,
        credential: &Arc<LiveCredential>,
        alpn: &[u8],
    ) -> Result<Arc<ClientConfig>, Failure> {
        let trust = LiveTrust::new(self.trust(&login.profile)?);
        tls::client(ClientTls {
            credential: Some(Arc::clone(credential)),
            servers: TrustedServers::Cluster(trust),
            alpn: vec![alpn.to_vec()],
            clock: Clock::from(self.now),
        })
        .or_fail("the TLS settings of the login cannot be used")
    }
}

/// The words for a saved login that cannot be used.
pub fn profile_failure(error: ProfileError) -> Failure {
    let hint = match &error {
        ProfileError::Damaged { .. } | ProfileError::Missing { .. } => Some("run `tsh login`"),
        _ => None,
    };
    let message = error.to_string();
    let failure = match std::error::Error::source(&error) {
        Some(source) => Failure::caused_by(message, api::error::Chain(source).to_string()),
        None => Failure::new(message),
    };
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// No saved login.
#[must_use]
pub fn not_logged_in() -> Failure {
    Failure::new("Not logged in.").with_hint("run `tsh login --proxy=<host> --user=<name>`")
}

/// A saved login that has ended.
#[must_use]
pub fn expired() -> Failure {
    Failure::new("your credentials have expired, please login using `tsh login`")
}
