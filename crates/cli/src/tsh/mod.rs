//! `tsh`, the user's command.

pub mod address;
pub mod agent_line;
pub mod app_session;
pub mod app_sessions;
pub mod apps;
pub mod aws;
pub mod aws_profile;
pub mod browser;
pub mod completion;
pub mod context;
pub mod factor;
pub mod gateway;
pub mod key_book;
pub mod launch_page;
pub mod local_ca;
pub mod local_proxy;
pub mod login;
pub mod logout;
pub mod mfa;
pub mod proxy_app;
pub mod proxy_aws;
pub mod proxy_banner;
pub mod renewer;
pub mod session_ring;
pub mod status;
pub mod trust_store;
pub mod version;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::context::{Context, Global};
use crate::edge;
use crate::failure::Failure;
use crate::output::Output;

/// Access to AWS and other apps without their keys
#[derive(Debug, Parser)]
#[command(name = "tsh", disable_version_flag = true)]
pub struct Tsh {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: TshCommand,
}

/// The commands of `tsh`.
#[derive(Debug, Subcommand)]
pub enum TshCommand {
    /// Show versions
    Version(version::VersionArgs),
    /// Log in to a cluster
    Login(login::LoginArgs),
    /// Log out of one proxy (with --proxy and --user), or of all
    Logout(logout::LogoutArgs),
    /// Show the login in use and the others
    Status(status::StatusArgs),
    /// See, add and remove second factors
    Mfa(mfa::MfaArgs),
    /// See and use apps
    #[command(visible_alias = "app")]
    Apps(apps::AppsArgs),
    /// Run the AWS CLI through an app
    Aws(aws::AwsArgs),
    /// Write profiles for app sessions into the AWS config file
    AwsProfile(aws_profile::AwsProfileArgs),
    /// Run a local proxy
    Proxy(proxy_aws::ProxyArgs),
    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),
}

/// Runs `tsh` with the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    let args = Tsh::parse();
    edge::log_if(args.global.debug);
    let mut output = Output::of_process();
    let result = crate::block_on(run(args, &mut output));
    output.end(result)
}

async fn run(args: Tsh, output: &mut Output) -> Result<(), Failure> {
    if let TshCommand::Completion(args) = &args.command {
        return completion::run(args, Tsh::command(), output);
    }
    gateway::upstream()?.serve_all();
    let context = Context::of_process(args.global)?;
    match &args.command {
        TshCommand::Version(args) => version::run(args, &context, output).await,
        TshCommand::Login(args) => login::run(args, &context, output).await,
        TshCommand::Logout(args) => logout::run(args, &context, output).await,
        TshCommand::Status(args) => status::run(args, &context, output),
        TshCommand::Mfa(args) => mfa::run(args, &context, output).await,
        TshCommand::Apps(args) => apps::run(args, &context, output).await,
        TshCommand::Aws(args) => aws::run(args, &context, output).await,
        TshCommand::AwsProfile(args) => aws_profile::run(args, &context, output).await,
        TshCommand::Proxy(args) => proxy_aws::run(args, &context, output).await,
        TshCommand::Completion(_) => Ok(()),
    }
}
