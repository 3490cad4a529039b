//! `tsh login`: a password (and a one-time code) for a certificate that lasts hours.

use access::UserName;
use api::profile::Profile;
use api::types::login::{LoginReply, LoginRequest};
use api::types::ping::{Ping, SecondFactor};
use api::web::WebClient;
use clap::Args;
use pki::{Clock, KeyPair, WebTrust};

use super::address::ProxyAddress;
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
}

/// Runs `tsh login`.
///
/// # Errors
/// When the proxy cannot be reached or refuses the login.
pub async fn run(args: &LoginArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    check_connector(context)?;
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
    let request = ask(context, &ping, &key, output)?;
    let reply = web.login(&request).await?;
    let login = save(context, address.with_port(port), &key, &reply)?;
    for warning in &reply.warnings {
        output.warn(warning);
    }
    status::print(&login, context, output)
}

fn check_connector(context: &Context) -> Result<(), Failure> {
    match context.global.auth.as_deref() {
        None | Some("local" | "") => Ok(()),
        Some(other) => Err(Failure::misuse(format!("connector `{other}` is not served"))
            .with_hint("leave --auth out, or write --auth=local")),
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
    let alpn = vec![b"http/1.1".to_vec()];
    let tls = pki::web::web_client(&trust, alpn, Clock::from(context.now))
        .or_fail("could not set up TLS")?;
    Ok(WebClient::new(&address.host, port, tls))
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

fn ask(
    context: &Context,
    ping: &Ping,
    key: &KeyPair,
    output: &mut Output,
) -> Result<LoginRequest, Failure> {
    let user = match &context.global.user {
        Some(user) => user.clone(),
        None => default_user(context)?,
    };
    UserName::parse(&user).map_err(|error| Failure::misuse(error.to_string()))?;
    let password = prompt::secret(&format!("Enter password for Teleport user {user}:"), output)?;
    let otp = match ping.auth.second_factor {
        SecondFactor::Off => None,
        SecondFactor::Otp => Some(prompt::visible("Enter your OTP token:", output)?),
        SecondFactor::Optional => {
            let question = "Enter your OTP token (empty if you have none):";
            prompt::visible(question, output).ok().filter(|code| !code.is_empty())
        }
    };
    Ok(LoginRequest {
        user,
        password,
        otp,
        public_key: key.public_pem(),
        ttl_seconds: context.global.ttl.map(|minutes| minutes.saturating_mul(60)),
        remote_addr: None,
    })
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
