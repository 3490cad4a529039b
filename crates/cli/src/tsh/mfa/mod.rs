//! `tsh mfa`: the user's own second factors.

pub mod add;
pub mod ls;
mod qr;
pub mod rm;

use clap::{Args, Subcommand};

use super::context::Context;
use crate::failure::Failure;
use crate::output::Output;

/// See, add and remove second factors
#[derive(Debug, Args)]
pub struct MfaArgs {
    #[command(subcommand)]
    command: MfaCommand,
}

#[derive(Debug, Subcommand)]
enum MfaCommand {
    /// List your second factors
    Ls(ls::LsArgs),
    /// Add a second factor
    Add(add::AddArgs),
    /// Remove a second factor
    Rm(rm::RmArgs),
}

/// Runs `tsh mfa …`.
///
/// # Errors
/// As the command.
pub async fn run(args: &MfaArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    match &args.command {
        MfaCommand::Ls(args) => ls::run(args, context, output).await,
        MfaCommand::Add(args) => add::run(args, context, output).await,
        MfaCommand::Rm(args) => rm::run(args, context, output).await,
    }
}
