//! `tsh aws-profile`: profiles in the AWS config file, so that tools work with nothing else in their environment.
//!
//! A profile names this program for its keys (`credential_process`) and a local endpoint URL with its authority. Keys
//! are asked for before the first request; that is when the proxy behind the URL is started, if it does not run.

pub mod background;
pub mod config_file;
pub mod credentials;
pub mod editor;
pub mod remove;
pub mod serve;
pub mod write;

#[cfg(test)]
mod editor_tests;

use access::AppName;
use api::profile::Profile;
use aws::RoleArn;
use aws_lc_rs::digest;
use clap::{Args, Subcommand};

use super::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// Write profiles for app sessions into the AWS config file
#[derive(Debug, Args)]
pub struct AwsProfileArgs {
    #[command(subcommand)]
    command: AwsProfileCommand,
}

#[derive(Debug, Subcommand)]
enum AwsProfileCommand {
    /// Write a profile, or one for each AWS role
    Write(write::WriteArgs),
    /// List the profiles that tsh has written
    Ls(remove::LsArgs),
    /// Remove profiles that tsh has written
    Rm(remove::RmArgs),
    /// Print keys for a profile, as `credential_process` of the AWS tools wants them
    #[command(hide = true)]
    Credentials(credentials::CredentialsArgs),
    /// Serve the profiles' endpoint URL until they are no longer used
    #[command(hide = true)]
    Serve(serve::ServeArgs),
}

/// Runs `tsh aws-profile …`.
///
/// # Errors
/// As the command.
pub async fn run(
    args: &AwsProfileArgs,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    match &args.command {
        AwsProfileCommand::Write(args) => write::run(args, context, output).await,
        AwsProfileCommand::Ls(args) => remove::list(args, context, output),
        AwsProfileCommand::Rm(args) => remove::run(args, context, output),
        AwsProfileCommand::Credentials(args) => credentials::run(args, context, output).await,
        AwsProfileCommand::Serve(args) => serve::run(args, context).await,
    }
}

/// What tells one login's profiles from those of every other: home, proxy, user and cluster.
#[must_use]
pub fn login_id(context: &Context, profile: &Profile) -> String {
    let home = context.home.folder();
    let home = std::fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
    let text = format!(
        "{}\n{}\n{}\n{}",
        home.display(),
        profile.proxy_host(),
        profile.user,
        profile.cluster
    );
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    hex::encode(digest.as_ref().get(..8).unwrap_or_default())
}

/// Takes the profiles of a login out of every AWS config file that they were written to: all of them, or those of an
/// app, or of one of its roles.
///
/// # Errors
/// When a file cannot be written; the others are done all the same.
pub fn forget(
    context: &Context,
    profile: &Profile,
    of: Option<(&AppName, Option<&RoleArn>)>,
) -> Result<(), Failure> {
    let id = login_id(context, profile);
    remove::everywhere(context, profile, |marker| {
        let is_of = |(app, role): (&AppName, Option<&RoleArn>)| {
            marker.app == *app && role.is_none_or(|role| marker.role == *role)
        };
        marker.login == id && of.is_none_or(is_of)
    })
    .map(|_| ())
}
