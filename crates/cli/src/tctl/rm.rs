//! `tctl rm`: removes a resource.

use api::Client;
use clap::Args;

use super::reference::{Reference, word};
use crate::failure::Failure;
use crate::output::Output;

/// Remove a resource
#[derive(Debug, Args)]
pub struct RmArgs {
    /// What to remove: kind/name
    pub resource: String,
}

/// Runs `tctl rm`.
///
/// # Errors
/// When the Auth Service cannot be reached or refuses, or there is no such resource.
pub async fn run(args: &RmArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let (kind, name) = Reference::parse_one(&args.resource)?;
    client.delete_resource(kind, &name).await?;
    output.line(format!("{} \"{name}\" has been deleted", word(kind)))
}
