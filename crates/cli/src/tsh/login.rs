//! `tsh login`: a password and a one-time code, or an approval in the browser, for a certificate that lasts hours.

use access::UserName;
use api::profile::Profile;
use api::types::login::{BrowserLogin, ChallengeLogin, LoginChallengeRequest, LoginReply};
use api::types::mfa::MfaProof;
use api::types::ping::Ping;
use api::web::WebClient;
use clap::Args;
use pki::{Clock, KeyPair, WebTrust};

use super::address::ProxyAddress;
use super::browser::{self, Browser, Purpose};
use super::context::{Context, Login, profile_failure};
use super::status;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;
use crate::{edge, prompt};

/// Log in to a cluster
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Cluster to use; only the proxy's own is served
    pub cluster: Option<String>,
    /// With `none`, print the address of a page instead of opening it
    #[arg(long, value_enum)]
    pub browser: Option<Browser>,
}

/// Runs `tsh login`.
///
/// # Errors
/// When the proxy cannot be reached or refuses the login.
pub async fn run(args: &LoginArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let context = &context.with_browser(args.browser);
    let way = way(context)?;
    if let Some(login) = still_valid(args, context)? {
        context.home.select(&login.profile).map_err(profile_failure)?;
        return status::print(&login, context, output);
    }
    let address = proxy_address(context)?;
    let port = match address.port.or_else(|| known_port(context, &address)) {
        Some(port) => port,
        None => address.discover().await?,
    };
    let web = web_client(context, &address, port, output)?;
    let ping = web.ping().await?;
    check_version(&ping, context)?;
    if let Some(cluster) = args.cluster.as_deref()
        && ping.cluster_name != *cluster
    {
        return Err(Failure::new(format!(
            "cluster \"{cluster}\" is not served by this proxy; it serves \"{}\"",
            ping.cluster_name
        )));
    }
    let key = KeyPair::generate().or_fail("could not make a key pair")?;
    let asked = Asked { web: &web, ping: &ping, key: &key };
    let going = async {
        match way {
            Way::Browser => by_browser(context, asked, output).await,
            Way::Local
                if !ping.auth.second_factor.allows_otp()
                    && ping.auth.second_factor.is_required() =>
            {
                output.say("This cluster takes passkeys alone: the login goes on in the browser.");
                by_browser(context, asked, output).await
            }
            Way::Local => by_password(context, asked, output).await,
        }
    };
    let reply = Box::pin(going).await?;
    let login = save(context, address.with_port(port), &key, &reply)?;
    for warning in &reply.warnings {
        output.warn(warning);
    }
    status::print(&login, context, output)
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// With a password at the terminal.
    Local,
    /// On a page of the proxy.
    Browser,
}

fn way(context: &Context) -> Result<Way, Failure> {
    match context.global.auth.as_deref() {
        None | Some("local" | "") => Ok(Way::Local),
        Some("browser" | "passwordless") => Ok(Way::Browser),
        Some(other) => Err(Failure::misuse(format!("connector `{other}` is not served"))
            .with_hint("leave --auth out, or write --auth=local or --auth=browser")),
    }
}

/// The saved login, if it is the one that is asked for and still lasts.
fn still_valid(args: &LoginArgs, context: &Context) -> Result<Option<Login>, Failure> {
    let Some(profile) = context.profile()? else { return Ok(None) };
    if args.cluster.as_deref().is_some_and(|cluster| profile.cluster != *cluster) {
        return Ok(None);
    }
    // A damaged login is simply replaced.
    let login = context.login_of(profile).ok();
    Ok(login.filter(|login| login.claims.expires > (context.now)()))
}

fn proxy_address(context: &Context) -> Result<ProxyAddress, Failure> {
    if let Some(proxy) = &context.global.proxy {
        return ProxyAddress::parse(proxy);
    }
    match context.home.current().map_err(profile_failure)? {
        Some(profile) => ProxyAddress::parse(&profile.web_proxy_addr),
        None => Err(Failure::misuse("No proxy address specified, missed --proxy flag?")
            .with_hint("run `tsh login --proxy=<host> --user=<name>`")),
    }
}

/// The port of an earlier login at the same host.
fn known_port(context: &Context, address: &ProxyAddress) -> Option<u16> {
    let profile = context.home.profile(&address.host).ok()??;
    ProxyAddress::parse(&profile.web_proxy_addr).ok()?.port
}

fn web_client(
    context: &Context,
    address: &ProxyAddress,
    port: u16,
    output: &mut Output,
) -> Result<WebClient, Failure> {
    let trust = if context.global.insecure {
        output.warn(format!(
            "You are using insecure connection to Teleport proxy https://{}",
            address.with_port(port)
        ));
        WebTrust::DangerouslyAnybody
    } else {
        WebTrust::System { extra: Vec::new() }
    };
    web_client_with(&trust, context, (&address.host, port))
}

fn web_client_with(
    trust: &WebTrust,
    context: &Context,
    (host, port): (&str, u16),
) -> Result<WebClient, Failure> {
    let alpn = vec![b"http/1.1".to_vec()];
    let tls = pki::web::web_client(trust, alpn, Clock::from(context.now))
        .or_fail("could not set up TLS")?;
    Ok(WebClient::new(host, port, tls))
}

