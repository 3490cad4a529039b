//! `tsh status`: who is logged in where, until when.

use std::time::{Duration, SystemTime};

use access::Traits;
use clap::Args;
use serde::Serialize;

use super::context::{Context, Login, not_logged_in, profile_failure};
use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::{edge, moment};

/// Show the login in use and the others
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub format: Format,
    /// Show traits too
    #[arg(short, long)]
    pub verbose: bool,
}

/// Runs `tsh status`.
///
/// # Errors
/// When nobody is logged in, or the login has expired.
pub fn run(args: &StatusArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let now = (context.now)();
    let active = context.profile()?.map(|profile| context.login_of(profile)).transpose()?;
    let others = others(context, active.as_ref())?;
    match args.format {
        Format::Text => {
            if active.is_none() && others.is_empty() {
                return Err(not_logged_in());
            }
            let detail = if args.verbose { Detail::All } else { Detail::Usual };
            output.text(text(active.as_ref(), &others, now, detail))?;
        }
        Format::Json => output.line(format::json(&report(active.as_ref(), &others))?)?,
        Format::Yaml => output.text(format::yaml(&report(active.as_ref(), &others))?)?,
    }
    match active {
        None => Err(not_logged_in()),
        Some(login) if login.claims.expires <= now => {
            Err(Failure::new("Active profile expired.").with_hint("run `tsh login`"))
        }
        Some(_) => Ok(()),
    }
}

/// Prints the block of one login, as after `tsh login`.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(login: &Login, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let detail = if context.global.debug { Detail::All } else { Detail::Usual };
    output.text(text(Some(login), &[], (context.now)(), detail))
}

/// How much of a login is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    Usual,
    All,
}

fn others(context: &Context, active: Option<&Login>) -> Result<Vec<Login>, Failure> {
    let profiles = context.home.profiles().map_err(profile_failure)?;
    let is_other = |profile: &api::profile::Profile| {
        active.is_none_or(|login| login.profile.proxy_host() != profile.proxy_host())
    };
    // A damaged login of another proxy is no reason to hide this one.
    let logins = profiles.into_iter().filter(is_other).filter_map(|p| context.login_of(p).ok());
    Ok(logins.collect())
}

fn text(active: Option<&Login>, others: &[Login], now: SystemTime, detail: Detail) -> String {
    let mut text = String::new();
    for (marker, login) in
        active.map(|login| ("> ", login)).into_iter().chain(others.iter().map(|o| ("  ", o)))
    {
        let mut marker = marker;
        for (label, value) in rows(login, now, detail) {
            text.push_str(&format!("{marker}{label:<20}{value}\n"));
            marker = "  ";
        }
        text.push('\n');
    }
    text
}

fn rows(login: &Login, now: SystemTime, detail: Detail) -> Vec<(&'static str, String)> {
    let claims = &login.claims;
    let roles: Vec<&str> = claims.roles.iter().map(access::RoleName::as_str).collect();
    let mut rows = vec![
        ("Profile URL:", format!("https://{}", login.profile.web_proxy_addr)),
        ("Logged in as:", claims.user.to_string()),
        ("Cluster:", claims.cluster.to_string()),
        ("Roles:", roles.join(", ")),
    ];
    if detail == Detail::All {
        let traits = claims.traits.iter().filter(|(_, values)| !values.is_empty());
        let traits: Vec<String> =
            traits.map(|(name, values)| format!("{name}: {}", values.join(", "))).collect();
        if !traits.is_empty() {
            rows.push(("Traits:", traits.join("; ")));
        }
    }
    let logins = logins(&claims.traits);
    if !logins.is_empty() {
        rows.push(("Logins:", logins.join(", ")));
    }
    rows.push(("Kubernetes:", "disabled".to_owned()));
    let valid = format!("{} [{}]", moment::local(claims.expires), validity(claims.expires, now));
    rows.push(("Valid until:", valid));
    let extensions = extensions(login);
    if !extensions.is_empty() {
        rows.push(("Extensions:", extensions.join(", ")));
    }
    rows
}

fn validity(expires: SystemTime, now: SystemTime) -> String {
    let left = moment::until(expires, now);
    if left.is_zero() {
        "EXPIRED".to_owned()
    } else if left < Duration::from_secs(60) {
        "valid for <1m".to_owned()
    } else {
        let minutes = Duration::from_secs((left.as_secs() + 30) / 60 * 60);
        format!("valid for {}", api::duration::long(minutes))
    }
}

/// The login names of the user, without those that are the system's own.
fn logins(traits: &Traits) -> Vec<String> {
    let all = traits.get("logins").cloned().unwrap_or_default();
    all.into_iter().filter(|login| !login.starts_with("-teleport-")).collect()
}

fn extensions(login: &Login) -> Vec<&'static str> {
    login.claims.login_ip.iter().map(|_| "login-ip").collect()
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<ReportedLogin>,
    profiles: Vec<ReportedLogin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
}

#[derive(Serialize)]
struct ReportedLogin {
    profile_url: String,
    username: String,
    cluster: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Traits::is_empty")]
    traits: Traits,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logins: Vec<String>,
    kubernetes_enabled: bool,
    valid_until: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<&'static str>,
}

#[derive(Serialize)]
struct Environment {
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
}

fn report(active: Option<&Login>, others: &[Login]) -> Report {
    let proxy = edge::variable("TELEPORT_PROXY");
    let cluster = edge::variable("TELEPORT_CLUSTER").or_else(|| edge::variable("TELEPORT_SITE"));
    let is_overridden = proxy.is_some() || cluster.is_some();
    Report {
        active: active.map(reported),
        profiles: others.iter().map(reported).collect(),
        environment: is_overridden.then_some(Environment { proxy, cluster }),
    }
}

fn reported(login: &Login) -> ReportedLogin {
    let claims = &login.claims;
    ReportedLogin {
        profile_url: format!("https://{}", login.profile.web_proxy_addr),
        username: claims.user.to_string(),
        cluster: claims.cluster.to_string(),
        roles: claims.roles.iter().map(ToString::to_string).collect(),
        traits: claims.traits.clone(),
        logins: logins(&claims.traits),
        kubernetes_enabled: false,
        valid_until: moment::rfc3339(claims.expires),
        extensions: extensions(login),
    }
}
