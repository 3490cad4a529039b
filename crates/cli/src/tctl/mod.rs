//! `tctl`, the admin's command.

pub mod apps;
pub mod audit;
pub mod auth;
pub mod create;
pub mod door;
pub mod edit;
pub mod get;
pub mod lock;
pub mod reference;
pub mod rm;
pub mod status;
pub mod tokens;
pub mod users;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::door::{Door, Global};
use crate::edge;
use crate::failure::Failure;
use crate::output::Output;
use crate::tsh::{completion, version};

/// Administration of a cluster
#[derive(Debug, Parser)]
#[command(name = "tctl", disable_version_flag = true)]
pub struct Tctl {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: TctlCommand,
}

/// The commands of `tctl`.
#[derive(Debug, Subcommand)]
pub enum TctlCommand {
    /// Show the cluster's name, version and CA pins
    Status(status::StatusArgs),
    /// Make, list and remove join tokens
    Tokens(tokens::TokensArgs),
    /// Make, list, change and remove users
    Users(users::UsersArgs),
    /// Create or replace resources from YAML
    Create(create::CreateArgs),
    /// Print resources
    Get(get::GetArgs),
    /// Remove a resource
    #[command(visible_alias = "del")]
    Rm(rm::RmArgs),
    /// Edit a resource in an editor
    Edit(edit::EditArgs),
    /// See the apps and the agents that serve them
    Apps(apps::AppsArgs),
    /// Lock a user, a role or a host out
    Lock(lock::LockArgs),
    /// Read and check the audit log
    Audit(audit::AuditArgs),
    /// Certificate authorities
    Auth(auth::AuthArgs),
    /// Show the version
    Version,
    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),
}

/// Runs `tctl` with the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    let args = Tctl::parse();
    edge::log_if(args.global.debug);
    let mut output = Output::of_process();
    let result = crate::block_on(run(args, &mut output));
    output.end(result)
}

async fn run(args: Tctl, output: &mut Output) -> Result<(), Failure> {
    match &args.command {
        TctlCommand::Version => return output.line(version::line()),
        TctlCommand::Completion(args) => return completion::run(args, Tctl::command(), output),
        _ => {}
    }
    let door = Door::open(&args.global)?;
    let client = &door.client;
    let done = match &args.command {
        TctlCommand::Status(args) => status::run(args, client, output).await,
        TctlCommand::Tokens(args) => tokens::run(args, client, output).await,
        TctlCommand::Users(args) => users::run(args, client, output).await,
        TctlCommand::Create(args) => create::run(args, client, output).await,
        TctlCommand::Get(args) => get::run(args, client, output).await,
        TctlCommand::Rm(args) => rm::run(args, client, output).await,
        TctlCommand::Edit(args) => edit::run(args, client, output).await,
        TctlCommand::Apps(args) => apps::run(args, client, output).await,
        TctlCommand::Lock(args) => lock::run(args, client, output).await,
        TctlCommand::Audit(args) => audit::run(args, client, output).await,
        TctlCommand::Auth(args) => auth::run(args, &door, output),
        TctlCommand::Version | TctlCommand::Completion(_) => Ok(()),
    };
    done.map_err(|failure| door.explain(failure))
}