/// Refuses where the cluster no longer serves a client of our version.
fn check_version(ping: &Ping, context: &Context) -> Result<(), Failure> {
    let own = env!("CARGO_PKG_VERSION");
    let is_older = |a: &str, b: &str| numbers(a) < numbers(b);
    if context.global.skip_version_check || !is_older(own, &ping.min_client_version) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "this tsh is version {own}; the cluster serves {} and later",
        ping.min_client_version
    ))
    .with_hint("install a newer tsh, or try --skip-version-check"))
}

fn numbers(version: &str) -> Vec<u64> {
    let core = version.trim_start_matches('v').split(['-', '+']).next().unwrap_or_default();
    core.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// What a login is made with.
#[derive(Clone, Copy)]
struct Asked<'a> {
    web: &'a WebClient,
    ping: &'a Ping,
    key: &'a KeyPair,
}

/// The password first, then what the cluster still asks for.
async fn by_password(
    context: &Context,
    asked: Asked<'_>,
    output: &mut Output,
) -> Result<LoginReply, Failure> {
    let user = match &context.global.user {
        Some(user) => user.clone(),
        None => default_user(context)?,
    };
    UserName::parse(&user).map_err(|error| Failure::misuse(error.to_string()))?;
    let question = format!("Enter password for Teleport user {user}:");
    let password = prompt::secret(&question, output).await?;
    let request =
        LoginChallengeRequest { user, password, remote_addr: None, user_agent: user_agent() };
    let challenge = asked.web.begin_login(&request).await?;
    let has_passkey = challenge.webauthn.is_some();
    let proof = match (challenge.needs_factor, challenge.otp) {
        (false, _) => None,
        (true, true) => {
            let question = if has_passkey {
                "Enter your OTP token (empty to go on with a passkey in the browser):"
            } else {
                "Enter your OTP token:"
            };
            let code = prompt::visible(question, output).await?;
            if code.is_empty() && has_passkey {
                return by_browser(context, asked, output).await;
            }
            Some(MfaProof::Otp { code })
        }
        (true, false) => {
            output.say("Your second factor is a passkey: the login goes on in the browser.");
            return by_browser(context, asked, output).await;
        }
    };
    let login = ChallengeLogin {
        challenge: challenge.id,
        proof,
        public_key: asked.key.public_pem(),
        ttl_seconds: ttl_seconds(context),
        remote_addr: None,
        user_agent: user_agent(),
    };
    Ok(asked.web.finish_login(&login).await?)
}

/// The user signs in on a page of the proxy, whose public name passkeys are bound to, and approves there.
async fn by_browser(
    context: &Context,
    asked: Asked<'_>,
    output: &mut Output,
) -> Result<LoginReply, Failure> {
    let proxy = &asked.ping.proxy.public_addr;
    let brought = browser::ask(proxy, Purpose::Login, context.browser, output).await?;
    let login = BrowserLogin {
        browser_code: brought.code,
        verifier: brought.verifier,
        public_key: asked.key.public_pem(),
        ttl_seconds: ttl_seconds(context),
        remote_addr: None,
        user_agent: user_agent(),
    };
    let reply = asked.web.login_by_browser(&login).await?;
    match context.global.user.as_deref() {
        Some(user) if reply.user != *user => {
            Err(Failure::new(format!("the browser is signed in as {}, not as {user}", reply.user))
                .with_hint("sign out there, or leave --user out"))
        }
        _ => Ok(reply),
    }
}

fn ttl_seconds(context: &Context) -> Option<u64> {
    context.global.ttl.map(|minutes| minutes.saturating_mul(60))
}

fn user_agent() -> Option<String> {
    Some(concat!("tsh/", env!("CARGO_PKG_VERSION")).to_owned())
}

/// A client of the web API of a login's proxy.
///
/// # Errors
/// When its address or the TLS settings cannot be used.
pub(super) fn web_client_of(context: &Context, profile: &Profile) -> Result<WebClient, Failure> {
    let address = ProxyAddress::parse(&profile.web_proxy_addr)?;
    let trust = if profile.insecure || context.global.insecure {
        WebTrust::DangerouslyAnybody
    } else {
        WebTrust::System { extra: Vec::new() }
    };
    web_client_with(&trust, context, (&address.host, address.port.unwrap_or(443)))
}

fn default_user(context: &Context) -> Result<String, Failure> {
    if let Some(profile) = context.profile()? {
        return Ok(profile.user.to_string());
    }
    edge::variable("USER")
        .ok_or_else(|| Failure::misuse("no user name given").with_hint("write --user=<name>"))
}

fn save(
    context: &Context,
    web_proxy_addr: String,
    key: &KeyPair,
    reply: &LoginReply,
) -> Result<Login, Failure> {
    let profile = Profile {
        web_proxy_addr,
        user: reply.user.clone(),
        cluster: reply.cluster.clone(),
        insecure: context.global.insecure,
    };
    context.home.save(&profile, key, &reply.certificate, &reply.trust).map_err(profile_failure)?;
    // App certificates of an earlier login are for its key, which is gone. The local authorities
    // stay: running tools have them in their environment.
    context.home.forget_sessions(&profile).map_err(profile_failure)?;
    context.login_of(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("0.1.0") < numbers("0.2"));
        assert!(numbers("v14.3.33-aa") < numbers("14.10.0"));
        assert!(numbers("1.0.0") >= numbers("1.0.0"));
    }
}
