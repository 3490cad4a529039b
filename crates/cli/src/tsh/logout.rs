//! `tsh logout`: forgets logins and ends their app sessions.

use std::time::Duration;

use api::profile::Profile;
use clap::Args;
use tokio::time::timeout;

use super::address::ProxyAddress;
use super::app_sessions;
use super::aws_profile;
use super::context::{Context, profile_failure};
use crate::failure::Failure;
use crate::output::Output;

/// How long the cluster may take to be told.
const FAREWELL: Duration = Duration::from_secs(3);

/// Log out of one proxy (with --proxy and --user), or of all
#[derive(Debug, Args)]
pub struct LogoutArgs {}

/// Runs `tsh logout`.
///
/// # Errors
/// When only one of `--proxy` and `--user` is given, or that user is not logged in.
pub async fn run(
    _args: &LogoutArgs,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    match (&context.global.proxy, &context.global.user) {
        (None, None) => all(context, output).await,
        (Some(proxy), Some(user)) => {
            let host = ProxyAddress::parse(proxy)?.host;
            let profile = context.home.profile(&host).map_err(profile_failure)?;
            match profile.filter(|profile| profile.user == *user.as_str()) {
                Some(profile) => {
                    forget(context, &profile).await?;
                    output.line(format!("Logged out {user} from {host}."))
                }
                None => {
                    output.line(format!("User {user} already logged out from {host}."))?;
                    Err(Failure::silent(1))
                }
            }
        }
        _ => Err(Failure::misuse(
            "Specify --proxy and --user to remove keys for specific user from a proxy or neither to log out all users from all proxies.",
        )),
    }
}

async fn all(context: &Context, output: &mut Output) -> Result<(), Failure> {
    let profiles = context.home.profiles().map_err(profile_failure)?;
    if profiles.is_empty() {
        return output.line("All users logged out.");
    }
    for profile in &profiles {
        forget(context, profile).await?;
    }
    output.line("Logged out all users from all proxies.")
}

async fn forget(context: &Context, profile: &Profile) -> Result<(), Failure> {
    // Best effort: a cluster that cannot be told lets the sessions expire.
    let _ = timeout(FAREWELL, Box::pin(end_sessions(context, profile))).await;
    // First, because the login's folder tells where they are.
    let profiles = aws_profile::forget(context, profile, None);
    context.home.remove(profile).map_err(profile_failure)?;
    profiles
}

async fn end_sessions(context: &Context, profile: &Profile) -> Option<()> {
    let apps = context.home.apps(profile).ok()?;
    if apps.is_empty() {
        return None;
    }
    let login = context.login_of(profile.clone()).ok()?;
    let client = context.client(&login).ok()?;
    for app in apps {
        for session in app_sessions::of_app(context, &login, &app) {
            app_sessions::tell_ended(&client, &session).await;
        }
    }
    Some(())
}
