//! `tsh apps`: which apps there are, and logging in to one.

pub mod config;
pub mod launch;
pub mod login;
pub mod logout;
pub mod ls;
pub mod roles;

use clap::{Args, Subcommand};

use super::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// See and use apps
#[derive(Debug, Args)]
pub struct AppsArgs {
    #[command(subcommand)]
    command: AppsCommand,
}

#[derive(Debug, Subcommand)]
enum AppsCommand {
    /// List the apps that you may use
    Ls(ls::LsArgs),
    /// Log in to an app
    Login(login::LoginArgs),
    /// List the AWS roles that you may use
    Logins(roles::LoginsArgs),
    /// Log out of an app, or of all
    Logout(logout::LogoutArgs),
    /// Open an app in the browser; an AWS app as its console
    Launch(launch::LaunchArgs),
    /// Show where the files of an app are
    Config(config::ConfigArgs),
}

/// Runs `tsh apps …`.
///
/// # Errors
/// As the command.
pub async fn run(args: &AppsArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    match &args.command {
        AppsCommand::Ls(args) => ls::run(args, context, output).await,
        AppsCommand::Login(args) => login::run(args, context, output).await,
        AppsCommand::Logins(args) => roles::run(args, context, output).await,
        AppsCommand::Logout(args) => logout::run(args, context, output).await,
        AppsCommand::Launch(args) => launch::run(args, context, output).await,
        AppsCommand::Config(args) => config::run(args, context, output),
    }
}
